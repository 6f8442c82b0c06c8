"""The screening table: from the results on file to one finding per infection.

Everything here is judged for one first dose: which results were there in time, which of them speaks, whether it still
counts, which row of the policy's table it hits. Fails closed: what fits no row is never `excluded`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from monitor.core import facts as f
from monitor.core.days import FOR_EVER
from monitor.core.evidence import CONFLICTING, INDETERMINATE, NEGATIVE, POSITIVE, Evidence, Moment, Reading, Shelf
from monitor.core.policy import PolicyDocument, Row, Screening
from monitor.core.record import Record

GOOD = frozenset({"excluded", "treated", "waived"})
_LAST_INSTANT = 1 << 63  # later than any that can be written
_EVER: Moment = (FOR_EVER, _LAST_INSTANT)


class FirstDose(msgspec.Struct, frozen=True, gc=False):
    """The moment that is judged: its day, the instant if known, and what the evidence must have come before."""

    day: int
    at: int | None = None
    known_through: int | None = None  # of an order that has not started: results after this day do not count yet

    @property
    def moment(self) -> Moment:
        """The last that is in time: on an earlier day, or the same day unless the instant shows that it came after."""
        if self.known_through is not None and self.known_through < self.day:
            return self.known_through, _LAST_INSTANT
        return self.day, _LAST_INSTANT if self.at is None else self.at


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What the gate found of one infection. Lists are sorted."""

    finding: str
    evidence: tuple[str, ...] = ()
    ask_for: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    row: int | None = None  # place, from 0, of the row of the table that was hit


Findings = dict[str, Finding]
"""By infection, sorted by its name. Decisions share them: nobody may change one."""


class Spoken(msgspec.Struct, frozen=True, gc=False):
    """What one test says at a first dose; `reading` is the result that speaks, also where it no longer counts."""

    state: str | None
    reading: Reading | None
    expired: bool = False


class Waiver(msgspec.Struct, frozen=True, gc=False):
    """A person's signature that an infection need not be excluded: for a course, or until a day."""

    action_id: str
    infection: str
    treatment_id: str | None
    ends_on: int | None
    signed: int  # the instant


_NOTHING = Spoken(None, None)
_CONFLICTING = Spoken(CONFLICTING, None)
_NO_RESULTS = Shelf([])


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What a table wants of one test: how long a negative is valid, and the antibody it must not be older than."""

    test: str
    valid_days: int | None
    antibody: str | None


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A row of a table, with its place and those of the tests it names."""

    place: int
    finding: str
    named: tuple[int, ...]
    ask_for: tuple[str, ...]
    treated_after_days: int | None


class Table:
    """The table of one infection, ready to be asked for every first dose."""

    def __init__(self, policy: PolicyDocument, infection: str, screening: Screening) -> None:
        self.infection = infection
        self.tests = screening.tests
        self.asked = [
            Asked(test, screening.valid_days.get(test), policy.tests[test].not_older_than) for test in self.tests
        ]
        self.groups = screening.required_groups
        required = {test for group in self.groups for test in group}
        self.nothing_on_file = Finding("missing", (), tuple(sorted(required)))
        self._rows = screening.rows
        self._first_row = screening.first_row
        self._hits: dict[tuple[str | None, ...], Hit | None] = {}

    def hit(self, said: list[Spoken]) -> Hit | None:
        """The first row that fits what the tests say; a test a row does not name may be anything."""
        states = tuple([each.state for each in said])
        if states not in self._hits:
            row = self._first_row(dict(zip(self.tests, states, strict=True)))
            self._hits[states] = None if row is None else self._compiled(row)
        return self._hits[states]

    def _compiled(self, row: Row) -> Hit:
        named = tuple(at for at, test in enumerate(self.tests) if test in row.if_)
        return Hit(self._rows.index(row), row.finding, named, tuple(sorted(set(row.ask_for))), row.treated_after_days)


