"""The evidence of one person: results as a policy reads them, by test, in the order in which they came in.

In that order the results that were there at a first dose are always the first so many of their test; which of them
speaks is known once for all of its moments, however many doses are judged.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from decimal import Decimal
from itertools import accumulate
from zoneinfo import ZoneInfo

import msgspec

from monitor.core import facts as f
from monitor.core.days import local_day
from monitor.core.meaning import Meaning
from monitor.core.policy import Test as TestRule
from monitor.core.record import Record

NEGATIVE, INDETERMINATE, POSITIVE, CONFLICTING = "negative", "indeterminate", "positive", "conflicting"
_BADNESS = {NEGATIVE: 0, INDETERMINATE: 1, POSITIVE: 2}

Moment = tuple[int, int]
"""A day in the site's zone, and an instant: where a result stands in the order in which they came in."""


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One result as the policy reads it."""

    test: str
    outcome: str
    collected: int
    came: Moment  # when it was resulted
    fact: f.Screened


class Shelf:
    """The results of one test. Of any moment those count that came until then: the first so many."""

    __slots__ = ("_latest", "_positive", "readings")

    def __init__(self, readings: list[Reading]) -> None:
        if len(readings) > 1:
            readings.sort(key=_came)
        self.readings = readings
        self._latest: list[Reading] | None = None
        self._positive: list[Reading | None] | None = None

    def until(self, moment: Moment) -> int:
        """How many had come."""
        readings = self.readings
        if len(readings) == 1:
            return 1 if readings[0].came <= moment else 0
        return bisect_right(readings, moment, key=_came)

    def speaking(self, count: int, positive_stands: bool) -> Reading:
        """Of the first so many (at least one): the latest, unless a positive stands."""
        if count == 1:
            return self.readings[0]
        return (self._last_positive(count) if positive_stands else None) or self.latest(count)

    def latest(self, count: int) -> Reading:
        """Of the first so many (at least one) the latest collected, of one day the worst."""
        if count == 1:
            return self.readings[0]
        if self._latest is None:
            self._latest = list(accumulate(self.readings, _later))
        return self._latest[count - 1]

    def _last_positive(self, count: int) -> Reading | None:
        """The latest collected positive of the first so many."""
        if self._positive is None:
            positives = (reading if reading.outcome == POSITIVE else None for reading in self.readings)
            self._positive = list(accumulate(positives, _later_if_any))
        return self._positive[count - 1]


def _came(reading: Reading) -> Moment:
    return reading.came


def _later(one: Reading, other: Reading) -> Reading:
    return other if _rank(other) > _rank(one) else one


def _later_if_any(one: Reading | None, other: Reading | None) -> Reading | None:
    return _later(one, other) if one is not None and other is not None else other or one


def _rank(reading: Reading) -> tuple[int, int, str, str]:
    """By day of collection, of one day the worst last."""
    return reading.collected, _BADNESS[reading.outcome], reading.fact.event_id, reading.fact.source or ""


class Evidence:
    """All results of one person by test: the clean ones and those in conflict, which are no evidence."""

    __slots__ = ("_read", "clean", "contested", "on_file", "record", "zone")

    def __init__(self, record: Record, read: Reader, zone: ZoneInfo | None) -> None:
        self.record = record
        self.zone = zone
        self._read = read
        clean = record.results
        if record.in_conflict:
            clean = [result for result in clean if not record.contested(result)]
        self.clean = self._shelves(clean)
        self.contested = self._shelves(record.contested_results) if record.contested_results else {}
        self.on_file = self.clean.keys() | self.contested.keys() if self.contested else self.clean.keys()

    def _shelves(self, results: Iterable[f.Screened]) -> dict[str, Shelf]:
        by_test: dict[str, list[Reading]] = {}
        for result in results:
            reading = self._read(result)
            if reading is None:
                continue
            if reading.test in by_test:
                by_test[reading.test].append(reading)
            else:
                by_test[reading.test] = [reading]
        return {test: Shelf(readings) for test, readings in by_test.items()}

    def was_documented_after(self, day: int, reading: Reading) -> bool:
        """Whether this identity was reported with this outcome only after a day.

        A report of an earlier day of UTC was not: no zone is a whole day ahead, and other reports can only be earlier.
        """
        fact = reading.fact
        if local_day(fact.first_recorded, None) < day:
            return False
        instants = [fact.first_recorded]
        history = self.record.history(fact)
        for body in () if history is None else history.bodies:
            if isinstance(body.fact, f.Screened):
                same = self._read(body.fact)
                if same is not None and same.outcome == reading.outcome:
                    instants.append(body.fact.first_recorded)
        return local_day(min(instants), self.zone) > day


Reader = Callable[[f.Screened], Reading | None]


def reader(meaning: Meaning, zone: ZoneInfo | None) -> Reader:
    """How one policy reads the results of one site."""
    tests = meaning.policy.tests

    def read(result: f.Screened) -> Reading | None:
        """None for what is no result: a code that is no test of the policy, or a test that was not done."""
        test = meaning.test[result.test].value
        outcome = result.outcome
        if test is None or outcome == "not_done":
            return None
        if outcome is None:
            outcome = _read_quantity(result, tests[test])
        resulted = result.resulted
        return Reading(test, outcome, result.collected, (local_day(resulted, zone), resulted), result)

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
