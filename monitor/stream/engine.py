"""Faust 0.15.3 as the engine: worker, consumer group, agent; hardened, and the only place that touches its internals.

Faust as released skips messages after a restart, acknowledges what it failed on, and hands over one message at a time.
What is replaced here: what a message is (a batch of one site), where reading starts (each poll says so itself), and
what is committed (nothing: the position is in the transaction of the batch; group offsets only show the lag to Kafka's
own tools). Every override names the line that makes it necessary; `tests/integration/test_engine.py` fails without it.

The group only decides who tries. Whoever is wrong about that is refused by the broker (`monitor.log.kafka`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, cast

import faust
from aiokafka.consumer import fetcher
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from monitor import faults
from monitor.kafka.connection import Connection
from monitor.kafka.names import GROUP, site_of, topic
from monitor.log import LogChangedError, LogRefusedError, LogUnreachableError, LogUnusableError
from monitor.stream.ending import end_now, fail_stop
from monitor.stream.faust_settings import SESSION_SECONDS, faust_settings
from monitor.stream.lane import FAILURES, MOST_IN_A_BATCH, Batch, Lane, where_to_read
from monitor.stream.tolerant import Records
from schemas.parts import RESERVED_SITE

log = logging.getLogger("jakwatch")

TAKEN_OVER_AT_ONCE = 4
SURE_AFTER_SECONDS = 5.0
"""Within it a member that was put out of the group hears so: heartbeats go every 3 s. Only then may a refused site be
taken anew, or a worker that was frozen would fence the rightful owner."""
STOP_SECONDS = 15.0
STEP_SECONDS = 60.0  # nothing the broker is asked for may take longer
READ_WAIT_MS = 50


class Owner(Protocol):
    """Who owns sites and works on their messages."""

    async def take_over(self, site: str) -> int | None:
        """Become the only one who can write what is the site's; returns the offset to read from, None: the first."""

    async def work(self, site: str, records: Sequence[ConsumerRecord], end: int) -> float:
        """Keep a batch, and that the topic was read up to `end`: in the log when this returns.

        Returns for how many seconds the site is to be left alone, mostly 0.
        """

    async def let_go(self, site: str) -> None:
        """The site is somebody else's now."""


class _Thread(driver.AIOKafkaConsumerThread):
    """Reads in its own thread, so that heartbeats go on whatever the worker does."""

    heard_at = 0.0  # when the group was last known to answer (monotonic)

    def _create_worker_consumer(self, transport: Any) -> Any:
        fetcher.MemoryRecords = Records  # one name of a header that is no UTF-8 would stop all (consumer/fetcher.py)
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = READ_WAIT_MS  # 1500 is written into drivers/aiokafka.py:615
        consumer._isolation_level = "read_committed"  # :599 only with exactly_once; a hospital may use transactions
        consumer._partition_assignment_strategy = [StickyPartitionAssignor]  # :582 RoundRobin moves sites for nothing
        return consumer

    async def poll(
        self, want: Mapping[TP, int], seconds: float
    ) -> dict[TP, tuple[list[ConsumerRecord], int, int | None]]:
        """Of each topic the records from exactly the offset asked for, the offset behind them, and the topic's end.

        Whatever moved the fetcher (a rebalance, a reset, a poll whose result was dropped), the next poll puts it back:
        so there is nothing to seek elsewhere, where consumer.py:565 and tables/recovery.py:316-329 race with fetches.
        """
        consumer = self._ensure_consumer()
        if consumer._coordinator.coordinator_id is not None:  # it is forgotten when heartbeats are not answered
            self.heard_at = time.monotonic()
        fetching, subscriptions = consumer._fetcher, consumer._subscription
        if consumer._closed or fetching._closed:
            raise ConsumerStoppedError
        subscribed = subscriptions.subscription
        assignment = subscribed.assignment if subscribed else None
        if not self.consumer.flow_active or subscriptions.reassignment_in_progress or assignment is None:
            await asyncio.sleep(0.02)
            return {}
        wanted = {tp: at for tp, at in want.items() if tp in assignment.tps}
        for tp, at in wanted.items():
            state = assignment.state_value(tp)
            if not state.has_valid_position or state.position != at:
                consumer.seek(driver.ensure_aiokafka_TP(tp), at)
        if not wanted:
            await asyncio.sleep(min(seconds, 0.05))
            return {}
        with subscriptions.fetch_context():
            got = await fetching.fetched_records(set(wanted), timeout=seconds, max_records=2 * MOST_IN_A_BATCH)
        if not assignment.active:
            return {}
        states = {tp: assignment.state_value(tp) for tp in wanted}
        return {tp: (got.get(tp, []), state.position, state.highwater) for tp, state in states.items()}

    async def bounds(self, tp: TP) -> tuple[int, int]:
        """Offsets of the first message of a topic and behind its last."""
        consumer, at = self._ensure_consumer(), driver.ensure_aiokafka_TP(tp)
        return (await consumer.beginning_offsets([at]))[at], (await consumer.end_offsets([at]))[at]


