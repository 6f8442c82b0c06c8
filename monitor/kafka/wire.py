"""Keys and values of the records of a site's topics, and reading them back: contract, section 3.

A fact stands under a key that no other fact has, so that compaction removes nothing and a tombstone removes exactly it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from monitor.core.batch import News
from monitor.records import Course, Rejected, Tally, instant_text

SCHEMA = 1
POSITION = b"position"  # keys of the records of facts.<site> that are no facts; those of facts are JSON objects
META = b"meta"
MOST_OF_HEADERS = 64 << 10  # bytes of a message's own headers; beyond it only their number is kept
LEFT_OUT = "headers-left-out"
NO_COURSE: Course = ("-", "order")  # of a tombstone that stands for nothing


class Record(NamedTuple):
    """One record to be written; without a value it is a tombstone."""

    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class _FactKey(msgspec.Struct, frozen=True, omit_defaults=True):
    event_id: str
    recorded_at: str
    digest: str
    source: str | None = None
    version: int | None = None


class _AnswerKey(msgspec.Struct, frozen=True):
    treatment_id: str
    kind: str


class _RejectedKey(msgspec.Struct, frozen=True):
    topic: str
    offset: int


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """`schemas.outbound.Position`: how far a site's inbound topic was read, and what had arrived by then."""

    schema: int = SCHEMA
    topic: str
    offset: int
    tally: Tally


_write = msgspec.json.Encoder().encode
_read_position = msgspec.json.Decoder(Position).decode
_read_answer_key = msgspec.json.Decoder(_AnswerKey).decode
_read_rejected_key = msgspec.json.Decoder(_RejectedKey).decode


def fact(news: News, record: bytes, keyed: Callable[[bytes], bytes]) -> Record:
    """A fact under its identity, version, time and the keyed digest of what it says of whom."""
    each = news.fact
    said = record[record.index(b'"pseudonym"') :]  # without when it was received
    key = _FactKey(each.event_id, instant_text(each.last_recorded), keyed(said).hex(), each.source, each.version)
    return Record(_write(key), record)


def position(topic: str, offset: int, tally: Tally) -> Record:
    return Record(POSITION, _write(Position(topic=topic, offset=offset, tally=tally)))


def read_position(value: bytes) -> Position:
    """Raises ValueError where it was written by a later version."""
    found = _read_position(value)
    if found.schema > SCHEMA:
        raise ValueError(f"a position was written by a later version (schema {found.schema}); this one reads {SCHEMA}")
    return found


def meta(noted: Mapping[str, str]) -> Record:
    """What is noted of the log as a whole: fingerprint of the key, versions and id rules that were in force."""
    return Record(META, _write({"schema": SCHEMA, "noted": dict(noted)}))


def read_meta(value: bytes) -> dict[str, str]:
    found: dict[str, str] = msgspec.json.decode(value)["noted"]
    return found


def answer(course: Course, record: bytes | None) -> Record:
    return Record(_write(_AnswerKey(*course)), record)


def read_course(key: bytes) -> Course:
    """The course that a record of out.<site> is about."""
    found = _read_answer_key(key)
    return found.treatment_id, found.kind


def rejection(why: Rejected, at: int, headers: Iterable[tuple[str, bytes]] = ()) -> Record:
    """What was rejected as it came, with its own headers behind ours."""
    told = {"reason": why.reason, "path": why.path, "rule": why.rule, "rejected_at": instant_text(at)}
    ours = tuple((name, text.encode()) for name, text in told.items())
    theirs = tuple((f"in.{name}", value) for name, value in headers)
    if sum(len(name) + len(value or b"") for name, value in theirs) > MOST_OF_HEADERS:
        theirs = ((LEFT_OUT, str(len(theirs)).encode()),)
    return Record(_write(_RejectedKey(why.channel, why.place)), why.raw, ours + theirs)


def read_rejection(key: bytes, value: bytes, headers: Iterable[tuple[str, bytes]]) -> Rejected:
    """A record of rejected.<site>."""
    origin = _read_rejected_key(key)
    told = {name: text.decode() for name, text in headers if not name.startswith("in.")}
    return Rejected(value, origin.topic, origin.offset, told["reason"], told["path"], told["rule"])


def original_headers(headers: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, bytes]]:
    """The headers that a rejected message came with."""
    return ((name.removeprefix("in."), value) for name, value in headers if name.startswith("in."))
