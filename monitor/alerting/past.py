"""What some metrics said lately: Prometheus would have stored it, a process that watches itself keeps the changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.metrics import catalogue as c
from monitor.metrics.readings import READERS, Reader, Sample
from monitor.overview import Overview

_MINUTE, _DAY = 60.0, 86_400.0


def positive_findings(overview: Overview) -> list[Sample]:
    """How many stand behind open cases of each site."""
    found: dict[tuple[str, ...], float] = defaultdict(float)
    for (site, kind, _, finding), count in READERS[c.FINDINGS](overview):
        if (kind, finding) == ("start", "positive"):
            found[(site,)] += count
    return list(found.items())


POSITIVE = c.Metric(
    "jakwatch_positive_findings", "findings", "Positive findings behind open cases, as rules record them.", (c.SITE,)
)
_READERS: Mapping[c.Metric, Reader] = {**READERS, POSITIVE: positive_findings}
WINDOWS: Mapping[c.Metric, float] = {
    c.REJECTED: _DAY,
    c.CASES_OLDEST: 10 * _MINUTE,
    c.CASES_NEWEST: 10 * _MINUTE,
    POSITIVE: 10 * _MINUTE,
    c.UNASSESSABLE: 15 * _MINUTE,
    c.LIVE_SINCE: 30 * _MINUTE,
}
"""Of which metrics something is kept, and for how many seconds."""

_STEPS = 100  # of a window; changes that follow each other faster are not all kept, or a window would never end growing
Said = tuple[float, float | None]
"""(from when on, what was said; None: there was no such sample)"""


@dataclass(frozen=True, slots=True)
class Series:
    """What one metric with one set of labels has said, the latest last."""

    metric: str
    labels: tuple[str, ...]
    said: tuple[Said, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """The changes of all metrics that have a window."""

    series: tuple[Series, ...] = field(default=())

    def and_now(self, overview: Overview, now: float) -> Past:
        """With what an overview says at an instant, in seconds since 1970; without what no window reaches any more."""
        found = []
        for metric, window in WINDOWS.items():
            known, said_now = self._of(metric), dict(_READERS[metric](overview))
            for labels in sorted({*known, *said_now}):
                said = _kept(known.get(labels, ()), said_now.get(labels), now, window)
                if any(value is not None for _, value in said):
                    found.append(Series(metric.name, labels, said))
        return Past(tuple(found))

    def over(self, metric: c.Metric, overview: Overview, now: float) -> Iterator[tuple[tuple[str, ...], list[float]]]:
        """Of each set of labels all that was said within the metric's window, in order; at least one number.

        The first is what held when the window began, also where it was said by a process that has ended since.
        """
        known, said_now = self._of(metric), dict(_READERS[metric](overview))
        for labels in sorted({*known, *said_now}):
            values = [*_within(known.get(labels, ()), now - WINDOWS[metric]), said_now.get(labels)]
            if found := [value for value in values if value is not None]:
                yield labels, found

    def _of(self, metric: c.Metric) -> dict[tuple[str, ...], tuple[Said, ...]]:
        return {each.labels: each.said for each in self.series if each.metric == metric.name}


def _kept(said: tuple[Said, ...], value: float | None, now: float, window: float) -> tuple[Said, ...]:
    if not said or (said[-1][1] != value and now - said[-1][0] >= window / _STEPS):
        said = (*said, (now, value))
    return said[_first_within(said, now - window) :]


def _within(said: Sequence[Said], start: float) -> list[float | None]:
    return [value for _, value in said[_first_within(said, start) :]]


def _first_within(said: Sequence[Said], start: float) -> int:
    """Where what held after `start` begins: with the last that was said before it."""
    return max(0, sum(at <= start for at, _ in said) - 1)
