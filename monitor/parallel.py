"""Replay in several processes, whole sites each: the parent reads and deals out lines, the children take and judge.

Which child has a site changes nothing in the result: every number of a site is computed in one place and shares add up.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NoReturn

from monitor import faults
from monitor.exitcodes import ExitCode
from monitor.replay import Question, Replayer, quiet_memory
from monitor.result import Share, result_of

_SITE = re.compile(rb'"site"\s*:\s*"([a-z0-9][a-z0-9-]{0,39})"')
_NAME = re.compile("[a-z0-9][a-z0-9-]{0,39}")
_LINES_AT_ONCE, _BYTES_AT_ONCE = 2_000, 1 << 20
_FAILED = ExitCode.BUG  # how a worker ends that has told of a bug
_PATIENCE = 2  # seconds for an idle worker to see that nothing more comes


class WorkerLost(RuntimeError):
    """A worker process ended early; the result would miss its sites. `by_bug`: it has told of one on standard error."""

    def __init__(self, exit_code: int | None) -> None:
        self.by_bug = exit_code == _FAILED
        if self.by_bug:
            text = "a worker process ended by the bug told above; JAKWATCH_DEBUG=1 tells more."
        else:
            how = f"was ended by signal {-exit_code}" if exit_code and exit_code < 0 else "ended early"
            text = f"a worker process {how}, and its sites would be missing. If memory is short, try fewer --jobs."
        super().__init__(text)


def replay_in_processes(lines: Iterable[bytes], question: Question, jobs: int) -> dict[str, Any]:
    """The same object as `replay_lines`, computed by `jobs` processes."""
    workers = [_Worker(question) for _ in range(jobs)]
    try:
        _deal(lines, question, workers)
        days = [day for worker in workers if (day := worker.finish()) is not None]
        as_of = question.as_of if question.as_of is not None else max(days, default=None)
        for worker in workers:
            worker.ask(as_of)
        total = Share()
        for worker in workers:
            total = total.plus(worker.share())
        return result_of(question.policies, question.registry, total, as_of)
    finally:
        for worker in workers:
            worker.pipe.close()  # all of them first: later workers hold copies of the earlier ones
        for worker in workers:
            worker.end()


def _deal(lines: Iterable[bytes], question: Question, workers: list[_Worker]) -> None:
    """A site goes to the next worker in turn when its first line comes, and stays there."""
    of_site: dict[bytes, _Worker] = {}
    for raw in lines:
        site = site_of(raw) or (question.site or "").encode()
        worker = of_site.get(site)
        if worker is None:
            worker = of_site[site] = workers[len(of_site) % len(workers)]
        worker.send(raw)


def site_of(raw: bytes) -> bytes:
    """The site a line names, as cheaply as can be sure; empty where it names none or is no message anyway."""
    if b"extensions" not in raw and b"\\u" not in raw:
        found = _SITE.findall(raw)
        if not found[1:]:
            return found[0] if found else b""
    try:
        named = json.loads(raw).get("site")
    except (ValueError, AttributeError, RecursionError):
        return b""
    return named.encode() if isinstance(named, str) and _NAME.fullmatch(named) else b""


class _Worker:
    """One child process and the lines on their way to it."""

    def __init__(self, question: Question) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process: BaseProcess = multiprocessing.Process(
            target=_work, args=(theirs, self.pipe, question), daemon=True
        )
        with _deaf_to_ctrl_c():
            self.process.start()
        theirs.close()
        self.waiting: list[bytes] = []
        self.bytes_waiting = 0

    def send(self, raw: bytes) -> None:
        self.waiting.append(raw)
        self.bytes_waiting += len(raw)
        if len(self.waiting) >= _LINES_AT_ONCE or self.bytes_waiting >= _BYTES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        if self.waiting:
            self._tell(b"\n".join(self.waiting))
        self.waiting.clear()
        self.bytes_waiting = 0

    def finish(self) -> int | None:
        """All lines are sent; the latest day among those this worker took."""
        self._flush()
        self._tell(b"")
        day: int | None = self._answer()
        return day

    def ask(self, as_of: int | None) -> None:
        self._tell(json.dumps(as_of).encode())

    def share(self) -> Share:
        share: Share = self._answer()
        return share

    def _tell(self, message: bytes) -> None:
        try:
            self.pipe.send_bytes(message)
        except OSError:  # not to be taken for a reader of our output that has gone
            self._lost()

    def _answer(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self._lost()

    def _lost(self) -> NoReturn:
        self.process.join(timeout=_PATIENCE)
        raise WorkerLost(self.process.exitcode) from None

    def end(self) -> None:
        """Let an idle worker end by itself; one that still computes what nobody waits for is stopped."""
        self.process.join(timeout=_PATIENCE)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join()


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """A process started within never hears Ctrl-C, which a terminal sends to all: its parent says so and ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pipe: Connection, parents: Connection, question: Question) -> None:
    parents.close()  # a fork holds a copy of it; while one is open, the end of the parent would not show
    quiet_memory()
    try:
        _answer(pipe, Replayer(question))
    except (EOFError, BrokenPipeError, ConnectionResetError):  # the parent gave up; it has said why
        return
    except Exception as error:  # noqa: BLE001  the interpreter would print the text, which may hold a patient's value
        _tell_of_bug(error)
        sys.exit(_FAILED)


def _answer(pipe: Connection, replayer: Replayer) -> None:
    while batch := pipe.recv_bytes():
        for raw in batch.split(b"\n"):
            replayer.take(raw)
    pipe.send(replayer.last_day())
    as_of = json.loads(pipe.recv_bytes())
    pipe.send(replayer.share if as_of is None else replayer.judge(as_of))


def _tell_of_bug(error: Exception) -> None:
    lines = [f"jakwatch: a bug in a worker: {faults.summary(error)}"]
    if os.environ.get("JAKWATCH_DEBUG"):
        lines += faults.places(error)
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
