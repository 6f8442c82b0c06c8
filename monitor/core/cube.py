"""The cube: per site, cohort, AESI and day the sum of all contributions, and what it says of any day and window.

Replacing one record's contribution costs the record, whatever the history or the number of patients: markers are noted
and folded into the day arrays when next asked. Only rows that something happened in take memory.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from monitor.core.contribution import DAY_BITS, Contribution, Measure, Rows

Ints = NDArray[np.int64]

_DAY_MASK = (1 << DAY_BITS) - 1
_FOLD_BYTES = 32 << 20
_BLOCK_DAYS = 366


class Cube:
    """The counts of one site. Days are ordinals; row numbers are those of the `Rows` it shares with its peers."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.tallies: Counter[str] = Counter()
        self.unmapped: Counter[tuple[str, int]] = Counter()
        self.spread: Counter[tuple[int, ...]] = Counter()
        self.steps: Counter[tuple[int, int, int, int]] = Counter()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._local: dict[int, int] = {}  # row -> line of the arrays
        self._first = 0  # the day of the first column
        self._days: NDArray[np.int32] = np.zeros((0, 0), np.int32)
        self._sums: Ints | None = None

    def replace(self, old: Contribution | None, new: Contribution | None) -> None:
        """Take back what a record had added and add what it adds now."""
        if old is not None:
            self._note(_negated(old.markers))
            self._tally(old, -1)
        if new is not None:
            self._note(new.markers)
            self._tally(new, 1)

    def _note(self, markers: bytes) -> None:
        if markers:
            self._pending.append(markers)
            self._pending_bytes += len(markers)
            if self._pending_bytes > _FOLD_BYTES:
                self.fold()

    def _tally(self, contribution: Contribution, sign: int) -> None:
        for name, count in contribution.tallies:
            self.tallies[name] += sign * count
        for occurrence in contribution.unmapped:
            self.unmapped[occurrence] += sign
        for days in contribution.spread:
            self.spread[days] += sign
        for step in contribution.steps:
            self.steps[step] += sign

    def fold(self) -> None:
        """Bring the noted markers into the day arrays."""
        if not self._pending:
            return
        markers = np.frombuffer(b"".join(self._pending), np.int64)
        self._pending, self._pending_bytes = [], 0
        rows, days = markers >> DAY_BITS, (markers & _DAY_MASK) >> 1
        present = np.unique(rows)
        low, high = int(days.min()), int(days.max())
        for row in present.tolist():
            self._grow(row, low, high)
        line_of = np.array([self._local[row] for row in present.tolist()])
        lines = line_of[np.searchsorted(present, rows)]
        width = self._days.shape[1]
        signs = 1 - 2 * (markers & 1).astype(np.int32)
        np.add.at(self._days.reshape(-1), lines * width + (days - self._first), signs)
        self._sums = None

    def _grow(self, row: int, low: int, high: int) -> None:
        """Make room for a row and the days from `low` through `high`; both dimensions grow by blocks."""
        lines, width = self._days.shape
        if row not in self._local:
            self._local[row] = len(self._local)
        wanted = max(lines, 64)
        while wanted < len(self._local):
            wanted *= 2
        first = (
            low - _BLOCK_DAYS
            if width == 0
            else min(self._first, low - _BLOCK_DAYS if low < self._first else self._first)
        )
        end = max(self._first + width, high + 1)
        if width == 0 or end > self._first + width:
            end = high + 1 + _BLOCK_DAYS
        if (wanted, first, end) == (lines, self._first, self._first + width):
            return
        bigger = np.zeros((wanted, end - first), np.int32)
        if width:
            bigger[:lines, self._first - first : self._first - first + width] = self._days
        self._days, self._first = bigger, first

    def through(self, days: Ints) -> tuple[Ints, Ints]:
        """For each row in use its count from the beginning through each of `days`.

        Returns the row numbers [r] and the counts [r, d]: person-days, or events. Days before the first are 0, days
        after the last are like a day then, with person-time going on.
        """
        self.fold()
        rows = np.fromiter(self._local, np.int64, len(self._local))
        if not len(rows):
            return rows, np.zeros((0, len(days)), np.int64)
        sums = self._cumulated(rows)
        width = self._days.shape[1]
        at = np.clip(days - self._first, -1, width - 1)
        counts = np.where(at >= 0, sums[:, np.maximum(at, 0)], 0)
        beyond = np.maximum(days - self._first - (width - 1), 0)
        if beyond.any():
            still = self._days[: len(rows)].sum(axis=1, dtype=np.int64)
            counts = counts + np.where(self._is_time(rows)[:, None], still[:, None] * beyond, 0)
        return rows, counts

    def lost_on(self, day: int) -> int:
        """Patients lost to follow-up on a day."""
        return self._count(Measure.LOST, [day])[0]

    def placed_outside(self, first: int, end: int, as_of: int) -> int:
        """Adverse events at risk, on a day up to `as_of`, of which no day lies in [first, end)."""
        total, before, inside = self._count(Measure.PLACED, [as_of, min(first - 1, as_of), min(end - 1, as_of)])
        outside = total - max(inside - before, 0)
        for days, times in self.spread.items():
            if days[0] <= as_of and not any(first <= day < end for day in days):
                outside += times
        return outside

    def _count(self, measure: Measure, days: list[int]) -> list[int]:
        rows, counts = self.through(np.array(days))
        mine = [line for line, row in enumerate(rows.tolist()) if self.rows.keys[row].measure == measure]
        return [int(each) for each in counts[mine].sum(axis=0)]

    def _cumulated(self, rows: Ints) -> Ints:
        """Running totals by day: of markers once for events, twice for person-days."""
        if self._sums is None:
            sums = np.cumsum(self._days[: len(rows)], axis=1, dtype=np.int64)
            time = self._is_time(rows)
            sums[time] = np.cumsum(sums[time], axis=1)
            self._sums = sums
        return self._sums

    def _is_time(self, rows: Ints) -> NDArray[np.bool_]:
        measures = np.array([key.measure for key in self.rows.keys], np.int64)
        return measures[rows] < Measure.LOST


def _negated(markers: bytes) -> bytes:
    return (np.frombuffer(markers, np.int64) ^ 1).tobytes() if markers else markers
