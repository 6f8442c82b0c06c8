"""A record: all standing facts of one person, merges resolved, sorted into what the gate and the rates ask of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from monitor.core import facts as f
from monitor.core.course import Course, courses_of, later_recorded
from monitor.core.days import partial_days
from monitor.core.facts import Identity
from monitor.core.ledger import History, Ledger

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from monitor.core.meaning import Meaning
    from monitor.core.person import Span


Known = Mapping[Identity, bytes | History]
"""Of the identities that have several bodies all of them; to be asked with `get` alone."""


@dataclass(slots=True)
class Record:
    """One person at one site. Days are ordinals; `last_contact` is 0 where there was none."""

    courses: dict[str, Course] = field(default_factory=dict)
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
    in_conflict: AbstractSet[Identity] = frozenset()
    known: Known | None = None  # None: each identity has one body
    spans: dict[tuple[Meaning, ZoneInfo | None], list[Span]] = field(default_factory=dict)  # see `Person`

    def contested(self, fact: f.AnyFact) -> bool:
        """Whether two bodies claim to be this fact, and nobody has settled which is right."""
        return bool(self.in_conflict) and f.identity_of(fact) in self.in_conflict

    def history(self, fact: f.AnyFact) -> History | None:
        """All bodies of the identity of a fact, if it has several."""
        known = None if self.known is None else self.known.get(f.identity_of(fact))
        return known if isinstance(known, History) else None


def record_of(ledger: Ledger, members: tuple[bytes, ...]) -> Record:
    """The record of the person whose pseudonyms these are; it may be asked until the ledger changes."""
    facts = [fact for member in members for fact in ledger.facts(member)]
    record = sorted_record(facts)
    for treatment_id, kinds in ledger.elsewhere(members, record.courses).items():
        course = record.courses[treatment_id]
        course.two_patients, course.elsewhere = True, kinds
    for member in members:
        sheet = ledger.sheets.get(member)
        if sheet is not None and sheet.versioned:  # few facts are asked for their history, so none is looked up before
            record.known = ledger.identities
    if ledger.has_contests():
        _contest(record, dict(ledger.contested(members)), members)
    return record


def _contest(record: Record, contests: dict[Identity, History], members: tuple[bytes, ...]) -> None:
    record.in_conflict = contests.keys()
    record.contested_results = [
        body.fact
        for history in contests.values()
        for body in history.standing.contested
        if isinstance(body.fact, f.Screened) and body.patient in members
    ]


def sorted_record(facts: Sequence[f.AnyFact]) -> Record:
    """The record that standing facts make: a pure function of their set."""
    treatments: list[Any] = []
    record = Record()
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
    record.courses = courses_of(treatments)
    if record.profiles:
        _describe(record)
    record.last_contact = _last_contact(record)
    return record


def _describe(record: Record) -> None:
    """Of several profiles the latest recorded speaks, field by field; of several deaths the earliest."""
    record.profiles.sort(key=later_recorded)
    for profile in record.profiles:
        if profile.birth_year is not None:
            record.birth_year = profile.birth_year
        if profile.conditions is not None:
            record.conditions = profile.conditions
    record.died = min((p.died for p in record.profiles if p.died is not None), default=None)


def _last_contact(record: Record) -> int:
    """The latest day on which a standing fact shows the patient seen; plans, profiles and times of recording do not."""
    last = max([result.collected for result in record.results], default=0)
    for course in record.courses.values():
        for group in (course.starts, course.changes, course.stops, course.cancellations):
            for fact in group:
                last = max(last, fact.day)
    dates = [date for event in record.events for date in (event.onset, event.ended) if date is not None]
    if dates:  # they sort as their first days do
        last = max(last, partial_days(max(dates))[0])
    for contact in record.contacts:
        last = max(last, contact.seen + max(contact.days_supplied or 0, 1) - 1)
    return last
