"""One worker process, put together: engine, worker, decisions of people, health and metrics: `jakwatch monitor`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from aiohttp import web
from aiokafka import errors
from aiokafka.structs import TopicPartition
from mode import Service

from monitor import __version__, faults
from monitor.exitcodes import ExitCode
from monitor.kafka.connection import Connection
from monitor.kafka.door import Door
from monitor.kafka.names import ACTIONS
from monitor.kafka.reach import CannotReachError, missing_right
from monitor.log.kafka import reader
from monitor.metrics.exposition import CONTENT_TYPE, Exposition
from monitor.metrics.platform import SiteOfWorker, WorkerState, rules_in_use
from monitor.records import instant_text
from monitor.rulebook import check_key
from monitor.sites import Rules
from monitor.stream.decisions import Decisions
from monitor.stream.engine import Engine, run_worker
from monitor.stream.lane import Lane
from monitor.stream.worker import Worker

log = logging.getLogger("jakwatch")

SILENT_SECONDS = 15.0
TICK_SECONDS = 1.0


class CannotServeError(Exception):
    """The address for health and metrics cannot be used."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker is started with."""

    connection: Connection
    rules: Rules
    instance: str | None
    host: str
    port: int
    snapshots: Path | None = None
    left_out: frozenset[str] = frozenset()  # sites whose topics are such that no promise would hold


