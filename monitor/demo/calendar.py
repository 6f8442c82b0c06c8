"""Days and instants of one time zone as text, each worked out once: generated messages are mostly dates."""

from __future__ import annotations

from datetime import date, datetime, time
from functools import cached_property
from typing import NamedTuple
from zoneinfo import ZoneInfo

MINUTES_A_DAY = 1440


class _Day(NamedTuple):
    text: str
    offset: str
    offset_minutes: int


class Calendar:
    """The days of one zone; a day is `date.toordinal()`."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)
        self._days: dict[int, _Day] = {}

    @cached_property
    def _times(self) -> list[str]:
        return [f"T{minute // 60:02}:{minute % 60:02}:00" for minute in range(MINUTES_A_DAY)]

    def day(self, day: int) -> str:
        """The day as YYYY-MM-DD."""
        return self._known(day).text

    def instant(self, day: int, minute: int) -> str:
        """The instant at `minute` of the day, with the offset the zone has at noon."""
        known = self._known(day)
        return known.text + self._times[minute] + known.offset

    def utc_minute(self, day: int, minute: int) -> int:
        """The same instant as a number that sorts across zones."""
        return day * MINUTES_A_DAY + minute - self._known(day).offset_minutes

    def _known(self, day: int) -> _Day:
        known = self._days.get(day)
        if known is None:
            known = self._days[day] = self._work_out(date.fromordinal(day))
        return known

    def _work_out(self, day: date) -> _Day:
        noon = datetime.combine(day, time(12), self._zone)
        offset = noon.utcoffset()
        assert offset is not None  # noqa: S101 - an aware datetime has one
        return _Day(day.isoformat(), noon.isoformat()[-6:], int(offset.total_seconds() // 60))
