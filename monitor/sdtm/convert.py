"""From the tables of a study to its messages, in one pass over each domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from monitor.sdtm import courses
from monitor.sdtm.accounts import Accounts, Findings
from monitor.sdtm.dates import Dates
from monitor.sdtm.demographics import patient_profile, reference_end
from monitor.sdtm.events import adverse_event
from monitor.sdtm.exposure import FREQUENCIES, Exposure, exposure
from monitor.sdtm.laboratory import screening_result
from monitor.sdtm.message import REPEATED_SEQUENCE, Coding, Identities, Message, at, concept
from monitor.sdtm.tables import Row, Table, UnusableRowError

UNDATED = "without any date: recorded on the latest day of their subject, else of the files"
REPEATED = "equal to an earlier row: one fact"
_Body = Callable[[Row, Dates, Findings], Message]


@dataclass(frozen=True, slots=True)
class Options:
    """What the files do not say. `drugs` maps EXTRT to codings, `frequencies` EXDOSFRQ to doses a day."""

    site: str | None = None
    indications: tuple[Coding, ...] = ()
    drugs: Mapping[str, tuple[Coding, ...]] = field(default_factory=dict)
    frequencies: Mapping[str, Decimal] = field(default_factory=dict)


def convert(tables: Mapping[str, Table], options: Options, today: date, accounts: Accounts) -> Iterator[Message]:
    """The messages of the tables (by domain): courses, adverse events, results, profiles, in the order of the rows.

    No date after `today` is believed. The accounts is complete when all messages have been taken.
    """
    return _Study(tables, options, today, accounts).messages()


class _Study:
    def __init__(self, tables: Mapping[str, Table], options: Options, today: date, accounts: Accounts) -> None:
        self._accounts = accounts
        self._tables = tables
        self._options = options
        self._dates = Dates((row for table in tables.values() for row in table.rows), today)

    def messages(self) -> Iterator[Message]:
        ends, profiles = self._profiles()
        yield from self._courses(ends)
        yield from self._facts("AE", adverse_event)
        yield from self._facts("LB", lambda row, dates, _: screening_result(row, dates))
        yield from profiles

    def _rows(self, domain: str) -> Iterator[Row]:
        """The rows that are rows; the others are accounted for."""
        for row in self._tables[domain].rows if domain in self._tables else ():
            if row.problem:
                self._accounts.reject(row, row.problem)
            else:
                yield row

    def _facts(self, domain: str, body: _Body) -> Iterator[Message]:
        """A message for each row that can be used; equal rows give one."""
        rows = list(self._rows(domain))
        identities, seen = Identities(rows), set[str]()
        for row in rows:
            findings = Findings()
            try:
                said, recorded = body(row, self._dates, findings), self._dates.recorded(row)
            except UnusableRowError as problem:
                self._accounts.reject(row, str(problem))
                continue
            event_id = identities.of(row)
            if event_id in seen:
                findings.remarks.append(REPEATED)
            else:
                seen.add(event_id)
                yield self._message(row.need("USUBJID"), recorded, event_id, said)
            self._remark(row, identities, findings)
            self._accounts.use(row, findings)

    def _remark(self, row: Row, identities: Identities, findings: Findings) -> None:
        if not identities.is_unique(row):
            findings.remarks.append(REPEATED_SEQUENCE)
        if self._dates.is_undated(row):
            findings.remarks.append(UNDATED)

    def _profiles(self) -> tuple[dict[str, date], list[Message]]:
        """The reference ends by subject (of several the latest) and the profiles."""
        ends: dict[str, date] = {}

        def profile(row: Row, dates: Dates, findings: Findings) -> Message:
            message = patient_profile(row, dates, findings)
            end = reference_end(row, dates, findings)
            if end:
                ends[row.need("USUBJID")] = max(end, ends.get(row.need("USUBJID"), end))
            return message

        return ends, list(self._facts("DM", profile))

    def _courses(self, ends: Mapping[str, date]) -> Iterator[Message]:
        used = list(self._exposures())
        for course in courses.courses(row for _, row in used):
            start = self._start(course.treatment)
            for event_id, body, row in courses.course_messages(course, ends.get(course.subject), start):
                yield self._message(course.subject, row.recorded, event_id, body)
        for source, found in used:  # only now: what overlaps is known once its course is laid out
            self._accounts.use(source, found.findings)

    def _exposures(self) -> Iterator[tuple[Row, Exposure]]:
        rows = list(self._rows("EX"))
        identities, frequencies = Identities(rows), {**FREQUENCIES, **self._options.frequencies}
        seen = set[str]()
        for row in rows:
            try:
                found = exposure(row, self._dates, identities, frequencies)
            except UnusableRowError as problem:
                self._accounts.reject(row, str(problem))
                continue
            if found.event_id in seen:
                found.findings.remarks.append(REPEATED)
            seen.add(found.event_id)
            yield row, found

    def _start(self, treatment: str) -> Message:
        drug = self._options.drugs.get(treatment, (("local", treatment),))
        indications = self._options.indications or (("local", "UNKNOWN"),)
        return {"drug": concept(*drug), "indications": [concept(coding) for coding in indications]}

    def _message(self, subject: str, recorded: date, event_id: str, body: Message) -> Message:
        self._accounts.messages[body["type"]] += 1
        site = {"site": self._options.site} if self._options.site else {}
        envelope = {"schema": 1, "type": body["type"], "event_id": event_id, "recorded_at": at(recorded)}
        return {**envelope, **site, "patient_id": subject, **body}