class Process:
    """All parts of a worker. What goes wrong with all sites at once ends it, to be started again or to be mended."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker = Worker(
            settings.connection,
            settings.rules,
            lambda: datetime.now(UTC),
            faults.tell,
            self._give_up,
            settings.snapshots,
        )
        registry = settings.rules.registry
        sites = registry.names - settings.left_out if registry else ()
        self.engine = Engine(settings.connection, sites, self.worker, settings.instance)
        self.worker.anew = self.engine.take_anew
        self.exposition = Exposition()
        self.live_since = instant_text(self.worker.now())
        self.key_mark = check_key(None, settings.rules.key, "")
        self.door = Door(settings.connection)

    def run(self) -> None:
        """Until SIGINT or SIGTERM. Raises CannotReachError where Kafka goes away while the engine begins."""
        self.engine.timer(interval=TICK_SECONDS)(self._tick)
        decisions = _Decisions(self.worker, self.settings.connection)
        try:
            run_worker(self.engine, decisions, _Doorkeeper(self.door), _Pages(self))
        except errors.KafkaError as error:
            broke_off = f"Kafka at {self.settings.connection.servers} broke off ({type(error).__name__})"
            todo = "Do next: see that it runs, then start this worker again."
            raise CannotReachError(missing_right(error) or f"{broke_off}. {todo}") from None

    async def _tick(self) -> None:
        """Step by step while there is something to do; between the steps messages pass."""
        more = True
        while more:
            more = await self.worker.tick()

    def _give_up(self, why: str) -> None:
        log.critical("%s", why)
        logging.shutdown()
        os._exit(ExitCode.SERVICE_MISSING)

    # What it says of itself

    def trouble(self) -> str | None:
        """Why it does not take in what it should, if so."""
        lanes = list(self.engine.lanes)
        if (lacking := self.worker.lacking()) is not None:
            return lacking
        if (silence := self.door.shut or self._silence()) is not None:
            return silence
        if not self.worker.has_heard_decisions:
            return "what people decided is being read"
        if self.engine.rebalancing or not self.engine.has_joined:
            return "the workers are sharing out the sites"
        reading = sum(not lane.live and lane.parked is None for lane in lanes)
        return f"{reading} of {len(lanes)} sites are being read from their logs" if reading else self.worker.trouble

    def _silence(self) -> str | None:
        seconds = self.engine.silent_seconds
        return f"Kafka has not answered for {seconds:.0f} seconds" if seconds > SILENT_SECONDS else None

    def state(self) -> WorkerState:
        """What a scrape is told."""
        return WorkerState(
            program=__version__,
            live_since=self.live_since,
            trouble=self.door.shut
            or self._silence()
            or self.worker.lacking()
            or self.worker.trouble,  # that sites are being read has its own metric
            rules=rules_in_use(self.settings.rules.policies, self.settings.rules.registry, self.key_mark),
            sites=tuple(self._sites()),
        )

    def _sites(self) -> Iterator[SiteOfWorker]:
        lanes = {lane.site: lane for lane in self.engine.lanes}
        registry = self.settings.rules.registry
        for site in sorted(registry.names if registry else lanes):
            lane = lanes.get(site)
            if lane is None or self._silence():  # another may own it by now
                yield SiteOfWorker(site, is_owned=False)
                continue
            owned = self.worker.owned.get(site)
            yield SiteOfWorker(
                site=site,
                is_owned=True,
                is_loading=not lane.live and lane.parked is None,
                is_paused=lane.is_paused or lane.parked is not None,
                lag_seconds=_lag_seconds(lane),
                rejected_in_a_row=owned.rejected_in_a_row if owned else 0,
            )


def _lag_seconds(lane: Lane) -> float | None:
    """The age of the oldest message that is not kept yet, as far as it was read."""
    under_way = lane.batch.records if lane.batch else ()
    oldest = next(iter([*under_way[:1], *islice(lane.waiting, 1)]), None)
    if oldest is None:
        return 0.0 if lane.live and not lane.lag else None
    age: float = datetime.now(UTC).timestamp() - oldest.timestamp / 1000
    return max(0.0, age)


class _Doorkeeper(Service):
    """Looks whether Kafka would let this worker in: the engine goes on trying, and does not say why."""

    def __init__(self, door: Door) -> None:
        super().__init__()
        self.door = door

    @Service.task
    async def watch(self) -> None:
        await self.door.watch()


class _Decisions(Service):
    """Hears what people decided: all of it before a site is taken over, and the rest as it comes."""

    def __init__(self, worker: Worker, connection: Connection) -> None:
        super().__init__()
        self.worker = worker
        self.connection = connection
        self.decisions = Decisions()

    @Service.task
    async def follow(self) -> None:
        place = TopicPartition(ACTIONS, 0)
        while not self.should_stop:
            consumer = reader(self.connection)
            try:
                await consumer.start()
                consumer.assign([place])
                consumer.seek(place, self.decisions.contents.offset)
                end = (await consumer.end_offsets([place]))[place]
                while not self.should_stop:
                    for records in (await consumer.getmany(place, timeout_ms=500)).values():
                        for record in records:
                            await self._hear(record)
                    if await consumer.position(place) >= end:
                        self.worker.decisions_are_heard()
            except (errors.KafkaError, ConnectionError) as error:
                why = missing_right(error, "READ") or type(error).__name__
                log.warning("what people decide cannot be read (%s); it is tried again", why)
                await self.sleep(2.0)
            finally:
                await consumer.stop()

    async def _hear(self, record: Any) -> None:
        action = self.decisions.take(record)
        if action is not None:
            await self.worker.heed(action)


class _Pages(Service):
    """Health and metrics. No patient's value is in them."""

    def __init__(self, process: Process) -> None:
        super().__init__()
        self.process = process
        self._runner: web.AppRunner | None = None

    async def on_start(self) -> None:
        app = web.Application()
        app.add_routes(
            [web.get("/healthz", self.healthz), web.get("/readyz", self.readyz), web.get("/metrics", self.metrics)]
        )
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        settings = self.process.settings
        site = web.TCPSite(self._runner, settings.host, settings.port)
        try:
            await site.start()
        except OSError as error:
            raise CannotServeError(
                f"{settings.host}:{settings.port} cannot be listened on ({os.strerror(error.errno or 0)}). "
                "Stop what uses it, or give another --port."
            ) from None
        host, port = self._runner.addresses[0][:2]
        log.info("health and metrics at http://%s:%d", host, port)

    async def on_stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def healthz(self, _: web.Request) -> web.Response:
        """Whether the process does its work at all: that it answers is the proof, for all is done in one loop."""
        parked = {lane.site: lane.parked for lane in self.process.engine.lanes if lane.parked}
        return web.json_response({"ok": True, "trouble": None, "parked": parked})

    async def readyz(self, _: web.Request) -> web.Response:
        trouble = self.process.trouble()
        return web.json_response({"ok": trouble is None, "trouble": trouble}, status=200 if trouble is None else 503)

    async def metrics(self, _: web.Request) -> web.Response:
        text = self.process.exposition.render_worker(self.process.state())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE})
