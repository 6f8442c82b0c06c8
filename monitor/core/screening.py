"""The screening table: from the results on file to one finding per infection.

Everything here is judged for one first dose: which results were there in time, which of them speaks, whether it still
counts, which row of the policy's table it hits. Fails closed: what fits no row is never `excluded`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from monitor.core import facts as f
from monitor.core.days import local_day
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument, Row, Screening
from monitor.core.policy import Test as TestRule
from monitor.core.record import Record

NEGATIVE, INDETERMINATE, POSITIVE, CONFLICTING = "negative", "indeterminate", "positive", "conflicting"
_BADNESS = {NEGATIVE: 0, INDETERMINATE: 1, POSITIVE: 2}
GOOD = frozenset({"excluded", "treated", "waived"})


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One result as the policy reads it; `rank` sorts by day of collection, of one day the worst last."""

    test: str
    outcome: str
    collected: int
    resulted: int  # the instant
    resulted_on: int  # its day in the site's zone
    fact: f.Screened

    @property
    def rank(self) -> tuple[int, int, str, str]:
        return self.collected, _BADNESS[self.outcome], self.fact.event_id, self.fact.source or ""


class FirstDose(msgspec.Struct, frozen=True, gc=False):
    """The moment that is judged: its day, the instant if known, and what the evidence must have come before."""

    day: int
    at: int | None = None
    known_through: int | None = None  # of an order that has not started: results after this day do not count yet

    def in_time(self, reading: Reading) -> bool:
        """Resulted on an earlier day, or the same day unless the instant shows that it came after."""
        if self.known_through is not None and reading.resulted_on > self.known_through:
            return False
        if reading.resulted_on != self.day:
            return reading.resulted_on < self.day
        return self.at is None or reading.resulted <= self.at


class Finding(msgspec.Struct, frozen=True, gc=False):
    """What the gate found of one infection. Lists are sorted."""

    finding: str
    evidence: tuple[str, ...] = ()
    ask_for: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return self.finding in GOOD


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


class Evidence:
    """All results of one person by test: the clean ones and those in conflict, which are no evidence."""

    def __init__(self, record: Record, meaning: Meaning, zone: ZoneInfo | None) -> None:
        self.record = record
        self.zone = zone
        self.clean: dict[str, list[Reading]] = {}
        self.contested: dict[str, list[Reading]] = {}
        self._read = _reader(meaning, zone)
        self._keep(self.clean, (result for result in record.results if not record.contested(result)))
        self._keep(self.contested, record.contested_results)

    def _keep(self, into: dict[str, list[Reading]], results: Iterable[f.Screened]) -> None:
        for result in results:
            reading = self._read(result)
            if reading is not None:
                into.setdefault(reading.test, []).append(reading)

    def first_recorded(self, reading: Reading) -> int:
        """The day on which this identity was first reported with this outcome."""
        history = self.record.histories.get(f.identity_of(reading.fact))
        instants = [reading.fact.first_recorded]
        for body in history.bodies if history else ():
            if isinstance(body.fact, f.Screened):
                same = self._read(body.fact)
                if same is not None and same.outcome == reading.outcome:
                    instants.append(body.fact.first_recorded)
        return local_day(min(instants), self.zone)


def _reader(meaning: Meaning, zone: ZoneInfo | None) -> Callable[[f.Screened], Reading | None]:
    tests = meaning.policy.tests

    def read(result: f.Screened) -> Reading | None:
        """None for what is no result: a code that is no test of the policy, or a test that was not done."""
        test = meaning.test[result.test].value
        if test is None or result.outcome == "not_done":
            return None
        outcome = result.outcome or _read_quantity(result, tests[test])
        return Reading(test, outcome, result.collected, result.resulted, local_day(result.resulted, zone), result)

    return read


