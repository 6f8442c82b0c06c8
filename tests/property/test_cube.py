"""The cube against adding up day by day, under any order of replacing."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contribution
from monitor.core.cube import Cube
from monitor.core.rows import DAY_BITS, Cells, Measure, Rows

LEVELS = (frozenset({0}), frozenset({1}), frozenset({0, 1}), frozenset({0, 1, 2}))
spans = st.tuples(
    st.sampled_from((Measure.EXPOSED, Measure.TAIL)),
    st.sampled_from(LEVELS),
    st.integers(1, 60),
    st.integers(1, 40),
)
events = st.tuples(st.just(Measure.EVENTS), st.sampled_from(LEVELS), st.integers(1, 60), st.just(0))
records = st.lists(st.one_of(spans, events), max_size=5)
Record = list[tuple[Measure, frozenset[int], int, int]]
"""(measure, levels, first day, days; 0 days for an event)"""
steps = st.lists(st.tuples(st.integers(0, 4), records), max_size=12)  # (patient, the record from now on)


def contribution_of(record: Record, rows: Rows, sets: LevelSets) -> Contribution:
    markers = array("q")
    for measure, levels, first, length in record:
        row = rows[measure, 0, sets.of(levels)]
        markers.append((row << DAY_BITS | first) << 1)
        if length:
            markers.append((row << DAY_BITS | first + length) << 1 | 1)
    return Contribution(markers.tobytes())


def by_day(record: Record, through: int) -> Counter[tuple[int, int]]:
    """(measure, level) -> count, by looking at each day."""
    counts: Counter[tuple[int, int]] = Counter()
    for measure, levels, first, length in record:
        for day in range(first, first + max(length, 1)):
            if day <= through:
                counts.update((int(measure), level) for level in levels)
    return counts


@given(steps=steps, through=st.integers(0, 120), looks=st.lists(st.booleans(), min_size=12, max_size=12))
def test_the_cube_is_the_sum_of_what_every_record_says_now(
    steps: list[tuple[int, Record]], through: int, looks: list[bool]
) -> None:
    sets, rows = LevelSets(), Rows()
    cells = Cells(sets)
    cube = Cube(rows, cells)
    now: dict[int, Record] = {}
    for (patient, record), look in zip(steps, looks, strict=False):
        old = contribution_of(now[patient], rows, sets) if patient in now else None
        cube.replace(old, contribution_of(record, rows, sets))
        now[patient] = record
        if look:
            cube.fold()
    expected: Counter[tuple[int, int]] = Counter()
    for record in now.values():
        expected += by_day(record, through)
    numbers, counts = cube.through(np.array([through]))
    found = {cells.keys[cell]: int(count) for cell, count in zip(numbers.tolist(), counts[:, 0], strict=True)}
    assert {(measure, level): count for (measure, _, level), count in found.items() if count} == dict(expected)
