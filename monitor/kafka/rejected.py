"""What the monitor rejected of a site, read back from its topic."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from monitor.kafka.names import topic
from monitor.kafka.reading import Reader
from monitor.kafka.wire import original_headers, read_rejection

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

REPLAYED_FROM = "jakwatch-replayed-from"  # header of a message that is replayed: TOPIC/OFFSET/MARK where it was before
_MARK = 16  # hexadecimal digits
_ORIGIN = re.compile(f"([^/]+)/([0-9]+)/([0-9a-f]{{{_MARK}}})")
_NOT_OURS = (AttributeError, KeyError, TypeError, UnicodeDecodeError, msgspec.MsgspecError)
log = logging.getLogger("jakwatch")


class Origin(NamedTuple):
    """Where a message came in that was rejected."""

    topic: str
    offset: int
    mark: str = ""  # of what was sent: in a topic that was made anew the same offset is another message's

    def __str__(self) -> str:
        return f"{self.topic}/{self.offset}/{self.mark}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One rejection, without what was sent."""

    origin: Origin
    reason: str
    path: str
    rule: str
    rejected_at: str  # instant in UTC
    size: int  # bytes
    replayed_from: tuple[Origin, ...]  # where the same message was rejected before, earliest first
    kept_ms: int  # when this was written, milliseconds since 1970


class Found(NamedTuple):
    """One rejection with what was sent: to be guarded like patient data."""

    entry: Entry
    raw: bytes
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which rejections are meant; an empty set means all."""

    reasons: frozenset[str] = frozenset()
    since: str = ""  # of the form of `Entry.rejected_at`
    offsets: frozenset[int] = frozenset()  # of the inbound topic

    def has(self, entry: Entry) -> bool:
        return (
            (not self.reasons or entry.reason in self.reasons)
            and entry.rejected_at >= self.since
            and (not self.offsets or entry.origin.offset in self.offsets)
        )


def read_rejected(connection: Connection, site: str) -> Iterator[Found]:
    """All rejections of a site that are kept, oldest first. Raises reading.UnreadableError."""
    with Reader(connection, topic("rejected", site)) as reader:
        yield from rejections(reader, reader.begin(), reader.end())


def rejections(reader: Reader, begin: int, end: int) -> Iterator[Found]:
    """Those between two offsets; a record that is none of ours is told of and passed over."""
    for record in reader.records(begin, end):
        try:
            found = _found(record)
        except _NOT_OURS:
            log.warning("%s holds at offset %d what no monitor of ours wrote; left out", reader.topic, record.offset)
            continue
        yield found


def origins(headers: Iterable[tuple[str, bytes]]) -> tuple[Origin, ...]:
    """Where a message was rejected before, earliest first, as its headers say."""
    found = (_origin(value) for name, value in headers if name == REPLAYED_FROM)
    return tuple(each for each in found if each is not None)


def _origin(value: bytes | None) -> Origin | None:
    """None where somebody else wrote the header."""
    found = _ORIGIN.fullmatch((value or b"").decode("ascii", "replace"))
    return Origin(found[1], int(found[2]), found[3]) if found else None


def _found(record: Any) -> Found:
    known = read_rejection(record.key, record.value, record.headers)
    told = {name: value for name, value in record.headers if not name.startswith("in.")}
    headers = tuple(original_headers(record.headers))
    entry = Entry(
        origin=Origin(known.channel, known.place, sha256(known.raw).hexdigest()[:_MARK]),
        reason=known.reason,
        path=known.path,
        rule=known.rule,
        rejected_at=told["rejected_at"].decode(),
        size=len(known.raw),
        replayed_from=origins(headers),
        kept_ms=record.timestamp,
    )
    return Found(entry, known.raw, headers)
