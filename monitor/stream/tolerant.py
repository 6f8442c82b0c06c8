"""Records of a fetch, read also where the name of a header is no UTF-8.

Kafka takes such a record, and aiokafka 0.14 raises on it (record/default_records.py), again and again and before it
gives anything out: one record of one hospital would stop a worker for good. Here the bytes of that name become `?`.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH_AT, _HEAD = 8, 12  # of a batch: an offset of 8 bytes, the length of what follows in 4


class Records:
    """In place of aiokafka's `MemoryRecords`."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self._records = MemoryRecords(raw)
        self._at = 0

    def size_in_bytes(self) -> int:
        size: int = self._records.size_in_bytes()
        return size

    def has_next(self) -> bool:
        more: bool = self._records.has_next()
        return more

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        begin = self._at
        self._at += _HEAD + int.from_bytes(self._raw[begin + _LENGTH_AT : begin + _HEAD])
        return None if batch is None else _Batch(batch, self._raw[begin : self._at])


class _Batch:
    """One batch, read as the library does, and again with its names replaced if that fails."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        done = 0
        try:
            for record in self._batch:
                yield record
                done += 1
        except UnicodeDecodeError:
            yield from islice(_replaced(self._raw), done, None)


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
