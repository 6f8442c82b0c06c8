"""The cube: per site, cohort, AESI and day the sum of all contributions, and what it says of any day and window.

Replacing one record's contribution costs the record, whatever the history or the number of patients: markers are noted,
and when next asked sorted into *runs*. A run holds only days on which something changed; a day's count is the sum of
all changes up to it, and person-days the sum of each change times the days since. Runs merge when they come near each
other in size, so each marker is moved a logarithmic number of times.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from monitor.core.contribution import Contribution
from monitor.core.rows import DAY_BITS, Cells, Measure, Rows

Ints = NDArray[np.int64]

_DAY_MASK = (1 << DAY_BITS) - 1
_FOLD_BYTES = 32 << 20


class Run:
    """Changes by cell and day, sorted: `keys` are cell << DAY_BITS | day, `count` the running total before each."""

    def __init__(self, keys: Ints, change: Ints) -> None:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        firsts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
        summed = np.add.reduceat(change[order], firsts)
        kept = summed != 0  # what was taken back leaves nothing behind
        self.keys = keys[firsts][kept]
        self.count = np.concatenate(([0], np.cumsum(summed[kept])))
        self.weighted = np.concatenate(([0], np.cumsum(summed[kept] * (self.keys & _DAY_MASK))))

    @property
    def change(self) -> Ints:
        """What is added on each day."""
        return np.diff(self.count)

    def through(self, cells: Ints, days: Ints) -> tuple[Ints, Ints]:
        """For each cell and day [c, d]: the changes up to that day, and the same each times its day."""
        first = np.searchsorted(self.keys, cells << DAY_BITS)[:, None]
        asked = (cells << DAY_BITS)[:, None] + np.clip(days, -1, _DAY_MASK)[None, :]
        last = np.maximum(np.searchsorted(self.keys, asked, side="right"), first)
        return self.count[last] - self.count[first], self.weighted[last] - self.weighted[first]


class Cube:
    """The counts of one site. Days are ordinals; rows and cells are numbered as by its peers."""

    def __init__(self, rows: Rows, cells: Cells) -> None:
        self.rows = rows
        self.cells = cells
        self.tallies: Counter[str] = Counter()
        self.unmapped: Counter[tuple[str, int]] = Counter()
        self.spread: Counter[tuple[int, ...]] = Counter()
        self.steps: Counter[tuple[int, int, int, int]] = Counter()
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._runs: list[Run] = []

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
        """Sort the noted markers into a run, and merge runs of like size."""
        if not self._pending:
            return
        markers = np.frombuffer(b"".join(self._pending), np.int64)
        self._pending, self._pending_bytes = [], 0
        keys, signs = markers >> 1, 1 - 2 * (markers & 1)
        by_row = Run(keys, signs)  # one patient-day a level set, before each set becomes its levels
        if not len(by_row.keys):
            return
        self._runs.append(Run(*self._by_cell(by_row)))
        while len(self._runs) > 1 and 2 * len(self._runs[-1].keys) > len(self._runs[-2].keys):
            last, before = self._runs.pop(), self._runs.pop()
            merged = np.concatenate((before.keys, last.keys)), np.concatenate((before.change, last.change))
            self._runs.append(Run(*merged))

    def _by_cell(self, run: Run) -> tuple[Ints, Ints]:
        """Each change of a row as a change of all its cells."""
        starts, cells = self.cells.of_rows(self.rows)
        rows, days = run.keys >> DAY_BITS, run.keys & _DAY_MASK
        many = starts[rows + 1] - starts[rows]
        each = np.repeat(np.arange(len(rows)), many)
        within = np.arange(len(each)) - np.repeat(np.cumsum(many) - many, many)
        return cells[starts[rows[each]] + within] << DAY_BITS | days[each], run.change[each]

    def through(self, days: Ints) -> tuple[Ints, Ints]:
        """For each cell in use its count from the beginning through each of `days`.

        Returns the cell numbers [c] and the counts [c, d]: person-days, or events.
        """
        self.fold()
        used = [np.unique(run.keys >> DAY_BITS) for run in self._runs]
        cells = np.unique(np.concatenate(used)) if used else np.zeros(0, np.int64)
        count = np.zeros((len(cells), len(days)), np.int64)
        weighted = np.zeros_like(count)
        for run in self._runs:
            more, more_weighted = run.through(cells, days)
            count += more
            weighted += more_weighted
        is_time = self.cells.measures()[cells] < Measure.LOST
        return cells, np.where(is_time[:, None], (days + 1)[None, :] * count - weighted, count)

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
        cells, counts = self.through(np.array(days))
        return [int(each) for each in counts[self.cells.measures()[cells] == measure].sum(axis=0)]


def _negated(markers: bytes) -> bytes:
    return (np.frombuffer(markers, np.int64) ^ 1).tobytes() if markers else markers
