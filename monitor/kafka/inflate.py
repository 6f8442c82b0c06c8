"""Compressed batches, made plain within a bound: few bytes of a hospital must not become all of our memory.

The broker looks at compressed bytes only, and zstd makes gigabytes of a few kilobytes; the library would hold them all.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import cramjam

from schemas.parts import MAX_BYTES

MOST_INFLATED = 64 << 20
"""Bytes of one batch: producers make batches of 1 MiB before compression, and this is many times what anybody sets."""
TOLD = "jakwatch-batch"  # a header of what stands for a batch that is too large

_HEAD = 61  # bytes of a batch before its records
_ATTRIBUTES_AT, _LENGTH_AT = 21, 8
_CODEC, _APPENDED = 0x07, 0x08
_END = struct.Struct(">hiqqqhii")  # of the head, from its attributes on
_CODECS = {1: ("gzip", cramjam.gzip), 3: ("lz4", cramjam.lz4), 4: ("zstd", cramjam.zstd)}
"""Snappy (2) is left to the library: it makes 22 bytes of one at most, and the topic takes 1 MiB."""
_FIRST_TRY = 16  # times what came; most batches become less


class Instead(NamedTuple):
    """A record in place of all of a batch that is too large, as the library's records are."""

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]
    checksum: None = None


def is_compressed(raw: memoryview) -> bool:
    """Whether what a batch becomes must be bounded."""
    return raw[_ATTRIBUTES_AT + 1] & _CODEC in _CODECS


def plain(raw: memoryview, most: int | None = None) -> memoryview | Instead:
    """The same batch without compression; or what stands for it, where that has more than `most` bytes."""
    most = MOST_INFLATED if most is None else most
    codec, room = _CODECS[raw[_ATTRIBUTES_AT + 1] & _CODEC], 0
    while room < most:
        room = min(most, max(1 << 16, (room or len(raw)) * _FIRST_TRY))
        made = bytearray(_HEAD + room)
        try:
            size: int = codec[1].decompress_into(raw[_HEAD:], memoryview(made)[_HEAD:])
        except cramjam.DecompressionError:  # there is no more room, or it never was compressed: then so at last too
            continue
        return _headed(raw, made, size)
    return _instead(raw, f"{codec[0]}, broken or more than {most}", bytes(made[_HEAD : _HEAD + MAX_BYTES + 1]))


def _headed(raw: memoryview, made: bytearray, size: int) -> memoryview:
    made[:_HEAD] = raw[:_HEAD]
    made[_LENGTH_AT : _LENGTH_AT + 4] = (_HEAD - _LENGTH_AT - 4 + size).to_bytes(4)
    made[_ATTRIBUTES_AT + 1] &= ~_CODEC & 0xFF
    return memoryview(made)[: _HEAD + size]


def _instead(raw: memoryview, of_what: str, begins: bytes) -> Instead:
    """Too large to be a message, so that it is rejected as that: what the batch begins with, and what it was."""
    attributes, last, _, latest, *_, count = _END.unpack_from(raw, _ATTRIBUTES_AT)
    told = f"{count} messages, {len(raw)} bytes of {of_what} without it"
    offset = int.from_bytes(raw[:8]) + last
    return Instead(offset, latest, int(bool(attributes & _APPENDED)), None, begins, [(TOLD, told.encode())])
