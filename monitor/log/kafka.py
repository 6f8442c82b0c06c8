"""The log of one site on Kafka, as its owner holds it: every transaction is one of Kafka's.

Whoever holds the newest epoch of the site's transactional id is the only one who can append to its facts, answers and
rejections or move its position; `open` takes the epoch, and only then is the log read: so the owner's memory equals it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiokafka
import msgspec
from aiokafka import errors
from aiokafka.structs import ConsumerRecord, TopicPartition

from monitor.core.keyed import keyed_digest
from monitor.erasing import what_goes
from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.consumer import Consumer
from monitor.kafka.ids import topic_ids
from monitor.kafka.names import topic, transactional_id
from monitor.kafka.reach import missing_right
from monitor.log import LogChangedError, LogRefusedError, LogUnreachableError, LogUnusableError, Transaction
from monitor.records import Course, Tally, instant_text

TRANSACTION_MS = 30_000  # after which the broker ends what a dead owner left open, if nobody took over before
STEP_SECONDS = 60.0
ASK_SECONDS = 10.0  # for what every broker knows
MOST_IN_A_REQUEST = 512 << 10  # bytes of facts or answers; a single rejected message may be larger
LARGEST = 2 << 20  # of a record, as the topic of the rejected takes it
LARGEST_KEPT = LARGEST - (128 << 10)  # bytes of a message that is rejected: compressed, more may have come
_READ_AT_ONCE = 5_000
_KINDS = ("facts", "out", "rejected")

Headers = Mapping[int, Sequence[tuple[str, bytes]]]
"""Offset in the inbound topic -> the headers that a message came with."""


@dataclass(slots=True)
class Standing:
    """Where a site's log stands."""

    position: int | None = None  # in the inbound topic; None: it was never read
    tally: Tally = field(default_factory=Tally)
    meta: dict[str, str] = field(default_factory=dict)
    answers: dict[Course, bytes] = field(default_factory=dict)
    facts: int = 0
    last: tuple[int, bytes] | None = None  # offset and key of the last fact; but for erasures, facts are there for ever
    facts_at: int | None = None  # when the latest record of the facts, and of the answers, was written (milliseconds)
    answers_at: int | None = None

    def note(self, record: ConsumerRecord) -> None:
        """A record of the facts that has a value."""
        if record.key == wire.POSITION:
            read = wire.read_position(record.value)
            self.position, self.tally = read.offset, read.tally
        elif record.key == wire.META:
            self.meta = wire.read_meta(record.value)
        else:
            self.facts += 1
            self.last = record.offset, record.key


