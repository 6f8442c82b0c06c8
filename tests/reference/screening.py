"""The finding of one infection for one first dose: readings of results, the policy's rows, prevention, waivers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import policy as rules
from .calendar_days import first_day, instant, local_day
from .readings import Dose, Result, is_in_time, reading, results
from .records import Person
from .versions import Fact


@dataclass(frozen=True)
class Sight:
    """What one test says: a reading, `expired`, `conflicting`, or None without a result; and the result that speaks."""

    state: str | None
    speaking: Result | None


@dataclass(frozen=True)
class Finding:
    name: str
    evidence: tuple[str, ...] = ()
    ask_for: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return self.name in ("excluded", "treated", "waived")

    def as_output(self) -> dict[str, Any]:
        return {
            "finding": self.name,
            "evidence": sorted(set(self.evidence)),
            "ask_for": sorted(set(self.ask_for)),
            "marks": sorted(set(self.marks)),
        }


@dataclass(frozen=True)
class Question:
    """One infection of one person for one dose, and all that is needed to answer."""

    person: Person
    policy: rules.Document
    infection: str
    dose: Dose
    waivers: tuple[dict[str, Any], ...] = field(default=())

    @property
    def table(self) -> dict[str, Any]:
        found: dict[str, Any] = self.policy["screening"][self.infection]
        return found


# What each test says


def look(question: Question, counts: Callable[[Result], bool]) -> dict[str, Sight]:
    clean, clashing = results(question.person, question.policy)
    sights = {
        test: sight_of(
            question.policy,
            [one for one in clean if one.test == test and counts(one)],
            [one for one in clashing if one.test == test and counts(one)],
        )
        for test in tests_that_matter(question)
    }
    return {test: aged(question, test, sight, sights) for test, sight in sights.items()}


def tests_that_matter(question: Question) -> list[str]:
    """Those that rows or requirements name, and the antibodies to whose results others answer."""
    named = {test for row in question.table["rows"] for test in row["if"]}
    named |= {test for required in question.table["required"] for test in members(required)}
    known = question.policy["tests"]
    named |= {known[test]["not_older_than"] for test in named if "not_older_than" in known.get(test, {})}
    return sorted(named)


def sight_of(policy: rules.Document, clean: list[Result], clashing: list[Result]) -> Sight:
    latest = max(clean, key=lambda one: one.preference, default=None)
    positive = max((one for one in clean if one.reading == "positive"), key=lambda one: one.preference, default=None)
    if clashing and latest and latest.collected_on > max(one.collected_on for one in clashing):
        clashing = []
    if positive and (clashing or policy.get("several_results", "latest_unless_positive") != "latest"):
        return Sight("positive", positive)
    if clashing:
        return Sight("conflicting", None)
    return Sight(latest.reading, latest) if latest else Sight(None, None)


def aged(question: Question, test: str, sight: Sight, sights: dict[str, Sight]) -> Sight:
    """A negative expires; one (or an indeterminate) from before the antibody result it answers is of no use either."""
    if sight.speaking is None or sight.state == "positive":
        return sight
    collected_on = sight.speaking.collected_on
    valid_days = question.table.get("valid_days", {}).get(test)
    too_old = sight.state == "negative" and valid_days is not None and question.dose.on - collected_on > valid_days
    antibody = sights.get(question.policy["tests"][test].get("not_older_than", ""))
    before = antibody is not None and antibody.speaking is not None and collected_on < antibody.speaking.collected_on
    return Sight("expired", sight.speaking) if too_old or before else sight


# The table


def first_row(question: Question, sights: dict[str, Sight]) -> dict[str, Any] | None:
    for row in question.table["rows"]:
        if all(test in sights and sights[test].state in rules.as_list(state) for test, state in row["if"].items()):
            return dict(row)
    return None


def find(question: Question) -> Finding:
    """The finding with its evidence."""
    found = find_without_waiver(question)
    waiver = valid_waiver(question)
    if waiver is None or found.name in ("excluded", "treated"):
        return found
    return Finding("waived", (*found.evidence, waiver["action_id"]), found.ask_for, found.marks)


def find_without_waiver(question: Question) -> Finding:
    at_dose = look(question, lambda one: is_in_time(one, question.dose))
    row = first_row(question, at_dose)
    prevention = prevention_run(question, row) if row and row["finding"] == "positive" else None
    if row and prevention:
        found = of_row(question, row, at_dose, "treated")
        return Finding("treated", (*found.evidence, prevention.event_id), found.ask_for, found.marks)
    if row and row["finding"] in ("excluded", "positive", "treated"):
        return of_row(question, row, at_dose, row["finding"])
    now = look(question, lambda one: one.resulted_on <= question.dose.known_until)
    row_now = first_row(question, now)
    if row_now and row_now["finding"] in ("excluded", "positive"):
        return of_row(question, row_now, now, "late" if row_now["finding"] == "excluded" else "positive")
    if row:
        return of_row(question, row, at_dose, row["finding"])
    return last_resort(question, at_dose)


def of_row(question: Question, row: dict[str, Any], sights: dict[str, Sight], name: str) -> Finding:
    speaking = [sights[test].speaking for test in row["if"]]
    return with_evidence(question, name, speaking, rules.as_list(row.get("ask_for")))


def with_evidence(question: Question, name: str, speaking: list[Result | None], ask_for: list[str]) -> Finding:
    spoken = [one for one in speaking if one]
    marks = [mark for one in spoken for mark in marks_of(question, one)]
    return Finding(name, tuple(one.fact.event_id for one in spoken), tuple(ask_for), tuple(marks))


def marks_of(question: Question, result: Result) -> list[str]:
    """Of starts: evidence in time that came on the very day, or was written down only after it."""
    if not question.dose.is_start or not is_in_time(result, question.dose):
        return []
    on = question.dose.on
    written = [
        local_day(said.recorded_at, question.person.zone)
        for said in result.fact.history
        if said.type == "screening_result"
        and not said.is_retraction
        and reading(question.policy, said) == result.reading
    ]
    return ["same_day"] * (result.resulted_on == on) + ["documented_late"] * (min(written) > on)


def last_resort(question: Question, sights: dict[str, Sight]) -> Finding:
    """No row fits: the first of four that is true of a required test; `missing` if none is: it is never excluded."""
    required = [members(one) for one in question.table["required"]]
    speaking = [sights[test].speaking for group in required for test in group]
    for name in ("conflicting", "indeterminate", "missing", "expired"):
        true_of = [test for group in required for test in tests_of_which(name, group, sights)]
        if true_of:
            return with_evidence(question, name, speaking, true_of)
    return with_evidence(question, "missing", speaking, [])


def members(required: Any) -> list[str]:
    return list(required["one_of"]) if isinstance(required, dict) else [required]


def tests_of_which(name: str, group: list[str], sights: dict[str, Sight]) -> list[str]:
    if name == "missing":
        return group if all(sights[test].state is None for test in group) else []
    return [test for test in group if sights[test].state == name]


# Prevention and waivers


def prevention_run(question: Question, row: dict[str, Any]) -> Fact | None:
    """Prevention that had run the row's days by the first dose, not ended early; of several the earliest started."""
    if row.get("treated_after_days") is None:
        return None
    run = [
        fact
        for fact in question.person.of_type("prevention")
        if fact["infection"] == question.infection
        and not fact.in_conflict
        and has_run(fact, row["treated_after_days"], question.dose.on)
    ]
    return min(run, key=lambda fact: (first_day(fact["started_on"]), fact.event_id, fact.message.source), default=None)


