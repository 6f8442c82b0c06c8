"""The gate: one row for the order and one for the start of every course."""

from typing import Any

from . import flags as beside
from . import policy as rules
from . import registry as sites
from .answers import (
    Answer,
    World,
    all_findings,
    held_for_two,
    historical_order,
    holds,
    is_historical,
    order_of,
    reasons_of,
)
from .calendar_days import iso
from .orders import answer_order, first_start_of, is_cancelled
from .readings import Dose
from .records import Episode, Person, treatment_ids

WORST_FIRST = ("violation", "awaiting_evidence", "compliant")
CURED_BY_WAITING = ("missing", "expired", "late", "indeterminate", "conflicting")


def decisions(persons: list[Person], world: World) -> list[dict[str, Any]]:
    rows = [row for person in persons for row in rows_of(person, world)]
    rows += shared_rows(persons, world)
    return sorted(rows, key=lambda row: (row["site"], row["treatment_id"], row["kind"]))


def rows_of(person: Person, world: World) -> list[dict[str, Any]]:
    """Rows of the courses that are this person's alone."""
    rows = []
    for treatment_id in treatment_ids(person, "treatment_ordered") - person.of_two_patients:
        order = beside.latest_order(person, treatment_id)
        assert order is not None
        first = first_start_of(person, order)
        answer = answer_order(person, order, first, world)
        rows.append(as_row(person, treatment_id, "order", answer, historical_order(person, order, first, world)))
    for treatment_id in treatment_ids(person, "treatment_started") - person.of_two_patients:
        judged = [(answer_start(person, one, world), one) for one in judged_starts(person, treatment_id, world)]
        if judged:
            answer, start = worst(judged)
            rows.append(as_row(person, treatment_id, "start", answer, is_historical(person, start.started_on, world)))
    return rows


def worst(judged: list[tuple[Answer, Episode]]) -> tuple[Answer, Episode]:
    return min(judged, key=lambda pair: (WORST_FIRST.index(pair[0].decision), -pair[1].started_on))


def as_row(person: Person, treatment_id: str, kind: str, answer: Answer, historical: bool) -> dict[str, Any]:
    return {
        "site": person.site,
        "treatment_id": treatment_id,
        "kind": kind,
        "decision": answer.decision,
        "findings": {infection: finding.as_output() for infection, finding in sorted(answer.findings.items())},
        "flags": sorted(answer.flags),
        "reasons": sorted(answer.reasons),
        "valid_until": None if answer.valid_until is None else iso(answer.valid_until),
        "historical": historical,
    }


def shared_rows(persons: list[Person], world: World) -> list[dict[str, Any]]:
    """A course of two persons: its order is held, its start a violation, whatever the evidence."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for person in sorted(persons, key=lambda one: min(one.patients)):
        for treatment_id in treatment_ids(person, "treatment_ordered") & person.of_two_patients:
            order = beside.latest_order(person, treatment_id)
            assert order is not None
            cancelled = any(is_cancelled(one, treatment_id) for one in persons if one.site == person.site)
            answer = Answer("cancelled", {}) if cancelled else held_for_two("hold")
            historical = historical_order(person, order, first_start_of(person, order), world)
            add_shared(rows, as_row(person, treatment_id, "order", answer, historical))
        for treatment_id in treatment_ids(person, "treatment_started") & person.of_two_patients:
            for start in judged_starts(person, treatment_id, world):
                historical = is_historical(person, start.started_on, world)
                add_shared(rows, as_row(person, treatment_id, "start", held_for_two("violation"), historical))
    return list(rows.values())


def add_shared(rows: dict[tuple[str, str, str], dict[str, Any]], row: dict[str, Any]) -> None:
    """One row a course and kind; it is historical only if it is so for each of the persons."""
    key = (row["site"], row["treatment_id"], row["kind"])
    known = rows.setdefault(key, row)
    known["historical"] = known["historical"] and row["historical"]


# Starts


def judged_starts(person: Person, treatment_id: str, world: World) -> list[Episode]:
    """The starts of a course that are judged: the first, and each resumption that is a new start; known drugs only."""
    episodes = person.episodes_of(treatment_id)
    return [
        episode
        for before, episode in zip([None, *episodes], episodes, strict=False)
        if drug_at_start(episode, world) is not None and is_new_start(before, episode, world)
    ]


def drug_at_start(episode: Episode, world: World) -> str | None:
    return episode.drug(rules.in_force(world.policies, episode.started_on))


def is_new_start(before: Episode | None, episode: Episode, world: World) -> bool:
    policy = rules.in_force(world.policies, episode.started_on)
    drug = drug_at_start(episode, world)
    if before is None or before.last_dose_on is None or before.drug(policy) != drug:
        return True
    longest = rules.days_in(policy["drugs"][drug].get("new_start_after_pause_days"))
    pause = episode.started_on - before.last_dose_on - 1
    return longest is None or pause > longest


def dose_of_start(episode: Episode) -> Dose:
    return Dose(episode.started_on, episode.start.get("started_at"), True, treatment_id=episode.treatment_id)


def answer_start(person: Person, episode: Episode, world: World) -> Answer:
    policy = rules.in_force(world.policies, episode.started_on)
    findings = all_findings(person, policy, dose_of_start(episode), world)
    flags = start_flags(person, policy, episode, world)
    reasons = reasons_of(findings, episode.start)
    holding = [name for name, found in findings.items() if holds(policy, name, found)]
    hopeless = (
        episode.start.in_conflict
        or beside.blocking(policy, flags)
        or any(findings[name].name not in CURED_BY_WAITING for name in holding)
    )
    delay = sites.days_of_delay(world.registry, person.site)
    if was_held(person, episode, world):
        reasons.append("started_on_hold")
    if hopeless or (holding and (delay is None or world.as_of > episode.started_on + delay)):
        return Answer("violation", findings, flags, tuple(reasons))
    if holding:
        assert delay is not None
        return Answer("awaiting_evidence", findings, flags, tuple(reasons), episode.started_on + delay)
    return Answer("compliant", findings, flags, tuple(reasons))


def start_flags(person: Person, policy: rules.Document, episode: Episode, world: World) -> tuple[str, ...]:
    drug = episode.drug(policy)
    assert drug is not None
    order = order_of(person, episode)
    own = {episode.treatment_id}
    found = {
        "dose_above_label": beside.episode_above_label(person, policy, drug, episode, world.as_of),
        "two_of_one_class": beside.two_of_one_class(person, policy, drug, episode.started_on, own),
        "differs_from_order": order is not None and beside.differs(policy, order, episode),
    }
    return tuple(name for name, is_true in found.items() if is_true)


def was_held(person: Person, episode: Episode, world: World) -> bool:
    order = order_of(person, episode)
    return order is not None and answer_order(person, order, episode, world).decision == "hold"