class ScreeningTables:
    """The four tables of one policy."""

    def __init__(self, policy: PolicyDocument) -> None:
        self.stands = policy.several_results == "latest_unless_positive"
        self.tables = [Table(policy, str(name), policy.screening[name]) for name in sorted(policy.screening)]
        self.valid_days = {test: self._valid_days(test) for test in policy.tests}
        rows = [row for table in policy.screening.values() for row in table.rows]
        self.ripen_after = {row.treated_after_days for row in rows if row.treated_after_days is not None}

    def _valid_days(self, test: str) -> set[int]:
        asked = (each for table in self.tables for each in table.asked if each.test == test)
        return {each.valid_days for each in asked if each.valid_days is not None}

    def findings(self, evidence: Evidence, dose: FirstDose) -> Findings:
        """The finding per infection, sorted by its name, as a start bears it and before any waiver."""
        look = _Look(self.stands, evidence, dose)
        return {table.infection: look.judge(table) for table in self.tables}


class _Look:
    """One person's evidence looked at for one first dose: what was there in time, and what is known by now."""

    __slots__ = ("_now", "all_in_time", "dose", "evidence", "moment", "stands", "then")

    def __init__(self, stands: bool, evidence: Evidence, dose: FirstDose) -> None:
        self.stands = stands
        self.evidence = evidence
        self.dose = dose
        self.moment = dose.moment
        self.all_in_time = True
        self.then = self._said(self.moment)
        self._now: dict[str, Spoken] | None = None

    @property
    def now(self) -> dict[str, Spoken]:
        if self._now is None:
            self._now = self._said(_EVER)
        return self._now

    def judge(self, table: Table) -> Finding:
        """By the table in time; where that excludes nothing, by what is known now: late, or positive after all."""
        if self.evidence.on_file.isdisjoint(table.tests):
            return table.nothing_on_file
        then = self._valid(table, self.then)
        hit = table.hit(then)
        if hit is not None and hit.finding == "excluded":
            return self._found(hit, then)
        if hit is not None and hit.finding == "positive":
            return self._treated(table.infection, hit, then)
        return self._learnt_later(table) or (self._last_resort(table, then) if hit is None else self._found(hit, then))

    def _learnt_later(self, table: Table) -> Finding | None:
        if self.all_in_time or self.dose.known_through is not None:
            return None
        now = self._valid(table, self.now)
        hit = table.hit(now)
        if hit is None or hit.finding not in ("excluded", "positive"):
            return None
        found = self._found(hit, now)
        return found if hit.finding == "positive" else _instead(found, "late")

    def _said(self, moment: Moment) -> dict[str, Spoken]:
        """By test the latest collected, of one day the worst; a positive stands, unless the policy says `latest`."""
        evidence = self.evidence
        if evidence.contested:
            return {test: self._speaks_among_contested(test, moment) for test in evidence.on_file}
        said = {}
        for test, shelf in evidence.clean.items():
            count = self._until(shelf, moment)
            if count:
                speaking = shelf.speaking(count, self.stands)
                said[test] = Spoken(speaking.outcome, speaking)
        return said

    def _until(self, shelf: Shelf, moment: Moment) -> int:
        count = shelf.until(moment)
        if count < len(shelf.readings):
            self.all_in_time = False
        return count

    def _speaks_among_contested(self, test: str, moment: Moment) -> Spoken:
        """A result in conflict silences what is not positive, and collected no later."""
        clean = self.evidence.clean.get(test, _NO_RESULTS)
        contested = self.evidence.contested.get(test, _NO_RESULTS)
        count, rivals = self._until(clean, moment), self._until(contested, moment)
        if not count:
            return _CONFLICTING if rivals else _NOTHING
        speaking = clean.speaking(count, self.stands or rivals > 0)
        if rivals and speaking.outcome != POSITIVE and speaking.collected <= contested.latest(rivals).collected:
            return _CONFLICTING
        return Spoken(speaking.outcome, speaking)

    def _valid(self, table: Table, said: dict[str, Spoken]) -> list[Spoken]:
        """What each test of a table says; validity is tested before the rows."""
        valid = []
        for asked in table.asked:
            each = said.get(asked.test, _NOTHING)
            if each.reading is not None and each.state != POSITIVE and self._is_expired(asked, each.reading, said):
                each = Spoken(None, each.reading, expired=True)
            valid.append(each)
        return valid

    def _is_expired(self, asked: Asked, reading: Reading, said: dict[str, Spoken]) -> bool:
        """A negative ages; a negative or indeterminate says nothing that was collected before its antibody result."""
        valid_days = asked.valid_days
        if reading.outcome == NEGATIVE and valid_days is not None and self.dose.day - reading.collected > valid_days:
            return True
        if asked.antibody is None:
            return False
        antibody = said.get(asked.antibody, _NOTHING).reading
        return antibody is not None and reading.collected < antibody.collected

    def _treated(self, infection: str, hit: Hit, said: list[Spoken]) -> Finding:
        """A positive, unless prevention lifts it."""
        found = self._found(hit, said)
        prevention = _prevention(self.evidence.record, infection, hit.treated_after_days, self.dose)
        if prevention is None:
            return found
        return _instead(found, "treated", prevention.event_id)

    def _found(self, hit: Hit, said: list[Spoken]) -> Finding:
        return self._finding(hit.finding, [said[place].reading for place in hit.named], hit.ask_for, hit.place)

    def _last_resort(self, table: Table, said: list[Spoken]) -> Finding:
        """No row fits: the first of conflicting, indeterminate, missing, expired that is true of a required test."""
        by_test = dict(zip(table.tests, said, strict=True))
        required = [test for group in table.groups for test in group]
        absent = {test for group in table.groups for test in group if all(by_test[one] == _NOTHING for one in group)}
        true_of = {
            "conflicting": [test for test in required if by_test[test].state == CONFLICTING],
            "indeterminate": [test for test in required if by_test[test].state == INDETERMINATE],
            "missing": [test for test in required if test in absent],
            "expired": [test for test in required if by_test[test].expired],
        }
        finding = next((name for name, tests in true_of.items() if tests), "missing")
        ask_for = tuple(sorted(set(true_of[finding])))
        return self._finding(finding, [by_test[test].reading for test in required], ask_for)

    def _finding(
        self, finding: str, readings: Iterable[Reading | None], ask_for: tuple[str, ...], row: int | None = None
    ) -> Finding:
        used = [reading for reading in readings if reading is not None]
        if len(used) == 1:  # nearly all
            return Finding(finding, (used[0].fact.event_id,), ask_for, self._marks(used), row)
        return Finding(finding, tuple(sorted({each.fact.event_id for each in used})), ask_for, self._marks(used), row)

    def _marks(self, used: list[Reading]) -> tuple[str, ...]:
        """How the evidence came in: on the day itself, or in time but documented only after it."""
        day, same_day, documented_late = self.dose.day, False, False
        for reading in used:
            if reading.came <= self.moment:
                same_day = same_day or reading.came[0] == day
                documented_late = documented_late or self.evidence.was_documented_after(day, reading)
        if not same_day and not documented_late:
            return ()
        return tuple(m for m, is_true in (("documented_late", documented_late), ("same_day", same_day)) if is_true)


