"""Days and instants as integers, so that the core compares and subtracts plain numbers.

A day is `date.toordinal()`; an instant is microseconds since 1970-01-01 UTC and belongs to the day it has in the
site's zone. Intervals of days are half-open: [first, end).
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DAY_US = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_SLOT_US = 900_000_000  # zones change their offset at quarters of an hour, today's at least: checked below
_MICROSECOND = timedelta(microseconds=1)

LAST_DAY = date.max.toordinal()
FOR_EVER = 10_000_000  # later than any date that can be written


def instant(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exactly."""
    gap = moment - _EPOCH
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def moment_of(instant_us: int) -> datetime:
    """The UTC datetime of an instant: the inverse of `instant`."""
    return _EPOCH + timedelta(microseconds=instant_us)


def local_day(instant_us: int, zone: ZoneInfo | None) -> int:
    """The day of an instant in a zone (None: UTC)."""
    if zone is None:
        return _EPOCH_DAY + instant_us // DAY_US
    offset = _offset_of_slot(zone, instant_us // _SLOT_US)
    if offset is None:
        offset = _offset(zone, instant_us)
    return _EPOCH_DAY + (instant_us + offset) // DAY_US


@lru_cache(maxsize=1 << 16)
def _offset_of_slot(zone: ZoneInfo, slot: int) -> int | None:
    """The zone's offset from UTC during a quarter of an hour, None where it changes within."""
    first, last = _offset(zone, slot * _SLOT_US), _offset(zone, (slot + 1) * _SLOT_US - 1)
    return first if first == last else None


def _offset(zone: ZoneInfo, instant_us: int) -> int:
    offset = moment_of(instant_us).astimezone(zone).utcoffset()
    return 0 if offset is None else offset // _MICROSECOND


@lru_cache(maxsize=1 << 16)
def partial_days(text: str) -> tuple[int, int]:
    """First and last day that `YYYY`, `YYYY-MM` or `YYYY-MM-DD` may mean, both included."""
    year, month, day = (*map(int, text.split("-")), 0, 0)[:3]
    first = date(year, month or 1, day or 1)
    last = date(year, month or 12, day or monthrange(year, month or 12)[1])
    return first.toordinal(), last.toordinal()


def iso(day: int) -> str:
    """The day as `YYYY-MM-DD`."""
    return date.fromordinal(day).isoformat()


def day_of(text: str) -> int:
    """The day of `YYYY-MM-DD`; ValueError where it is none."""
    return date.fromisoformat(text).toordinal()


def year_of(day: int) -> int:
    return date.fromordinal(day).year


def first_of_year(year: int) -> int:
    return date(year, 1, 1).toordinal()
