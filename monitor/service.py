"""One process, put together: log, machine, writer, folder, web. `jakwatch run` and `jakwatch demo` are this."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from monitor import faults
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.folder import Folder
from monitor.keyfile import pseudonym_key
from monitor.log import LogFullError
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.sites import Rules
from monitor.view import View
from monitor.web.app import Application
from monitor.web.guard import Tokens
from monitor.web.health import Health
from monitor.writer import TICK, Writer

TICK_SECONDS = 5.0
log = logging.getLogger("jakwatch")


class InUseError(Exception):
    """Another process works on the same data."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is started with."""

    data: Path  # folder of the log and the key
    policies: tuple[PolicyDocument, ...]
    registry: Registry | None
    host: str
    port: int  # 0: any that is free
    inbox: Path | None = None
    tokens: Tokens = field(default_factory=Tokens)
    tls: ssl.SSLContext | None = None


class Life(Protocol):
    """What fills a process and goes on in it, where nobody else sends messages: the demo."""

    def fill(self, machine: Machine) -> None:
        """Before anybody is served."""

    async def go_on(self, writer: Writer) -> None:
        """Until cancelled."""


def serve(settings: Settings, told: Callable[[str], None], life: Life | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `told` is given the address as soon as messages are taken."""
    os.umask(0o077)  # what was rejected stands in the log as it came: it is nobody else's to read
    with _only_one(settings.data):
        asyncio.run(_serve(settings, told, life))


@contextmanager
def _only_one(data: Path) -> Iterator[None]:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InUseError(f"another jakwatch works on {data}. Stop it, or use another --data folder.") from None
        yield


async def _serve(settings: Settings, told: Callable[[str], None], life: Life | None) -> None:
    stop = asyncio.Event()
    signs = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    for sign in signs if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else signs[:2]:  # as nohup asks
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    machine = _machine(settings)
    writer, view = Writer(machine), View(machine)
    writer.start()
    health = Health(writer.is_alive, lambda: machine.trouble)
    application = Application(writer, view, health, settings.tokens)
    try:
        listening = application.listening(settings.host, settings.port, settings.tls)
        async with listening as address:
            await _until(stop, writer.run(lambda: _open(machine, life)))
            if stop.is_set():
                return
            async with asyncio.TaskGroup() as tasks:  # only now: it would wrap what is wrong with the log
                health.loading = False
                going = [tasks.create_task(each) for each in _tasks(settings, writer, life)]
                told(address)
                await stop.wait()
                for task in going:
                    task.cancel()
    finally:
        if not health.loading:  # what is still being read may be left where it is
            writer.stop()
            machine.log.close()


def _machine(settings: Settings) -> Machine:
    path = settings.data / "log.sqlite"
    key = pseudonym_key(settings.data / "pseudonym.key", may_make=not path.exists())
    rules = Rules(settings.policies, settings.registry, key)
    return Machine(SqliteLog(path), rules, lambda: datetime.now(UTC), _tell_of_fault)


def _tell_of_fault(fault: Exception) -> None:
    log.error("a bug left a patient unassessable: %s", faults.summary(fault))


def _open(machine: Machine, life: Life | None) -> None:
    """Load the log. What was loaded stays: the collector need never look at it again."""
    gc.disable()
    machine.open(_tell_of_site)
    if life is not None:
        life.fill(machine)
    gc.enable()
    gc.freeze()


def _tell_of_site(site: str, received: int) -> None:
    if received:
        log.info("%s: read from the log; %d messages had arrived", site, received)


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Wait for the work, or for being asked to stop."""
    stopped, working = asyncio.ensure_future(stop.wait()), asyncio.ensure_future(work)
    await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        working.result()


def _tasks(settings: Settings, writer: Writer, life: Life | None) -> Iterator[Coroutine[Any, Any, None]]:
    yield _tick(writer)
    if settings.inbox is not None:
        settings.inbox.mkdir(parents=True, exist_ok=True)
        yield Folder(settings.inbox, writer).watch()
    if life is not None:
        yield life.go_on(writer)


async def _tick(writer: Writer) -> None:
    """Let time pass for the machine: step by step while there is something to do, then every few seconds."""
    while True:
        try:
            more = await writer.run(writer.machine.tick, TICK)
        except LogFullError as full:
            log.warning("%s", full)
            more = False
        await asyncio.sleep(0 if more else TICK_SECONDS)
