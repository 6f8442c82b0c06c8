"""The one thread that owns the sites of a process: everybody else hands it jobs and waits.

A job says how long it may wait; the one that has waited longest beyond that comes next, so that an order passes a bulk
load without ever starving it. Messages that wait for one site share a transaction, and so one wait for the disk.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from monitor.keeper import Origin, Receipt
from monitor.machine import Machine
from monitor.shown import ShownSites

T = TypeVar("T")
S_co = TypeVar("S_co", bound=ShownSites, covariant=True)

ORDER, BULK, READ, TICK = 0.0, 0.2, 0.3, 1.0
"""How many seconds the kinds of job may wait for others."""

HTTP = "http"
TOGETHER = 1_000  # messages of one transaction, at most (more only where one request brings more)
WAITING = 20_000  # messages that may wait; then it is better to say so than to let everybody wait
LOOKING = 200  # looks that may wait, likewise; whoever asked may be long gone
LOOK_SECONDS = 2.0  # from when on an older look will do


class BusyError(Exception):
    """Too much waits already: nothing was taken, come again."""


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    done: Callable[[Any, BaseException | None], None]
    patience: float
    site: str | None = None  # of messages through HTTP, which may share a transaction
    messages: Sequence[bytes] = field(default=())


def _nothing() -> None:
    """There is nothing else to look at."""


class SitesThread(Generic[S_co]):
    """Runs jobs one after another in its own thread."""

    def __init__(self, machine: S_co) -> None:
        self.machine = machine
        self._jobs: list[tuple[float, int, _Job]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._messages = 0  # that wait
        self._looks = 0  # that wait, or are taken
        self._one_look = asyncio.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Finish what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    async def run(self, work: Callable[[], T], patience: float = READ) -> T:
        """What a piece of work on the machine returns, or raises."""
        found: T = await self._hand_over(_Job(work, _nobody, patience))
        return found

    async def look(self, work: Callable[[], T], instead: Callable[[], T | None] = _nothing) -> T:
        """What a look at the counts returns. They are brought up to date first, in steps between which orders pass.

        One at a time: of many that have waited, an order would come after all. While much comes in the steps may take
        long; then whoever looks is given what there is `instead`, if there is anything. Raises BusyError.
        """
        if self._looks >= LOOKING:
            raise BusyError
        self._looks += 1
        try:
            async with self._one_look:
                end = time.monotonic() + LOOK_SECONDS
                while await self.run(self.machine.count):
                    if time.monotonic() > end and (found := instead()) is not None:
                        return found
                return await self.run(work)
        finally:
            self._looks -= 1

    async def _hand_over(self, job: _Job) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        job.done = lambda found, error: _tell(loop, future, found, error)
        with self._changed:
            if self._stopping or (job.messages and self._messages + len(job.messages) > WAITING):
                raise BusyError
            self._messages += len(job.messages)
            heapq.heappush(self._jobs, (time.monotonic() + job.patience, next(self._numbers), job))
            self._changed.notify()
        return await future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._stopping:
                    self._changed.wait()
                if not self._jobs:
                    return
                jobs = self._next()
            self._do(jobs)

    def _next(self) -> list[_Job]:
        """What is done next, together."""
        return [heapq.heappop(self._jobs)[2]]

    def _do(self, jobs: list[_Job]) -> None:
        for job in jobs:
            _finish(job, job.work)


class Writer(SitesThread[Machine]):
    """That of the single machine, which messages come in through."""

    async def take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        """Take in the messages of one request; durable when this returns. Raises BusyError, and as `Machine.take`."""
        patience = ORDER if len(messages) == 1 else BULK
        job = _Job(lambda: self._take(site, messages), _nobody, patience, site, messages)
        receipts: list[Receipt] = await self._hand_over(job)
        return receipts

    async def read_on(self, site: str, messages: Sequence[bytes], origin: Origin) -> list[Receipt]:
        """Take in messages of a channel that is read once in order."""
        return await self.run(lambda: self.machine.take(site, messages, origin), BULK)

    def _next(self) -> list[_Job]:
        """The next job, and the others that can share its transaction."""
        _, _, first = heapq.heappop(self._jobs)
        jobs, count = [first], len(first.messages)
        if first.site is not None and self._jobs:
            left = []
            for entry in sorted(self._jobs):
                job = entry[2]
                if (job.site, job.patience) == (first.site, first.patience) and count + len(job.messages) <= TOGETHER:
                    jobs.append(job)
                    count += len(job.messages)
                else:
                    left.append(entry)
            self._jobs = left  # sorted, and so a heap
        self._messages -= count
        return jobs

    def _do(self, jobs: list[_Job]) -> None:
        if len(jobs) == 1:
            super()._do(jobs)
            return
        messages = [message for job in jobs for message in job.messages]
        try:
            receipts = iter(self._take(jobs[0].site or "", messages))
        except BaseException as error:  # noqa: BLE001  each of those who wait is told
            for job in jobs:
                job.done(None, error)
            return
        for job in jobs:
            job.done(list(itertools.islice(receipts, len(job.messages))), None)

    def _take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        return self.machine.take(site, messages, Origin(HTTP, range(len(messages))))


def _nobody(_found: Any, _error: BaseException | None) -> None:
    """Nobody waits yet."""


def _finish(job: _Job, work: Callable[[], Any]) -> None:
    try:
        found = work()
    except BaseException as error:  # noqa: BLE001  whoever waits is told
        job.done(None, error)
    else:
        job.done(found, None)


def _tell(
    loop: asyncio.AbstractEventLoop, future: asyncio.Future[Any], found: Any, error: BaseException | None
) -> None:
    def tell() -> None:
        if future.done():
            return  # whoever asked is gone
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(found)

    loop.call_soon_threadsafe(tell)