def _read_quantity(result: f.Screened, rule: TestRule) -> str:
    """By the policy's cut-off; no cut-off, another unit or an undecided comparator: indeterminate."""
    number = rule.number
    if number is None or result.value is None or result.unit != number.unit:
        return INDETERMINATE
    value, cut = Decimal(result.value), number.positive_from
    match result.comparator:
        case None:
            return POSITIVE if value >= cut else NEGATIVE
        case "<":
            return NEGATIVE if value <= cut else INDETERMINATE
        case "<=":
            return NEGATIVE if value < cut else INDETERMINATE
        case _:
            return POSITIVE if value >= cut else INDETERMINATE


class ScreeningTables:
    """The four tables of one policy."""

    def __init__(self, policy: PolicyDocument) -> None:
        self.policy = policy
        self.stands = policy.several_results == "latest_unless_positive"
        self.tables: dict[str, Screening] = {str(infection): table for infection, table in policy.screening.items()}
        self.tests = {infection: _tests_of(table) for infection, table in self.tables.items()}
        self._hits: dict[tuple[str, tuple[str | None, ...]], int | None] = {}

    def findings(
        self, evidence: Evidence, dose: FirstDose, waivers: Iterable[Waiver], *, marks: bool
    ) -> dict[str, Finding]:
        """The finding per infection, sorted by its name."""
        waivers = list(waivers)
        return {
            infection: self._finding(infection, evidence, dose, waivers, marks) for infection in sorted(self.tables)
        }

    def _finding(
        self, infection: str, evidence: Evidence, dose: FirstDose, waivers: list[Waiver], marks: bool
    ) -> Finding:
        found = self._judge(infection, evidence, dose, marks)
        if found.good:
            return found
        waiver = min((w.action_id for w in waivers if w.infection == infection), default=None)
        if waiver is None:
            return found
        return Finding("waived", tuple(sorted((*found.evidence, waiver))), found.ask_for, found.marks)

    def _judge(self, infection: str, evidence: Evidence, dose: FirstDose, marks: bool) -> Finding:
        table = self.tables[infection]
        then = self._spoken(infection, evidence, dose, dose.in_time)
        row = self._hit(infection, then)
        if row is not None and row.finding in ("excluded", "positive"):
            prevention = _prevention(evidence.record, infection, row, dose) if row.finding == "positive" else None
            return _found(row, then, evidence, dose, marks, prevention)
        if dose.known_through is None:
            now = self._spoken(infection, evidence, dose, lambda _: True)
            later = self._hit(infection, now)
            if later is not None and later.finding == "positive":
                return _found(later, now, evidence, dose, marks, None)
            if later is not None and later.finding == "excluded":
                late = _found(later, now, evidence, dose, marks, None)
                return Finding("late", late.evidence, late.ask_for, late.marks)
        if row is not None:
            return _found(row, then, evidence, dose, marks, None)
        return _last_resort(table, then, evidence, dose, marks)

    def _spoken(
        self, infection: str, evidence: Evidence, dose: FirstDose, counts: Callable[[Reading], bool]
    ) -> dict[str, Spoken]:
        """What each test of the table says; validity is tested before the rows."""
        valid_days = self.tables[infection].valid_days
        raw = {test: self._speaks(test, evidence, counts) for test in self.tests[infection]}
        return {test: self._valid(test, said, raw, dose, valid_days.get(test)) for test, said in raw.items()}

    def _speaks(self, test: str, evidence: Evidence, counts: Callable[[Reading], bool]) -> Spoken:
        """The latest collected, of one day the worst; a positive stands, unless the policy says `latest`."""
        clean = [reading for reading in evidence.clean.get(test, ()) if counts(reading)]
        contested = [reading for reading in evidence.contested.get(test, ()) if counts(reading)]
        if not clean:
            return Spoken(CONFLICTING, None) if contested else _NOTHING
        positives = [reading for reading in clean if reading.outcome == POSITIVE] if self.stands or contested else []
        speaking = max(positives or clean, key=lambda reading: reading.rank)
        if contested and speaking.outcome != POSITIVE and speaking.collected <= max(r.collected for r in contested):
            return Spoken(CONFLICTING, None)
        return Spoken(speaking.outcome, speaking)

    def _valid(
        self, test: str, said: Spoken, raw: dict[str, Spoken], dose: FirstDose, valid_days: int | None
    ) -> Spoken:
        reading = said.reading
        if reading is None or reading.outcome == POSITIVE:
            return said
        aged = reading.outcome == NEGATIVE and valid_days is not None and dose.day - reading.collected > valid_days
        before = self.policy.tests[test].not_older_than
        antibody = raw[before].reading if before in raw else None
        if aged or (antibody is not None and reading.collected < antibody.collected):
            return Spoken(None, reading, expired=True)
        return said

    def _hit(self, infection: str, said: dict[str, Spoken]) -> Row | None:
        """The first row that fits; a test a row does not name may be anything."""
        key = (infection, tuple([each.state for each in said.values()]))
        rows = self.tables[infection].rows
        if key not in self._hits:
            fits = (
                at for at, row in enumerate(rows) if all(said[test].state == want for test, want in row.if_.items())
            )
            self._hits[key] = next(fits, None)
        at = self._hits[key]
        return None if at is None else rows[at]


