"""Real `jakwatch monitor` processes: started, asked, killed, frozen; and whoever starts them again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from schemas.parts import RESERVED_SITE
from tests.integration.live import PROJECT, until

READY_WITHIN = 120.0  # seconds, on a machine that is busy with other tests
END_WITHIN = 60.0
PROGRAM = "tests.integration.stream_frozen"  # jakwatch itself, that can be frozen at the worst moment
LONGEST_BACK_OFF = 5.0
SETTLED_AFTER = 10.0  # whoever has worked so long is started again at once
EXPECTED = {0, 69, 75, -signal.SIGKILL}  # ended in order, no broker at the start, to be restarted, killed
_AT = re.compile(r"health and metrics at (http://\S+)")
_TROUBLE = ("Traceback", " in monitor/", "Unclosed", "a bug left", "is parked", "expired unread", "cannot be read (")
_OWNED, _LOADING = "jakwatch_site_owned", "jakwatch_site_loading"
_open = build_opener(ProxyHandler({})).open  # nothing of this goes through anybody's proxy


class Worker:
    """The place of one worker: a name for its files, and the process that fills it now."""

    def __init__(self, folder: Path, name: str, options: Sequence[str]) -> None:
        self.name = name
        self.options = list(options)
        self.folder = folder
        self.starts = 0
        self.began = 0.0  # when it was started last (monotonic)
        self.codes: list[int] = []  # with which it ended, each time
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `until(worker.is_ready)` waits until it works."""
        self.starts += 1
        self.began = time.monotonic()
        with self._said().open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", PROGRAM, str(self._freezer), "monitor", "--port", "0", *self.options],
                cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def _said(self, start: int | None = None) -> Path:
        return self.folder / f"{self.name}.{self.starts if start is None else start}.log"

    @property
    def _freezer(self) -> Path:
        return self.folder / f"{self.name}.freeze"

    def said(self, start: int | None = None) -> str:
        """What it said since its latest start, or since another."""
        return self._said(start).read_text(encoding="utf-8", errors="replace")

    def all_said(self) -> str:
        return "".join(self.said(start) for start in range(1, self.starts + 1))

    @property
    def runs(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ended(self) -> int | None:
        """The code of a process that has ended since somebody asked last."""
        if self.process is None or self.process.poll() is None:
            return None
        code, self.process = self.process.returncode, None
        self.codes.append(code)
        return code

    def send(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)

    def end(self, how: signal.Signals = signal.SIGTERM) -> int | None:
        """Send a signal that ends it, and wait; returns the code."""
        self.send(how)
        return self.wait()

    def wait(self) -> int | None:
        """Wait for its end, of which it was told; returns the code."""
        if self.process is not None:
            try:
                self.process.wait(END_WITHIN)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
        return self.ended()

    # Frozen, as by a machine that is paused

    def freeze(self) -> None:
        """Stop it dead, wherever it is."""
        self.send(signal.SIGSTOP)

    def freeze_in_a_transaction(self) -> None:
        """Stop it dead when it next has written all records of a transaction and has not asked for its end."""
        self._freezer.touch()
        until(self.is_frozen, f"{self.name} is frozen in a transaction", READY_WITHIN)

    def thaw(self) -> None:
        self._freezer.unlink(missing_ok=True)
        self.send(signal.SIGCONT)

    def is_frozen(self) -> bool:
        if self.process is None:
            return False
        asked = ["ps", "-o", "stat=", "-p", str(self.process.pid)]
        return subprocess.run(asked, capture_output=True, check=False).stdout.startswith(b"T")

    # What it says

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page; (0, "") where nobody answers."""
        found = _AT.search(self.said()) if self.runs and not self.is_frozen() else None
        if found is None:
            return 0, ""
        try:
            with _open(f"{found[1]}/{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as refused:
            with refused:
                return refused.code, refused.read().decode()
        except (URLError, ConnectionError, TimeoutError):
            return 0, ""

    def is_ready(self) -> bool:
        """Whether all sites that are its own are live."""
        return self.get("readyz")[0] == 200

    def owned(self) -> set[str]:
        """The sites that are its own and live."""
        text = self.get("metrics")[1]
        owned, loading = (set(re.findall(rf'{name}{{site="([^"]+)"}} 1', text)) for name in (_OWNED, _LOADING))
        return owned - loading


class Workers:
    """Starts workers again that end, with back-off, until they are sent away; as a service manager does.

    `with workers:` ends all of them at its end.
    """

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.folder = folder
        self.options = list(options)
        self.all: list[Worker] = []
        self.here: list[Worker] = []
        self._backs_off: dict[Worker, float] = {}
        self._due: dict[Worker, float] = {}
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        for worker in self.here:
            worker.send(signal.SIGCONT)
            worker.send(signal.SIGTERM)  # to give back its sites: else the group waits for it in the next test
        for worker in self.here:
            worker.wait()

    def add(self, name: str, *more: str) -> Worker:
        """A worker joins; `more` are options of its own."""
        worker = Worker(self.folder, name, [*self.options, *more])
        with self._lock:
            worker.start()
            self.all.append(worker)
            self.here.append(worker)
        return worker

    def dismiss(self, worker: Worker, how: signal.Signals = signal.SIGTERM) -> int | None:
        """A worker leaves, and nobody starts it again; returns its code."""
        with self._lock:
            self.here.remove(worker)
            self._due.pop(worker, None)
        return worker.end(how)

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            with self._lock:
                for worker in self.here:
                    self._look_after(worker)

    def _look_after(self, worker: Worker) -> None:
        now = time.monotonic()
        if worker.ended() is not None:
            wait = self._backs_off.get(worker, 0.25)
            self._backs_off[worker] = min(2 * wait, LONGEST_BACK_OFF)
            self._due[worker] = now + wait
        elif self._due.get(worker, now + 1) <= now:
            del self._due[worker]
            worker.start()
        elif worker.runs and now - worker.began > SETTLED_AFTER:
            self._backs_off.pop(worker, None)

    def are_ready(self) -> bool:
        """Whether all that are here have all their sites live."""
        return all(worker.is_ready() for worker in list(self.here))

    def wait_until_ready(self, within: float = READY_WITHIN) -> None:
        until(self.are_ready, "all workers are ready", within)

    def share_out(self, sites: Iterable[str]) -> bool:
        """Whether each of the sites is live at exactly one of those that are here and not frozen."""
        owned = [site for worker in list(self.here) for site in worker.owned() - {RESERVED_SITE}]
        return sorted(owned) == sorted(sites)

    def problems(self) -> list[str]:
        """What no worker may say and how none may end, whatever is done to it."""
        found = [f"{worker.name} ended with {code}" for worker in self.all for code in worker.codes]
        found = [each for each in found if int(each.rpartition(" ")[2]) not in EXPECTED]
        for worker in self.all:
            found += [line for line in worker.all_said().splitlines() if any(word in line for word in _TROUBLE)]
        return found

    def summary(self) -> dict[str, Any]:
        """How often workers were started and how they ended, for whoever looks at a long run."""
        codes = [code for worker in self.all for code in worker.codes]
        return {"starts": sum(w.starts for w in self.all), "ends": {c: codes.count(c) for c in sorted(set(codes))}}
