"""The gate: one decision per order and per start, from a record, the policies, the site's registry entry and a day.

An order is answered before the first dose; a start is judged on its first day, for good. What cannot be shown to be
excluded holds, and a start without it is a violation that a person must close.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from monitor.core import facts as f
from monitor.core.course import Course, Episode
from monitor.core.days import DAY_US, LAST_DAY, local_day
from monitor.core.decision import Decision
from monitor.core.evidence import NEGATIVE, Evidence, reader
from monitor.core.facts import Identity, identity_of
from monitor.core.labels import Label
from monitor.core.meaning import Meaning
from monitor.core.person import Person
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record
from monitor.core.screening import GOOD, Findings, FirstDose, ScreeningTables, Waiver, waived, without_marks

_HOUR_US = 3_600_000_000


class SiteDays(msgspec.Struct, frozen=True, gc=False):
    """What the registry says of a site's days. `zone` None: UTC; `go_live` 0: nothing is historical."""

    zone: ZoneInfo | None = None
    go_live: int = 0
    results_after_hours: int | None = None

    def day(self, instant_us: int) -> int:
        return local_day(instant_us, self.zone)

    def awaited_through(self, start: int) -> int:
        """The last day on which a start still awaits its evidence; none where nothing is registered."""
        if self.results_after_hours is None:
            return 0
        return start + -(-self.results_after_hours * _HOUR_US // DAY_US)


class CompiledPolicy:
    """One policy, compiled against the vocabulary, and the day from which it judges."""

    def __init__(self, policy: PolicyDocument, meaning: Meaning) -> None:
        self.policy = policy
        self.meaning = meaning
        self.version = policy.policy.version
        self.from_day = policy.policy.effective_from.toordinal()
        self.tables = ScreeningTables(policy)
        self.labels = {drug: Label(policy, meaning, drug) for drug in policy.drugs}
        self.lapses_after = policy.counting.order_lapses_after_days
        self.blocking_flags = frozenset(policy.flags.blocking)
        self._holds = {name for name, table in policy.screening.items() if table.if_not_good == "hold"}

    def drug(self, concept: int) -> str | None:
        return self.meaning.drug[concept].value

    def class_of(self, drug: str) -> str:
        return self.policy.drugs[drug].class_

    def blocking(self, bad: Mapping[str, str]) -> set[str]:
        """Those of the findings that are not good, by infection, that hold; of the others the policy only warns."""
        return {finding for infection, finding in bad.items() if infection in self._holds}


class Gate:
    """Judges the records of one site. Policies are in the order of their first day."""

    def __init__(self, policies: Sequence[CompiledPolicy], days: SiteDays, waivers: Iterable[Waiver] = ()) -> None:
        self.policies = tuple(policies)
        self.days = days
        self.waivers = tuple(waivers)
        self.readers = {each.from_day: reader(each.meaning, days.zone) for each in self.policies}

    def in_force(self, day: int) -> CompiledPolicy:
        """The policy of a day; before the first the first."""
        if len(self.policies) == 1:
            return self.policies[0]
        return next((each for each in reversed(self.policies) if each.from_day <= day), self.policies[0])

    def decide(self, record: Record, as_of: int) -> list[Decision]:
        """All decisions of one record, at most one an order and one a start of each course."""
        case = _Case(self, record, as_of)
        return [decision for course in record.courses.values() for decision in case.course(course)]


class _View:
    """One record as one policy sees it: read once, and judged once for each first dose.

    An order, the start that answers it and whether that started on hold all ask for the findings of one dose.
    """

    __slots__ = ("_findings", "evidence", "person", "policy")

    def __init__(self, gate: Gate, policy: CompiledPolicy, record: Record) -> None:
        zone = gate.days.zone
        self.policy = policy
        self.evidence = Evidence(record, gate.readers[policy.from_day], zone)
        self.person = Person(record, policy.meaning, zone)
        self._findings: dict[FirstDose, Findings] = {}

    def findings(self, dose: FirstDose) -> Findings:
        """Before any waiver."""
        found = self._findings.get(dose)
        if found is None:
            found = self._findings[dose] = self.policy.tables.findings(self.evidence, dose)
        return found


class _Case:
    """One record on one day, with what its decisions share."""

    def __init__(self, gate: Gate, record: Record, as_of: int) -> None:
        self.gate = gate
        self.record = record
        self.as_of = as_of
        self.days = gate.days
        self._views: dict[int, _View] = {}
        self._answers: dict[Identity, Decision] = {}
        self._starts: dict[str, f.Started] | None = None

    def view(self, policy: CompiledPolicy) -> _View:
        found = self._views.get(policy.from_day)
        if found is None:
            found = self._views[policy.from_day] = _View(self.gate, policy, self.record)
        return found

    def course(self, course: Course) -> Iterable[Decision]:
        order = course.order
        if order is not None:
            yield self.order(course, order)
        starts = [self._start(course, episode) for episode in self._judged(course)]
        judged = [start for start in starts if start is not None]
        if judged:
            yield max(judged, key=_rank) if len(judged) > 1 else judged[0]

    # Orders

    def order(self, course: Course, order: f.Ordered) -> Decision:
        """The answer to an order as of today, and the last day on which it would still be the same."""
        first = self._first_start(course)
        if first is not None:
            return self._answer_on_start(course, order, first)
        answer = self._order_on(course, order, None, self.as_of)
        if not answer.findings:  # cancelled, lapsed or held whatever the evidence: no later day changes it
            return answer
        for day in self._turning_days(course, order):
            if self._order_on(course, order, None, day).decision != answer.decision:
                return msgspec.structs.replace(answer, valid_until=day - 1)
        return answer

    def _answer_on_start(self, course: Course, order: f.Ordered, start: f.Started) -> Decision:
        """The order judged on the day of a start: once, though its own row and the start's reasons both ask."""
        key = identity_of(start)  # a start answers one order
        found = self._answers.get(key)
        if found is None:
            found = self._answers[key] = self._order_on(course, order, start, start.day)
        return found

    def _order_on(self, course: Course, order: f.Ordered, first: f.Started | None, as_of: int) -> Decision:
        """The order judged on the day of its start, else as if the dose were given on the later of plan and `as_of`."""
        ordered_on = self.days.day(order.last_recorded)
        policy = self.gate.in_force(ordered_on)
        if first is None:
            dose = FirstDose(max(order.planned or as_of, as_of), None, self.as_of)
        else:
            dose = FirstDose(first.day, first.at)
        historical = (first.day if first else order.planned or ordered_on) < self.days.go_live

        def answer(decision: str, findings: Findings, flags: tuple[str, ...], reasons: tuple[str, ...]) -> Decision:
            return Decision(
                course.treatment_id, "order", decision, findings, flags, reasons, None, historical, policy.version,
                dose.day,
            )  # fmt: skip

        whatever = self._whatever_the_evidence(policy, course, order, as_of)
        if whatever is not None:
            return answer(whatever[0], {}, (), whatever[1:])
        view = self.view(policy)
        findings = without_marks(self._findings(view, course, dose))
        flags = self._order_flags(view, course, order, dose.day)
        bad, contested = _not_good(findings), self.record.contested(order)
        held = contested or policy.blocking(bad) or not policy.blocking_flags.isdisjoint(flags)
        return answer("hold" if held else "screening_complete", findings, flags, _reasons(bad, contested))

    def _whatever_the_evidence(
        self, policy: CompiledPolicy, course: Course, order: f.Ordered, as_of: int
    ) -> tuple[str, ...] | None:
        """The decision and its reason where no result is looked at: no later day makes it another one."""
        if course.cancelled:
            return ("cancelled",)
        if course.two_patients:
            return "hold", "treatment_of_two_patients"
        mapped = policy.meaning.drug[order.drug]
        if mapped.value is None:
            return "hold", "conflicting_codings" if mapped.conflict else "unmapped_drug"
        if order.planned is not None and as_of > order.planned + policy.lapses_after:
            return ("lapsed",)
        return None

    def _order_flags(self, view: _View, course: Course, order: f.Ordered, day: int) -> tuple[str, ...]:
        drug = view.policy.drug(order.drug)
        if drug is None:
            return ()
        flags = []  # here and below in the order of their names
        if view.policy.labels[drug].is_above(view.person, order.indications, order.dose, day, day):
            flags.append("dose_above_label")
        if self._two_of_one_class(view.policy, course, drug, day, of_order=True):
            flags.append("two_of_one_class")
        return tuple(flags)

    def _turning_days(self, course: Course, order: f.Ordered) -> list[int]:
        """The days on which time alone may change the answer, in order: evidence expires, prevention ripens, a waiver
        ends, the plan lapses. Until the planned day nothing does: the dose that is asked about stays the same."""
        policy = self.gate.in_force(self.days.day(order.last_recorded))
        tables = policy.tables
        days = {waiver.ends_on + 1 for waiver in self.gate.waivers if waiver.ends_on is not None}
        for test, shelf in self.view(policy).evidence.clean.items():
            for valid_days in tables.valid_days.get(test, ()):
                days |= {each.collected + valid_days + 1 for each in shelf.readings if each.outcome == NEGATIVE}
        days |= {prevention.started + after for prevention in self.record.preventions for after in tables.ripen_after}
        if order.planned is not None:
            days.add(order.planned + policy.lapses_after + 1)
        if policy.blocking_flags:
            days |= self._flag_days(policy, course)
        settled_through = max(self.as_of, order.planned or 0)
        return sorted(day for day in days if settled_through < day <= LAST_DAY)

    def _flag_days(self, policy: CompiledPolicy, course: Course) -> set[int]:
        """The days on which a blocking flag may come or go: a course, a condition or an age does."""
        others = [other for other in self.record.courses.values() if other is not course]
        days = {
            day
            for other in others
            for episode in other.episodes
            for day in (episode.first, episode.end - 1, episode.end)
        }
        return days | self.view(policy).person.turning_days()

    # Starts

    def _judged(self, course: Course) -> Iterable[Episode]:
        """The first dose, and each resumption after a pause longer than the policy's or with another drug."""
        before: Episode | None = None
        for episode in course.episodes:
            if before is None or self._is_new(before, episode):
                yield episode
            before = episode

    def _is_new(self, before: Episode, episode: Episode) -> bool:
        policy = self.gate.in_force(episode.first)
        drug = policy.drug(episode.start.drug)
        if drug is None or policy.drug(before.start.drug) != drug:
            return True
        pause = episode.first - before.end
        return pause > policy.policy.drugs[drug].new_start_after_pause_days.days

    def _start(self, course: Course, episode: Episode) -> Decision | None:
        """None for a drug that the policy does not know."""
        start = episode.start
        policy = self.gate.in_force(start.day)
        drug = policy.drug(start.drug)
        if drug is None:
            return None
        historical = start.day < self.days.go_live
        name = (course.treatment_id, "start")
        if course.two_patients:  # whose results would judge it is the very question
            why = ("treatment_of_two_patients",)
            return Decision(*name, "violation", {}, (), why, None, historical, policy.version, start.day)
        view = self.view(policy)
        findings = self._findings(view, course, FirstDose(start.day, start.at))
        ordered = self._course_of_order(course, start)
        order = None if ordered is None else ordered.order
        flags = self._start_flags(view, drug, course, episode, order)
        held = ordered is not None and order is not None and self._held(ordered, order, start)
        bad, contested = _not_good(findings), self.record.contested(start)
        for_good = contested or not policy.blocking_flags.isdisjoint(flags)
        verdict = "violation" if for_good else self._verdict(policy.blocking(bad), start.day)
        until = self.days.awaited_through(start.day) if verdict == "awaiting_evidence" else None
        reasons = _reasons(bad, contested, held)
        return Decision(*name, verdict, findings, flags, reasons, until, historical, policy.version, start.day)

    def _held(self, ordered: Course, order: f.Ordered, start: f.Started) -> bool:
        """Whether the order, judged on the day of this start, would have been answered `hold`."""
        return self._answer_on_start(ordered, order, start).decision == "hold"

    def _verdict(self, blocking: set[str], day: int) -> str:
        """Evidence that was there may still be on its way; what is known to be positive no result can mend."""
        if not blocking:
            return "compliant"
        waits = "positive" not in blocking and self.as_of <= self.days.awaited_through(day)
        return "awaiting_evidence" if waits else "violation"

    def _start_flags(
        self, view: _View, drug: str, course: Course, episode: Episode, order: f.Ordered | None
    ) -> tuple[str, ...]:
        flags = []
        if order is not None and _differs(view.policy, order, episode):
            flags.append("differs_from_order")
        if view.policy.labels[drug].ever_above(view.person, episode, self.as_of):
            flags.append("dose_above_label")
        if self._two_of_one_class(view.policy, course, drug, episode.first):
            flags.append("two_of_one_class")
        return tuple(flags)

    # What orders and starts share

    def _findings(self, view: _View, course: Course, dose: FirstDose) -> Findings:
        bare = view.findings(dose)
        if not self.gate.waivers:
            return bare
        return waived(bare, [waiver for waiver in self.gate.waivers if self._waives(waiver, course, dose)])

    def _waives(self, waiver: Waiver, course: Course, dose: FirstDose) -> bool:
        """Signed before the first dose, for this course or for all, and not ended."""
        if waiver.treatment_id not in (None, course.treatment_id):
            return False
        if waiver.ends_on is not None and waiver.ends_on < dose.day:
            return False
        return (self.days.day(waiver.signed), waiver.signed) <= dose.moment

    def _two_of_one_class(
        self, policy: CompiledPolicy, course: Course, drug: str, day: int, *, of_order: bool = False
    ) -> bool:
        """Another drug of the class runs on that day and beyond it: a switch on the last day is none."""
        class_ = policy.class_of(drug)
        if len(self.record.courses) == 1 or class_ not in policy.policy.flags.two_of_one_class:
            return False
        for other in self.record.courses.values():
            for episode in other.episodes if other is not course else ():
                if not episode.first <= day < episode.end - 1:
                    continue
                if of_order and episode.start.order_id == course.treatment_id:  # it is what was ordered
                    continue
                taken = policy.drug(episode.start.drug)
                if taken is not None and taken != drug and policy.class_of(taken) == class_:
                    return True
        return False

    def _first_start(self, course: Course) -> f.Started | None:
        """The first start that answers to the order of a course, under its own id or naming it."""
        if self._starts is None:
            self._starts = {}
            for other in self.record.courses.values():
                for episode in other.episodes:
                    ordered = episode.start.order_id or other.treatment_id
                    known = self._starts.get(ordered)
                    if known is None or _of_starts(episode.start) < _of_starts(known):
                        self._starts[ordered] = episode.start
        return self._starts.get(course.treatment_id)

    def _course_of_order(self, course: Course, start: f.Started) -> Course | None:
        return self.record.courses.get(start.order_id or course.treatment_id)


def _rank(decision: Decision) -> tuple[int, int]:
    return decision.rank


def _of_starts(start: f.Started) -> tuple[int, str]:
    return start.day, start.event_id


def _differs(policy: CompiledPolicy, order: f.Ordered, episode: Episode) -> bool:
    """Drug, daily dose or diseases are not those ordered; a change of the first day is part of the start."""
    meaning, first, drug = policy.meaning, episode.states[0], episode.start.drug
    if (order.drug, order.dose, order.indications) == (drug, first.dose, first.indications):
        return False  # word for word
    daily_mg = meaning.vocabulary.daily_mg
    return (
        policy.drug(order.drug) != policy.drug(drug)
        or daily_mg[order.dose] != daily_mg[first.dose]
        or meaning.diseases(order.indications) != meaning.diseases(first.indications)
    )


def _not_good(findings: Findings) -> dict[str, str]:
    """What was found of each infection that is not excluded, treated or waived."""
    return {infection: each.finding for infection, each in findings.items() if each.finding not in GOOD}


def _reasons(bad: Mapping[str, str], contested: bool, held: bool = False) -> tuple[str, ...]:
    """One for each infection that is not good; whether the message is in conflict, or the start was not to be."""
    reasons = [f"{infection}:{finding}" for infection, finding in bad.items()]
    if contested:
        reasons.append("conflicting")
    if held:
        reasons.append("started_on_hold")
    return tuple(sorted(reasons)) if reasons else ()
