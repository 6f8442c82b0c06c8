"""SiteState: all that one site's facts say, and the one way in. Stream, single machine, views and replay run it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from monitor.core import facts as f
from monitor.core.contribution import UNASSESSABLE, Contribution, Contributions, listed_in
from monitor.core.cube import Cube
from monitor.core.days import instant
from monitor.core.decision import Decision
from monitor.core.decode import Decoded, Rejection, decode, normalise
from monitor.core.facts import AnyFact, FactWriter
from monitor.core.gate import CompiledPolicy, Gate, SiteDays
from monitor.core.keyed import keyed_digest
from monitor.core.ledger import SITE, History, Ledger
from monitor.core.record import record_of
from monitor.core.registry import Feed, Registry, SiteEntry
from monitor.core.rows import DAY_BITS
from monitor.core.screening import Waiver
from monitor.core.versions import Body, patients_of
from monitor.core.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Settlement:
    """A person's word on a conflict: the body with this digest stands among all that were known at that instant."""

    source: str | None
    event_id: str
    digest: str
    at: int
    action_id: str


@dataclass(frozen=True, slots=True)
class Intake:
    """What turns messages into facts: the same for all sites of a process."""

    vocabulary: Vocabulary
    registry: Registry | None = None
    key: bytes = b"jakwatch"  # of the pseudonyms; live processes have a secret one
    settlements: tuple[Settlement, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What records are judged by: the policies in the order of their first day, and the one in force for the rates."""

    policies: tuple[CompiledPolicy, ...]
    contributions: Contributions
    waivers: tuple[Waiver, ...] = ()


@dataclass(slots=True)
class Signs:
    """How many messages came, and when the latest of all and of the adverse events were recorded (instants)."""

    messages: int = 0
    last_recorded: int | None = None
    last_event_recorded: int | None = None

    def note(self, fact: AnyFact) -> None:
        self.messages += 1
        recorded = fact.last_recorded
        if self.last_recorded is None or recorded > self.last_recorded:
            self.last_recorded = recorded
        if self.last_event_recorded is None or recorded > self.last_event_recorded:
            retracts_event = isinstance(fact, f.Retraction) and fact.retracts == "adverse_event"
            if isinstance(fact, f.AdverseEvent) or retracts_event:
                self.last_event_recorded = recorded

    def add(self, other: Signs) -> None:
        """Take in the signs of further messages."""
        self.messages += other.messages
        self.last_recorded = _later(self.last_recorded, other.last_recorded)
        self.last_event_recorded = _later(self.last_event_recorded, other.last_event_recorded)


def _later(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch of messages comes to, before anything of it is kept: `SiteState.apply` keeps it."""

    facts: list[tuple[bytes, AnyFact]]  # (pseudonym, fact); what a pure repetition brought is not among them
    duplicates: int
    signs: Signs  # of all messages taken, repetitions included
    rejections: list[tuple[int, Rejection]]  # (place in the batch, why)
    decisions: list[Decision]
    draft: Ledger
    generation: int  # of the state it was taken from
    assessed: list[tuple[tuple[bytes, ...], Contribution]]


class SiteState:
    """One site. `take` says what messages would do, `apply` does it; `load` and `settle` do it for a whole history."""

    def __init__(
        self,
        site: str,
        intake: Intake,
        entry: SiteEntry | None = None,
        on_fault: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """`on_fault` is told of an exception that made a person unassessable; its text may hold a patient's value."""
        self.site = site
        self.on_fault = on_fault
        self.intake = intake
        self._be(entry)
        self.writer = FactWriter(intake.vocabulary, self.pseudonym)
        restamps = entry is not None and entry.restamps
        self.ledger = Ledger(intake.vocabulary, restamps=restamps, settled=self._settled)
        self.signs = Signs()
        self.generation = 0
        self.gate: Gate | None = None
        self.contributions: Contributions | None = None
        self.cube: Cube | None = None
        self._contributed: dict[bytes, Contribution] = {}
        self._keyed = keyed_digest(intake.key)
        self._id_rules = entry  # in force when the message was recorded that is being admitted
        self._one_version = intake.registry is None or len(intake.registry.versions) == 1

    def _be(self, entry: SiteEntry | None) -> None:
        self.entry = entry
        self.days = _site_days(entry)

    def judge_by(self, judgement: Judgement, *, entry: SiteEntry | None = None, with_cube: bool = True) -> None:
        """Judge everything anew by these policies, and by what the registry says of the site now (`entry`, if given).

        A new policy is a replay. Only those who show rates need a cube.
        """
        if entry is not None:
            self._be(entry)
        self.gate = Gate(judgement.policies, self.days, judgement.waivers)
        self.contributions = judgement.contributions
        self.cube = Cube(judgement.contributions.rows, judgement.contributions.cells) if with_cube else None
        self._contributed.clear()
        self.ledger.touch_all()

    # What comes in

    def pseudonym(self, patient_id: str) -> bytes:
        """The keyed pseudonym of a patient of this site: HMAC-SHA-256 of site and normalised id, 16 bytes."""
        return self._keyed(f"{self.site}\0{normalise(patient_id, self._id_rules)}".encode())[:16]

    def digest(self, body: Body) -> str:
        """The keyed digest by which a person names the body that settles a conflict; of its patient fields too."""
        return self._keyed(b"\0".join((*patients_of(body), body.canonical))).hex()

    def _settled(self, contested: tuple[Body, ...]) -> Body | None:
        """What a person said last; a body that was recorded after that opens the conflict anew."""
        fact = contested[0].fact
        known_at = max(body.fact.last_recorded for body in contested)
        by_digest = {self.digest(body): body for body in contested} if self.intake.settlements else {}
        words = [
            (each.at, each.action_id, each.digest)
            for each in self.intake.settlements
            if (each.source, each.event_id) == (fact.source, fact.event_id)
            and known_at <= each.at
            and each.digest in by_digest
        ]
        return by_digest[max(words)[2]] if words else None

    def admit(self, decoded: Decoded) -> tuple[bytes, AnyFact]:
        """A validated message as pseudonym and fact."""
        message = decoded.message
        if not self._one_version and self.intake.registry is not None:
            self._id_rules = self.intake.registry.entry(self.site, instant(message.recorded_at))
        patient_id = message.__dict__.get("patient_id")  # a missing attribute of a model costs more than all the rest
        return SITE if patient_id is None else self.pseudonym(patient_id), self.writer.fact(message)

    def load(self, decoded: Decoded) -> bool:
        """Take in one message without judging anything yet; whether it is news. `settle` judges."""
        patient, fact = self.admit(decoded)
        self.signs.note(fact)
        return self.ledger.add(patient, fact)

    def take(self, messages: Sequence[bytes], as_of: int) -> Taken:
        """What a batch would do; nothing is kept until `apply`. Many messages of one patient cost one judgement."""
        draft = self.ledger.draft()
        facts: list[tuple[bytes, AnyFact]] = []
        rejections: list[tuple[int, Rejection]] = []
        duplicates, signs = 0, Signs()
        for place, raw in enumerate(messages):
            decoded = decode(raw, self.site, self.intake.registry)
            if isinstance(decoded, Rejection):
                rejections.append((place, decoded))
                continue
            patient, fact = self.admit(decoded)
            signs.note(fact)
            if draft.add(patient, fact):
                facts.append((patient, fact))
            else:
                duplicates += 1
        assessed, decisions = [], []
        for members in _people(draft, draft.touched):
            contribution, decided = self._assess(draft, members, as_of)
            assessed.append((members, contribution))
            decisions += decided
        return Taken(facts, duplicates, signs, rejections, decisions, draft, self.generation, assessed)

    def apply(self, taken: Taken) -> None:
        """Keep what a batch came to; to be called once it is safely stored.

        Raises ValueError if another batch was applied since it was taken, or this one already: it would undo the other.
        """
        if taken.generation != self.generation:
            raise ValueError("the batch was taken from an earlier state; take its messages again")
        self.generation += 1
        self.signs.add(taken.signs)
        taken.draft.settle()
        for members, contribution in taken.assessed:
            self._contribute(members, contribution)

    # What it comes to

    def settle(self, as_of: int, judged: Callable[[list[Decision]], None]) -> None:
        """Judge everyone touched since the last time; `judged` is given the decisions of one person after another."""
        for members in _people(self.ledger, self.ledger.touched):
            contribution, decisions = self._assess(self.ledger, members, as_of)
            self._contribute(members, contribution)
            if decisions:
                judged(decisions)
        self.ledger.touched.clear()

    def _assess(self, ledger: Ledger, members: tuple[bytes, ...], as_of: int) -> tuple[Contribution, list[Decision]]:
        """What one person adds, and the decisions. One on whom the core raises is held and listed, all others go on."""
        if self.gate is None or self.contributions is None:
            raise RuntimeError("judge_by must come before a judgement")
        try:
            record = record_of(ledger, members)
            decisions = self.gate.decide(record, as_of)
            return self.contributions.of(record, self.days.zone, self.observed_from), decisions
        except Exception as fault:  # noqa: BLE001  law 6: a fault never releases and never stops the others
            self.on_fault(fault)
            return UNASSESSABLE, list(_unassessable(ledger, members))

    def _contribute(self, members: tuple[bytes, ...], contribution: Contribution) -> None:
        if self.cube is None:
            return
        for member in members:
            old = self._contributed.pop(member, None)
            if old is not None:
                self.cube.replace(old, None)
        self.cube.replace(None, contribution)
        self._contributed[members[0]] = contribution

    # Observation

    @property
    def _event_feed(self) -> Feed | None:
        return self.entry.feeds.get("adverse_event") if self.entry else None

    @property
    def observed_from(self) -> int:
        """The first day whose adverse events are complete; 0 where no registry limits it."""
        feed = self._event_feed
        return feed.from_.toordinal() if feed else 0

    def observed_end(self) -> int:
        """The day after the last on which the adverse-event feed was live; without a sign of life no day counts."""
        if self.entry is None:
            return _NO_LIMIT
        feed = self._event_feed
        signs = [
            fact.complete_through
            for fact in self.ledger.facts(SITE)
            if isinstance(fact, f.FeedStatus) and fact.feed == "adverse_event"
        ]
        if self.signs.last_event_recorded is not None:
            signs.append(self.days.day(self.signs.last_event_recorded))
        return max(signs) + feed.silent_after_days + 1 if signs and feed else 0

    def last_recorded_day(self) -> int | None:
        """The local day of the latest `recorded_at` taken in."""
        return None if self.signs.last_recorded is None else self.days.day(self.signs.last_recorded)

    def classes(self) -> Counter[str]:
        """How many messages are accepted, duplicate, superseded and conflicting, by the final state."""
        counts = Counter({"accepted": 0, "duplicate": 0, "superseded": 0, "conflicting": 0})
        bodies = 0
        for known in self.ledger.identities.values():
            if isinstance(known, History):
                counts["accepted"] += known.standing.body is not None
                counts["superseded"] += known.standing.superseded
                counts["conflicting"] += known.standing.conflicting
                bodies += len(known.bodies)
            else:
                counts["accepted"] += 1
                bodies += 1
        counts["duplicate"] = self.signs.messages - bodies
        return counts

    def open_conflicts(self) -> Iterator[tuple[str | None, str, list[tuple[str, str, str | None, int]]]]:
        """(source, event_id, bodies) of each identity in conflict; a body is (digest, type, outcome, instant)."""
        for known in self.ledger.identities.values():
            if isinstance(known, History) and known.standing.contested:
                bodies = sorted((self.digest(body), *_told(body)) for body in known.standing.contested)
                fact = known.standing.contested[0].fact
                yield fact.source, fact.event_id, bodies

    def listed(self) -> Iterator[tuple[str, str, str]]:
        """(what, treatment_id, event_id) of each standing fact that has no effect."""
        for contribution in self._contributed.values():
            yield from listed_in(contribution)

    def conflicts(self) -> int:
        """Identities in conflict that nobody has settled."""
        known = self.ledger.identities.values()
        return sum(isinstance(each, History) and bool(each.standing.contested) for each in known)


_NO_LIMIT = (1 << DAY_BITS) - 1  # later than any day that can be written


def _told(body: Body) -> tuple[str, str | None, int]:
    """What tells the bodies of a conflict apart, without a word of the hospital's own: type, outcome, when recorded."""
    fields = json.loads(body.canonical)
    return fields["type"], fields.get("outcome"), body.fact.last_recorded


def _site_days(entry: SiteEntry | None) -> SiteDays:
    if entry is None:
        return SiteDays()
    screening = entry.feeds.get("screening")
    return SiteDays(entry.zone, entry.go_live.toordinal(), screening.results_after_hours if screening else None)


def _people(ledger: Ledger, touched: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Each person among the touched pseudonyms once, as all the pseudonyms of that person."""
    if not ledger.has_merges():
        yield from ((each,) for each in touched if each != SITE)
        return
    done: set[bytes] = set()
    for each in touched:
        if each != SITE and each not in done:
            members = ledger.members(each)
            done.update(members)
            yield members


def _unassessable(ledger: Ledger, members: tuple[bytes, ...]) -> Iterator[Decision]:
    """A decision for every order and start that the facts of a person name, none of which releases."""
    named: set[tuple[str, str]] = set()
    for member in members:
        for fact in ledger.facts(member):
            if isinstance(fact, f.Ordered):
                named.add((fact.treatment_id, "order"))
            elif isinstance(fact, f.Started):
                named.add((fact.treatment_id, "start"))
    for treatment_id, kind in sorted(named):
        yield Decision(treatment_id, kind, "unassessable")
