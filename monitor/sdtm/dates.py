"""SDTM dates (ISO 8601, any part may be missing) and the day on which a row counts as recorded.

Whoever imports history does not know when a row was entered, only that it was not before the latest day it speaks of.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from monitor.sdtm.tables import Row, UnusableRowError

# 2013, 2013-05, 2013-05-07, each with a time or not; 2013---07 is a year whose month is missing.
_DATE = re.compile(r"([12][0-9]{3})(?:-([0-9]{2}|-)(?:-([0-9]{2}|-))?)?(?:T[-+:.,0-9Z]*)?")


@dataclass(frozen=True, slots=True)
class Partial:
    """A day, month or year: as the contract writes it, and the first and last day it may mean."""

    text: str
    first: date
    last: date

    @property
    def is_day(self) -> bool:
        return len(self.text) == len("2013-05-07")


@lru_cache(maxsize=1 << 14)
def parse(text: str) -> Partial | None:
    """What an SDTM date says for certain; None where it is none. The time of day and an offset are left out."""
    match = _DATE.fullmatch(text)
    if not match:
        return None
    year, month, day = match.groups()
    if not month or month == "-":
        return _between(year, 1, 1, 12, 31)
    if not day or day == "-":
        return _between(f"{year}-{month}", int(month), 1, int(month), None)
    return _between(f"{year}-{month}-{day}", int(month), int(day), int(month), int(day))


def _between(text: str, month: int, day: int, last_month: int, last_day: int | None) -> Partial | None:
    year = int(text[:4])
    try:
        first = date(year, month, day)
        return Partial(text, first, date(year, last_month, last_day or monthrange(year, last_month)[1]))
    except ValueError:  # a thirteenth month, 30 February, year 0
        return None


class Dates:
    """Reads the dates of rows and says when each counts as recorded.

    A row is recorded on its latest day; a month or year counts with its first day beside a full date, and with its
    last where the row has nothing fuller. A row without any date takes the latest day of its subject in all files,
    else of all files. Nothing later than `today` is believed: history has happened.
    """

    def __init__(self, rows: Iterable[Row], today: date) -> None:
        self._today = today
        self._of_subject: dict[str, date] = {}
        for row in rows:
            latest = self._latest(row)
            if latest and row.subject:
                self._of_subject[row.subject] = max(latest, self._of_subject.get(row.subject, latest))
        self._of_all = max(self._of_subject.values(), default=None)

    def partial(self, row: Row, column: str) -> Partial | None:
        """The date of a column, None where it is missing; UnusableRowError where it is none or has not come yet."""
        text = row.cells.get(column)
        if text is None:
            return None
        found = parse(text)
        if found is None:
            raise UnusableRowError(f"{column} is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)")
        if found.first > self._today:
            raise UnusableRowError(f"{column} lies in the future")
        return found

    def day(self, row: Row, column: str) -> date | None:
        """The same where a whole day is needed; UnusableRowError also for a month or a year."""
        found = self.partial(row, column)
        if found and not found.is_day:
            raise UnusableRowError(f"{column} is a partial date where the day is needed")
        return found.first if found else None

    def recorded(self, row: Row) -> date:
        """The day on which the row counts as recorded; UnusableRowError where no file has a date."""
        day = self._latest(row) or self._of_subject.get(row.subject or "") or self._of_all
        if day is None:
            raise UnusableRowError("neither the row nor another of the files has a date")
        return day

    def is_undated(self, row: Row) -> bool:
        return self._latest(row) is None

    def _latest(self, row: Row) -> date | None:
        found = [parse(text) for column, text in row.cells.items() if column.endswith("DTC")]
        happened = [one for one in found if one and one.first <= self._today]
        if any(one.is_day for one in happened):
            return max(one.first for one in happened)
        return min(max(one.last for one in happened), self._today) if happened else None


def next_day(day: date) -> date:
    return day + timedelta(days=1)
