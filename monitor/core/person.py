"""What holds of a person on a day besides the treatment: diseases, history, age, and how long they can be followed.

Nothing learnt later moves a day backwards: an undated condition holds from when it was recorded, or from the first day
of the course it was recorded in where the policy says so.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import MAXYEAR
from typing import NamedTuple
from zoneinfo import ZoneInfo

from monitor.core.course import Course
from monitor.core.days import FOR_EVER, first_of_year, local_day, partial_days, year_of
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record

OLDER_FROM = 65  # the age from which labels allow less


class Span(NamedTuple):
    """A disease, as bits of the policy, from a day until another (half-open)."""

    first: int
    end: int
    diseases: int


class Person:
    """The conditions of one record under one policy."""

    def __init__(self, record: Record, meaning: Meaning, zone: ZoneInfo | None) -> None:
        self.record = record
        self.meaning = meaning
        self.zone = zone
        self._spans: list[Span] | None = None if record.conditions else []

    @property
    def spans(self) -> list[Span]:
        """Its conditions, read when first asked for. The record keeps them, so that gate and rates read them once; it
        must not keep the person, who knows the record: a cycle would outlive its judgement."""
        if self._spans is None:
            key = (self.meaning, self.zone)
            kept = self.record.spans.get(key)
            self._spans = self.record.spans[key] = self._read() if kept is None else kept
        return self._spans

    def _read(self) -> list[Span]:
        spans = []
        for condition in self.record.conditions:
            diseases = self.meaning.disease[condition.concept].value or 0
            if not diseases:
                continue
            end = FOR_EVER if condition.until is None else partial_days(condition.until)[1] + 1
            if condition.since is not None:
                spans.append(Span(partial_days(condition.since)[0], end, diseases))
            else:
                spans += [Span(self._undated_from(bit), end, bit) for bit in _bits(diseases)]
        return spans

    def _undated_from(self, disease: int) -> int:
        """The day it was first recorded, or the first day of the course that ran then."""
        recorded = min(
            local_day(profile.first_recorded, self.zone)
            for profile in self.record.profiles
            for condition in profile.conditions or ()
            if (self.meaning.disease[condition.concept].value or 0) & disease
        )
        if not disease & self.meaning.undated_from_course_start:
            return recorded
        if recorded > self.last_day(self.meaning.policy):
            return recorded
        running = [_first_dose(c) for c in self.record.courses.values() if _runs(c, recorded)]
        return min(running, default=recorded)

    def diseases_on(self, day: int) -> int:
        """The conditions that hold on a day."""
        bits = 0
        for span in self.spans:
            if span.first <= day < span.end:
                bits |= span.diseases
        return bits

    def history_on(self, day: int) -> int:
        """The conditions that hold on a day or held before it."""
        bits = 0
        for span in self.spans:
            if span.first <= day:
                bits |= span.diseases
        return bits

    def age_on(self, day: int) -> int | None:
        """Year less birth year: more is not known."""
        return None if self.record.birth_year is None else year_of(day) - self.record.birth_year

    def turning_days(self) -> set[int]:
        """The days on which a condition comes or goes, or the patient turns 65 for the label."""
        return self.span_days() | self.birthdays((OLDER_FROM,))

    def span_days(self) -> set[int]:
        """The days on which a condition comes or goes."""
        return {day for span in self.spans for day in (span.first, span.end)}

    def birthdays(self, ages: tuple[int, ...]) -> set[int]:
        """The first days of the years in which these ages are reached."""
        born = self.record.birth_year
        return set() if born is None else {first_of_year(born + age) for age in ages if born + age <= MAXYEAR}

    def last_day(self, policy: PolicyDocument) -> int:
        """The last day on which the patient can be exposed or at risk: death, or contact and the policy's grace."""
        silent = self.record.last_contact + policy.counting.lost_after_silent_days
        return silent if self.record.died is None else min(silent, self.record.died)


class Ages:
    """The ages a policy asks about; a patient's bracket is all the cohorts see of it."""

    def __init__(self, ages: set[int]) -> None:
        self.thresholds = tuple(sorted(ages))

    def bracket(self, age: int | None) -> int:
        """-1 where the birth year is unknown, else how many of the thresholds are reached."""
        return -1 if age is None else bisect_right(self.thresholds, age)


def _bits(diseases: int) -> list[int]:
    return [1 << at for at in range(diseases.bit_length()) if diseases >> at & 1]


def _first_dose(course: Course) -> int:
    return course.episodes[0].first


def _runs(course: Course, day: int) -> bool:
    return any(episode.first <= day < episode.end for episode in course.episodes)
