"""What is counted by day: rows, as contributions write them, and the cells that a row's cohort levels make of it."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitor.core.cohorts import LevelSets

DAY_BITS = 22  # a marker holds row, day and a sign; the last day that can be written is below 2**22


class Measure(IntEnum):
    """What a row counts. Those before LOST are person-days, given by their first day and the day after their last."""

    EXPOSED = 0
    TAIL = 1  # at risk less exposed; of a rarer tail class: at risk less that of the commonest
    EXPOSED_AFTER_FIRST = 2
    TAIL_AFTER_FIRST = 3
    LOST = 4  # patients lost to follow-up on a day
    EVENTS = 5
    FIRSTS = 6
    PRESENT = 7  # levels at risk before the first observed day: they occur, though they do not count
    PLACED = 8  # adverse events at risk on one day: not observed if that day was not


class RowKey(NamedTuple):
    measure: Measure
    of: int  # an AESI, or for EXPOSED 0 and for TAIL the tail class
    levels: int  # a level set


class Rows(dict[tuple[Measure, int, int], int]):
    """Row keys as small integers, in the order of first use, asked like a dict."""

    def __init__(self) -> None:
        super().__init__()
        self.order: list[RowKey] = []

    def __missing__(self, key: tuple[Measure, int, int]) -> int:
        found = self[key] = len(self.order)
        self.order.append(RowKey(*key))
        return found


class Cells:
    """What is kept by day: a measure, an AESI or tail class, and one cohort level.

    A row is a cell for each level of its set, or one without a level where no cohort matters.
    """

    def __init__(self, sets: LevelSets) -> None:
        self.sets = sets
        self.keys: list[tuple[int, int, int]] = []  # (measure, AESI or tail class, level or -1)
        self._index: dict[tuple[int, int, int], int] = {}
        self._starts = [0]
        self._flat: list[int] = []

    def of_rows(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(starts, cells): the cells of row r are cells[starts[r]:starts[r + 1]]."""
        for key in rows.order[len(self._starts) - 1 :]:
            self._flat += [self._cell(key, level) for level in sorted(self.sets.sets[key.levels]) or [-1]]
            self._starts.append(len(self._flat))
        return np.array(self._starts, np.int64), np.array(self._flat, np.int64)

    def _cell(self, key: RowKey, level: int) -> int:
        cell = (int(key.measure), key.of, level)
        found = self._index.get(cell)
        if found is None:
            found = self._index[cell] = len(self.keys)
            self.keys.append(cell)
        return found

    def measures(self) -> NDArray[np.int64]:
        return np.array([measure for measure, _, _ in self.keys], np.int64)
