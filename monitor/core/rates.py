"""Rates: events per person-years with exact limits, for every cohort, AESI, window and estimator on any day.

EAER is events / person-years x 100, EAIR patients with a first event / person-years through that event's day x 100.
Limits are Garwood's exact Poisson limits (chi-square quantiles; Garwood 1936, Biometrika 28:437-442); every published
interval among our references that comes with events and person-years agrees with them to the printed digit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from monitor.core.contribution import Contributions
from monitor.core.cube import Cube, Ints
from monitor.core.rows import Measure

DAYS_PER_YEAR = 365.25
Floats = NDArray[np.float64]


_TABLED = 1 << 16  # of larger counts each is computed: a table of them would be for nobody


class PoissonLimits:
    """Exact limits for a count, kept in a table: they depend on the count alone."""

    def __init__(self, confidence: float) -> None:
        self.tail = (1 - confidence) / 2
        self._lower: Floats = np.zeros(0)
        self._upper: Floats = np.zeros(0)

    def of(self, counts: Ints) -> tuple[Floats, Floats]:
        """Lower and upper limits of the expected count; no events: the lower one is 0. Raises at negative counts."""
        if counts.size and counts.min() < 0:
            raise ValueError(f"a count cannot be negative: {counts.min()}")
        top = int(counts.max(initial=0))
        if top > _TABLED:
            return self._limits(counts)
        if top >= len(self._lower):
            self._extend(max(64, 2 * top))
        return self._lower[counts], self._upper[counts]

    def _extend(self, size: int) -> None:
        self._lower, self._upper = self._limits(np.arange(size + 1))

    def _limits(self, events: Ints) -> tuple[Floats, Floats]:
        """Lower and upper limits of counts, computed."""
        lower = special.gammaincinv(np.maximum(events, 1), self.tail)
        upper = np.asarray(special.gammainccinv(events + 1, self.tail), np.float64)
        return np.where(events == 0, 0.0, lower), upper


@dataclass(frozen=True, slots=True)
class SiteCounts:
    """One site's cube and the last day its adverse events were observed (half-open: the day after it)."""

    cube: Cube
    observed_end: int


@dataclass(frozen=True, slots=True)
class RateTable:
    """Counts by level, AESI (or tail class) and window; those of several sites, or processes, add up."""

    levels: tuple[str, ...]
    occurs: Ints  # by level: whether a day at risk up to the day asked for is in it, observed or not
    counts: dict[Measure, Ints]
    steps: Ints

    def plus(self, other: RateTable) -> RateTable:
        """The sum of two tables, whose levels may differ."""
        levels = tuple(dict.fromkeys((*self.levels, *other.levels)))
        counts = {measure: self._sum(other, levels, self.counts[measure], other.counts[measure]) for measure in Measure}
        occurs = self._sum(other, levels, self.occurs, other.occurs)
        return RateTable(levels, occurs, counts, self._sum(other, levels, self.steps, other.steps))

    def _sum(self, other: RateTable, levels: tuple[str, ...], mine: Ints, theirs: Ints) -> Ints:
        place = {name: at for at, name in enumerate(levels)}
        total = np.zeros((len(levels), *mine.shape[1:]), np.int64)
        total[[place[name] for name in self.levels]] += mine
        total[[place[name] for name in other.levels]] += theirs
        return total


