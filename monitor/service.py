"""The single machine as a process: log, machine, writer, folder, pages. `jakwatch run` and `jakwatch demo` are this."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import logging
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from monitor import faults
from monitor.alerting import watching
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.folder import Folder
from monitor.keyfile import pseudonym_key
from monitor.log import LogUnusableError
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.sites import Rules
from monitor.view import View
from monitor.web import serving
from monitor.web.app import Application
from monitor.web.desk import MachineDesk
from monitor.web.health import Health
from monitor.writer import Writer

log = logging.getLogger("jakwatch")


class InUseError(LogUnusableError):
    """Another process works on the same data."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process is started with."""

    data: Path  # folder of the log and the key
    policies: tuple[PolicyDocument, ...]
    registry: Registry | None
    at: serving.Address
    inbox: Path | None = None
    alerts: watching.Settings | None = None  # None: nobody is called from here


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
    process = SingleProcess(settings, life)

    def heard(url: str) -> None:
        process.url = url
        told(url)

    await serving.serve(process, settings.at, heard)


class SingleProcess:
    """All parts of it."""

    url = ""  # under which it is served

    def __init__(self, settings: Settings, life: Life | None) -> None:
        self.settings = settings
        self.life = life
        self.machine = _machine(settings)
        self.thread = Writer(self.machine)
        self.health = Health(self.thread.is_alive, lambda: self.machine.trouble)
        self.application = Application(
            self.thread, View(self.machine), self.health, MachineDesk(self.thread), settings.at.tokens
        )

    async def open(self) -> None:
        await self.thread.run(self._load)

    def _load(self) -> None:
        """Load the log. What was loaded stays: the collector need never look at it again."""
        gc.disable()
        self.machine.open(_tell_of_site)
        if self.life is not None:
            self.life.fill(self.machine)
        gc.enable()
        gc.freeze()

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        inbox = self.settings.inbox
        if inbox is not None:
            inbox.mkdir(parents=True, exist_ok=True)
            yield Folder(inbox, self.thread).watch()
        if self.life is not None:
            yield self.life.go_on(self.thread)
        if self.settings.alerts is not None:
            view = self.application.view
            watched = watching.Watched(
                look=lambda: self.thread.look(view.overview, lambda: view.last),
                last=lambda: view.last,
                trouble=self.health.trouble,
                url=lambda: self.url,
            )
            yield watching.Watching(self.settings.alerts, self.settings.data, watched).go_on()

    async def close(self) -> None:
        self.machine.log.close()


def _machine(settings: Settings) -> Machine:
    path = settings.data / "log.sqlite"
    key = pseudonym_key(settings.data / "pseudonym.key", may_make=not path.exists())
    rules = Rules(settings.policies, settings.registry, key)
    return Machine(SqliteLog(path), rules, lambda: datetime.now(UTC), faults.tell)


def _tell_of_site(site: str, received: int) -> None:
    if received:
        log.info("%s: read from the log; %d messages had arrived", site, received)
