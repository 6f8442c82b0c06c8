"""A process that serves pages until it is told to end: what `jakwatch run`, `demo` and `view` have in common."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from monitor.log import LogFullError, LogUnusableError
from monitor.web.app import Application
from monitor.web.guard import Tokens
from monitor.web.health import Health
from monitor.writer import TICK, SitesThread

TICK_SECONDS = 5.0
log = logging.getLogger("jakwatch")


@dataclass(frozen=True, slots=True)
class Address:
    """Where pages are served, and to whom."""

    host: str
    port: int  # 0: any that is free
    tokens: Tokens = field(default_factory=Tokens)
    tls: ssl.SSLContext | None = None


class Process(Protocol):
    """All parts of one process."""

    health: Health
    application: Application

    @property
    def thread(self) -> SitesThread[Any]:
        """Who owns its sites."""

    async def open(self) -> None:
        """What must be done before anybody is served; who asks meanwhile hears that the log is being read."""

    def tasks(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What goes on from then to the end."""

    async def close(self) -> None:
        """At the end, where it was opened."""


async def serve(process: Process, at: Address, told: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `told` is given the address as soon as it is opened."""
    stop = _asked_to_stop()
    process.thread.start()
    try:
        async with process.application.listening(at.host, at.port, at.tls) as url:
            await _until(stop, process.open())
            if not stop.is_set():
                process.health.loading = False
                await _go_on(process, stop, lambda: told(url))
    except ExceptionGroup as several:  # a task of several has failed: what a person can mend is told as such
        unusable = several.subgroup(LogUnusableError)
        raise _one_of(unusable if unusable is not None else several) from None
    finally:
        if not process.health.loading:  # what is still being read may be left where it is
            process.thread.stop()
            await process.close()


def _asked_to_stop() -> asyncio.Event:
    stop = asyncio.Event()
    signs = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for sign in signs if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else signs[:2]:  # as nohup asks
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Wait for the work, or for being asked to stop."""
    stopped, working = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(work)
    await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        working.result()


async def _go_on(process: Process, stop: asyncio.Event, served: Callable[[], None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        going = [tasks.create_task(each) for each in (_tick(process.thread), *process.tasks())]
        served()
        await stop.wait()
        for task in going:
            task.cancel()


async def _tick(thread: SitesThread[Any]) -> None:
    """Let time pass for the sites: step by step while there is something to do, then every few seconds."""
    while True:
        try:
            more = await thread.run(thread.machine.tick, TICK)
        except LogFullError as full:
            log.warning("%s", full)
            more = False
        await asyncio.sleep(0 if more else TICK_SECONDS)


def _one_of(several: BaseException) -> BaseException:
    while isinstance(several, BaseExceptionGroup):
        several = several.exceptions[0]
    return several