def has_run(fact: Fact, days: int, on: int) -> bool:
    ripe_on = first_day(fact["started_on"]) + days
    ended_early = fact.get("ended_on") is not None and first_day(fact["ended_on"]) < ripe_on - 1
    return on >= ripe_on and not ended_early


def valid_waiver(question: Question) -> dict[str, Any] | None:
    valid = [waiver for waiver in question.waivers if waives(waiver, question)]
    return min(valid, key=lambda waiver: (instant(waiver["at"]), waiver["action_id"]), default=None)


def waives(waiver: dict[str, Any], question: Question) -> bool:
    """Names this course or an end, was signed before the first dose and has not ended."""
    dose = question.dose
    course, ends_on = waiver.get("treatment_id"), waiver.get("ends_on")
    if waiver["site"] != question.person.site or waiver["infection"] != question.infection:
        return False
    if (course is None and ends_on is None) or (course is not None and course != dose.treatment_id):
        return False
    if ends_on is not None and dose.on > first_day(str(ends_on)):
        return False
    return signed_in_time(waiver, question)


def signed_in_time(waiver: dict[str, Any], question: Question) -> bool:
    signed_on = local_day(instant(waiver["at"]), question.person.zone)
    if signed_on > min(question.dose.on, question.dose.known_until):
        return False
    came_after = question.dose.at is not None and instant(waiver["at"]) > instant(question.dose.at)
    return signed_on < question.dose.on or not came_after
