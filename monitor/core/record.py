"""A record: all standing facts of one person, merges resolved, sorted into what the gate and the rates ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    record = Record(courses_of(facts, claimed_elsewhere), histories)
    for fact in facts:
        match fact:
            case f.Screened():
                record.results.append(fact)
            case f.AdverseEvent():
                record.events.append(fact)
            case f.Prevented():
                record.preventions.append(fact)
            case f.Profile():
                record.profiles.append(fact)
            case f.Contact():
                record.contacts.append(fact)
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
    days = [0]
    for course in record.courses.values():
        for group in (course.starts, course.changes, course.stops, course.cancellations):
            for fact in group:
                days.append(fact.day)
    for result in record.results:
        days.append(result.collected)
    for event in record.events:
        if event.onset is not None:
            days.append(partial_days(event.onset)[0])
        if event.ended is not None:
            days.append(partial_days(event.ended)[0])
    for contact in record.contacts:
        days.append(contact.seen + max(contact.days_supplied or 0, 1) - 1)
    return max(days)
