"""A real `jakwatch run` in a process of its own: started, asked over HTTP, killed, started again on the same data."""

from __future__ import annotations

import json
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

PROJECT = Path(__file__).resolve().parents[2]
START_WITHIN, END_WITHIN, ANSWER_WITHIN = 60.0, 30.0, 60.0  # seconds; a machine that is busy with other tests is slow
_open = build_opener(ProxyHandler({})).open  # nothing of this goes through anybody's proxy


class NoAnswerError(Exception):
    """The process was gone before it answered: what was sent may have been kept, or not."""


def until(holds: Callable[[], object], what: str, within: float = ANSWER_WITHIN) -> None:
    """Wait until something holds that nobody announces. Raises TimeoutError."""
    pause, end = threading.Event(), time.monotonic() + within
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"within {within:.0f} seconds it did not come to this: {what}")
        pause.wait(0.02)


class Live:
    """`with Live(tmp_path, "--sites", sites) as live:` serves on a free port until the end of the block.

    `folder/data` holds log and key, `folder/stderr` what every start said; `said` is the first line of the last one.
    """

    def __init__(self, folder: Path, *options: str | Path, command: str = "run") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.options = [command, *map(str, options)]
        self.url = ""  # ends with a slash
        self.said = ""
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill9()

    # The process

    def arguments(self, port: int = 0) -> list[str]:
        command, *options = self.options
        return [sys.executable, "-m", "monitor", command, "--data", str(self.data), "--port", str(port), *options]

    def start(self, port: int = 0) -> None:
        """Start and wait until it serves. Raises RuntimeError, with what it said, if it does not."""
        with (self.folder / "stderr").open("a") as stderr:
            self.process = subprocess.Popen(
                self.arguments(port), cwd=PROJECT, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self.said = self._first_line(self.process)
        if "Open http" not in self.said:
            self.kill9()
            raise RuntimeError(f"it did not start:\n{self.said}{self.stderr}")
        self.url = next(word for word in self.said.split() if word.startswith("http"))

    def _first_line(self, process: subprocess.Popen[str]) -> str:
        """The first line that names the address, with what stood before it."""
        said = ""
        with selectors.DefaultSelector() as selector:
            assert process.stdout is not None
            selector.register(process.stdout, selectors.EVENT_READ)
            while "Open http" not in said and selector.select(START_WITHIN):
                line = process.stdout.readline()
                if not line:
                    break
                said += line
        return said

    def kill9(self) -> None:
        """End it as a power cut would; nothing happens where it has ended."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """Ask it to end, as a service manager does; returns its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> int:
        process = self.process
        if process is None:
            return 0
        process.send_signal(how)
        code = process.wait(END_WITHIN)
        if process.stdout is not None:
            process.stdout.close()
        return code

    def restart(self, *, same_port: bool = False) -> None:
        """Start again on the same data, after `kill9` or `terminate` (or instead of `kill9`)."""
        self.kill9()
        self.start(int(self.url.rstrip("/").rpartition(":")[2]) if same_port and self.url else 0)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def stderr(self) -> str:
        """What all starts have said, but for the line that a log is new."""
        lines = (self.folder / "stderr").read_text().splitlines(keepends=True)
        return "".join(line for line in lines if not line.endswith("a new, empty log is begun\n"))

    # What it is asked

    def post(self, site: str, lines: bytes | Sequence[bytes]) -> tuple[int, Any]:
        """Send one message (bytes) or many as NDJSON (a sequence): the status, and the answer or the answers.

        A refusal of the whole request is its JSON object. Raises NoAnswerError.
        """
        is_one = isinstance(lines, bytes)
        body = lines if isinstance(lines, bytes) else b"".join(line + b"\n" for line in lines)
        kind = "application/json" if is_one else "application/x-ndjson"
        status, text = self.ask(f"v1/sites/{site}/messages", body, {"Content-Type": kind})
        if is_one or status != 200:
            return status, json.loads(text)
        return status, [json.loads(line) for line in text.splitlines()]

    def get(self, path: str, **query: str) -> tuple[int, Any]:
        """The status and the body: parsed where it is JSON, else text."""
        status, text = self.ask(path.lstrip("/") + (f"?{urlencode(query)}" if query else ""))
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def act(self, **action: str) -> tuple[int, Any]:
        """Post what a person decided."""
        status, text = self.ask("v1/actions", json.dumps(action).encode(), {"Content-Type": "application/json"})
        return status, json.loads(text)

    def result(self, as_of: str | None = None) -> dict[str, Any]:
        """The object of `GET /v1/result`."""
        status, found = self.get("v1/result", **({} if as_of is None else {"as_of": as_of}))
        assert status == 200, found
        assert isinstance(found, dict)
        return found

    def ask(self, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of any request. Raises NoAnswerError."""
        request = Request(self.url + path, body, headers or {})  # noqa: S310  our own address
        try:
            with _open(request, timeout=ANSWER_WITHIN) as answer:
                return answer.status, answer.read()
        except HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        except (URLError, HTTPException, ConnectionError) as error:
            raise NoAnswerError(type(error).__name__) from None
