"""Reading a stretch of a topic from one place to another, once: what people look at, and what is looked through."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from aiokafka.codec import snappy_decode
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError
from kafka.record.default_records import DefaultRecordBatch

from monitor.kafka.inflate import Instead, is_compressed, plain
from monitor.kafka.reach import missing_right

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

LARGEST = 4 << 20  # bytes of one fetch: above the largest record of any of our topics
SECONDS_TO_WAIT = 30.0
MOST_INFLATED = 16 << 20  # bytes of a batch; a larger one is passed over: the worker rejects what it holds
_POLL_MS = 500
_SNAPPY = 2


class UnreadableError(Exception):
    """What is there cannot be read to its end; the text says why and what to do."""


class Reader:
    """The one partition of a topic, without a group: nobody's position is moved.

    `committed`: what transactions have not committed is left out, and the end lies before the first that is open.
    All methods raise UnreadableError where the brokers do not answer or do not let us read.
    """

    def __init__(self, connection: Connection, topic: str, *, committed: bool = True) -> None:
        self.topic = topic
        self._where = TopicPartition(topic, 0)
        DefaultRecordBatch._maybe_uncompress = _uncompress  # noqa: SLF001  the library takes no other
        with self._in_words():
            self._consumer = KafkaConsumer(
                **connection.for_kafka_python(),
                isolation_level="read_committed" if committed else "read_uncommitted",
                enable_auto_commit=False,
                auto_offset_reset="earliest",  # what retention took while we read is passed over
                max_partition_fetch_bytes=LARGEST,
                request_timeout_ms=int(SECONDS_TO_WAIT * 1000),
            )
            self._consumer.assign([self._where])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def begin(self) -> int:
        """The first offset that is kept."""
        with self._in_words():
            return int(self._consumer.beginning_offsets([self._where])[self._where])

    def end(self) -> int:
        """Behind the last offset."""
        with self._in_words():
            return int(self._consumer.end_offsets([self._where])[self._where])

    def first_since(self, at_ms: int) -> int | None:
        """The first offset that was appended at an instant (milliseconds since 1970) or later."""
        with self._in_words():
            found = self._consumer.offsets_for_times({self._where: at_ms})[self._where]
        return None if found is None else int(found.offset)

    def records(self, begin: int, end: int) -> Iterator[Any]:
        """The library's records from one offset up to, not including, another."""
        self._consumer.seek(self._where, begin)
        last, deadline = begin, time.monotonic() + SECONDS_TO_WAIT
        while (now := self._position()) < end:  # asked for, as the last place may hold no record
            if now > last:
                last, deadline = now, time.monotonic() + SECONDS_TO_WAIT
            elif time.monotonic() > deadline:
                raise self._unreadable("it stays silent")
            yield from (each for each in self._polled() if each.offset < end)

    def _position(self) -> int:
        with self._in_words():
            return int(self._consumer.position(self._where))

    def _polled(self) -> Sequence[Any]:
        with self._in_words():
            return cast("Sequence[Any]", self._consumer.poll(_POLL_MS).get(self._where, ()))

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except KafkaError as error:
            missing = missing_right(error, "READ")
            raise (UnreadableError(missing) if missing else self._unreadable(type(error).__name__)) from None

    def _unreadable(self, why: str) -> UnreadableError:
        return UnreadableError(
            f"{self.topic} cannot be read from Kafka ({why}). Do next: see that it runs, then do the same again."
        )


def committed_end(reader: Reader, connection: Connection, within: float = SECONDS_TO_WAIT) -> int:
    """Behind the last record there is by now, once it is known of all before it whether they count.

    Raises UnreadableError where somebody leaves a transaction open.
    """
    with Reader(connection, reader.topic, committed=False) as everything:
        end = everything.end()
    deadline = time.monotonic() + within
    while reader.end() < end:
        if time.monotonic() > deadline:
            raise UnreadableError(
                f"somebody has had a transaction open on {reader.topic} for {within:g} seconds. "
                "Do next: wait until it has ended, a quarter of an hour at most, then do the same again."
            )
        time.sleep(0.1)
    return end


def _uncompress(batch: Any) -> None:
    """In place of kafka-python's own (3.0.12, record/default_records.py), which knows gzip alone, and no bound."""
    if not batch._decompressed:  # noqa: SLF001  the library has no other way to its bytes
        batch._decompressed = True  # noqa: SLF001
        raw = memoryview(batch._buffer)  # noqa: SLF001
        if batch.compression_type == _SNAPPY:
            batch._buffer, batch._pos = bytearray(snappy_decode(raw[batch._pos :].tobytes())), 0  # noqa: SLF001
        elif is_compressed(raw):
            made = plain(raw, MOST_INFLATED)
            if isinstance(made, Instead):
                batch._buffer, batch._pos, batch._num_records = bytearray(), 0, 0  # noqa: SLF001
            else:
                batch._buffer = bytearray(made)  # noqa: SLF001
