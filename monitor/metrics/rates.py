"""The text of all rates, most of a scrape: what did not change since the last one is not written anew.

A scrape comes every few seconds, the rates of most cells change once a day. So the lines of every row are kept, and a
row is compared before it is written; a library that formats every sample takes many times as long.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from monitor.core.rates import DAYS_PER_YEAR
from monitor.metrics.catalogue import CUMULATIVE, RATE_FAMILIES, RATE_LABELS
from monitor.metrics.text import as_bytes, head, labelled, number

Row = Mapping[str, Any]
_HEADS = tuple(head(metric) for metric in RATE_FAMILIES)
_NAMES = tuple(metric.name for metric in RATE_FAMILIES)
_NOTHING = ("",) * len(_NAMES)
_UNKNOWN = -1


class RateText:
    """Rows, as `jakwatch replay` prints them, to text; rows are values: changed in place they go unnoticed."""

    def __init__(self) -> None:
        self._rows: list[Row | None] = []
        self._lines: list[list[str]] = [[] for _ in _NAMES]  # by metric and row; empty where there is no sample
        self._series: list[int] = []  # by row
        self._labels: dict[tuple[Any, ...], str] = {}
        self._fits = _UNKNOWN
        self._text = b""
        self._left_out = 0

    def of(self, rows: Sequence[Row], room: int) -> tuple[bytes, int]:
        """The text of at most `room` series, and how many rows had to be left out, the smallest cohorts first."""
        self._take(rows)
        fits = min(room, sum(self._series))
        if fits != self._fits:
            self._join(room)
            self._fits = fits
        return self._text, self._left_out

    def _take(self, rows: Sequence[Row]) -> None:
        """Write the rows that are not what they were."""
        self._resize(len(rows))
        for at, (old, new) in enumerate(zip(self._rows, rows, strict=True)):
            if old is not new and old != new:
                self._fits = _UNKNOWN
                lines = self._written(new)
                self._series[at] = len(lines) - lines.count("")
                for column, line in zip(self._lines, lines, strict=True):
                    column[at] = line
                self._rows[at] = new
        self._rows[:] = rows  # equal ones too: those of the last scrape may go

    def _resize(self, count: int) -> None:
        more = count - len(self._rows)
        if more:
            self._fits = _UNKNOWN
            self._labels.clear()  # what no row bears any more is not kept for ever
            self._rows = self._rows[:count] + [None] * more
            self._series = self._series[:count] + [0] * more
            self._lines = [column[:count] + [""] * more for column in self._lines]

    def _written(self, row: Row) -> tuple[str, ...]:
        """A line for each metric, empty where it has no sample; a row without time or events has none at all."""
        events, days = row["events"], row["person_days"]
        if not events and not days:
            return _NOTHING
        labels = self._labelled(row)
        years = None if days is None else days / DAYS_PER_YEAR
        values = (events, years, row["rate_per_100_patient_years"], row["lower"], row["upper"])
        pairs = zip(_NAMES, values, strict=True)
        return tuple(["" if value is None else f"{name}{labels}{number(value)}\n" for name, value in pairs])

    def _labelled(self, row: Row) -> str:
        key = (row["cohort"], row["aesi"], row["window"], row["estimator"])
        known = self._labels.get(key)
        if known is None:
            cohort, aesi, window, estimator = key
            shown = window if window == CUMULATIVE else f"{window}d"
            known = self._labels[key] = labelled(RATE_LABELS, (cohort, aesi, shown, estimator))
        return known

    def _join(self, room: int) -> None:
        chosen = None if sum(self._series) <= room else self._largest(room)
        if chosen is None:
            columns = self._lines
            self._left_out = 0
        else:
            kept = [at for at, row in enumerate(self._rows) if row is not None and row["cohort"] in chosen]
            columns = [[column[at] for at in kept] for column in self._lines]
            self._left_out = sum(map(bool, self._series)) - sum(self._series[at] > 0 for at in kept)
        self._text = as_bytes("".join(chain.from_iterable(zip(_HEADS, map("".join, columns), strict=True))))

    def _largest(self, room: int) -> set[str]:
        """The cohorts of most person-time, whole, as long as they fit: half a cohort would read like all of it."""
        days, series = dict[str, int](), Counter[str]()
        for row, count in zip(self._rows, self._series, strict=True):
            if row is not None:
                days[row["cohort"]] = max(days.get(row["cohort"], 0), row["person_days"] or 0)
                series[row["cohort"]] += count
        chosen = set[str]()
        for cohort in sorted(days, key=lambda name: (-days[name], name)):
            room -= series[cohort]
            if room < 0:
                break
            chosen.add(cohort)
        return chosen
