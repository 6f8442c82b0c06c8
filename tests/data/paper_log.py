"""Sites' logs as a reader of their topics gets them, made by keepers without a broker: the same keys and values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from aiokafka.structs import ConsumerRecord

from monitor.core.keyed import keyed_digest
from monitor.kafka import wire
from monitor.kafka.names import ACTIONS, topic
from monitor.keeper import Draft, Keeper, Origin
from monitor.rulebook import check_key
from monitor.sites import Rules
from monitor.stream.replica import Replica
from monitor.stream.standing import Seen, SeenSite
from schemas import actions as act


def fault(error: Exception) -> None:
    raise AssertionError("the core failed on a valid history") from error


class PaperTopic:
    """One topic; `mark` leaves a gap, as the end of a transaction does."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.records: list[ConsumerRecord[Any, Any]] = []
        self.end = 0

    def append(self, record: wire.Record, at: datetime) -> None:
        stamp = round(at.timestamp() * 1000)
        self.records.append(
            ConsumerRecord(self.name, 0, self.end, stamp, 0, record.key, record.value, None, 0, 0, record.headers)
        )
        self.end += 1

    def mark(self) -> None:
        self.end += 1

    def compacted(self) -> list[ConsumerRecord[Any, Any]]:
        """What compaction leaves: the last record of each key."""
        return sorted({each.key: each for each in self.records}.values(), key=lambda each: each.offset)


class PaperLog:
    """All topics, and who writes them: one owner for all sites, who lives by `now`."""

    def __init__(self, rules: Rules, now: datetime) -> None:
        self.rules = rules
        self.now = now
        self.topics: dict[str, PaperTopic] = {ACTIONS: PaperTopic(ACTIONS)}
        self.owner = Replica(rules, lambda: self.now, fault)  # it has what every owner has
        self.keepers: dict[str, Keeper] = {}
        self.given: list[bytes] = []
        self._keyed = keyed_digest(rules.key)

    def topic(self, kind: str, site: str) -> PaperTopic:
        name = topic(kind, site)
        return self.topics.setdefault(name, PaperTopic(name))

    def keeper(self, site: str) -> Keeper:
        if site not in self.keepers:
            keeper = self.keepers[site] = self.owner.new_keeper(site)
            keeper.state.judge_by(self.owner.judging.of(self.owner.policy, self.owner.actions, site))
            self._append(site, facts=[wire.meta({"pseudonym_key": check_key(None, self.rules.key, "")})], out=[])
        return self.keepers[site]

    def take(self, site: str, lines: Sequence[bytes]) -> None:
        """A batch, a second later than what was before it."""
        self.now += timedelta(seconds=1)
        keeper, inbound = self.keeper(site), self.topic("in", site)
        origin = Origin(inbound.name, range(inbound.end, inbound.end + len(lines)), inbound.end + len(lines))
        inbound.end += len(lines)
        self.keep(keeper, keeper.draft(lines, origin, self.owner.now(), self.owner.today(site)))
        self.given += lines

    def keep(self, keeper: Keeper, draft: Draft) -> None:
        done = draft.transaction
        facts = [wire.fact(news, record, self._keyed) for news, record in zip(done.news, done.facts, strict=True)]
        facts += [wire.position(name, offset, done.tally) for name, offset in done.position.items()]
        out = [wire.answer(course, record) for course, record in done.answers.items()]
        keeper.keep(draft)
        self._append(keeper.site, facts, out)

    def _append(self, site: str, facts: Iterable[wire.Record], out: Iterable[wire.Record]) -> None:
        for kind, records in (("facts", facts), ("out", out)):
            into = self.topic(kind, site)
            for record in records:
                into.append(record, self.now)
            into.mark()

    def write(self, kind: str, site: str, record: wire.Record) -> None:
        self.topic(kind, site).append(record, self.now)

    def decide(self, action: act.Action) -> None:
        record = action.model_dump_json(by_alias=True, exclude_none=True).encode()
        self.topics[ACTIONS].append(wire.Record(action.action_id.encode(), record), self.now)


class Reader:
    """A replica and how far it was given the topics; a step hands over so many records of one topic at most."""

    def __init__(self, log: PaperLog, rules: Rules | None = None) -> None:
        self.log = log
        self.replica = Replica(rules or log.rules, lambda: log.now, fault)
        self.read: dict[str, int] = {}

    def open(self) -> None:
        """As a process that starts: what people decided, then everything."""
        self.replica.seen = Seen(dict.fromkeys(self.replica.names, SeenSite(0.0)), None, was_asked=True)
        self.hear()
        for site in self.replica.names:
            self.replica.begin(site)
        self.catch_up()

    def hear(self) -> None:
        self.replica.hear(self._next(self.log.topics[ACTIONS].name, 1 << 30))

    def _next(self, name: str, at_most: int) -> list[ConsumerRecord[Any, Any]]:
        known = self.log.topics[name].records if name in self.log.topics else []
        found = [each for each in known if each.offset >= self.read.get(name, 0)][:at_most]
        if found:
            self.read[name] = found[-1].offset + 1
        return found

    def step(self, kind: str, site: str, at_most: int = 1 << 30) -> bool:
        """Hand over the next records of a topic; whether there were any."""
        name = topic(kind, site)
        found = self._next(name, at_most)
        if found:
            self.replica.take([(name, found)])
        return bool(found)

    def catch_up(self) -> None:
        """Read all there is, anew what must be, and let it be counted."""
        self.hear()
        for site in self.replica.names:
            while self.step("facts", site) or self.step("out", site):
                pass
            self.replica.arrived(site)
        if self.replica.anew:
            for site in sorted(self.replica.anew):
                self.replica.begin(site)
                self.read |= {topic(kind, site): 0 for kind in ("facts", "out")}
            self.catch_up()
        self.rest()

    def rest(self) -> None:
        """Let the replica do what is left to do."""
        while self.replica.welcome() or self.replica.tick():
            pass
