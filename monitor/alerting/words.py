"""Numbers in the texts of alerts, spelled as Prometheus' templates spell them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Number(float):
    """The value of an alert: `{value}` is a count, `{value:duration}` seconds, `{value:moment}` seconds since 1970."""

    def __format__(self, how: str) -> str:
        if how == "duration":
            return _duration(int(self))
        return _moment(self) if how == "moment" else f"{float(self):.0f}"


def _duration(seconds: int) -> str:
    """Of a minute or more, as `humanizeDuration`: `8d 0h 0m 5s`."""
    minutes, hours, days = seconds // 60, seconds // 3_600, seconds // 86_400
    parts = [(days, "d"), (hours % 24, "h"), (minutes % 60, "m"), (seconds % 60, "s")]
    first = next((place for place, (number, _) in enumerate(parts) if number), len(parts) - 1)
    return " ".join(f"{number}{unit}" for number, unit in parts[first:])


def _moment(seconds: float) -> str:
    """In UTC to the millisecond, as `humanizeTimestamp`: `2026-01-02 03:04:05.06 +0000 UTC`."""
    at = after_epoch(int(seconds * 1_000) / 1_000)
    fraction = f".{at.microsecond:06}".rstrip("0").rstrip(".")
    return f"{at:%Y-%m-%d %H:%M:%S}{fraction} +0000 UTC"


def after_epoch(seconds: float) -> datetime:
    """The instant so many seconds after 1970 began."""
    return _EPOCH + timedelta(seconds=seconds)