class KafkaLog:
    """One site's log. `key` is that of the pseudonyms: it marks the facts too.

    `patience`: seconds within which the broker must have done what it is asked for.
    """

    def __init__(self, connection: Connection, site: str, key: bytes, patience: float = STEP_SECONDS) -> None:
        self.site = site
        self._patience = patience
        self._connection = connection
        self._keyed = keyed_digest(key)
        self._inbound = topic("in", site)
        self._producer: Any = None
        self._erased: dict[bytes, int] = {}  # key of a fact -> offset up to which it is gone
        self._end = 0  # offset behind the last record that was written to the facts
        self.standing = Standing()  # as it was read, and written since; answers only as they were read

    async def open(self) -> None:
        """Become the owner: what a former one left open is aborted, and it can write no more."""
        self._producer = aiokafka.AIOKafkaProducer(
            **self._connection.for_aiokafka(),
            transactional_id=transactional_id(self.site),
            transaction_timeout_ms=TRANSACTION_MS,
            max_batch_size=LARGEST,
            max_request_size=2 * LARGEST,
            retry_backoff_ms=20,
            linger_ms=0,
        )
        with said_plainly(self.site):
            await asyncio.wait_for(self._producer.start(), self._patience)
            for kind in _KINDS:  # known beforehand, one request brings all three into a transaction
                await asyncio.wait_for(self._producer.partitions_for(topic(kind, self.site)), self._patience)

    async def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """The ids of topics that are there, of any sites: `monitor.kafka.ids`."""
        if self._producer is None:
            raise LogRefusedError(f"the log of {self.site} is not open")
        with said_plainly(self.site):
            return await asyncio.wait_for(topic_ids(self._producer.client, names), min(self._patience, ASK_SECONDS))

    async def close(self) -> None:
        """Let go; a transaction under way is aborted by the next owner."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(errors.KafkaError, TimeoutError):  # the connection is gone with it
                await asyncio.wait_for(producer.stop(), 5)

    async def read(self, restore: Callable[[list[bytes]], None], standing: Standing | None = None) -> Standing:
        """Read all of it, to what was last committed; `restore` is given the facts in order.

        With a `standing` of an earlier time it is read on from there. Raises LogRefusedError if the log is another one,
        LogChangedError if something was erased that `restore` may have been given: reading anew leaves it out.
        """
        standing = self.standing = standing or Standing()
        facts = _Facts(self.site, restore, standing, self._erased)
        since = {} if standing.last is None else {topic("facts", self.site): standing.last[0]}

        def answers(records: list[ConsumerRecord]) -> None:
            standing.answers_at = records[-1].timestamp
            for each in records:
                course = wire.read_course(each.key)
                if each.value is None:
                    standing.answers.pop(course, None)
                else:
                    standing.answers[course] = each.value

        with said_plainly(self.site):
            await read_whole(
                self._connection,
                {topic("facts", self.site): facts.hear, topic("out", self.site): answers},
                since,
                patience=self._patience,
            )
        facts.end()
        return standing

    async def facts(self) -> list[tuple[bytes, bytes]]:
        """All facts with their keys, in order: to be asked for seldom."""
        found: dict[bytes, bytes | None] = {}
        with said_plainly(self.site):
            await read_whole(
                self._connection,
                {topic("facts", self.site): lambda records: found.update((each.key, each.value) for each in records)},
                least={topic("facts", self.site): self._end},
                patience=self._patience,
            )
        return [(key, value) for key, value in found.items() if key[:1] == b"{" and value is not None]

    async def append(
        self, transaction: Transaction, meta: Mapping[str, str] | None = None, headers: Headers | None = None
    ) -> None:
        """Keep a transaction: durable when this returns, for all to see a moment later.

        Raises LogRefusedError, LogUnreachableError.
        """
        meta = None if meta is None else dict(meta)  # more may be learned while this is written
        records = self._records(transaction, meta, headers or {})
        offsets = await self.write(records)
        count, standing = len(transaction.facts), self.standing
        if count:
            standing.facts += count
            standing.last = offsets[count - 1], records["facts"][count - 1].key
        standing.tally = transaction.tally
        standing.position = transaction.position.get(self._inbound, standing.position)
        standing.meta = standing.meta if meta is None else meta

    async def erase(self, pseudonym: str, until: int) -> int:
        """Remove the facts that name a patient and came until an instant, and the answers of courses that they alone
        name; returns how many facts. What was read of the log is then to be read anew.
        """
        facts = await self.facts()
        going = what_goes(lambda: facts, pseudonym, instant_text(until))
        count, old = len(going.facts), self.standing.tally
        if count:
            tally = msgspec.structs.replace(old, received=old.received - count, taken=old.taken - count)
            gone = [wire.Record(key, None) for key in going.facts]
            read = wire.position(self._inbound, self.standing.position or 0, tally)
            courses = [(each, kind) for each in sorted(going.treatment_ids) for kind in ("order", "start")]
            await self.write({"facts": [*gone, read], "out": [wire.answer(course, None) for course in courses]})
        return count

    async def beat(self) -> None:
        """A record in each compacted topic, to be written every day.

        Kafka closes a segment only when a later record comes, and compacts only what is closed: without it what was
        erased of a site that fell silent would stay.
        """
        standing = self.standing
        where = [] if standing.position is None else [wire.position(self._inbound, standing.position, standing.tally)]
        await self.write({"facts": where or [wire.meta(standing.meta)], "out": [wire.answer(wire.NO_COURSE, None)]})

    async def write(self, records: Mapping[str, Sequence[wire.Record]]) -> list[int]:
        """Records by kind of topic (`facts`, `out`, `rejected`), all or nothing; returns the offsets of the facts."""
        with said_plainly(self.site):
            offsets = await asyncio.wait_for(self._write(records), self._patience)
        if offsets:
            self._end = offsets[-1] + 1
        return offsets

    def _records(
        self, t: Transaction, meta: Mapping[str, str] | None, headers: Headers
    ) -> dict[str, list[wire.Record]]:
        facts = [wire.fact(news, record, self._keyed) for news, record in zip(t.news, t.facts, strict=True)]
        if self._inbound in t.position:
            facts.append(wire.position(self._inbound, t.position[self._inbound], t.tally))
        if meta is not None:
            facts.append(wire.meta(meta))
        return {
            "facts": facts,
            "out": [wire.answer(course, record) for course, record in t.answers.items()],
            "rejected": [wire.rejection(why, t.at, headers.get(why.place, ())) for why in t.rejections],
        }

    async def _write(self, records: Mapping[str, Sequence[wire.Record]]) -> list[int]:
        producer = self._producer  # whoever lets go meanwhile closes it, and this fails as it should
        if producer is None:
            raise LogRefusedError(f"the log of {self.site} is not open")
        await producer.begin_transaction()
        first, rest = [], []  # the first of each topic go together, so that one request brings all topics in
        for kind in _KINDS:
            batches = list(_batches(producer, records.get(kind, ())))
            first += [(kind, each) for each in batches[:1]]
            rest += [(kind, each) for each in batches[1:]]
        name = {kind: topic(kind, self.site) for kind in _KINDS}
        sent = [await producer.send_batch(batch, name[kind], partition=0) for kind, batch in first + rest]
        kept = await asyncio.gather(*sent)  # before the end is asked for: else the broker makes us wait
        await producer.commit_transaction()
        told = zip(kept, first + rest, strict=True)
        facts = [(record.offset, batch.record_count()) for record, (kind, batch) in told if kind == "facts"]
        return [offset for begin, count in facts for offset in range(begin, begin + count)]


class _Facts:
    """Takes in the records of the facts as they are read. `erased` is what is known to be gone, and learns more.

    What was erased stands in the topic until it is compacted, and its tombstone only behind it.
    """

    def __init__(
        self,
        site: str,
        restore: Callable[[list[bytes]], None],
        standing: Standing,
        erased: dict[bytes, int],
    ) -> None:
        self._site = site
        self._restore = restore
        self._standing = standing
        self._erased = erased
        self._since = standing.last
        self._is_changed = False

    def hear(self, records: list[ConsumerRecord]) -> None:
        self._standing.facts_at = records[-1].timestamp
        if self._since is not None:
            if (records[0].offset, records[0].key) != self._since:
                raise LogRefusedError(f"the facts of {self._site} are not those that were read before")
            records, self._since = records[1:], None
        for each in records:
            if each.value is None and self._erased.get(each.key, -1) < each.offset:
                self._erased[each.key], self._is_changed = each.offset, True
        here = [each for each in records if each.value is not None and each.offset > self._erased.get(each.key, -1)]
        self._restore([each.value for each in here if each.key[:1] == b"{"])
        for each in here:
            self._standing.note(each)

    def end(self) -> None:
        """All has been read."""
        if self._since is not None:
            raise LogRefusedError(f"the facts of {self._site} end before what was read of them")
        if self._is_changed:
            raise LogChangedError(f"something of {self._site} was erased")


def _batches(producer: Any, records: Iterable[wire.Record]) -> Iterator[Any]:
    builder, size = None, 0
    for key, value, headers in records:
        length = len(key) + len(value or b"")
        if headers:  # only what is rejected has some
            length += sum(len(name) + len(told or b"") for name, told in headers)
        if builder is not None and size + length > MOST_IN_A_REQUEST:
            yield builder
            builder = None
        if builder is None:
            builder, size = producer.create_batch(), 0
        if builder.append(key=key, value=value, timestamp=None, headers=list(headers)) is None:
            raise LogUnusableError(f"a record of {length} bytes is larger than any that this log keeps ({LARGEST})")
        size += length
    if builder is not None:
        yield builder


async def read_whole(
    connection: Connection,
    heard: Mapping[str, Callable[[list[ConsumerRecord]], None]],
    since: Mapping[str, int] | None = None,
    *,
    least: Mapping[str, int] | None = None,
    patience: float = STEP_SECONDS,
) -> None:
    """All committed records of single-partition topics up to their ends, each topic's to its own listener.

    `since`: offsets to begin at instead of at the first record. `least`: offsets to which there are records, though
    brokers may not show them yet: a transaction is committed a moment before it is seen to be. Who fences the owner of
    a site has waited for that. `patience`: seconds that may pass without any record.
    """
    consumer = reader(connection)
    try:
        await asyncio.wait_for(consumer.start(), patience)
        places = [TopicPartition(name, 0) for name in heard]
        consumer.assign(places)
        seen = await consumer.end_offsets(places)
        ends = {place: max(end, (least or {}).get(place.topic, 0)) for place, end in seen.items()}
        begins = await consumer.beginning_offsets(places)
        for place in places:
            consumer.seek(place, (since or {}).get(place.topic, begins[place]))
        await _read_to(consumer, ends, heard, patience)
    finally:
        await consumer.stop()


async def _read_to(
    consumer: Any,
    ends: dict[TopicPartition, int],
    heard: Mapping[str, Callable[[list[ConsumerRecord]], None]],
    patience: float,
) -> None:
    left, loop = dict(ends), asyncio.get_running_loop()
    deadline = loop.time() + patience
    while left := {place: end for place, end in left.items() if await consumer.position(place) < end}:
        for place, records in (await consumer.getmany(*left, timeout_ms=200, max_records=_READ_AT_ONCE)).items():
            if records:
                heard[place.topic](records)
            deadline = loop.time() + patience
        await asyncio.sleep(0)  # heartbeats, and the other sites
        if loop.time() > deadline:
            raise LogUnreachableError(f"no more of {sorted(each.topic for each in left)} came for {patience:.0f} s")


def reader(connection: Connection) -> Any:
    """A consumer without group that reads what was committed."""
    return Consumer(
        **connection.for_aiokafka(),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
        fetch_max_wait_ms=50,
    )


def quiet_client() -> None:
    """Whoever is refused hears so from `append`; of that aiokafka leaves behind futures that nobody can ask.

    asyncio would report each of them at length (aiokafka 0.14, producer/message_accumulator.py:266).
    """
    logging.getLogger("asyncio").addFilter(_is_not_forgotten)


def _is_not_forgotten(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return not (isinstance(error, errors.KafkaError) and "never retrieved" in record.getMessage())


@contextmanager
def said_plainly(site: str) -> Iterator[None]:
    """What the broker or the client says, sorted by what can be done about it; no text of theirs holds a value."""
    try:
        yield
    except (TimeoutError, ConnectionError) as error:
        raise LogUnreachableError(f"the log of {site} does not answer") from error
    except errors.KafkaError as error:
        told = missing_right(error) or f"{type(error).__name__} from the log of {site}"
        if getattr(error, "retriable", False) or isinstance(error, errors.KafkaConnectionError):
            raise LogUnreachableError(told) from error
        raise LogRefusedError(told) from error
