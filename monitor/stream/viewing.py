"""A replica as a process: reader, thread, pages. `jakwatch view` is this."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from monitor import faults
from monitor.kafka.connection import Connection
from monitor.kafka.door import Door
from monitor.sites import Rules
from monitor.stream.deciding import ReplicaDesk
from monitor.stream.following import Following
from monitor.stream.replica import Replica
from monitor.stream.shown import ReplicaView
from monitor.web import serving
from monitor.web.app import Application
from monitor.web.health import Health
from monitor.writer import TICK, SitesThread

log = logging.getLogger("jakwatch")

_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Settings:
    """What a replica is started with."""

    connection: Connection
    rules: Rules
    at: serving.Address


def view(settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `told` is given the address as soon as pages say how far it is."""
    asyncio.run(_view(settings, told))


async def _view(settings: Settings, told: Callable[[str], None]) -> None:
    await serving.serve(ViewProcess(settings), settings.at, told)


class ViewProcess:
    """All parts of it."""

    def __init__(self, settings: Settings) -> None:
        self.replica = Replica(settings.rules, lambda: datetime.now(UTC), faults.tell)
        self.thread = SitesThread(self.replica)
        self.following = Following(settings.connection, self.thread)
        self.door = Door(settings.connection)
        self.desk = ReplicaDesk(settings.connection, self.thread, self.following)
        self.health = Health(self.thread.is_alive, self.replica.not_as_it_is)
        view = ReplicaView(self.replica)
        self.application = Application(self.thread, view, self.health, self.desk, settings.at.tokens)

    async def open(self) -> None:
        await self.following.open()

    def tasks(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self.following.run()
        yield self.door.watch()
        yield self._welcome()
        yield self._when_all_is_read()

    async def _welcome(self) -> None:
        """Let sites be shown as soon as they are read; between the steps others are read on."""
        while True:
            more = await self.thread.run(self.replica.welcome, TICK)
            await asyncio.sleep(0 if more else _LOOK_SECONDS)

    async def _when_all_is_read(self) -> None:
        while self.replica.not_as_it_is() is not None:  # noqa: ASYNC110  of many parts, none of which says when
            await asyncio.sleep(_LOOK_SECONDS)
        log.info("all sites are read")
        await self.thread.run(_keep)
        await self.desk.mend()

    async def close(self) -> None:
        await self.desk.close()


def _keep() -> None:
    """What was read stays: the collector need never look at it again."""
    gc.collect()
    gc.freeze()
