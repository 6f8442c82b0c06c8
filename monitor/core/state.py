"""SiteState: all that one site's facts say, and the one way in. Stream, single machine, views and replay run it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache

from monitor.core import facts as f
from monitor.core.batch import News, Signs, Taken
from monitor.core.contribution import UNASSESSABLE, Contribution, Contributions, listed_in
from monitor.core.cube import Cube
from monitor.core.days import instant
from monitor.core.decision import RELEASING, Decision, one_row_a_course, unassessable
from monitor.core.decode import AnyMessage, Decoded, Rejection, decode, normalise
from monitor.core.facts import AnyFact, FactWriter
from monitor.core.gate import Gate, SiteDays
from monitor.core.given import Intake, Judgement, Settlement
from monitor.core.keyed import keyed_digest
from monitor.core.ledger import SITE, History, Ledger
from monitor.core.record import record_of
from monitor.core.registry import Feed, SiteEntry
from monitor.core.rows import DAY_BITS
from monitor.core.screening import Waiver
from monitor.core.versions import Body, described, patients_of

_EVERYBODY = 1 << 62
_NO_LIMIT = (1 << DAY_BITS) - 1  # later than any day that can be written
IsNews = Callable[[Decision], bool]


def _always(_: Decision) -> bool:
    return True


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
        self._rewriter = FactWriter(intake.vocabulary, bytes.fromhex)
        restamps = entry is not None and entry.restamps
        self.ledger = Ledger(intake.vocabulary, restamps=restamps, settled=self._settled)
        self.signs = Signs()
        self.generation = 0
        self.gate: Gate | None = None
        self._judgement: Judgement | None = None
        self.contributions: Contributions | None = None
        self._cube: Cube | None = None
        self._uncounted: set[bytes] = set()  # touched since they were counted last
        self.faulty: set[bytes] = set()  # on whom the core failed
        self.unjudged: set[bytes] = set()  # on whom the gate failed when they were judged last
        self.unheld: set[bytes] = set()  # of them, those whose answers were given before: to be judged again
        self._contributed: dict[bytes, Contribution] = {}
        self._with_list: dict[bytes, Contribution] = {}  # of them those that list facts without effect
        self._keyed = keyed_digest(intake.key)
        self._id_rules = entry  # in force when the message was recorded that is being admitted
        self._one_version = intake.registry is None or len(intake.registry.versions) == 1

    def _be(self, entry: SiteEntry | None) -> None:
        self.entry = entry
        self.days = _site_days(entry)

    def judge_by(self, judgement: Judgement, *, entry: SiteEntry | None = None, has_counts: bool = True) -> None:
        """Judge everything anew by these policies, and by what the registry says of the site now (`entry`, if given).

        A new policy is a replay. Without counts there is no cube: for an owner that answers and shows no rates.
        """
        if entry is not None:
            self._be(entry)
        self._judgement = judgement
        self.gate = Gate(judgement.policies, self.days, judgement.waivers)
        self.contributions = judgement.contributions
        self._cube = Cube(judgement.contributions.rows, judgement.contributions.cells) if has_counts else None
        self._contributed.clear()
        self._with_list.clear()
        self._uncounted.clear()
        self.faulty.clear()
        self.unjudged.clear()
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

    def admit(self, decoded: Decoded, pseudonym: Callable[[str], bytes] | None = None) -> tuple[bytes, AnyFact]:
        """A validated message as pseudonym and fact."""
        message = decoded.message
        if not self._one_version and self.intake.registry is not None:
            self._id_rules = self.intake.registry.entry(self.site, instant(message.recorded_at))
        patient_id = message.__dict__.get("patient_id")  # a missing attribute of a model costs more than all the rest
        return SITE if patient_id is None else (pseudonym or self.pseudonym)(patient_id), self.writer.fact(message)

    def load(self, decoded: Decoded) -> bool:
        """Take in one message without judging anything yet; whether it is news. `settle` judges."""
        patient, fact = self.admit(decoded)
        self.signs.note(fact)
        return self.ledger.add(patient, fact)

    def unmapped(self, fact: AnyFact) -> tuple[str, ...]:
        """The kinds of concept in a fact of which the policy in force knows no code: they count as nothing."""
        _, contributions = self._judges()
        try:
            kinds = {kind for kind, concept in f.coded_in(fact) if contributions.lookups[kind][concept].unmapped}
        except Exception as fault:  # noqa: BLE001  whom it is of is held all the same; the batch goes on
            self.on_fault(fault)
            return ()
        return tuple(sorted(kinds)) if kinds else ()

    def restore(self, message: AnyMessage) -> None:
        """Take in a message that was kept earlier, its identifiers replaced by pseudonyms; `settle` judges."""
        patient_id = message.__dict__.get("patient_id")
        self.ledger.add(SITE if patient_id is None else bytes.fromhex(patient_id), self._rewriter.fact(message))

    def take(self, messages: Sequence[bytes], as_of: int, is_news: IsNews = _always) -> Taken:
        """What a batch would do; nothing is kept until `apply`. Many messages of one patient cost one judgement.

        A decision that releases and that `is_news` to the site stands only if the patient can be counted as well.
        """
        draft = self.ledger.draft()
        facts: list[News] = []
        repeated: list[News] = []
        rejections: list[tuple[int, Rejection]] = []
        signs = Signs()
        pseudonym = cache(self.pseudonym) if self._one_version else None  # for this batch: no identifier outlives it
        for place, raw in enumerate(messages):
            decoded = decode(raw, self.site, self.intake.registry)
            if isinstance(decoded, Rejection):
                rejections.append((place, decoded))
                continue
            patient, fact = self.admit(decoded, pseudonym)
            signs.note(fact)
            (facts if draft.add(patient, fact) else repeated).append(News(place, patient, fact))
        return self._drafted(Taken(facts, repeated, signs, rejections, draft), as_of, is_news)

    def _drafted(self, taken: Taken, as_of: int, is_news: IsNews = _always) -> Taken:
        """Judge everyone a draft touches, and all who claim a course of theirs: its row is the worst of all."""
        draft = taken.draft
        decisions: list[Decision] = []
        done: set[bytes] = set()
        failed: set[bytes] = set()
        waiting = draft.touched
        while waiting:
            claimants: set[bytes] = set()
            for members in draft.people(waiting):
                decided = self._decide(draft, members, as_of, failed, is_news)
                decisions += decided
                done.update(members)
                for each in decided:
                    known = draft.claims.get(each.treatment_id)
                    if isinstance(known, tuple):
                        claimants.update(known)
            waiting = claimants - done
        rows = one_row_a_course(decisions)
        return replace(
            taken, decisions=rows, revised=draft.revised, touched=done, failed=failed, generation=self.generation
        )

    def settle_conflict(self, settlement: Settlement, as_of: int) -> Taken | None:
        """What a person's word on a conflict comes to; None where there is no such conflict.

        The word itself counts from now on; if what it changes is not kept (`apply`), load the site anew.
        """
        self.intake = replace(self.intake, settlements=(*self.intake.settlements, settlement))
        draft = self.ledger.draft()
        source, event_id = settlement.source, settlement.event_id
        if not draft.resettle(event_id if source is None else (source, event_id)):
            return None
        return self._drafted(Taken([], [], Signs(), [], draft), as_of)

    def decide(self, patients: Iterable[bytes], as_of: int, is_news: IsNews = _always) -> list[Decision]:
        """The decisions that stand of all courses of these pseudonyms, and of whoever shares one; nothing is kept."""
        found: list[Decision] = []
        for members in self.ledger.people(patients):
            failed: set[bytes] = set()
            found += self._decide(self.ledger, members, as_of, failed, is_news)
            self._note_failed(set(members), failed)
        return found

    def _note_failed(self, judged: set[bytes], failed: set[bytes]) -> None:
        """Whom the gate fails on is counted nowhere until it succeeds."""
        changed = (self.unjudged & judged) ^ failed
        if changed:
            self.unjudged = (self.unjudged - judged) | failed
            self._uncounted.update(changed)

    def waive(self, waivers: tuple[Waiver, ...]) -> None:
        """Judge from now on with these waivers, signed by people."""
        if self._judgement is None:
            raise RuntimeError("judge_by must come before a judgement")
        self._judgement = replace(self._judgement, waivers=waivers)
        self.gate = Gate(self._judgement.policies, self.days, waivers)

    def apply(self, taken: Taken) -> None:
        """Keep what a batch came to; to be called once it is safely stored.

        Raises ValueError if another batch was applied since it was taken, or this one already: it would undo the other.
        """
        if taken.generation != self.generation:
            raise ValueError("the batch was taken from an earlier state; take its messages again")
        self.generation += 1
        self.signs.add(taken.signs)
        taken.draft.settle()
        self._note_failed(taken.touched, taken.failed)
        self._uncounted.update(taken.touched)

    # What it comes to

    def settle(self, as_of: int, judged: Callable[[list[Decision]], None]) -> None:
        """Judge everyone touched since the last time; `judged` is given the decisions of one person after another."""
        for members in self.ledger.people(self.ledger.touched):
            contribution, decisions = self._assess(members, as_of)
            self._contribute(members, contribution)
            if decisions:
                judged(decisions)
        self.ledger.touched.clear()

    def defer(self) -> None:
        """Judge nobody yet: `decide` is asked for answers course by course, and `count` looks at everybody later."""
        self._uncounted.update(self.ledger.touched - {SITE})
        self.ledger.touched.clear()

    def _assess(self, members: tuple[bytes, ...], as_of: int) -> tuple[Contribution, list[Decision]]:
        """What one person adds, and the decisions: both, or neither."""
        gate, contributions = self._judges()
        try:
            record = record_of(self.ledger, members)
            decisions = gate.decide(record, as_of)
            return contributions.of(record, self.days.zone, self.observed_from), decisions
        except Exception as fault:  # noqa: BLE001  a fault never releases and never stops the others
            self.on_fault(fault)
            self.faulty.update(members)
            return UNASSESSABLE, list(unassessable(self.ledger.facts(each) for each in members))

    def _decide(
        self, ledger: Ledger, members: tuple[bytes, ...], as_of: int, failed: set[bytes], is_news: IsNews
    ) -> list[Decision]:
        """The decisions of one person. What newly releases waits until the whole core has succeeded on the person."""
        gate, contributions = self._judges()
        try:
            record = record_of(ledger, members)
            decisions = gate.decide(record, as_of)
            if any(each.decision in RELEASING and is_news(each) for each in decisions) or (
                self.faulty and not self.faulty.isdisjoint(members)
            ):
                contributions.of(record, self.days.zone, self.observed_from)
            return decisions
        except Exception as fault:  # noqa: BLE001  as above
            self.on_fault(fault)
            failed.update(members)
            return list(unassessable(ledger.facts(each) for each in members))

    def _judges(self) -> tuple[Gate, Contributions]:
        if self.gate is None or self.contributions is None:
            raise RuntimeError("judge_by must come before a judgement")
        return self.gate, self.contributions

    def count(self, at_most: int = _EVERYBODY) -> int:
        """Bring the counts up to date for some of those whom batches touched; returns how many are left.

        Answers do not wait for the counts: who loads much and looks seldom counts each person once a look.
        """
        while self._uncounted and at_most > 0:
            _, contributions = self._judges()
            members = self.ledger.members(next(iter(self._uncounted)))
            self._uncounted.difference_update(members)
            at_most -= 1
            try:
                record = record_of(self.ledger, members)
                contribution = contributions.of(record, self.days.zone, self.observed_from)
                self.faulty.difference_update(members)
            except Exception as fault:  # noqa: BLE001  the answers of this one are mended, all others go on
                self.on_fault(fault)
                contribution = UNASSESSABLE
                self.faulty.update(members)
                self.unheld.update(members)
            self._contribute(members, UNASSESSABLE if not self.unjudged.isdisjoint(members) else contribution)
        return len(self._uncounted)

    @property
    def uncounted(self) -> int:
        """How many are to be counted before the counts are up to date."""
        return len(self._uncounted)

    @property
    def cube(self) -> Cube | None:
        """The counts of everybody, brought up to date; None where nobody wants them."""
        if self._uncounted:
            self.count()
        return self._cube

    def _contribute(self, members: tuple[bytes, ...], contribution: Contribution) -> None:
        if self._cube is None:
            return
        for member in members:
            self._with_list.pop(member, None)
            old = self._contributed.pop(member, None)
            if old is not None:
                self._cube.replace(old, None)
        self._cube.replace(None, contribution)
        self._contributed[members[0]] = contribution
        if contribution.listed:
            self._with_list[members[0]] = contribution

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
        if "adverse_event" in self.signs.heard:
            signs.append(self.days.day(self.signs.heard["adverse_event"]))
        return max(signs) + feed.silent_after_days + 1 if signs and feed else 0

    def last_recorded_day(self) -> int | None:
        """The local day of the latest `recorded_at` taken in."""
        return None if self.signs.last_recorded is None else self.days.day(self.signs.last_recorded)

    def classes(self) -> Counter[str]:
        """How many messages are accepted, duplicate, superseded and conflicting, by the final state."""
        classes = self.ledger.classes
        counts = Counter({name: classes[name] for name in ("accepted", "superseded", "conflicting")})
        counts["duplicate"] = self.signs.messages - sum(counts.values())
        return counts

    def open_conflicts(self) -> Iterator[tuple[str | None, str, list[tuple[str, str, str | None, int]]]]:
        """(source, event_id, bodies) of each identity in conflict; a body is (digest, type, outcome, instant)."""
        for identity in {each for contested in self.ledger.contests.values() for each in contested}:
            known = self.ledger.identities[identity]
            if isinstance(known, History) and known.standing.contested:
                bodies = sorted((self.digest(body), *described(body)) for body in known.standing.contested)
                fact = known.standing.contested[0].fact
                yield fact.source, fact.event_id, bodies

    def listed(self) -> Iterator[tuple[str, str, str]]:
        """(what, treatment_id, event_id) of each standing fact that has no effect."""
        self.count()
        for contribution in self._with_list.values():
            yield from listed_in(contribution)

    def conflicts(self) -> int:
        """Identities in conflict that nobody has settled."""
        return self.ledger.classes["open conflicts"]


def _site_days(entry: SiteEntry | None) -> SiteDays:
    if entry is None:
        return SiteDays()
    screening = entry.feeds.get("screening")
    return SiteDays(entry.zone, entry.go_live.toordinal(), screening.results_after_hours if screening else None)
