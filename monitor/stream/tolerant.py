"""Records of a fetch, read also where one hospital's bytes would stop a worker, with all the sites it has.

Kafka takes a header whose name is no UTF-8, and aiokafka 0.14 raises on it (record/default_records.py), again and again
and before it gives anything out: here the bytes of that name become `?`. And it inflates whatever was compressed: here
a batch is inflated within a bound, and what goes beyond it becomes one record that is too large.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from monitor.kafka.inflate import Instead, is_compressed, plain

_LENGTH_AT, _HEAD = 8, 12  # of a batch: an offset of 8 bytes, the length of what follows in 4
MOST_AT_ONCE = 16 << 20
"""Bytes that the batches of a fetch may come to: beyond it the rest is fetched again, for hundreds of small ones might
each be inflated as far as one may be."""


class Records:
    """In place of aiokafka's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self._records = MemoryRecords(raw)
        self._at = 0
        self._given = 0  # bytes, without compression

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        more: bool = self._given < MOST_AT_ONCE and self._records.has_next()
        return more

    def note(self, size: int) -> None:
        """A batch came to so many bytes."""
        self._given += size

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begin = self._at
        self._at += _HEAD + int.from_bytes(self._raw[begin + _LENGTH_AT : begin + _HEAD])
        return None if batch is None else _Batch(batch, self._raw[begin : self._at], self.note)


class _Batch:
    """One batch, read as the library does, and again with its names replaced if that fails."""

    def __init__(self, batch: Any, raw: memoryview, note: Callable[[int], None]) -> None:
        self._batch = batch
        self._raw = raw
        self._note = note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        if not is_compressed(self._raw):
            self._note(len(self._raw))
            return _tolerantly(self._batch, self._raw)
        made = plain(self._raw)
        if isinstance(made, Instead):
            self._note(MOST_AT_ONCE)  # to find it out has cost as much: one at a time, or heartbeats stay away
            return iter([made])
        self._note(len(made))
        return _tolerantly(DefaultRecordBatch(made), made)


def _tolerantly(batch: Any, raw: memoryview) -> Iterator[Any]:
    done = 0
    try:
        for record in batch:
            yield record
            done += 1
    except UnicodeDecodeError:
        yield from islice(_replaced(raw), done, None)


def _replaced(raw: memoryview) -> Iterator[Any]:
    """The records of a batch whose header names are all made UTF-8."""
    batch: Any = _DefaultRecordBatchPy(bytes(raw))
    batch._maybe_uncompress()  # noqa: SLF001  the library has no other way to its bytes
    buffer, at = batch._buffer, batch._pos  # noqa: SLF001
    for _ in range(batch._num_records):  # noqa: SLF001
        length, at = decode_varint(buffer, at)
        _replace_names(buffer, at)
        at += length
    return iter(batch)


def _replace_names(buffer: bytearray, at: int) -> None:
    """Of the record that begins there: attributes, two deltas, key, value, and then the headers."""
    for _ in range(3):
        _, at = decode_varint(buffer, at)
    for _ in range(2):
        length, at = decode_varint(buffer, at)
        at += max(0, length)
    count, at = decode_varint(buffer, at)
    for _ in range(count):
        length, at = decode_varint(buffer, at)
        name = bytes(buffer[at : at + length])
        buffer[at : at + length] = name if _is_utf8(name) else b"?" * length
        length, at = decode_varint(buffer, at + length)
        at += max(0, length)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
