"""Days are plain integers (`date.toordinal`), instants are UTC datetimes; a day belongs to a site's zone."""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

FULL_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
PARTIAL_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:([Zz])|([+-])([0-9]{2}):([0-9]{2}))"
)


def day(value: Any) -> int:
    """`YYYY-MM-DD`, or the date that YAML made of it, as a day number; ValueError if there is no such day."""
    if isinstance(value, date):
        return value.toordinal()
    if not FULL_DATE.fullmatch(value):
        raise ValueError("not a date")
    return date.fromisoformat(value).toordinal()


def first_day(partial: str) -> int:
    """The first day that `YYYY`, `YYYY-MM` or `YYYY-MM-DD` may mean."""
    if not PARTIAL_DATE.fullmatch(partial):
        raise ValueError("not a partial date")
    return day((partial + "-01-01")[:10])


def last_day(partial: str) -> int:
    """The last day that a partial date may mean."""
    found = first_day(partial)
    while is_within(found + 1, partial):
        found += 1
    return found


def is_within(number: int, partial: str) -> bool:
    """Is this day one that the partial date may mean?"""
    return number <= date.max.toordinal() and iso(number).startswith(partial)


def iso(number: int) -> str:
    return date.fromordinal(number).isoformat()


def year_of(number: int) -> int:
    return date.fromordinal(number).year


def instant(text: str) -> datetime:
    """RFC 3339 with offset, in UTC, cut to microseconds; ValueError otherwise (also for a leap second)."""
    found = INSTANT.fullmatch(text)
    if not found:
        raise ValueError("not an instant")
    on, hour, minute, second, fraction, zulu, sign, off_hour, off_minute = found.groups()
    clock = datetime.fromordinal(day(on)).replace(hour=int(hour), minute=int(minute), second=int(second))
    clock = clock.replace(microsecond=int(((fraction or "") + "000000")[:6]), tzinfo=UTC)
    if zulu:
        return clock
    if int(off_hour) > 23 or int(off_minute) > 59:
        raise ValueError("no such offset")
    offset = timedelta(hours=int(off_hour), minutes=int(off_minute))
    try:
        return clock - offset if sign == "+" else clock + offset
    except OverflowError:
        raise ValueError("outside the calendar") from None


def local_day(moment: datetime, zone: ZoneInfo) -> int:
    """The day an instant belongs to in a zone."""
    try:
        return moment.astimezone(zone).date().toordinal()
    except OverflowError:
        return moment.date().toordinal()