class _Consumer(driver.Consumer):
    """Follows the inbound topics of those sites that the group gave to this worker."""

    app: Engine
    _thread: _Thread

    def __init__(self, *args: Any, **given: Any) -> None:
        super().__init__(*args, **given)
        self.lanes: dict[TP, Lane] = {}
        self.generation = -1
        self._kept: dict[TP, int] = {}  # for the group's next commit
        self._slots = asyncio.Semaphore(TAKEN_OVER_AT_ONCE)

    def _new_consumer_thread(self) -> _Thread:
        return _Thread(self, loop=self.loop, beacon=self.beacon)

    async def subscribe(self, topics: Iterable[str]) -> None:
        """What to follow is said by the engine: the conductor (transport/conductor.py:352) knows of no topic."""
        self.randomly_assigned_topics = set()
        await self._thread.subscribe(self.app.followed)

    # The group is eager: everything is revoked and then assigned again; a site that comes back is not touched

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let transactions end first (upstream, app/base.py:1829, waits for its own bookkeeping of single messages)."""
        self.stop_flow()
        await self.batches_under_way()
        for tp, lane in list(self.lanes.items()):
            if lane.is_busy:  # how it ends is for the log to say: the site is read from it
                await self._drop(self.lanes.pop(tp))
            else:
                lane.rewind()
        await super().on_partitions_revoked(revoked)

    async def batches_under_way(self) -> None:
        """Wait for what is being kept, but not for ever."""
        under_way = [lane.batch.task for lane in self.lanes.values() if lane.batch and lane.batch.task]
        if under_way:
            await asyncio.wait(under_way, timeout=SESSION_SECONDS)

    def stop_flow(self) -> None:
        """What was handed over and not begun is cleared by Faust (mode/utils/queues.py:97): it will be read again."""
        super().stop_flow()
        for lane in self.lanes.values():
            lane.stop()

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Keep what was mine throughout, drop the rest, take over what is new."""
        mine = assigned if not self.app.should_stop else set()  # whoever leaves would fence the rightful owner
        missed = self.generation not in (-1, generation_id, generation_id - 1)  # others may have owned my sites
        self.generation = generation_id
        gone = [self.lanes.pop(tp) for tp in list(self.lanes) if tp not in mine or missed]
        await asyncio.gather(*map(self._drop, gone))
        kept = len(self.lanes)
        for tp in mine:
            site = site_of(tp.topic)
            if tp not in self.lanes and site is not None and tp.partition == 0:  # what is elsewhere has no order
                lane = self.lanes[tp] = Lane(site)
                lane.taking = asyncio.create_task(self._take_over(tp, lane))
        log.info("this worker has %d sites, %d of them as before", len(self.lanes), kept)
        await super().on_partitions_assigned(assigned, generation_id)

    async def _drop(self, lane: Lane) -> None:
        lane.live = False
        lane.stop()
        if lane.taking is not None and not lane.taking.done():
            lane.taking.cancel()
            await asyncio.wait({lane.taking}, timeout=SESSION_SECONDS)  # or it might own the site after all
        await self.app.owner.let_go(lane.site)

    async def perform_seek(self) -> None:
        """Nothing to seek: each poll says where to read (upstream, consumer.py:565, seeks to the group's offsets)."""

    # A site: fence, read its log, go live; each for itself

    async def _take_over(self, tp: TP, lane: Lane, wait: float = 0.0) -> None:
        while True:
            await asyncio.sleep(wait)
            try:
                async with self._slots:
                    position = await self.app.owner.take_over(lane.site)
                    async with asyncio.timeout(STEP_SECONDS):  # `wait_for` may swallow a cancellation
                        first, end = await self._thread.call_thread(self._thread.bounds, tp)
                lane.begin(where_to_read(tp.topic, position, first, end))
                lane.end = end
                return
            except asyncio.CancelledError:
                raise
            except (LogUnreachableError, TimeoutError) as error:
                await self.app.owner.let_go(lane.site)
                told = str(error) or "Kafka does not answer"
                if lane.told != told:
                    log.warning("%s: %s; it is tried again and again", lane.site, told)
                lane.told = told
                wait = SURE_AFTER_SECONDS
            except Exception as error:  # noqa: BLE001  one bad site stops nobody else
                await self.app.owner.let_go(lane.site)  # what is not read is not held either
                if not self._may_try_again(lane, error):
                    return
                wait = 0.0 if isinstance(error, LogChangedError) else SURE_AFTER_SECONDS * len(lane.failures)

    def _may_try_again(self, lane: Lane, error: Exception) -> bool:
        if isinstance(error, LogChangedError | LogUnreachableError | TimeoutError):
            return True
        told = str(error) if isinstance(error, LogRefusedError | LogUnusableError) else faults.summary(error)
        if lane.failed() < FAILURES and not isinstance(error, LogUnusableError):
            log.error("%s: %s; it is taken anew", lane.site, told)
            return True
        lane.parked = told
        log.error("%s: %s. It is parked, the others go on. Mend it and start this worker again.", lane.site, told)
        return False

    async def _again(self, tp: TP, lane: Lane, error: Exception) -> None:
        """A batch was refused: the site alone is taken anew, once this worker can be sure to be a member still."""
        if self.lanes.get(tp) is not lane:
            return  # the site may be owned anew by now
        lane.live = False
        lane.rewind()
        await self.app.owner.let_go(lane.site)
        if self.lanes.get(tp) is lane and self._may_try_again(lane, error):
            wait = 0.0 if isinstance(error, LogChangedError) else SURE_AFTER_SECONDS
            lane.taking = asyncio.create_task(self._take_over(tp, lane, wait))

    def take_anew(self, site: str, error: Exception) -> None:
        """The same where no batch was refused; a batch under way is refused in its turn, or was kept already."""
        tp = TP(topic("in", site), 0)
        lane = self.lanes.get(tp)
        if lane is not None and lane.live:
            lane.live = False
            lane.taking = asyncio.create_task(self._again(tp, lane, error))

    # Reading: all live sites with room, into what waits of each; one batch at a time of each

    async def _drain_messages(self, fetcher: Any) -> None:
        """Upstream (consumer.py:1173) hands over single messages and takes a jump of offsets as done (:1215)."""
        app = self.app
        try:
            while not (self.should_stop or fetcher.should_stop):
                if not self.flow_active:
                    await self.wait(self.can_resume_flow.wait())
                await self._read()
                await asyncio.sleep(0)
        except self.consumer_stopped_errors:
            if not app.should_stop:
                raise
        except asyncio.CancelledError:
            if not app.should_stop:
                raise

    async def _read(self) -> None:
        generation = self.app.consumer_generation_id
        want = {tp: lane.read for tp, lane in self.lanes.items() if lane.wants}
        seconds = 0.5 if len(want) == len(self.lanes) else 0.01  # others may have room again soon
        got = await self._thread.call_thread(self._thread.poll, want, seconds)
        if not self.flow_active or generation != self.app.consumer_generation_id:
            return  # dropped: the next poll asks again from the same place
        for tp, (records, read, end) in got.items():
            lane = self.lanes.get(tp)
            if lane is None or not lane.live or lane.read != want[tp]:
                continue
            if read < want[tp] or (records and records[0].offset < want[tp]):  # the client began anew by itself
                self.take_anew(lane.site, LogRefusedError(f"{tp.topic} no longer continues what was read of it"))
                continue
            lane.note(records, read, end)
            await self._hand_over(lane)

    async def _hand_over(self, lane: Lane) -> None:
        batch = lane.cut()
        if batch is not None:
            await self.app.batches.put(batch)  # type: ignore[arg-type]  # a channel passes on whatever it is given

    async def run(self, batch: Batch) -> None:
        """A batch through the owner. Nothing is raised: Faust loses what an agent raised on (app/base.py:972)."""
        lane = batch.lane
        tp = TP(topic("in", lane.site), 0)
        if self.lanes.get(tp) is not lane or not lane.live:
            return  # of a former assignment: it is read again by whoever has the site
        try:
            async with asyncio.timeout(STEP_SECONDS):
                pause = await self.app.owner.work(lane.site, batch.records, batch.end)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  nothing is lost: it is read again
            if lane.batch is batch:
                await self._again(tp, lane, error)
            return
        if lane.batch is not batch:
            return  # revoked meanwhile; what was kept is found when the site is taken next
        lane.finish(batch, pause)
        self._kept[tp] = batch.end
        if self.flow_active and self.lanes.get(tp) is lane:
            await self._hand_over(lane)

    # What the group is told: only how far the sites are. Acks never count (given in a `finally`, streams.py:1181)

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterator[TP]:  # consumer.py:1085
        self._acked.clear()
        self._acked_index.clear()
        return iter(list(self._kept))

    def _new_offset(self, tp: TP) -> int | None:  # consumer.py:1099
        return self._kept.pop(tp, None)


