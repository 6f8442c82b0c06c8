"""A person's record: all standing facts of patients that are one person, their courses, episodes, conditions."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from . import policy as rules
from . import registry as sites
from .calendar_days import first_day, last_day, local_day
from .versions import Fact, Verdict

Patient = tuple[str, str]
TREATMENT = (
    "treatment_ordered",
    "treatment_cancelled",
    "treatment_started",
    "treatment_changed",
    "treatment_stopped",
)
CONTACT_DAYS = "started_on changed_on last_dose_on cancelled_on collected_on onset_on ended_on seen_on".split()
CONTACT_TYPES = (*TREATMENT, "screening_result", "adverse_event", "patient_contact")


@dataclass(frozen=True, eq=False)
class Episode:
    """From a first dose to the reported last one, if any. `void`: its only stop lies before its start."""

    start: Fact
    last_dose_on: int | None
    changes: tuple[Fact, ...]
    void: bool
    of_two_patients: bool
    remembered: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def started_on(self) -> int:
        return first_day(self.start["started_on"])

    @property
    def treatment_id(self) -> str:
        return str(self.start["treatment_id"])

    @property
    def is_open(self) -> bool:
        return self.last_dose_on is None and not self.void

    def drug(self, policy: rules.Document) -> str | None:
        key = ("drug", id(policy))
        if key not in self.remembered:
            self.remembered[key] = rules.drug_of(policy, self.start["drug"])
        found: str | None = self.remembered[key]
        return found

    def indicated(self, policy: rules.Document, on: int) -> frozenset[str]:
        """The diseases of the indications in the state of a day."""
        indications = self.state(on)[1]
        key = ("indicated", id(policy), id(indications))
        if key not in self.remembered:
            self.remembered[key] = rules.diseases_of_all(policy, indications)
        found: frozenset[str] = self.remembered[key]
        return found

    def says_exposed(self, on: int) -> bool:
        """By first and last dose alone: death and silence are the record's to judge."""
        return not self.void and self.started_on <= on and (self.last_dose_on is None or on <= self.last_dose_on)

    def state(self, on: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Dose and indications on a day; after the last dose those of the last dose."""
        dose, indications = self.start["dose"], self.start["indications"]
        for change in self.changes:
            if first_day(change["changed_on"]) <= on:
                dose = change.get("dose") or dose
                indications = change.get("indications") or indications
        return dose, indications


@dataclass(frozen=True, eq=False)
class Person:
    site: str
    zone: ZoneInfo
    patients: frozenset[Patient]
    facts: tuple[Fact, ...]
    clashing: tuple[Fact, ...]
    of_two_patients: frozenset[str]
    remembered: dict[Any, Any] = field(default_factory=dict)

    def of_type(self, *types: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.type in types]

    @cached_property
    def died_on(self) -> int | None:
        days = [first_day(fact["died_on"]) for fact in self.of_type("patient_profile") if fact.get("died_on")]
        return min(days, default=None)

    @cached_property
    def birth_year(self) -> int | None:
        spoken = self.latest_profile_with("birth_year")
        return spoken["birth_year"] if spoken else None

    def latest_profile_with(self, name: str) -> Fact | None:
        told = [fact for fact in self.of_type("patient_profile") if fact.get(name) is not None]
        return max(told, key=lambda fact: fact.order, default=None)

    @cached_property
    def last_contact(self) -> int | None:
        return max((found for fact in self.of_type(*CONTACT_TYPES) for found in contact_days(fact)), default=None)

    def last_day(self, policy: rules.Document) -> float:
        """The last day on which this person may be exposed or at risk, whatever `as_of` is."""
        silent_from = (self.last_contact or 0) + policy["counting"]["lost_after_silent_days"]
        return float(silent_from if self.died_on is None else min(silent_from, self.died_on))

    @cached_property
    def episodes(self) -> list[Episode]:
        facts = self.of_type(*TREATMENT)
        return [
            episode
            for treatment_id in sorted(treatment_ids(self, "treatment_started"))
            for episode in episodes_from(
                [fact for fact in facts if fact["treatment_id"] == treatment_id], treatment_id in self.of_two_patients
            )
        ]

    def episodes_of(self, treatment_id: str) -> list[Episode]:
        return [episode for episode in self.episodes if episode.treatment_id == treatment_id]

    def is_exposed(self, policy: rules.Document, episode: Episode, on: int) -> bool:
        return episode.says_exposed(on) and on <= self.last_day(policy)

    def age(self, year: int) -> int | None:
        return None if self.birth_year is None else year - self.birth_year


def treatment_ids(person: Person, kind: str) -> set[str]:
    return {fact["treatment_id"] for fact in person.of_type(kind)}


def contact_days(fact: Fact) -> list[int]:
    days = [first_day(fact[name]) for name in CONTACT_DAYS if fact.get(name) is not None]
    if fact.type == "patient_contact" and fact.get("days_supplied"):
        days.append(first_day(fact["seen_on"]) + fact["days_supplied"] - 1)
    return days


def episodes_from(facts: list[Fact], of_two_patients: bool) -> list[Episode]:
    """Walk the starts of one course in time; a start with no stop between it and the one before is not an episode."""
    starts = sorted(
        (fact for fact in facts if fact.type == "treatment_started"),
        key=lambda fact: (first_day(fact["started_on"]), fact.order),
    )
    stop_days = [first_day(fact["last_dose_on"]) for fact in facts if fact.type == "treatment_stopped"]
    changes = [fact for fact in facts if fact.type == "treatment_changed"]
    episodes: list[Episode] = []
    for start in starts:
        on = first_day(start["started_on"])
        if episodes and not any(episodes[-1].started_on <= stop < on for stop in stop_days):
            continue
        last_dose_on = min((stop for stop in stop_days if stop >= on), default=None)
        void = not episodes and last_dose_on is None and bool(stop_days)
        taken = changes_within(changes, on, last_dose_on)
        episodes.append(Episode(start, last_dose_on, taken, void, of_two_patients))
    return episodes


def changes_within(changes: list[Fact], first: int, last: int | None) -> tuple[Fact, ...]:
    """The changes of an episode in time; of two on one day only the later recorded."""
    by_day: dict[int, Fact] = {}
    for change in sorted(changes, key=lambda fact: fact.order):
        on = first_day(change["changed_on"])
        if first <= on and (last is None or on <= last):
            by_day[on] = change
    return tuple(by_day[on] for on in sorted(by_day))


def build_persons(verdicts: list[Verdict], registry: sites.Registry) -> list[Person]:
    """The record of every person: the union over all patients that standing merges connect."""
    facts = [verdict.fact for verdict in verdicts if verdict.fact]
    clashing = [body for verdict in verdicts for body in verdict.clashing]
    told = [fact for fact in facts + clashing if fact.type != "feed_status"]
    one_of = {fact.patient: frozenset([fact.patient]) for fact in told}
    for merge in (fact for fact in facts if fact.type == "patient_merged"):
        other = (merge.message.site, merge["merged_patient_id"])
        joined = one_of.get(merge.patient, frozenset([merge.patient])) | one_of.get(other, frozenset([other]))
        one_of |= dict.fromkeys(joined, joined)
    shared = treatments_of_two(facts, one_of)
    return [
        build_person(patients, facts, clashing, shared, registry) for patients in sorted(set(one_of.values()), key=min)
    ]


def build_person(
    patients: frozenset[Patient],
    facts: list[Fact],
    clashing: list[Fact],
    shared: set[tuple[str, str]],
    registry: sites.Registry,
) -> Person:
    site = min(patients)[0]
    return Person(
        site,
        sites.zone(registry, site),
        patients,
        tuple(fact for fact in facts if fact.type != "feed_status" and fact.patient in patients),
        tuple(body for body in clashing if body.type != "feed_status" and body.patient in patients),
        frozenset(treatment_id for at, treatment_id in shared if at == site),
    )


def treatments_of_two(facts: list[Fact], one_of: dict[Patient, frozenset[Patient]]) -> set[tuple[str, str]]:
    """The courses (site, treatment_id) of which two persons have standing facts."""
    owners: dict[tuple[str, str], set[frozenset[Patient]]] = {}
    for fact in facts:
        if fact.type in TREATMENT:
            owners.setdefault((fact.message.site, fact["treatment_id"]), set()).add(one_of[fact.patient])
    return {course for course, persons in owners.items() if len(persons) > 1}


# Diseases


def diseases_on(person: Person, policy: rules.Document, episode: Episode | None, on: int) -> frozenset[str]:
    """Indications of the course in its state of the day, and conditions that hold on the day."""
    named = episode.indicated(policy, on) if episode else frozenset()
    return named | {disease for disease, first, last in condition_days(person, policy) if first <= on <= last}


def diseases_ever(person: Person, policy: rules.Document, episode: Episode, on: int) -> frozenset[str]:
    """As `diseases_on`, but a condition that has ended still is history."""
    begun = {disease for disease, first, _ in condition_days(person, policy) if first <= on}
    return diseases_on(person, policy, episode, on) | begun


def condition_days(person: Person, policy: rules.Document) -> list[tuple[str, int, float]]:
    """(disease, first day, last day) of each condition of the latest profile that lists conditions."""
    key = ("conditions", id(policy))
    if key not in person.remembered:
        profile = person.latest_profile_with("conditions")
        person.remembered[key] = [
            (disease, begin_of(person, policy, condition, disease), end_of(condition))
            for condition in (profile["conditions"] if profile else [])
            for disease in sorted(rules.diseases_of(policy, condition["concept"]))
        ]
    found: list[tuple[str, int, float]] = person.remembered[key]
    return found


def end_of(condition: dict[str, Any]) -> float:
    return last_day(condition["until"]) if "until" in condition else rules.FOR_EVER


def begin_of(person: Person, policy: rules.Document, condition: dict[str, Any], disease: str) -> int:
    """Since when it holds; undated, from its first recording, or the first day of the course in which that fell."""
    if "since" in condition:
        return first_day(condition["since"])
    recorded_on = first_recorded_on(person, policy, disease)
    if not rules.holds_from_course_start(policy, disease):
        return recorded_on
    within = [episode for episode in person.episodes if person.is_exposed(policy, episode, recorded_on)]
    firsts = [person.episodes_of(episode.treatment_id)[0].started_on for episode in within]
    return min([recorded_on, *firsts])


def first_recorded_on(person: Person, policy: rules.Document, disease: str) -> int:
    return min(
        local_day(profile.first_recorded_at, person.zone)
        for profile in person.of_type("patient_profile")
        for condition in profile.get("conditions") or []
        if disease in rules.diseases_of(policy, condition["concept"])
    )
