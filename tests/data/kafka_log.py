"""The log on Kafka as the other logs are: synchronous, all sites in one, opened again by who comes next.

Its sites get names that nobody else has. Facts that are no messages are kept within ones that are.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import aiokafka
from aiokafka.structs import ConsumerRecord, TopicPartition

from monitor.core import facts as f
from monitor.core.batch import News
from monitor.kafka import topics, wire
from monitor.kafka.connection import Connection
from monitor.kafka.names import site_of, topic
from monitor.kafka.reach import administering
from monitor.log import Transaction
from monitor.log.kafka import KafkaLog, Standing, read_whole
from monitor.records import Course, Rejected, Tally

KEY = bytes(range(32))
CHANNEL = "a.jsonl"  # what a test calls the inbound topic
_NOBODY = 0


class KafkaLogs:
    """`mark`: what stands behind the names of its sites."""

    def __init__(self, connection: Connection, mark: str) -> None:
        self.connection = connection
        self.mark = mark
        self._owned: dict[str, KafkaLog] = {}
        self._runner = asyncio.Runner()

    def close(self) -> None:
        for log in self._owned.values():
            self._runner.run(log.close())
        self._runner.close()

    # What it says

    def sites(self) -> list[str]:
        with administering(self.connection) as admin:
            found = {site_of(name) for name in admin.list_topics()}
        return sorted(site.removesuffix(self.mark) for site in found if site and site.endswith(self.mark))

    def facts(self, site: str) -> Iterator[bytes]:
        return iter(self._read(site)[0])

    def answers(self, site: str) -> Iterator[tuple[Course, bytes]]:
        return iter(self._read(site)[1].answers.items())

    def tally(self, site: str) -> Tally:
        return self._read(site)[1].tally

    def position(self, site: str) -> dict[str, int]:
        position = self._read(site)[1].position
        return {} if position is None else {CHANNEL: position}

    def rejections(self, site: str, channel: str) -> Iterator[Rejected]:
        name = topic("rejected", site + self.mark)
        found = self._runner.run(read_topics(self.connection, [name]))[name] if site in self.sites() else []
        rejected = (wire.read_rejection(each.key, each.value, each.headers) for each in found)
        return iter(sorted((each for each in rejected if each.channel == channel), key=lambda each: each.place))

    def _read(self, site: str) -> tuple[list[bytes], Standing]:
        """As the next owner would read it."""
        facts: list[bytes] = []
        if site not in self.sites():
            return facts, Standing()
        name = site + self.mark
        self._runner.run(read_topics(self.connection, [topic(kind, name) for kind in ("facts", "out")]))
        log = KafkaLog(self.connection, name, KEY)
        standing = self._runner.run(log.read(lambda found: facts.extend(map(unwrapped, found))))
        return facts, standing

    # What is written

    def append(self, transaction: Transaction) -> None:
        log = self._owned.get(transaction.site) or self._opened(transaction.site)
        try:
            self._runner.run(log.append(self._as_kept(transaction)))
        except BaseException:  # whoever was refused takes the site anew, as a worker does
            self._runner.run(self._owned.pop(transaction.site).close())
            raise

    def _opened(self, site: str) -> KafkaLog:
        name = site + self.mark
        with administering(self.connection) as admin:
            topics.create(admin, topics.wanted([name], 1), 1)
        log = self._owned[site] = KafkaLog(self.connection, name, KEY)
        self._runner.run(log.open())
        self._runner.run(log.read(ignored))
        return log

    def _as_kept(self, given: Transaction) -> Transaction:
        site = given.site + self.mark
        place = given.position.get(CHANNEL, self._owned[given.site].standing.position or 0)
        return as_kept(replace(given, site=site, position={topic("in", site): place}))


def as_kept(given: Transaction) -> Transaction:
    """With facts that have a name, as those of messages have."""
    names = [f"{secrets.token_hex(8)}-{number}" for number in range(len(given.facts))]
    facts = [_wrapped(name, each) for name, each in zip(names, given.facts, strict=True)]
    return replace(given, facts=facts, news=[_news(name) for name in names])


async def ends_of(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Where topics end, records of transactions included that have not ended."""
    consumer = aiokafka.AIOKafkaConsumer(**connection.for_aiokafka(), group_id=None, fetch_max_wait_ms=50)
    places = [TopicPartition(name, 0) for name in names]
    try:
        await consumer.start()
        consumer.assign(places)
        found = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return {place.topic: end for place, end in found.items()}


async def read_topics(connection: Connection, names: Sequence[str]) -> dict[str, list[ConsumerRecord]]:
    """All that is committed in topics; it waits for the ends of transactions, which brokers show a moment late."""
    found: dict[str, list[ConsumerRecord]] = {name: [] for name in names}
    heard = {name: records.extend for name, records in found.items()}
    await read_whole(connection, heard, least=await ends_of(connection, names))
    return found


def ignored(_: list[bytes]) -> None:
    """What an owner in a test need not know."""


def _news(name: str) -> News:
    fact = f.FeedStatus(
        event_id=name, source=None, version=None, first_recorded=_NOBODY, last_recorded=_NOBODY, rest=None,
        feed="treatment", complete_through=1,
    )  # fmt: skip
    return News(0, b"", fact)


def _wrapped(name: str, fact: Any) -> Any:
    if not isinstance(fact, bytes):
        return fact
    return json.dumps({"site": name, "pseudonym": None, "message": fact.hex()}).encode()


def unwrapped(record: bytes) -> bytes:
    return bytes.fromhex(json.loads(record)["message"])
