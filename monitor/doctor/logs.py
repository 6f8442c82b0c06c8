"""Looking at the topics of one site: how far it was taken in, what waits, what was rejected lately."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec
from kafka.errors import KafkaError

from monitor.doctor.seen import MOST_REJECTED, Inbound, Kept, Look
from monitor.kafka import wire
from monitor.kafka.names import ACTIONS, topic
from monitor.kafka.reading import Reader, UnreadableError
from monitor.kafka.rejected import rejections
from schemas import actions as act

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

_NOT_OURS = (KeyError, ValueError, msgspec.MsgspecError)
_AT_ONCE = 4  # sites
_TAIL = 2_000  # offsets in which the latest position stands: it comes with every batch


def look_at_all(
    connection: Connection, sites: Iterable[str], readable: frozenset[str], since: float
) -> Iterator[Look | str]:
    """A look at each site, or in words why there is none. `readable`: topics; rejections count from `since`."""

    def one(site: str) -> Look | str:
        try:
            return look(connection, site, readable, since)
        except UnreadableError as error:
            return str(error)
        except KafkaError as error:
            return f"the topics of {site} cannot be read ({type(error).__name__}). Do next: look into Kafka's log"
        except _NOT_OURS:
            return f"the log of {site} holds what this version cannot read. Do next: use the version of the workers"

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(one, sites)


def look(connection: Connection, site: str, readable: frozenset[str], since: float) -> Look:
    """Raises KafkaError and reading.UnreadableError."""
    facts, inbound, rejected = (topic(kind, site) for kind in ("facts", "in", "rejected"))
    kept = _kept(connection, facts) if facts in readable else None
    position = None if kept is None else kept.position
    return Look(
        site,
        kept,
        _inbound(connection, inbound, position) if inbound in readable else None,
        _rejected(connection, rejected, since) if rejected in readable else None,
    )


def _kept(connection: Connection, name: str) -> Kept:
    """The latest position stands near the end, the key's mark mostly at the very beginning: it never changes."""
    with Reader(connection, name) as reader:
        begin, end = reader.begin(), reader.end()
        tail = max(begin, end - _TAIL)
        latest = Kept()
        for record in reader.records(tail, end):
            latest = _noted(latest, record)
        earlier = Kept()
        for record in reader.records(begin, tail):
            earlier = _noted(earlier, record)
            if (latest.mark or earlier.mark) and latest.position is not None:
                break
    return _noted_before(latest, earlier)


def _noted(kept: Kept, record: Any) -> Kept:
    if record.value is None:
        return kept
    if record.key == wire.POSITION:
        return kept._replace(position=wire.read_position(record.value).offset, moved=record.timestamp / 1000)
    if record.key == wire.META:
        return kept._replace(mark=wire.read_meta(record.value).get("pseudonym_key"))
    return kept


def _noted_before(latest: Kept, earlier: Kept) -> Kept:
    mark = latest.mark or earlier.mark
    return latest._replace(mark=mark) if latest.position is not None else earlier._replace(mark=mark)


def _inbound(connection: Connection, name: str, position: int | None) -> Inbound:
    with Reader(connection, name) as reader:
        first, end = reader.begin(), reader.end()
        oldest = next(reader.records(max(first, position or 0), end), None)
        return Inbound(first, end, None if oldest is None else oldest.timestamp / 1000)


def _rejected(connection: Connection, name: str, since: float) -> Counter[str]:
    with Reader(connection, name) as reader:
        begin = reader.first_since(round(since * 1000))
        found = rejections(reader, begin, reader.end()) if begin is not None else iter(())
        return Counter(each.entry.reason for each in islice(found, MOST_REJECTED))


def decisions(connection: Connection) -> list[act.Action]:
    """All that people decided and that can be read. Raises KafkaError and reading.UnreadableError."""
    with Reader(connection, ACTIONS) as reader:
        read = [act.decode_action(each.value) for each in reader.records(reader.begin(), reader.end()) if each.value]
    return [each for each in read if isinstance(each, act.ActionEnvelope)]