def without_marks(findings: Findings) -> Findings:
    """As the answer to an order bears them: marks are of starts."""
    if not any(found.marks for found in findings.values()):
        return findings
    return {
        infection: Finding(each.finding, each.evidence, each.ask_for, (), each.row)
        for infection, each in findings.items()
    }


def waived(findings: Findings, waivers: Sequence[Waiver]) -> Findings:
    """What these waivers leave of the findings; each lifts its infection, whatever it is held for."""
    lifted = dict(findings)
    for infection, bare in findings.items():
        mine = [waiver for waiver in waivers if waiver.infection == infection]
        if mine and bare.finding not in GOOD:
            lifted[infection] = _waived(bare, min(mine, key=lambda waiver: (waiver.signed, waiver.action_id)))
    return lifted


def _waived(bare: Finding, waiver: Waiver) -> Finding:
    """The finding that a waiver lifts, with the waiver among its evidence; of several the first signed."""
    return _instead(bare, "waived", waiver.action_id)


def _instead(found: Finding, finding: str, *evidence: str) -> Finding:
    """Another finding on the same grounds, and on further evidence."""
    grounds = tuple(sorted({*found.evidence, *evidence})) if evidence else found.evidence
    return Finding(finding, grounds, found.ask_for, found.marks, found.row)


def _prevention(record: Record, infection: str, days: int | None, dose: FirstDose) -> f.Prevented | None:
    """The prevention that lifts a positive: it has run the policy's days before the dose and was not ended early."""
    if days is None:
        return None
    ripe = [
        each
        for each in record.preventions
        if each.infection == infection
        and each.started + days <= dose.day
        and (each.ended is None or each.ended >= each.started + days - 1)  # the day it ended is a day of it
        and not record.contested(each)
    ]
    return min(ripe, key=lambda each: (each.started, each.event_id, each.source or ""), default=None)
