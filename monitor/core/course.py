"""A course: order, start, changes and stop under one `treatment_id`, and the episodes of exposure they make.

Pure and free of policy: what was given, from which day to which, in which dose and for what.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from monitor.core import facts as f
from monitor.core.days import FOR_EVER

Elsewhere = frozenset[type[f.Treatment]]
"""The kinds of facts under which another person's record names the same course."""


_LISTS: dict[type, str] = {
    f.Started: "starts",
    f.Stopped: "stops",
    f.Changed: "changes",
    f.Ordered: "orders",
    f.Cancelled: "cancellations",
}


@dataclass(slots=True)
class Course:
    """The standing facts of one `treatment_id` of one person."""

    treatment_id: str
    orders: list[f.Ordered] = field(default_factory=list)
    cancellations: list[f.Cancelled] = field(default_factory=list)
    starts: list[f.Started] = field(default_factory=list)
    changes: list[f.Changed] = field(default_factory=list)
    stops: list[f.Stopped] = field(default_factory=list)
    two_patients: bool = False
    elsewhere: Elsewhere = frozenset()
    episodes: list[Episode] = field(default_factory=list)

    def file(self, fact: f.Treatment) -> None:
        """Put a fact of this course where it belongs."""
        getattr(self, _LISTS[type(fact)]).append(fact)

    def without_effect(self) -> Iterator[tuple[str, str, str]]:
        """(what, treatment_id, event_id) of the facts that change nothing, so that none vanishes unseen."""
        if len(self.episodes) < len(self.starts):  # else each start has its own
            taken = {episode.start for episode in self.episodes}
            without = [start for start in self.starts if start not in taken]
            yield from (("start_while_running", self.treatment_id, start.event_id) for start in without)
        if self.stops or self.changes:
            yield from self._ends_and_changes_without_effect()

    def _ends_and_changes_without_effect(self) -> Iterator[tuple[str, str, str]]:
        ends = [episode.last_dose for episode in self.episodes if episode.exposes]
        for stop in sorted(self.stops, key=later_recorded):
            if stop.day in ends:
                ends.remove(stop.day)
            elif not self.started:
                yield "stop_without_start", self.treatment_id, stop.event_id
            else:
                before = not self.episodes or stop.day < self.episodes[0].first
                yield "stop_before_start" if before else "stop_while_stopped", self.treatment_id, stop.event_id
        for change in self.changes:
            if not self.started:
                yield "change_without_start", self.treatment_id, change.event_id
            elif not any(episode.first <= change.day < episode.end for episode in self.episodes):
                yield "change_without_effect", self.treatment_id, change.event_id

    @property
    def started(self) -> bool:
        """Whether anybody's facts start it."""
        return bool(self.starts) or f.Started in self.elsewhere

    @property
    def cancelled(self) -> bool:
        return bool(self.cancellations) or f.Cancelled in self.elsewhere

    @property
    def order(self) -> f.Ordered | None:
        """Of several orders the latest recorded."""
        if not self.orders:
            return None
        return self.orders[0] if len(self.orders) == 1 else max(self.orders, key=later_recorded)


class State(msgspec.Struct, frozen=True, gc=False):
    """Dose and indications from `first` until `end` (half-open); indexes of the vocabulary."""

    first: int
    end: int
    dose: int
    indications: tuple[int, ...]


class Episode(msgspec.Struct, frozen=True, gc=False):
    """From a first to a last dose; open without a reported last one; of no day where that lies before the first."""

    start: f.Started
    last_dose: int | None
    states: tuple[State, ...]

    @property
    def first(self) -> int:
        return self.start.day

    @property
    def end(self) -> int:
        """The day after the last dose."""
        return FOR_EVER if self.last_dose is None else self.last_dose + 1

    @property
    def exposes(self) -> bool:
        """Whether it has a day: a stop before its start leaves none."""
        return self.end > self.first


def later_recorded(fact: f.Fact) -> tuple[int, str, str]:
    """The order among facts that the contract leaves to the time of recording."""
    return fact.last_recorded, fact.event_id, fact.source or ""


def courses_of(facts: Iterable[f.Treatment]) -> dict[str, Course]:
    """Courses by `treatment_id`, each with its episodes."""
    courses: dict[str, Course] = {}
    for fact in facts:
        course = courses.get(fact.treatment_id)
        if course is None:
            course = courses[fact.treatment_id] = Course(fact.treatment_id)
        course.file(fact)
    for course in courses.values():
        if course.starts:
            course.episodes = _episodes(course)
    return courses


def _episodes(course: Course) -> list[Episode]:
    """Of two starts with no stop between, the earlier stands; the earlier of two stops ends; on one day a start comes
    before a stop, so that a restart on the day of the last dose begins nothing."""
    if len(course.starts) == 1 and not course.stops:
        return [_episode(course, course.starts[0], None)]
    starts = course.starts
    if len(starts) > 1:
        starts = sorted(starts, key=lambda fact: (fact.day, *later_recorded(fact)))
    stops = sorted(stop.day for stop in course.stops)
    episodes: list[Episode] = []
    closed_through = 0
    for start in starts:
        if start.day <= closed_through:
            continue
        last_dose = next((day for day in stops if day >= start.day), None)
        if last_dose is None and stops and not episodes:
            last_dose = stops[-1]  # every stop lies before the first start: it exposes no day
        episodes.append(_episode(course, start, last_dose))
        closed_through = FOR_EVER if last_dose is None or last_dose < start.day else last_dose
    return episodes


def _episode(course: Course, start: f.Started, last_dose: int | None) -> Episode:
    end = FOR_EVER if last_dose is None else last_dose + 1
    if not course.changes:
        return Episode(start, last_dose, (State(start.day, end, start.dose, start.indications),))
    dose, indications = start.dose, start.indications
    states: list[State] = []
    first = start.day
    for change in course.changes if len(course.changes) == 1 else _one_a_day(course.changes):
        if not start.day <= change.day < end:
            continue
        if change.day > first:
            states.append(State(first, change.day, dose, indications))
            first = change.day
        dose = dose if change.dose is None else change.dose
        indications = indications if change.indications is None else change.indications
    return Episode(start, last_dose, (*states, State(first, end, dose, indications)))


def _one_a_day(changes: list[f.Changed]) -> list[f.Changed]:
    """Changes by day; of two of one day only the later recorded."""
    by_day = {change.day: change for change in sorted(changes, key=later_recorded)}
    return [by_day[day] for day in sorted(by_day)]
