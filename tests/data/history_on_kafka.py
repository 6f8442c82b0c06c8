"""A site's history on a real Kafka, written as its owner writes it: a keeper over the site's log, batch by batch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from kafka import KafkaProducer

from monitor.core.keyed import keyed_digest
from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.keeper import Keeper, Origin
from monitor.log.kafka import KafkaLog
from monitor.rulebook import check_key
from monitor.sites import Rules
from monitor.stream.replica import Replica


def _fault(error: Exception) -> None:
    raise AssertionError("the core failed on a valid history") from error


def published(connection: Connection, site: str, lines: Sequence[bytes]) -> None:
    """Put messages into a site's inbound topic, as a hospital does."""
    with closing(KafkaProducer(**connection.for_kafka_python())) as producer:
        for sent in [producer.send(topic("in", site), line) for line in lines]:
            sent.get(60)


class Owner:
    """`with Owner(connection, site, rules) as owner:` is the one who owns the site until the end of the block."""

    def __init__(
        self,
        connection: Connection,
        site: str,
        rules: Rules,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.connection = connection
        self.site = site
        self.sites = Replica(rules, clock, _fault)  # it has what every owner has
        self.log = KafkaLog(connection, site, rules.key)
        self.given: list[bytes] = []
        self.keys: list[bytes] = []  # of all facts that were written
        self.keeper: Keeper = self.sites.new_keeper(site)
        self._meta: dict[str, str] | None = {"pseudonym_key": check_key(None, rules.key, "")}
        self._keyed = keyed_digest(rules.key)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        self.keeper.state.judge_by(self.sites.judging.of(self.sites.policy, (), self.site), has_counts=False)
        self._run(self.log.open())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run(self.log.close())
        self._runner.close()

    def _run(self, work: Any) -> Any:
        return self._runner.run(work)

    def publish(self, lines: Sequence[bytes]) -> None:
        """The hospital sends messages that nobody takes in yet."""
        published(self.connection, self.site, lines)

    def take(self, lines: Sequence[bytes]) -> None:
        """Messages that were published are taken in, and their answers are out, when this returns."""
        begins, now = len(self.given), self.sites.now()
        origin = Origin(topic("in", self.site), range(begins, begins + len(lines)), begins + len(lines))
        draft = self.keeper.draft(lines, origin, now, self.sites.today(self.site))
        self._run(self.log.append(draft.transaction, self._meta))
        facts = zip(draft.transaction.news, draft.transaction.facts, strict=True)
        self.keys += [wire.fact(news, record, self._keyed).key for news, record in facts]
        self.keeper.keep(draft)
        self._meta = None
        self.given += lines

    def give(self, lines: Sequence[bytes], at_once: int = 400) -> None:
        """Both."""
        self.publish(lines)
        for first in range(0, len(lines), at_once):
            self.take(lines[first : first + at_once])

    def write(self, **records: Sequence[wire.Record]) -> None:
        """Records of its topics, by kind: what no batch brings, as when somebody is erased."""
        self._run(self.log.write(records))
