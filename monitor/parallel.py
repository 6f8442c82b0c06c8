"""Replay in several processes, whole sites each: the parent reads and deals out lines, the children take and judge.

Which child has a site changes nothing in the result: every number of a site is computed in one place and shares add up.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from monitor import faults
from monitor.replay import Question, Replayer, Share, quiet_memory, result_of

_SITE = re.compile(rb'"site"\s*:\s*"([^"\\]*)"')
_LINES_AT_ONCE = 2_000


class WorkerLost(RuntimeError):
    """A worker process ended before it had answered; the result would miss its sites."""


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
        return result_of(question, total, as_of)
    finally:
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
        if len(found) < 2:
            return found[0] if found else b""
    try:
        named = json.loads(raw).get("site")
    except (ValueError, AttributeError, RecursionError):
        return b""
    return named.encode("utf-8", "surrogatepass") if isinstance(named, str) else b""


class _Worker:
    """One child process and the lines on their way to it."""

    def __init__(self, question: Question) -> None:
        self.pipe, theirs = multiprocessing.Pipe()
        self.process: BaseProcess = multiprocessing.Process(target=_work, args=(theirs, question), daemon=True)
        self.process.start()
        theirs.close()
        self.waiting: list[bytes] = []

    def send(self, raw: bytes) -> None:
        self.waiting.append(raw)
        if len(self.waiting) >= _LINES_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        try:
            self.pipe.send_bytes(b"\n".join(self.waiting))
        except OSError:
            raise WorkerLost("a worker process ended early; try fewer --jobs or look for a lack of memory") from None
        self.waiting.clear()

    def finish(self) -> int | None:
        """All lines are sent; the latest day among those this worker took."""
        if self.waiting:
            self._flush()
        self.pipe.send_bytes(b"")
        day: int | None = self._answer()
        return day

    def ask(self, as_of: int | None) -> None:
        self.pipe.send(as_of)

    def share(self) -> Share:
        share: Share = self._answer()
        return share

    def _answer(self) -> Any:
        try:
            return self.pipe.recv()
        except EOFError:
            raise WorkerLost("a worker process ended early; try fewer --jobs or look for a lack of memory") from None

    def end(self) -> None:
        self.pipe.close()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.terminate()


def _work(pipe: Connection, question: Question) -> None:
    quiet_memory()
    replayer = Replayer(question)
    try:
        while batch := pipe.recv_bytes():
            for raw in batch.split(b"\n"):
                replayer.take(raw)
        pipe.send(replayer.last_day())
        as_of = pipe.recv()
        pipe.send(replayer.share if as_of is None else replayer.judge(as_of))
    except (EOFError, BrokenPipeError):  # the parent gave up; it has said why
        return
    except Exception as error:  # noqa: BLE001  the interpreter would print the text, which may hold a patient's value
        print(f"jakwatch: a bug in a worker: {faults.summary(error)}", file=sys.stderr)
