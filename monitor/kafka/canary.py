"""The canary: a patient who is none, at a reserved site, started without any screening every few minutes.

Whoever sees the violation come out again knows that publishing, taking in, judging, answering and showing all work. The
site counts nowhere, and its topics keep nothing for long.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from monitor.core.days import iso

_COURSE = "canary-"


def probe(now: datetime) -> bytes:
    """A start of today, without screening; its course bears the moment."""
    at = int(now.timestamp())
    name = f"{_COURSE}{at}"
    nothing = {"codings": [{"system": "local", "code": "CANARY"}]}
    return json.dumps(
        {
            "type": "treatment_started",
            "event_id": name,
            "recorded_at": now.astimezone(UTC).isoformat(),
            "patient_id": name,
            "treatment_id": name,
            "drug": {"codings": [{"system": "atc", "code": "L04AF03"}]},
            "indications": [nothing],
            "dose": {"amount": 15, "unit": "mg", "per_day": 1},
            "started_on": iso(now.astimezone(UTC).toordinal()),
        }
    ).encode()


def published_at(treatment_id: str) -> int | None:
    """When the probe of a course was published (seconds since 1970); None where it is none."""
    at = treatment_id.removeprefix(_COURSE)
    return int(at) if treatment_id.startswith(_COURSE) and at.isdigit() else None
