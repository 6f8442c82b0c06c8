"""The log of one site on Kafka, as its owner holds it: every transaction is one of Kafka's.

Whoever holds the newest epoch of the site's transactional id is the only one who can append to its facts, answers and
rejections or move its position; `open` takes the epoch, and only then is the log read: so the owner's memory equals it.
"""

from __future__ import annotations

import asyncio
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
from monitor.kafka.names import topic, transactional_id
from monitor.log import LogRefusedError, LogUnreachableError, LogUnusableError, Transaction
from monitor.records import Course, Tally, instant_text

TRANSACTION_MS = 30_000  # after which the broker ends what a dead owner left open, if nobody took over before
STEP_SECONDS = 60.0
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
    last: tuple[int, bytes] | None = None  # offset and key of the last fact; facts are there for ever

    def note(self, record: ConsumerRecord) -> None:
        """A record of the facts."""
        if record.value is None:
            return
        if record.key == wire.POSITION:
            read = wire.read_position(record.value)
            self.position, self.tally = read.offset, read.tally
        elif record.key == wire.META:
            self.meta = wire.read_meta(record.value)
        else:
            self.facts += 1
            self.last = record.offset, record.key


class KafkaLog:
    """One site's log. `key` is that of the pseudonyms: it marks the facts too."""

    def __init__(self, connection: Connection, site: str, key: bytes) -> None:
        self.site = site
        self._connection = connection
        self._keyed = keyed_digest(key)
        self._inbound = topic("in", site)
        self._producer: Any = None
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
        with _said_plainly(self.site):
            await asyncio.wait_for(self._producer.start(), STEP_SECONDS)
            for kind in _KINDS:  # known beforehand, one request brings all three into a transaction
                await asyncio.wait_for(self._producer.partitions_for(topic(kind, self.site)), STEP_SECONDS)

    async def close(self) -> None:
        """Let go; a transaction under way is aborted by the next owner."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(errors.KafkaError, TimeoutError):  # the connection is gone with it
                await asyncio.wait_for(producer.stop(), 5)

    async def read(self, restore: Callable[[list[bytes]], None], standing: Standing | None = None) -> Standing:
        """Read all of it, to what was last committed; `restore` is given the facts in order.

        With a `standing` of an earlier time it is read on from there. Raises LogRefusedError if the log is another one.
        """
        standing = self.standing = standing or Standing()
        since = standing.last

        def facts(records: list[ConsumerRecord]) -> None:
            nonlocal since
            if since is not None and records:
                if (records[0].offset, records[0].key) != since:
                    raise LogRefusedError(f"the facts of {self.site} are not those that were read before")
                records, since = records[1:], None
            found = [each for each in records if each.key[:1] == b"{"]
            restore([each.value for each in found if each.value is not None])
            for each in records:
                standing.note(each)

        def answers(records: list[ConsumerRecord]) -> None:
            for each in records:
                course = wire.read_course(each.key)
                if each.value is None:
                    standing.answers.pop(course, None)
                else:
                    standing.answers[course] = each.value

        with _said_plainly(self.site):
            await read_whole(
                self._connection,
                {topic("facts", self.site): facts, topic("out", self.site): answers},
                {} if since is None else {topic("facts", self.site): since[0]},
            )
        if since is not None:
            raise LogRefusedError(f"the facts of {self.site} end before what was read of them")
        return standing

    async def facts(self) -> list[tuple[bytes, bytes]]:
        """All facts with their keys, in order: to be asked for seldom."""
        found: dict[bytes, bytes | None] = {}
        with _said_plainly(self.site):
            await read_whole(
                self._connection,
                {topic("facts", self.site): lambda records: found.update((each.key, each.value) for each in records)},
            )
        return [(key, value) for key, value in found.items() if key[:1] == b"{" and value is not None]

    async def append(
        self, transaction: Transaction, meta: Mapping[str, str] | None = None, headers: Headers | None = None
    ) -> None:
        """Keep a transaction: durable and visible when this returns. Raises LogRefusedError, LogUnreachableError."""
        records = self._records(transaction, meta, headers or {})
        offsets = await self.write(records)
        count, standing = len(transaction.facts), self.standing
        if count:
            standing.facts += count
            standing.last = offsets[count - 1], records["facts"][count - 1].key
        standing.tally = transaction.tally
        standing.position = transaction.position.get(self._inbound, standing.position)
        standing.meta = standing.meta if meta is None else dict(meta)

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
        with _said_plainly(self.site):
            return await asyncio.wait_for(self._write(records), STEP_SECONDS)

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
        if self._producer is None:
            raise LogRefusedError(f"the log of {self.site} is not open")
        await self._producer.begin_transaction()
        first, rest = [], []  # the first of each topic go together, so that one request brings all topics in
        for kind in _KINDS:
            batches = list(_batches(self._producer, records.get(kind, ())))
            first += [(kind, each) for each in batches[:1]]
            rest += [(kind, each) for each in batches[1:]]
        name = {kind: topic(kind, self.site) for kind in _KINDS}
        sent = [await self._producer.send_batch(batch, name[kind], partition=0) for kind, batch in first + rest]
        kept = await asyncio.gather(*sent)  # before the end is asked for: else the broker makes us wait
        await self._producer.commit_transaction()
        told = zip(kept, first + rest, strict=True)
        facts = [(record.offset, batch.record_count()) for record, (kind, batch) in told if kind == "facts"]
        return [offset for begin, count in facts for offset in range(begin, begin + count)]


def _batches(producer: Any, records: Iterable[wire.Record]) -> Iterator[Any]:
    builder, size = None, 0
    for key, value, headers in records:
        length = len(key) + len(value or b"")
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
) -> None:
    """All committed records of single-partition topics up to their ends, each topic's to its own listener.

    `since`: offsets to begin at instead of at the first record.
    """
    consumer = reader(connection)
    await asyncio.wait_for(consumer.start(), STEP_SECONDS)
    try:
        places = [TopicPartition(name, 0) for name in heard]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
        for place in places:
            consumer.seek(place, (since or {}).get(place.topic, begins[place]))
        await _read_to(consumer, ends, heard)
    finally:
        await consumer.stop()


async def _read_to(
    consumer: Any,
    ends: dict[TopicPartition, int],
    heard: Mapping[str, Callable[[list[ConsumerRecord]], None]],
) -> None:
    left, loop = dict(ends), asyncio.get_running_loop()
    patience = loop.time() + STEP_SECONDS
    while left := {place: end for place, end in left.items() if await consumer.position(place) < end}:
        for place, records in (await consumer.getmany(*left, timeout_ms=200, max_records=_READ_AT_ONCE)).items():
            heard[place.topic](records)
            patience = loop.time() + STEP_SECONDS
        await asyncio.sleep(0)  # heartbeats, and the other sites
        if loop.time() > patience:
            raise LogUnreachableError(f"no more of {sorted(each.topic for each in left)} came for {STEP_SECONDS:.0f} s")


def reader(connection: Connection) -> Any:
    """A consumer without group that reads what was committed."""
    return aiokafka.AIOKafkaConsumer(
        **connection.for_aiokafka(),
        group_id=None,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 << 20,
        fetch_max_wait_ms=50,
    )


@contextmanager
def _said_plainly(site: str) -> Iterator[None]:
    """What the broker or the client says, sorted by what can be done about it; no text of theirs holds a value."""
    try:
        yield
    except (TimeoutError, ConnectionError) as error:
        raise LogUnreachableError(f"the log of {site} does not answer") from error
    except errors.KafkaError as error:
        told = f"{type(error).__name__} from the log of {site}"
        if getattr(error, "retriable", False) or isinstance(error, errors.KafkaConnectionError):
            raise LogUnreachableError(told) from error
        raise LogRefusedError(told) from error
