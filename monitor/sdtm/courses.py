"""Courses from EX rows: one per subject and treatment, a new episode after each gap.

Where rows of one course overlap, the one that starts later speaks until it ends, then the earlier one again: EX rows
are states of the course, so their doses replace each other and are never added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import pairwise

from monitor.sdtm.dates import next_day
from monitor.sdtm.exposure import Exposure
from monitor.sdtm.message import Message, digest


@dataclass(frozen=True, slots=True)
class Span:
    """Days [first, end) on which one row speaks; end None where it is open."""

    first: date
    end: date | None
    row: Exposure


@dataclass(frozen=True, slots=True)
class Course:
    """The usable rows of one subject and treatment, in the order of their days."""

    subject: str
    treatment: str
    rows: tuple[Exposure, ...]

    @property
    def treatment_id(self) -> str:
        """The same in every import, and not the subject's id, because it is shown to people."""
        return f"course-{digest(self.subject, self.treatment)}"


def courses(rows: Iterable[Exposure]) -> Iterator[Course]:
    """The courses in the order in which the rows first name them."""
    found: dict[tuple[str, str], list[Exposure]] = {}
    for row in rows:
        found.setdefault((row.subject, row.treatment), []).append(row)
    for (subject, treatment), of in found.items():
        yield Course(subject, treatment, tuple(sorted(of, key=lambda row: row.rank)))


def close_open_ends(rows: Sequence[Exposure], reference_end: date | None) -> list[Exposure]:
    """A row without an end runs until the next one starts, the last one through `reference_end` if there is one."""
    return [row if row.end else _closed(row, rows, reference_end) for row in rows]


def _closed(row: Exposure, rows: Sequence[Exposure], reference_end: date | None) -> Exposure:
    later = [other.first for other in rows if other.first > row.first]
    if later:
        row.findings.remarks.append("without EXENDTC but with a later row: end where that one starts")
        return replace(row, end=min(later))
    if reference_end and reference_end >= row.first:
        row.findings.remarks.append("without EXENDTC: end with DM's RFENDTC")
        return replace(row, end=next_day(reference_end), recorded=max(row.recorded, reference_end))
    row.findings.remarks.append("without EXENDTC: leave their course open")
    return row


def episodes(rows: Sequence[Exposure]) -> Iterator[list[Span]]:
    """Runs of days without a gap, each as the spans of the rows that speak; rows in order, open ends closed."""
    run: list[Span] = []
    for span in _spans(rows):
        if run and run[-1].end != span.first:
            yield run
            run = []
        run.append(span)
    if run:
        yield run


def _spans(rows: Sequence[Exposure]) -> Iterator[Span]:
    """The days covered by any row, cut wherever a row starts or ends."""
    cuts = sorted({row.first for row in rows} | {row.end for row in rows if row.end})
    active: list[Exposure] = []
    waiting = list(reversed(rows))
    for first, end in pairwise([*cuts, None]):
        assert first is not None  # noqa: S101  only the last of the list is None
        while waiting and waiting[-1].first <= first:
            active.append(waiting.pop())
        active = [row for row in active if row.covers(first)]
        if active:
            speaker = max(active, key=lambda row: row.rank)
            _tell_overlapped(active, speaker)
            yield Span(first, end, speaker)


def _tell_overlapped(active: Sequence[Exposure], speaker: Exposure) -> None:
    told = (
        "it overlaps another row of its course with another dose: on the shared days the one that starts later speaks"
    )
    for row in active:
        if row.dose != speaker.dose and told not in row.findings.losses:
            row.findings.losses.append(told)


def course_messages(
    course: Course, reference_end: date | None, start: Message
) -> Iterator[tuple[str, Message, Exposure]]:
    """(`event_id`, body, the row it comes from) of each message of a course.

    `start` is what every start says of drug and indications. The first day of a row bears the row's own id, whatever it
    comes to be; a stop is named after the row that starts its episode. So a later cut of the data, in which the episode
    goes on, corrects what an earlier one said instead of adding to it.
    """
    for spans in episodes(close_open_ends(course.rows, reference_end)):
        first, last = spans[0], spans[-1]
        yield first.row.event_id, {**_started(course, first), **start}, first.row
        for before, span in pairwise(spans):
            changes = span.row.dose != before.row.dose
            if span.first == span.row.first:
                yield span.row.event_id, _changed(course, span) if changes else _seen(span), span.row
            elif changes:
                yield f"{span.row.event_id}-again-{span.first}", _changed(course, span), span.row
        if last.end:
            yield f"{first.row.event_id}-stop", _stopped(course, last.end), last.row


def _started(course: Course, span: Span) -> Message:
    return {
        "type": "treatment_started",
        "treatment_id": course.treatment_id,
        "started_on": span.first.isoformat(),
        "dose": span.row.dose,
    }


def _changed(course: Course, span: Span) -> Message:
    return {
        "type": "treatment_changed",
        "treatment_id": course.treatment_id,
        "changed_on": span.first.isoformat(),
        "dose": span.row.dose,
    }


def _seen(span: Span) -> Message:
    """A row that goes on with the same dose changes nothing, but the patient was there on its first day."""
    return {"type": "patient_contact", "seen_on": span.first.isoformat()}


def _stopped(course: Course, end: date) -> Message:
    return {
        "type": "treatment_stopped",
        "treatment_id": course.treatment_id,
        "last_dose_on": (end - timedelta(days=1)).isoformat(),
    }
