"""One worker without its engine: a test says which sites it is given, when it reads on, and what day it is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiokafka.structs import ConsumerRecord
from kafka import KafkaProducer

from monitor.core.canonical import canonical_body
from monitor.core.facts import AnyFact
from monitor.core.ledger import History, Ledger
from monitor.demo.build import Message
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.log import LogChangedError
from monitor.log.kafka import read_whole
from monitor.records import write_answer
from monitor.sites import Rules
from monitor.stream.worker import Owned, Worker
from schemas import actions as act
from tests.data import kafka_log

AT_ONCE = 500
SIGNED = {"by": "A. Person", "role": "safety officer", "reason": "as minuted"}


def publish(servers: str, site: str, lines: Sequence[bytes], headers: Sequence[tuple[str, bytes]] = ()) -> None:
    """Messages that are in the inbound topic when this returns."""
    producer = KafkaProducer(bootstrap_servers=servers, linger_ms=5, max_request_size=2 << 20)
    for sent in [producer.send(topic("in", site), line, headers=list(headers)) for line in lines]:
        sent.get(60)
    producer.close()


def read_topics(servers: str, names: Sequence[str]) -> dict[str, list[ConsumerRecord]]:
    """All that is committed in topics by now."""
    return asyncio.run(kafka_log.read_topics(Connection(servers), names))


def lines_of(site: str, *messages: Message) -> list[bytes]:
    """Messages as that site sends them."""
    return [json.dumps(message | {"site": site}).encode() for message in messages]


class LoneWorker:
    """`with LoneWorker(servers, rules) as lone:` owns what it is given until the end of the block.

    What the engine would do when a site must be taken anew is done here at once. `decided`: what people had decided
    before it came.
    """

    def __init__(
        self, servers: str, rules: Rules, snapshots: Path | None = None, decided: Sequence[act.Action] = ()
    ) -> None:
        self.servers = servers
        self.ahead = timedelta()  # of the real time
        self._happens: Callable[[], object] | None = None
        self.unusable: list[str] = []  # why it had to end
        self.retaken: list[str] = []  # sites
        self.worker = Worker(Connection(servers), rules, self._clock, _raise, self.unusable.append, snapshots)
        self.worker.anew = lambda site, error: self._anew.append((site, error))
        self._anew: list[tuple[str, Exception]] = []
        self._at: dict[str, int] = {}
        self._runner = asyncio.Runner()
        for action in decided:
            self.run(self.worker.heed(action))
        self.worker.decisions_are_heard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for site in list(self.worker.owned):
            self.let_go(site)
        self._runner.close()

    def _clock(self) -> datetime:
        happens, self._happens = self._happens, None
        if happens is not None:
            happens()
        return datetime.now(UTC) + self.ahead

    def when_it_next_looks_at_the_clock(self, happens: Callable[[], object]) -> None:
        self._happens = happens

    def run(self, work: Any) -> Any:
        return self._runner.run(work)

    # What the engine asks

    def take_over(self, *sites: str) -> None:
        for site in sites:
            position = self.run(self._taken_over(site))
            self._at[site] = position or 0

    async def _taken_over(self, site: str) -> int | None:
        for _ in range(5):
            try:
                return await self.worker.take_over(site)
            except LogChangedError:
                continue
        raise AssertionError(f"{site} changes for ever")

    def let_go(self, site: str) -> None:
        self.run(self.worker.let_go(site))

    def read_on(self, site: str) -> int:
        """Take in what the inbound topic has by now; how many messages that was."""
        found: list[Any] = []
        name = topic("in", site)
        self.run(read_whole(Connection(self.servers), {name: found.extend}, {name: self._at[site]}))
        for first in range(0, len(found), AT_ONCE):
            records = found[first : first + AT_ONCE]
            self.run(self.worker.work(site, records, records[-1].offset + 1))
            self._at[site] = records[-1].offset + 1
        self._take_anew()
        return len(found)

    def give(self, site: str, *messages: Message) -> None:
        """Publish messages, take them in, and do what time calls for."""
        self.give_lines(site, lines_of(site, *messages))

    def give_lines(self, site: str, lines: Sequence[bytes]) -> None:
        publish(self.servers, site, lines)
        self.read_on(site)
        self.tick()

    def tick(self) -> None:
        more = True
        while more:
            self._take_anew()
            more = self.run(self.worker.tick()) or bool(self._anew)

    def pass_days(self, days: float) -> None:
        self.ahead += timedelta(days)
        self.tick()

    def decide(self, action: str, **said: Any) -> act.Action:
        """What somebody decides now, heard by this worker."""
        made = action_of(action, self._clock(), **said)
        self.hear(made)
        return made

    def hear(self, *actions: act.Action) -> None:
        for action in actions:
            self.run(self.worker.heed(action))
        self.tick()

    def _take_anew(self) -> None:
        """What the engine does when something went wrong with a site outside of a batch."""
        while self._anew:
            site, error = self._anew.pop()
            if not isinstance(error, LogChangedError):
                raise error
            self.retaken.append(site)
            self.let_go(site)
            self.take_over(site)

    # What it holds

    def owned(self, site: str) -> Owned:
        return self.worker.owned[site]

    def said(self, site: str) -> dict[tuple[str, str], str]:
        """The decision of each course."""
        return {course: each.decision for course, each in self.owned(site).keeper.said.items()}

    def holds(self, site: str) -> dict[str, Any]:
        """All that it holds of a site, as plain values that do not depend on how this process numbers codes."""
        owned = self.owned(site)
        keeper, ledger, log = owned.keeper, owned.keeper.state.ledger, owned.log.standing
        facts = {patient: ledger.facts(patient) for patient in ledger.sheets}
        histories = {name: known for name, known in ledger.identities.items() if isinstance(known, History)}
        return {
            "facts": {
                patient: sorted(_said(each, ledger) for each in found) for patient, found in facts.items() if found
            },
            "identities": set(ledger.identities),
            "versions": {
                name: [_said(each.fact, ledger) for each in known.bodies] for name, known in histories.items()
            },
            "stands": {
                name: known.standing.body and known.standing.body.canonical for name, known in histories.items()
            },
            "claims": {name: found for name, found in ledger.claims.items() if found},
            "links": {name: found for name, found in ledger.links.items() if found},
            "conflicts": sorted(keeper.state.open_conflicts(), key=repr),
            "classes": +keeper.state.classes(),
            "said": {course: each.content for course, each in keeper.said.items()},
            "decisions": +keeper.decisions,
            "open": {course: write_answer(each) for course, each in keeper.open.items()},
            "tally": keeper.tally,
            "position": keeper.position,
            "log": (log.position, log.facts, log.last, log.meta),
        }


def _said(fact: AnyFact, ledger: Ledger) -> tuple[bytes, int, int]:
    return canonical_body(fact, ledger.vocabulary), fact.first_recorded, fact.last_recorded


def action_of(action: str, at: datetime, **said: Any) -> act.Action:
    """Something that somebody decides."""
    named = {"action": action, "action_id": f"{action}-{at.timestamp()}", "at": at}
    found: act.Action = act.actions.validate_python(SIGNED | named | said)
    return found


def _raise(error: Exception) -> None:
    raise AssertionError("the core failed on a valid history") from error