class Rates:
    """All rate rows of one policy, from the cubes of any number of sites."""

    def __init__(self, contributions: Contributions) -> None:
        self.contributions = contributions
        self.policy = contributions.policy
        self.counting = contributions.policy.counting
        self.limits = PoissonLimits(float(self.counting.confidence))
        self.windows: list[int | None] = [None, *sorted(self.counting.windows)]

    def table(self, sites: Sequence[SiteCounts], as_of: int) -> RateTable:
        """Counts that end with `as_of` and with each site's last observed day."""
        sets = self.contributions.sets
        shape = (len(sets.names), max(len(self.policy.aesis), self.contributions.tails.count), len(self.windows))
        counts = {measure: np.zeros(shape, np.int64) for measure in Measure}
        steps = np.zeros(shape, np.int64)
        occurs = np.zeros(len(sets.names), np.int64)
        for site in sites:
            end = min(as_of + 1, site.observed_end)
            cells, windowed, by_now = self._windowed(site.cube, as_of, end)
            keys = np.array([self.contributions.cells.keys[cell] for cell in cells.tolist()], np.int64).reshape(-1, 3)
            for measure in Measure:
                lines = np.flatnonzero((keys[:, 0] == measure) & (keys[:, 2] >= 0))
                _, of, levels = keys[lines].T
                np.add.at(counts[measure], (levels, of), windowed[lines])
                if measure in (Measure.EXPOSED, Measure.TAIL, Measure.PRESENT):
                    occurs[levels[by_now[lines] != 0]] = 1
            for (aesi, level_set, day, days), times in site.cube.steps.items():
                for level in sets.sets[level_set] if day < end else ():
                    steps[level, aesi, 0] += days * times
        return RateTable(tuple(sets.names), occurs, counts, steps)

    def _windowed(self, cube: Cube, as_of: int, end: int) -> tuple[Ints, Ints, Ints]:
        """Per cell the counts of the days of each window that come before `end`, and the count through `as_of`."""
        begins = [0 if window is None else as_of + 1 - window for window in self.windows]
        before = [min(first, end) - 1 for first in begins]
        cells, counts = cube.through(np.array([as_of, end - 1, *before]))
        return cells, counts[:, 1:2] - counts[:, 2:], counts[:, 0]

    def rows(self, table: RateTable) -> list[dict[str, Any]]:
        """Rows of contract section 4, sorted: all undivided cohorts, of divided ones the levels with a day at risk."""
        seen = table.occurs != 0
        found: dict[str, int | None] = dict.fromkeys(self.contributions.cohorts.whole)
        found |= {name: at for at, name in enumerate(table.levels) if seen[at] or name in found}
        aesis = sorted(enumerate(self.policy.aesis), key=lambda pair: pair[1])
        cells = _Cells(self, table)
        return [
            row
            for name, level in sorted(found.items())
            for at, aesi in aesis
            for row in cells.of(name, level, at, aesi)
        ]

    def limits_of(self, events: Ints, days: Ints) -> tuple[Floats, Floats, Floats]:
        """Rates and limits per 100 patient-years; nan without person-time."""
        lower, upper = self.limits.of(events)
        with np.errstate(divide="ignore", invalid="ignore"):
            per = np.where(days > 0, 100 * DAYS_PER_YEAR / days, np.nan)
        return events.astype(np.float64) * per, lower * per, upper * per


class _Cells:
    """The numbers of all cells of a table, computed at once."""

    def __init__(self, rates: Rates, table: RateTable) -> None:
        counting, tails = rates.counting, rates.contributions.tails
        self.windows = rates.windows
        self.rolling_eair = counting.denominator != "exposure"
        count, n = table.counts, len(rates.policy.aesis)
        extra = np.where(np.array(tails.class_of)[:, None] > 0, count[Measure.TAIL][:, tails.class_of], 0)
        exposed = np.broadcast_to(count[Measure.EXPOSED][:, :1], extra.shape)
        at_risk = exposed + count[Measure.TAIL][:, :1] + extra
        exposed_free = exposed - count[Measure.EXPOSED_AFTER_FIRST][:, :n]
        at_risk_free = at_risk - count[Measure.EXPOSED_AFTER_FIRST][:, :n] - count[Measure.TAIL_AFTER_FIRST][:, :n]
        events, firsts = count[Measure.EVENTS][:, :n], count[Measure.FIRSTS][:, :n]
        if counting.denominator == "exposure":
            denominators = exposed, exposed_free + table.steps[:, :n]
        else:
            denominators = at_risk, at_risk_free
        self.eaer = self._numbers(rates, events, firsts, denominators[0], exposed, at_risk)
        self.eair = self._numbers(rates, firsts, firsts, denominators[1], exposed_free, at_risk_free)

    @staticmethod
    def _numbers(rates: Rates, *counts: Ints) -> tuple[list[Any], ...]:
        events, _, days, _, _ = counts
        return tuple(each.tolist() for each in (*counts, *rates.limits_of(events, days)))

    def of(self, name: str, level: int | None, aesi_at: int, aesi: str) -> Iterator[dict[str, Any]]:
        for at, window in enumerate(self.windows):
            for estimator, numbers in (("EAER", self.eaer), ("EAIR", self.eair)):
                given = (
                    [0, 0, 0, 0, 0, nan, nan, nan] if level is None else [each[level][aesi_at][at] for each in numbers]
                )
                row = dict(zip(_NUMBERS, given, strict=True))
                if window is not None and estimator == "EAER":
                    row["patients_with_event"] = None
                elif window is not None and not self.rolling_eair:
                    row = dict.fromkeys(row)
                for key in _ROUNDED:
                    row[key] = None if row[key] is None or isnan(row[key]) else six_digits(row[key])
                shown = "cumulative" if window is None else window
                yield {"cohort": name, "aesi": aesi, "window": shown, "estimator": estimator, **row}


_ROUNDED = ("rate_per_100_patient_years", "lower", "upper")
_NUMBERS = (
    "events", "patients_with_event", "person_days", "exposed_person_days", "at_risk_person_days", *_ROUNDED
)  # fmt: skip


def six_digits(value: float) -> float:
    return float(f"{value:.6g}")