def _tests_of(table: Screening) -> tuple[str, ...]:
    named = {test for group in table.required_groups for test in group} | {
        test for row in table.rows for test in row.if_
    }
    return tuple(sorted(named))


def _prevention(record: Record, infection: str, row: Row, dose: FirstDose) -> f.Prevented | None:
    """The prevention that lifts a positive: it has run the policy's days before the dose and was not ended early."""
    days = row.treated_after_days
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


def _found(
    row: Row,
    said: dict[str, Spoken],
    evidence: Evidence,
    dose: FirstDose,
    marks: bool,
    prevention: f.Prevented | None,
) -> Finding:
    readings = [said[test].reading for test in row.if_]
    found = _with_marks(row.finding, readings, row.ask_for, evidence, dose, marks)
    if prevention is None:
        return found
    return Finding("treated", tuple(sorted({*found.evidence, prevention.event_id})), found.ask_for, found.marks)


def _last_resort(
    table: Screening, said: dict[str, Spoken], evidence: Evidence, dose: FirstDose, marks: bool
) -> Finding:
    """No row fits: the first of conflicting, indeterminate, missing, expired that is true of a required test."""
    required = [test for group in table.required_groups for test in group]
    absent = {
        test for group in table.required_groups for test in group if all(_absent(said[member]) for member in group)
    }
    true_of = {
        "conflicting": [test for test in required if said[test].state == CONFLICTING],
        "indeterminate": [test for test in required if said[test].state == INDETERMINATE],
        "missing": [test for test in required if test in absent],
        "expired": [test for test in required if said[test].expired],
    }
    finding = next((name for name, tests in true_of.items() if tests), "missing")
    readings = [said[test].reading for test in required]
    return _with_marks(finding, readings, tuple(true_of[finding]), evidence, dose, marks)


def _absent(said: Spoken) -> bool:
    return said.state is None and said.reading is None


def _with_marks(
    finding: str,
    readings: list[Reading | None],
    ask_for: tuple[str, ...],
    evidence: Evidence,
    dose: FirstDose,
    marks: bool,
) -> Finding:
    """The finding with its evidence, and how that came in: on the day itself, or documented only after it."""
    used = [reading for reading in readings if reading is not None]
    said = set()
    for reading in used if marks else ():
        if dose.in_time(reading):
            if reading.resulted_on == dose.day:
                said.add("same_day")
            if evidence.first_recorded(reading) > dose.day:
                said.add("documented_late")
    ids = tuple(sorted({reading.fact.event_id for reading in used}))
    return Finding(finding, ids, tuple(sorted(set(ask_for))), tuple(sorted(said)))
