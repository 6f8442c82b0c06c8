"""Reading the topics of all sites for as long as a replica lives: one consumer without a group, read_committed.

What was read goes to the thread that owns the sites, batch by batch, and no more is asked for meanwhile. Beside it the
brokers are asked every few seconds where the topics end, and which there are: so what is new is found, and what the
replica does not know is known.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

from aiokafka import errors
from aiokafka.structs import TopicPartition

from monitor.kafka.connection import Connection
from monitor.kafka.consumer import Consumer
from monitor.kafka.ids import topic_ids
from monitor.kafka.names import ACTIONS, site_of, topic
from monitor.kafka.reach import missing_right
from monitor.log import LogUnusableError
from monitor.log.kafka import LARGEST
from monitor.stream.backlog import Backlog
from monitor.stream.replica import Replica
from monitor.stream.standing import Seen, SeenSite
from monitor.writer import BULK, SitesThread
from schemas.parts import RESERVED_SITE

log = logging.getLogger("jakwatch")

MOST_AT_ONCE = 2_000  # records of a batch: a page waits no longer than that takes
LOOK_SECONDS = 2.0
TOPICS_EVERY = 5  # looks: what is new is found within ten seconds
STEP_SECONDS = 10.0  # for whatever the brokers are asked
ANEW_AFTER_SECONDS = 30.0  # of silence: with new connections
AGAIN_SECONDS = 1.0
TOLD_EVERY_SECONDS = 5.0
NO_OWNER_AFTER_SECONDS = 30.0
LEFT_SECONDS = 60.0
_KINDS = ("facts", "out")
CANARY = topic("out", RESERVED_SITE)
_TROUBLES = (errors.KafkaError, OSError, TimeoutError)


class Following:
    """Everything that a replica reads. For one event loop."""

    def __init__(self, connection: Connection, thread: SitesThread[Replica]) -> None:
        self._connection = connection
        self._thread = thread
        self._replica = thread.machine
        self._read: dict[str, int] = {}  # topic -> offset to go on from
        self._goals: dict[str, int] = {}  # topic of a site that comes -> offset up to which it is to be read
        self._seen: frozenset[str] | None = None  # the topics that there are, as far as we may know of them
        self._logs, self._inbounds = defaultdict[str, Backlog](Backlog), defaultdict[str, Backlog](Backlog)
        self._ids: dict[str, str] = {}  # topic -> id of the one that was seen last
        self._left: dict[str, float] = {}  # site that may not be read -> when that is tried again
        self._heard_at = time.monotonic()  # when the brokers last answered
        self._decided = asyncio.Condition()  # more of what people decided was heard
        self._progress = Counter[str]()
        self._told_at = time.monotonic()

    async def open(self) -> None:
        """Hear all that people have decided so far: sites are read by it. Raises LogUnusableError."""
        while ACTIONS not in self._read:
            try:
                async with _consumer(self._connection) as consumer:
                    await self._open(consumer)
            except _TROUBLES as error:
                if (missing := missing_right(error, "READ")) is not None:
                    raise LogUnusableError(missing) from None
                log.warning("what people decided cannot be read (%s); it is tried again", type(error).__name__)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _open(self, consumer: Any) -> None:
        if ACTIONS not in await asyncio.wait_for(consumer.topics(), STEP_SECONDS):
            raise LogUnusableError(f"there is no topic {ACTIONS} that our user may see. Do next: jakwatch topics apply")
        place = TopicPartition(ACTIONS, 0)
        consumer.assign([place])
        consumer.seek(place, 0)
        end = (await asyncio.wait_for(consumer.end_offsets([place]), STEP_SECONDS))[place]
        while await consumer.position(place) < end:
            for records in (await consumer.getmany(timeout_ms=200, max_records=MOST_AT_ONCE)).values():
                await self._thread.run(partial(self._replica.hear, records), BULK)
        self._read[ACTIONS] = await consumer.position(place)

    async def run(self) -> None:
        """Until cancelled. Raises WrongKeyError."""
        while True:
            try:
                async with (
                    _consumer(self._connection) as asking,  # not behind what is being read, or it would wait for that
                    _consumer(self._connection) as consumer,
                    asyncio.TaskGroup() as tasks,
                ):
                    tasks.create_task(self._look_on(asking))
                    tasks.create_task(self._read_on(consumer, asking))
            except* _TROUBLES as several:
                if self._replica.seen.silent_since is None:  # else it was said
                    log.warning("Kafka cannot be read (%s); it is tried again", type(several.exceptions[0]).__name__)
            self._note_silence()
            await asyncio.sleep(AGAIN_SECONDS)

    async def decided_up_to(self, offset: int) -> None:
        """Wait until what people decided was heard up to an offset of the topic, that one included."""
        async with self._decided:
            await self._decided.wait_for(lambda: self._read.get(ACTIONS, 0) > offset)

    # What there is, and where it ends

    async def _look_on(self, asking: Any) -> None:
        looks = 0
        while True:
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    if looks % TOPICS_EVERY == 0 or self._seen is None:
                        self._seen = frozenset(await asking.topics())
                        await self._look_at_ids(asking, self._seen)
                    await self._look(asking, self._seen)
                looks += 1
            except _TROUBLES:
                self._note_silence()
                if time.monotonic() - self._heard_at > ANEW_AFTER_SECONDS:
                    raise
                looks = 0
            await asyncio.sleep(LOOK_SECONDS)

    async def _look_at_ids(self, asking: Any, seen: frozenset[str]) -> None:
        """Topics that were made anew: they may have grown longer than what was read of the former ones."""
        names = [topic(kind, site) for site in self._replica.names for kind in _KINDS]
        found = await topic_ids(asking._client, [name for name in names if name in seen])  # noqa: SLF001
        self._note_cut(name for name, told in found.items() if self._ids.get(name, told) != told)
        self._ids |= found

    async def _look(self, asking: Any, seen: frozenset[str]) -> None:
        names = [topic(kind, site) for site in self._replica.names for kind in ("in", *_KINDS)]
        asked = [TopicPartition(name, 0) for name in names if name in seen]
        read = dict(self._read)
        ends = await asking.end_offsets(asked)
        now = self._heard_at = time.monotonic()
        found = {place.topic: end for place, end in ends.items()}
        self._note_cut(name for name, end in found.items() if read.get(name, 0) > end)
        sites = {site: self._seen_of(site, found, now) for site in _sites_with_logs(found)}
        if self._replica.seen.silent_since is not None:
            log.info("Kafka answers again")
        self._replica.seen = Seen(sites, None, was_asked=True)

    def _note_cut(self, names: Iterable[str]) -> None:
        """Topics that end before what was read of them: whatever is there now, it is another log."""
        for name in names:
            log.error("%s was cut or made anew: its site is read again", name)
            self._replica.anew.add(site_of(name) or "")

    def _seen_of(self, site: str, ends: dict[str, int], now: float) -> SeenSite:
        for name in (topic(kind, site) for kind in _KINDS):
            self._logs[name].look(self._read.get(name, 0), ends[name], now)
        behind = max(self._logs[topic(kind, site)].seconds(now) for kind in _KINDS)
        end = ends.get(topic("in", site))
        followed = self._replica.followed.get(site)
        if end is None or followed is None:
            return SeenSite(behind, end)
        inbound = self._inbounds[site]
        inbound.look(followed.position or 0, end, now)
        return SeenSite(behind, end, inbound.seconds(now), not inbound.is_at_rest(now, NO_OWNER_AFTER_SECONDS))

    def _note_silence(self) -> None:
        seen, silent = self._replica.seen, time.monotonic() - self._heard_at
        if seen.silent_since is None and silent > STEP_SECONDS:
            log.warning("Kafka does not answer: what is shown is as of %.0f seconds ago", silent)
            since = self._replica.now() - round(silent * 1_000_000)
            self._replica.seen = Seen(seen.sites, since, seen.was_asked)

    # Reading

    async def _read_on(self, consumer: Any, asking: Any) -> None:
        assigned: frozenset[str] = frozenset()
        while True:
            wanted = self._wanted()
            if wanted != assigned:
                consumer.assign([TopicPartition(name, 0) for name in wanted])
                for name in wanted:
                    consumer.seek(TopicPartition(name, 0), self._read.get(name, 0))
                assigned = wanted
            await self._begin_sites(consumer, asking)
            try:
                got = await consumer.getmany(timeout_ms=200, max_records=MOST_AT_ONCE)
            except errors.TopicAuthorizationFailedError as error:
                await self._leave(error)
                continue
            if got:
                await self._hand_over({place.topic: records for place, records in got.items()})
            async with asyncio.timeout(STEP_SECONDS):
                await self._note_positions(consumer, assigned)

    def _wanted(self) -> frozenset[str]:
        """The topics to be read: of sites of which there are both, and the answers to the canary."""
        canary = {CANARY} if CANARY in (self._seen or ()) and RESERVED_SITE not in self._left else set[str]()
        return frozenset({ACTIONS} | canary | {topic(kind, site) for site in self._with_logs() for kind in _KINDS})

    def _with_logs(self) -> list[str]:
        seen, now = self._seen or frozenset[str](), time.monotonic()
        found = [site for site in self._replica.names if all(topic(kind, site) in seen for kind in _KINDS)]
        return [site for site in found if self._left.get(site, 0) <= now]

    async def _leave(self, error: errors.TopicAuthorizationFailedError) -> None:
        """A topic that we may know of and not read: the others go on, and it is tried again."""
        sites = [site for name in error.args if (site := site_of(str(name))) is not None]
        if not sites:
            raise error
        for site in sites:
            self._left[site] = time.monotonic() + LEFT_SECONDS
            if site == RESERVED_SITE:
                continue  # nothing is shown of it
            why = missing_right(error, "READ") or "a right is missing."
            await self._thread.run(partial(self._replica.leave, site, why))
            for kind in _KINDS:
                self._read.pop(topic(kind, site), None)
                self._goals.pop(topic(kind, site), None)

    async def _begin_sites(self, consumer: Any, asking: Any) -> None:
        """Those that are new, and those to be read anew."""
        if self._seen is None:
            return
        new = [site for site in self._with_logs() if topic("out", site) not in self._read]
        anew = [site for site in self._replica.anew if topic("out", site) in self._read]
        for site in (*new, *anew):
            await self._begin_site(consumer, asking, site)
        for site in self._replica.not_shown():
            if site not in new and topic("out", site) not in self._read and site not in self._left:
                await self._thread.run(partial(self._replica.absent, site))

    async def _begin_site(self, consumer: Any, asking: Any, site: str) -> None:
        places = [TopicPartition(topic(kind, site), 0) for kind in _KINDS]
        ends = await asyncio.wait_for(asking.end_offsets(places), STEP_SECONDS)
        await self._thread.run(partial(self._replica.begin, site))
        for place in places:
            consumer.seek(place, 0)
            self._read[place.topic], self._goals[place.topic] = 0, ends[place]

    async def _hand_over(self, got: dict[str, list[Any]]) -> None:
        self._heard_at = time.monotonic()
        decided = got.pop(ACTIONS, None)
        if decided:
            await self._thread.run(partial(self._replica.hear, decided), BULK)
        if canary := got.pop(CANARY, None):
            await self._thread.run(partial(self._replica.see_canary, canary), BULK)
        if got:
            await self._thread.run(partial(self._replica.take, got.items()), BULK)
        self._progress.update({name: len(records) for name, records in got.items() if name in self._goals})

    async def _note_positions(self, consumer: Any, assigned: Iterable[str]) -> None:
        before = self._read.get(ACTIONS, 0)
        for name in assigned:
            position = await consumer.position(TopicPartition(name, 0))
            if position < self._read.get(name, 0):
                self._note_cut([name])
            self._read[name] = position
        if self._read[ACTIONS] != before:
            async with self._decided:
                self._decided.notify_all()
        if self._goals:
            await self._note_arrivals()

    async def _note_arrivals(self) -> None:
        sites = {site for name in self._goals if (site := site_of(name)) is not None}
        for name in [name for name, goal in self._goals.items() if self._read[name] >= goal]:
            del self._goals[name]
        left = {site for name in self._goals if (site := site_of(name)) is not None}
        for site in sites - left:
            await self._thread.run(partial(self._replica.arrived, site))
        self._tell(len(left))

    def _tell(self, left: int) -> None:
        if left and time.monotonic() - self._told_at < TOLD_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        log.info("%d records read; %d of %d sites are left", self._progress.total(), left, len(self._replica.names))


def _sites_with_logs(ends: dict[str, int]) -> list[str]:
    kinds: dict[str, set[str]] = defaultdict(set)
    for name in ends:
        kinds[site_of(name) or ""].add(name)
    return [site for site, found in kinds.items() if all(topic(kind, site) in found for kind in _KINDS)]


@contextlib.asynccontextmanager
async def _consumer(connection: Connection) -> AsyncIterator[Any]:
    consumer = Consumer(
        **connection.for_aiokafka(),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=LARGEST,
        fetch_max_bytes=2 * LARGEST,  # what is read ahead is held in memory
        fetch_max_wait_ms=500,  # where nothing is new
    )
    try:
        await asyncio.wait_for(consumer.start(), STEP_SECONDS)
        yield consumer
    finally:
        with contextlib.suppress(*_TROUBLES):
            await asyncio.wait_for(consumer.stop(), STEP_SECONDS)
