"""The contract's messages as plain dicts, written the way a hospital's interface would write them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

Message = dict[str, Any]


def concept(*codes: str) -> Message:
    """A coded concept of codes such as `loinc:5195-3`; several of them say the same thing."""
    return {
        "codings": [{"system": system, "code": code} for system, _, code in (each.partition(":") for each in codes)]
    }


def once_daily(mg: float) -> Message:
    """A dose taken once a day."""
    return {"amount": mg, "unit": "mg", "per_day": 1}


def instant(day: str, time: str, zone: str) -> str:
    """The wall-clock `time` (HH:MM) of `day` in `zone`, with the offset that was valid there."""
    return datetime.fromisoformat(f"{day}T{time}:00").replace(tzinfo=ZoneInfo(zone)).isoformat()


def message(kind: str, site: str, event_id: str, recorded_at: str, **body: Any) -> Message:
    """One message: the envelope, then `body` as it is."""
    return {"type": kind, "site": site, "event_id": event_id, "recorded_at": recorded_at, **body}
