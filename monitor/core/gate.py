"""The gate: one decision per order and per start, from a record, the policies, the site's registry entry and a day.

An order is answered before the first dose; a start is judged on its first day, for good. What cannot be shown to be
excluded holds, and a start without it is a violation that a person must close.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from zoneinfo import ZoneInfo

import msgspec

from monitor.core import facts as f
from monitor.core.course import Course, Episode
from monitor.core.days import DAY_US, LAST_DAY, local_day
from monitor.core.decision import Decision
from monitor.core.labels import Limit, dose_above_label, limits_of
from monitor.core.meaning import Meaning
from monitor.core.person import Person
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record
from monitor.core.screening import GOOD, Evidence, Finding, FirstDose, ScreeningTables, Waiver, reader

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
        self.from_day = policy.policy.effective_from.toordinal()
        self.tables = ScreeningTables(policy)
        self.limits = {drug: limits_of(policy, meaning, drug) for drug in policy.drugs}

    def drug(self, concept: int) -> str | None:
        return self.meaning.drug[concept].value

    def class_of(self, drug: str) -> str:
        return self.policy.drugs[drug].class_


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


class _Case:
    """One record on one day, with what its decisions share."""

    def __init__(self, gate: Gate, record: Record, as_of: int) -> None:
        self.gate = gate
        self.record = record
        self.as_of = as_of
        self.days = gate.days
        self._evidence: dict[int, Evidence] = {}
        self._people: dict[int, Person] = {}

    def evidence(self, policy: CompiledPolicy) -> Evidence:
        key = policy.from_day
        if key not in self._evidence:
            self._evidence[key] = Evidence(self.record, self.gate.readers[key], self.days.zone)
        return self._evidence[key]

    def person(self, policy: CompiledPolicy) -> Person:
        key = policy.from_day
        if key not in self._people:
            self._people[key] = Person(self.record, policy.meaning, self.days.zone)
        return self._people[key]

    def course(self, course: Course) -> Iterable[Decision]:
        if course.order is not None:
            yield self.order(course, course.order)
        starts = [decision for episode in self._judged(course) for decision in self._start(course, episode)]
        if starts:
            yield max(starts, key=lambda decision: decision.rank)

    # Orders

    def order(self, course: Course, order: f.Ordered) -> Decision:
        """The answer to an order as of today, and the last day on which it would still be the same."""
        first = self._first_start(course)
        answer = self._order_on(course, order, first, self.as_of)
        if first is not None or answer.decision == "cancelled":
            return answer
        later = sorted(day for day in self._turning_days(course, order) if self.as_of < day <= LAST_DAY)
        for day in later:
            if self._order_on(course, order, None, day).decision != answer.decision:
                return msgspec.structs.replace(answer, valid_until=day - 1)
        return answer

    def _order_on(self, course: Course, order: f.Ordered, first: f.Started | None, as_of: int) -> Decision:
        """The order judged on the day of its start, else as if the dose were given on the later of plan and `as_of`."""
        ordered_on = self.days.day(order.last_recorded)
        policy = self.gate.in_force(ordered_on)
        if first is None:
            dose = FirstDose(max(order.planned or as_of, as_of), None, self.as_of)
        else:
            dose = FirstDose(first.day, first.at)
        historic = first.day if first else order.planned or ordered_on
        historical = historic < self.days.go_live

        def answer(decision: str, reasons: Iterable[str] = ()) -> Decision:
            return Decision(
                course.treatment_id, "order", decision, reasons=tuple(sorted(reasons)), historical=historical,
                policy_version=policy.policy.policy.version, day=dose.day,
            )  # fmt: skip

        if course.cancelled:
            return answer("cancelled")
        if course.two_patients:
            return answer("hold", ["treatment_of_two_patients"])
        mapped = policy.meaning.drug[order.drug]
        if mapped.value is None:
            return answer("hold", ["conflicting_codings" if mapped.conflict else "unmapped_drug"])
        lapses_after = policy.policy.counting.order_lapses_after_days
        asked_on = as_of if first is None else first.day
        if order.planned is not None and asked_on > order.planned + lapses_after:
            return answer("lapsed")
        findings = self._findings(policy, course, dose, marks=False)
        flags = self._order_flags(policy, mapped.value, course, order, dose.day)
        reasons = _reasons(findings) | ({"conflicting"} if self.record.contested(order) else set())
        held = "conflicting" in reasons or bool(
            _blocking(policy.policy, findings) | _blocking_flags(policy.policy, flags)
        )
        return msgspec.structs.replace(
            answer("hold" if held else "screening_complete", reasons), findings=findings, flags=flags
        )

    def _order_flags(
        self, policy: CompiledPolicy, drug: str, course: Course, order: f.Ordered, day: int
    ) -> tuple[str, ...]:
        flags = set()
        if self._flags_dose(policy, drug) and dose_above_label(
            policy, drug, self.person(policy), order.indications, self._daily(policy, order.dose), day, day
        ):
            flags.add("dose_above_label")
        if self._two_of_one_class(policy, course, drug, day, of_order=True):
            flags.add("two_of_one_class")
        return tuple(sorted(flags))

    def _turning_days(self, course: Course, order: f.Ordered) -> set[int]:
        """The days on which time alone may change the answer: evidence expires, prevention ripens, the plan lapses."""
        policy = self.gate.in_force(self.days.day(order.last_recorded))
        days = {waiver.ends_on + 1 for waiver in self.gate.waivers if waiver.ends_on is not None}
        tables = policy.policy.screening.values()
        for readings in self.evidence(policy).clean.values():
            for reading in readings:
                days |= {reading.collected + table.valid_days.get(reading.test, 0) + 1 for table in tables}
        ripening = {row.treated_after_days for table in tables for row in table.rows if row.treated_after_days}
        days |= {prevention.started + after for prevention in self.record.preventions for after in ripening}
        if order.planned is not None:
            days.add(order.planned + policy.policy.counting.order_lapses_after_days + 1)
        if policy.policy.flags.blocking:
            days |= self._flag_days(policy, course)
        return days

    def _flag_days(self, policy: CompiledPolicy, course: Course) -> set[int]:
        """The days on which a blocking flag may come or go: a course, a condition or an age does."""
        others = [other for other in self.record.courses.values() if other is not course]
        days = {
            day
            for other in others
            for episode in other.episodes
            for day in (episode.first, episode.end - 1, episode.end)
        }
        return days | self.person(policy).turning_days()

    # Starts

    def _judged(self, course: Course) -> Iterable[Episode]:
        """The first dose, and each resumption after a pause longer than the policy's or with another drug."""
        before: Episode | None = None
        for episode in course.episodes:
            policy = self.gate.in_force(episode.first)
            drug = policy.drug(episode.start.drug)
            if before is None or self._is_new(policy, drug, before, episode):
                yield episode
            before = episode

    def _is_new(self, policy: CompiledPolicy, drug: str | None, before: Episode, episode: Episode) -> bool:
        if drug is None or policy.drug(before.start.drug) != drug:
            return True
        pause = episode.first - before.end
        return pause > policy.policy.drugs[drug].new_start_after_pause_days.days

    def _start(self, course: Course, episode: Episode) -> Iterable[Decision]:
        start = episode.start
        policy = self.gate.in_force(start.day)
        drug = policy.drug(start.drug)
        if drug is None:
            return
        historical = start.day < self.days.go_live
        version = policy.policy.policy.version
        if course.two_patients:  # whose results would judge it is the very question
            why = ("treatment_of_two_patients",)
            yield Decision(course.treatment_id, "start", "violation", {}, (), why, None, historical, version, start.day)
            return
        findings = self._findings(policy, course, FirstDose(start.day, start.at), marks=True)
        ordered = self._course_of_order(course, start)
        flags = self._start_flags(policy, drug, course, episode, ordered)
        reasons = _reasons(findings)
        if ordered is not None and self._would_be_held(ordered, start):
            reasons.add("started_on_hold")
        contested = self.record.contested(start)
        if contested:
            reasons.add("conflicting")
        for_good = contested or bool(_blocking_flags(policy.policy, flags))
        verdict = "violation" if for_good else self._verdict(_blocking(policy.policy, findings), start.day)
        until = self.days.awaited_through(start.day) if verdict == "awaiting_evidence" else None
        yield Decision(
            course.treatment_id, "start", verdict, findings, flags, tuple(sorted(reasons)), until, historical, version,
            start.day,
        )  # fmt: skip

    def _would_be_held(self, ordered: Course, start: f.Started) -> bool:
        """Whether the order, judged on the day of this start, would have been answered `hold`."""
        order = ordered.order
        return order is not None and self._order_on(ordered, order, start, start.day).decision == "hold"

    def _verdict(self, blocking: set[str], day: int) -> str:
        """Evidence that was there may still be on its way; what is known to be positive no result can mend."""
        if not blocking:
            return "compliant"
        waits = "positive" not in blocking and self.as_of <= self.days.awaited_through(day)
        return "awaiting_evidence" if waits else "violation"

    def _start_flags(
        self, policy: CompiledPolicy, drug: str, course: Course, episode: Episode, ordered: Course | None
    ) -> tuple[str, ...]:
        flags = set()
        if self._flags_dose(policy, drug) and self._ever_above_label(policy, drug, episode):
            flags.add("dose_above_label")
        if self._two_of_one_class(policy, course, drug, episode.first):
            flags.add("two_of_one_class")
        if ordered is not None and ordered.order is not None and self._differs(policy, ordered.order, episode):
            flags.add("differs_from_order")
        return tuple(sorted(flags))

    def _ever_above_label(self, policy: CompiledPolicy, drug: str, episode: Episode) -> bool:
        """On any exposed day of the episode up to today; the answer changes only where a state or the person does."""
        person = self.person(policy)
        last = min(self.as_of, episode.end - 1, person.last_day(policy.policy))
        limits = policy.limits[drug]
        if not any(limit.judged for limit in limits) or self._always_allowed(policy, limits, episode):
            return False
        turning = {*(episode.first + limit.induction_days for limit in limits), *person.turning_days()}
        for state in episode.states:
            daily = self._daily(policy, state.dose)
            days = {state.first, *(day for day in turning if state.first < day < state.end)}
            for day in days:
                if day <= last and dose_above_label(policy, drug, person, state.indications, daily, day, episode.first):
                    return True
        return False

    def _always_allowed(self, policy: CompiledPolicy, limits: tuple[Limit, ...], episode: Episode) -> bool:
        """Whether an indication of each state allows its dose at any age and time: then no day need be looked at."""
        for state in episode.states:
            diseases, daily = policy.meaning.diseases(state.indications), self._daily(policy, state.dose)
            if not any(limit.judged and limit.diseases & diseases and daily <= limit.lowest for limit in limits):
                return False
        return True

    def _differs(self, policy: CompiledPolicy, order: f.Ordered, episode: Episode) -> bool:
        """Drug, daily dose or diseases are not those ordered; a change of the first day is part of the start."""
        meaning, first = policy.meaning, next(iter(episode.states))
        return (
            policy.drug(order.drug) != policy.drug(episode.start.drug)
            or self._daily(policy, order.dose) != self._daily(policy, first.dose)
            or meaning.diseases(order.indications) != meaning.diseases(first.indications)
        )

    # What orders and starts share

    def _findings(self, policy: CompiledPolicy, course: Course, dose: FirstDose, *, marks: bool) -> dict[str, Finding]:
        waivers = [waiver for waiver in self.gate.waivers if self._waives(waiver, course, dose)]
        return policy.tables.findings(self.evidence(policy), dose, waivers, marks=marks)

    def _waives(self, waiver: Waiver, course: Course, dose: FirstDose) -> bool:
        """Signed before the first dose, for this course or for all, and not ended."""
        if waiver.treatment_id not in (None, course.treatment_id):
            return False
        if waiver.ends_on is not None and waiver.ends_on < dose.day:
            return False
        signed_on = self.days.day(waiver.signed)
        if dose.known_through is not None and signed_on > dose.known_through:
            return False
        if signed_on != dose.day:
            return signed_on < dose.day
        return dose.at is None or waiver.signed <= dose.at

    def _flags_dose(self, policy: CompiledPolicy, drug: str) -> bool:
        judged = policy.policy.flags.dose_above_label
        return judged == "all" or drug in judged

    def _daily(self, policy: CompiledPolicy, dose: int) -> Fraction:
        return policy.meaning.vocabulary.daily_mg[dose]

    def _two_of_one_class(
        self, policy: CompiledPolicy, course: Course, drug: str, day: int, *, of_order: bool = False
    ) -> bool:
        """Another drug of the class runs on that day and beyond it: a switch on the last day is none."""
        class_ = policy.class_of(drug)
        if class_ not in policy.policy.flags.two_of_one_class:
            return False
        for other in self.record.courses.values():
            for episode in other.episodes if other is not course else ():
                if of_order and episode.start.order_id == course.treatment_id:  # it is what was ordered
                    continue
                taken = policy.drug(episode.start.drug)
                if taken in (None, drug) or policy.class_of(taken or "") != class_:
                    continue
                if episode.first <= day < episode.end - 1:
                    return True
        return False

    def _first_start(self, course: Course) -> f.Started | None:
        """The first start that answers to the order of a course, under its own id or naming it."""
        starts = [
            episode.start
            for other in self.record.courses.values()
            for episode in other.episodes
            if (episode.start.order_id or other.treatment_id) == course.treatment_id
        ]
        return min(starts, key=lambda start: (start.day, start.event_id), default=None)

    def _course_of_order(self, course: Course, start: f.Started) -> Course | None:
        return self.record.courses.get(start.order_id or course.treatment_id)


def _reasons(findings: dict[str, Finding]) -> set[str]:
    """A reason for each infection that is not excluded, treated or waived."""
    return {f"{infection}:{found.finding}" for infection, found in findings.items() if not found.good}


def _blocking(policy: PolicyDocument, findings: dict[str, Finding]) -> set[str]:
    """The findings that hold; of the others the policy only warns."""
    tables = policy.screening.items()
    return {findings[infection].finding for infection, table in tables if table.if_not_good == "hold"} - GOOD


def _blocking_flags(policy: PolicyDocument, flags: tuple[str, ...]) -> set[str]:
    return {flag for flag in flags if flag in policy.flags.blocking}
