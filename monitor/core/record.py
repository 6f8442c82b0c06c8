"""A record: all standing facts of one person, merges resolved, sorted into what the gate and the rates ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.core import facts as f
from monitor.core.course import Course, Elsewhere, courses_of, later_recorded
from monitor.core.days import partial_days
from monitor.core.facts import Identity
from monitor.core.ledger import History, Ledger


@dataclass(slots=True)
class Record:
    """One person at one site. Days are ordinals; `last_contact` is 0 where there was none."""

    courses: dict[str, Course]
    histories: Mapping[Identity, History]
    results: list[f.Screened] = field(default_factory=list)
    contested_results: list[f.Screened] = field(default_factory=list)  # all bodies of open conflicts
    preventions: list[f.Prevented] = field(default_factory=list)
    events: list[f.AdverseEvent] = field(default_factory=list)
    profiles: list[f.Profile] = field(default_factory=list)
    contacts: list[f.Contact] = field(default_factory=list)
    birth_year: int | None = None
    conditions: tuple[f.ConditionSpan, ...] = ()
    died: int | None = None
    last_contact: int = 0

    def contested(self, fact: f.AnyFact) -> bool:
        """Whether two bodies claim to be this fact, and nobody has settled which is right."""
        if not self.histories:
            return False
        history = self.histories.get(f.identity_of(fact))
        return history is not None and bool(history.standing.contested)


def record_of(ledger: Ledger, members: tuple[bytes, ...]) -> Record:
    """The record of the person whose pseudonyms these are."""
    facts = [fact for member in members for fact in ledger.facts(member)]
    versioned = any((sheet := ledger.sheets.get(member)) is not None and sheet.versioned for member in members)
    histories = dict(ledger.histories(facts)) if versioned else {}
    contests = [history for _, history in ledger.contested(members)] if ledger.has_contests() else []
    claimed = ledger.elsewhere(members, {fact.treatment_id for fact in facts if isinstance(fact, f.Treatment)})
    record = sorted_record(facts, histories, claimed)
    record.contested_results = [
        body.fact
        for history in contests
        for body in history.standing.contested
        if isinstance(body.fact, f.Screened) and body.patient in members
    ]
    return record


def sorted_record(
    facts: Sequence[f.AnyFact], histories: Mapping[Identity, History], claimed_elsewhere: Mapping[str, Elsewhere]
) -> Record:
    """The record that standing facts make: a pure function of their set."""
    treatments: list[Any] = []
    record = Record({}, histories)
    lists: dict[type, list[Any]] = {
        f.Screened: record.results,
        f.AdverseEvent: record.events,
        f.Prevented: record.preventions,
        f.Profile: record.profiles,
        f.Contact: record.contacts,
        f.Merged: [],  # the ledger has followed it
    }
    for fact in facts:
        lists.get(type(fact), treatments).append(fact)
    record.courses = courses_of(treatments, claimed_elsewhere)
    _describe(record)
    record.last_contact = _last_contact(record)
    return record


def _describe(record: Record) -> None:
    """Of several profiles the latest recorded speaks, field by field; of several deaths the earliest."""
    if not record.profiles:
        return
    record.profiles.sort(key=later_recorded)
    for profile in record.profiles:
        if profile.birth_year is not None:
            record.birth_year = profile.birth_year
        if profile.conditions is not None:
            record.conditions = profile.conditions
    record.died = min((p.died for p in record.profiles if p.died is not None), default=None)


def _last_contact(record: Record) -> int:
    """The latest day on which a standing fact shows the patient seen; plans, profiles and times of recording do not."""
    days = [0, *[result.collected for result in record.results]]
    for course in record.courses.values():
        for group in (course.starts, course.changes, course.stops, course.cancellations):
            days += [fact.day for fact in group]
    for event in record.events:
        days += [partial_days(date)[0] for date in (event.onset, event.ended) if date is not None]
    for contact in record.contacts:
        days.append(contact.seen + max(contact.days_supplied or 0, 1) - 1)
    return max(days)
