"""Whether a site's inbound topic is still the one that was read: deleted and made anew, it bears another id.

Its offsets begin anew too. Once it is longer than what was read of the former one, nothing else tells the two apart,
and all before the old position would stay unread. The id stands in the site's log beside its position.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from enum import Enum
from typing import NamedTuple

from aiokafka.structs import TopicPartition

from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.ids import topic_ids
from monitor.kafka.names import topic
from monitor.log import LogChangedError, LogRefusedError, LogUnreachableError
from monitor.log.kafka import ASK_SECONDS, KafkaLog, Standing, reader, said_plainly
from monitor.stream.lane import where_to_read

INBOUND_ID = "inbound_id"  # in what is noted of a log
LOOK_SECONDS = 10.0  # so long another topic may go unnoticed


def inbound_id(site: str, known: Mapping[str, str], found: Mapping[str, str]) -> dict[str, str]:
    """What to note of the id. `known` is what is noted; `found` are ids by topic, none where the broker tells none.

    What was noted before there were ids, or of a topic that was never read, takes the id that is found. Raises
    LogRefusedError where it is another topic.
    """
    name = topic("in", site)
    noted, here = known.get(INBOUND_ID), found.get(name)
    if noted is not None and here is not None and here != noted:
        raise LogRefusedError(
            f"{name} was deleted and made anew (id {here}, read so far: {noted}): what is in it from its beginning was "
            "not read. Do next: ask the hospital what it published since it was last answered, and have that published "
            f"again; then `jakwatch topics reread --site {site}`"
        )
    told = here or noted
    return {} if told is None else {INBOUND_ID: told}


async def made_anew(noted: Mapping[str, dict[str, str]], log: KafkaLog) -> AsyncIterator[tuple[str, LogRefusedError]]:
    """The sites whose inbound topics are others by now, with what to say of it. `noted`, of each site, learns ids.

    `log`, of any of them, is asked; where it does not answer, nobody is found.
    """
    found: dict[str, str] = {}
    with suppress(LogUnreachableError, LogRefusedError):
        found = await log.topic_ids([topic("in", site) for site in noted])
    for site, known in noted.items():
        try:
            known.update(inbound_id(site, known, found))
        except LogRefusedError as error:
            yield site, error


class Reread(Enum):
    """What became of it."""

    NEVER_READ = "nothing was read of it yet"
    GOES_ON = "it goes on where it was read up to"
    FROM_THE_BEGINNING = "it is read from its beginning"


class _Here(NamedTuple):
    """The inbound topic as it is now."""

    ids: dict[str, str]
    end: int  # offset behind its last message


async def reread(connection: Connection, site: str) -> Reread:
    """Let whoever owns the site next read its inbound topic from the beginning, if it is another one than was read.

    What comes again counts once: only what was never taken in is new. Raises LogRefusedError, LogUnreachableError.
    """
    here = await _look(connection, site)
    log = KafkaLog(connection, site, b"")  # no fact is written, so no key is needed
    if (left_alone := _left_alone(site, await _standing(log), here)) is not None:
        return left_alone  # before it is opened: a worker that owns the site is not disturbed
    try:
        await log.open()
        standing = await _standing(log)
        if (left_alone := _left_alone(site, standing, here)) is not None:
            return left_alone
        known = {name: told for name, told in standing.meta.items() if name != INBOUND_ID}
        begin = wire.position(topic("in", site), 0, standing.tally)
        await log.write({"facts": [begin, wire.meta(known | inbound_id(site, known, here.ids))]})
    finally:
        await log.close()
    return Reread.FROM_THE_BEGINNING


async def _look(connection: Connection, site: str) -> _Here:
    name, asking = topic("in", site), reader(connection)
    with said_plainly(site):
        try:
            await asyncio.wait_for(asking.start(), ASK_SECONDS)
            if name not in await asyncio.wait_for(asking.topics(), ASK_SECONDS):
                raise LogRefusedError(f"there is no topic {name}. Do next: jakwatch topics apply --sites FILE")
            ids = await topic_ids(asking._client, [name])  # noqa: SLF001
            ends = await asyncio.wait_for(asking.end_offsets([TopicPartition(name, 0)]), ASK_SECONDS)
        finally:
            await asking.stop()
    return _Here(ids, *ends.values())


def _left_alone(site: str, standing: Standing, here: _Here) -> Reread | None:
    """Why nothing is to be done; None: it is to be read from its beginning."""
    if standing.position is None:
        return Reread.NEVER_READ
    return Reread.GOES_ON if _continues(site, standing, here) else None


async def _standing(log: KafkaLog) -> Standing:
    while True:
        with suppress(LogChangedError):  # of what was erased it hears only behind it
            return await log.read(lambda _: None)


def _continues(site: str, standing: Standing, here: _Here) -> bool:
    try:
        inbound_id(site, standing.meta, here.ids)
        where_to_read(topic("in", site), standing.position, 0, here.end)
    except LogRefusedError:
        return False
    return True
