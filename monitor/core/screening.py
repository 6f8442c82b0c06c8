"""The screening table: from the results on file to one finding per infection.

Everything here is judged for one first dose: which results were there in time, which of them speaks, whether it still
counts, which row of the policy's table it hits. Fails closed: what fits no row is never `excluded`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    """One result as the policy reads it."""

    test: str
    outcome: str
    collected: int
    resulted: int  # the instant
    resulted_on: int  # its day in the site's zone
    fact: f.Screened


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
_CONFLICTING = Spoken(CONFLICTING, None)


class Evidence:
    """All results of one person by test: the clean ones and those in conflict, which are no evidence."""

    def __init__(self, record: Record, read: Reader, zone: ZoneInfo | None) -> None:
        self.record = record
        self.zone = zone
        self.clean: dict[str, list[Reading]] = {}
        self.contested: dict[str, list[Reading]] = {}
        self._read = read
        if record.histories:
            self._keep(self.clean, [result for result in record.results if not record.contested(result)])
        else:
            self._keep(self.clean, record.results)
        self._keep(self.contested, record.contested_results)

    def _keep(self, into: dict[str, list[Reading]], results: Iterable[f.Screened]) -> None:
        for result in results:
            reading = self._read(result)
            if reading is not None:
                into.setdefault(reading.test, []).append(reading)

    def first_recorded(self, reading: Reading) -> int:
        """The day on which this identity was first reported with this outcome."""
        history = self.record.histories.get(f.identity_of(reading.fact)) if self.record.histories else None
        if history is None:
            return local_day(reading.fact.first_recorded, self.zone)
        instants = [reading.fact.first_recorded]
        for body in history.bodies:
            if isinstance(body.fact, f.Screened):
                same = self._read(body.fact)
                if same is not None and same.outcome == reading.outcome:
                    instants.append(body.fact.first_recorded)
        return local_day(min(instants), self.zone)


Reader = Callable[[f.Screened], Reading | None]


def reader(meaning: Meaning, zone: ZoneInfo | None) -> Reader:
    """How one policy reads the results of one site."""
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
        self.tables: dict[str, Screening] = {str(name): policy.screening[name] for name in sorted(policy.screening)}
        self.tests = {infection: table.tests for infection, table in self.tables.items()}
        self._hits: dict[tuple[str, tuple[str | None, ...]], Row | None] = {}
        self.blank = {infection: self._nothing_on_file(infection) for infection in self.tables}

    def findings(
        self, evidence: Evidence, dose: FirstDose, waivers: Sequence[Waiver], *, marks: bool
    ) -> dict[str, Finding]:
        """The finding per infection, sorted by its name."""
        look = _Look(self, evidence, dose, marks)
        found = {infection: look.judge(infection) for infection in self.tables}
        for infection, bare in found.items():
            mine = [waiver for waiver in waivers if waiver.infection == infection]
            if mine and not bare.good:
                found[infection] = _waived(bare, min(mine, key=lambda waiver: (waiver.signed, waiver.action_id)))
        return found

    def _nothing_on_file(self, infection: str) -> Finding:
        required = {test for group in self.tables[infection].required_groups for test in group}
        return Finding("missing", (), tuple(sorted(required)))

    def hit(self, infection: str, said: list[Spoken]) -> Row | None:
        """The first row that fits what the tests of a table say; a test a row does not name may be anything."""
        key = (infection, tuple([each.state for each in said]))
        if key not in self._hits:
            says = dict(zip(self.tests[infection], key[1], strict=True))
            self._hits[key] = self.tables[infection].first_row(says)
        return self._hits[key]


class _Look:
    """One person's evidence looked at for one first dose: what was there in time, and what is known by now."""

    def __init__(self, tables: ScreeningTables, evidence: Evidence, dose: FirstDose, marks: bool) -> None:
        self.tables = tables
        self.evidence = evidence
        self.dose = dose
        self.marks = marks
        self.on_file = evidence.clean.keys() | evidence.contested.keys()
        self.all_in_time = True
        self.then = {test: self._speaks(test, dose.in_time) for test in self.on_file}
        self._now: dict[str, Spoken] | None = None

    @property
    def now(self) -> dict[str, Spoken]:
        if self._now is None:
            self._now = {test: self._speaks(test, _always) for test in self.on_file}
        return self._now

    def judge(self, infection: str) -> Finding:
        """By the table in time; where that excludes nothing, by what is known now: late, or positive after all."""
        tests = self.tables.tests[infection]
        if self.on_file.isdisjoint(tests):
            return self.tables.blank[infection]
        then = self._valid(infection, self.then)
        row = self.tables.hit(infection, then)
        if row is not None and row.finding == "excluded":
            return self._found(infection, row, then)
        if row is not None and row.finding == "positive":
            return self._treated(infection, row, then)
        return self._learnt_later(infection) or (
            self._last_resort(infection, then) if row is None else self._found(infection, row, then)
        )

    def _learnt_later(self, infection: str) -> Finding | None:
        if self.all_in_time or self.dose.known_through is not None:
            return None
        now = self._valid(infection, self.now)
        row = self.tables.hit(infection, now)
        if row is None or row.finding not in ("excluded", "positive"):
            return None
        found = self._found(infection, row, now)
        return found if row.finding == "positive" else Finding("late", found.evidence, found.ask_for, found.marks)

    def _speaks(self, test: str, counts: Callable[[Reading], bool]) -> Spoken:
        """The latest collected, of one day the worst; a positive stands, unless the policy says `latest`."""
        on_file = self.evidence.clean.get(test, ())
        clean = [reading for reading in on_file if counts(reading)]
        contested = [reading for reading in self.evidence.contested.get(test, ()) if counts(reading)]
        if len(clean) < len(on_file) or len(contested) < len(self.evidence.contested.get(test, ())):
            self.all_in_time = False
        if not clean:
            return _CONFLICTING if contested else _NOTHING
        if len(clean) > 1:
            stands = self.tables.stands or contested
            positives = [reading for reading in clean if reading.outcome == POSITIVE] if stands else []
            clean = [max(positives or clean, key=_rank)]
        speaking = clean[0]
        if contested and speaking.outcome != POSITIVE and speaking.collected <= max(r.collected for r in contested):
            return _CONFLICTING
        return Spoken(speaking.outcome, speaking)

    def _valid(self, infection: str, said: dict[str, Spoken]) -> list[Spoken]:
        """What each test of a table says; validity is tested before the rows."""
        valid_days = self.tables.tables[infection].valid_days
        return [
            self._unless_expired(test, each, said, valid_days.get(test))
            if (each := said.get(test, _NOTHING)).reading is not None and each.state != POSITIVE
            else each
            for test in self.tables.tests[infection]
        ]

    def _unless_expired(self, test: str, each: Spoken, said: dict[str, Spoken], valid_days: int | None) -> Spoken:
        """A negative ages; a negative or indeterminate says nothing that was collected before its antibody result."""
        reading = each.reading
        if reading is None:
            return each
        aged = each.state == NEGATIVE and valid_days is not None and self.dose.day - reading.collected > valid_days
        before = self.tables.policy.tests[test].not_older_than
        antibody = None if before is None else said.get(before, _NOTHING).reading
        if aged or (antibody is not None and reading.collected < antibody.collected):
            return Spoken(None, reading, expired=True)
        return each

    def _treated(self, infection: str, row: Row, said: list[Spoken]) -> Finding:
        """A positive, unless prevention lifts it."""
        found = self._found(infection, row, said)
        prevention = _prevention(self.evidence.record, infection, row, self.dose)
        if prevention is None:
            return found
        return Finding("treated", tuple(sorted({*found.evidence, prevention.event_id})), found.ask_for, found.marks)

    def _found(self, infection: str, row: Row, said: list[Spoken]) -> Finding:
        named = [each.reading for test, each in zip(self.tables.tests[infection], said, strict=True) if test in row.if_]
        return self._finding(row.finding, named, row.ask_for)

    def _last_resort(self, infection: str, said: list[Spoken]) -> Finding:
        """No row fits: the first of conflicting, indeterminate, missing, expired that is true of a required test."""
        by_test = dict(zip(self.tables.tests[infection], said, strict=True))
        groups = self.tables.tables[infection].required_groups
        required = [test for group in groups for test in group]
        absent = {test for group in groups for test in group if all(by_test[member] == _NOTHING for member in group)}
        true_of = {
            "conflicting": [test for test in required if by_test[test].state == CONFLICTING],
            "indeterminate": [test for test in required if by_test[test].state == INDETERMINATE],
            "missing": [test for test in required if test in absent],
            "expired": [test for test in required if by_test[test].expired],
        }
        finding = next((name for name, tests in true_of.items() if tests), "missing")
        return self._finding(finding, [by_test[test].reading for test in required], true_of[finding])

    def _finding(self, finding: str, readings: list[Reading | None], ask_for: Iterable[str]) -> Finding:
        used = [reading for reading in readings if reading is not None]
        ids = [reading.fact.event_id for reading in used]
        evidence = tuple(sorted(set(ids))) if len(ids) > 1 else tuple(ids)
        marks = self._marks(used) if self.marks else ()
        return Finding(finding, evidence, tuple(sorted(set(ask_for))) if ask_for else (), marks)

    def _marks(self, used: list[Reading]) -> tuple[str, ...]:
        """How the evidence came in: on the day itself, or in time but documented only after it."""
        said = set()
        for reading in used:
            if self.dose.in_time(reading):
                if reading.resulted_on == self.dose.day:
                    said.add("same_day")
                if self.evidence.first_recorded(reading) > self.dose.day:
                    said.add("documented_late")
        return tuple(sorted(said))


def _waived(bare: Finding, waiver: Waiver) -> Finding:
    """The finding that a waiver lifts, with the waiver among its evidence; of several the first signed."""
    return Finding("waived", tuple(sorted({*bare.evidence, waiver.action_id})), bare.ask_for, bare.marks)


def _always(_: Reading) -> bool:
    return True


def _rank(reading: Reading) -> tuple[int, int, str, str]:
    """By day of collection, of one day the worst last."""
    return reading.collected, _BADNESS[reading.outcome], reading.fact.event_id, reading.fact.source or ""


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