class _Transport(driver.Transport):
    Consumer = _Consumer


class Engine(faust.App):
    """The Faust application of one worker. It follows the topics of all sites; the group says which it is given."""

    def __init__(self, connection: Connection, sites: Iterable[str], owner: Owner, instance: str | None = None) -> None:
        self.owner = owner
        self.followed = {topic("in", site) for site in (*sites, RESERVED_SITE)}
        super().__init__(GROUP, **faust_settings(connection), consumer_group_instance_id=instance)
        self.batches = self.channel()  # not through topics: their callbacks are bound to what was known at the start
        self.agent(self.batches, name="sites")(self._begin)

    async def _begin(self, batches: Any) -> None:
        async for batch in batches:  # never waits, so that no site holds up another
            if batch.lane.batch is batch and batch.task is None:  # else it is of a former assignment
                batch.task = asyncio.create_task(self.following.run(batch))

    @property
    def following(self) -> _Consumer:
        return cast("_Consumer", self.consumer)

    @property
    def lanes(self) -> Collection[Lane]:
        """The sites of this worker, as it reads them."""
        return self.following.lanes.values() if self._consumer is not None else ()

    @property
    def has_joined(self) -> bool:
        """Whether the group has said which sites are this worker's."""
        return self._consumer is not None and self.following.generation >= 0

    @property
    def silent_seconds(self) -> float:
        """For how long the brokers have not answered."""
        heard_at = self.following._thread.heard_at if self._consumer is not None else 0.0
        return time.monotonic() - heard_at if heard_at else 0.0

    def take_anew(self, site: str, error: Exception) -> None:
        """Take a site anew from its log, since something went wrong with it outside of a batch."""
        self.following.take_anew(site, error)

    def _create_directories(self) -> None:
        """There is nothing to keep on disk (app/base.py makes folders for tables)."""

    async def on_stop(self) -> None:
        """Batches under way were waited for when the sites were given back; their logs are closed in order."""
        asyncio.get_running_loop().call_later(STOP_SECONDS, end_now)
        lanes = list(self.lanes)
        await super().on_stop()
        await self.following.batches_under_way()
        for lane in lanes:
            if lane.taking is not None:
                lane.taking.cancel()
        await asyncio.gather(*(self.owner.let_go(lane.site) for lane in lanes))

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    async def _on_agent_error(self, agent: Any, exc: BaseException) -> None:
        """Upstream (app/base.py:972) commits and goes on behind what failed."""
        fail_stop("the agent raised", exc)

    def _crash(self, reason: BaseException) -> None:
        """A service below has crashed; upstream tries to stop in order, and may hang there (mode/services.py)."""
        if not self.should_stop:
            fail_stop("a service of the engine crashed", reason)
        super()._crash(reason)


def run_worker(engine: Engine, *services: Any) -> None:
    """Run until SIGINT or SIGTERM. The loggers are left as they are."""
    worker = faust.Worker(engine, *services, override_logging=False, redirect_stdouts=False, quiet=True)
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit as end:  # always: of 0, and of 1 where a service did not start (mode/worker.py:59)
        if end.code and end.__context__ is not None:
            raise end.__context__ from None
