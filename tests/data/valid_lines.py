"""A valid line of each type, and the smallest registry that knows their sites.

`lisbon` trims ids, `kiritimati` (UTC+14) strips leading zeros, `niue` (UTC-11) keeps them as they are.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo


class Entry(NamedTuple):
    zone: ZoneInfo
    trim: bool = False
    strip_zeros: bool = False


class Registry:
    """The smallest registry that decoding can do with."""

    def __init__(self) -> None:
        self.entries = {
            "lisbon": Entry(ZoneInfo("Europe/Lisbon"), trim=True),
            "kiritimati": Entry(ZoneInfo("Pacific/Kiritimati"), strip_zeros=True),
            "niue": Entry(ZoneInfo("Pacific/Niue")),
        }

    def entry(self, site: str, recorded_at: int, /) -> Entry | None:
        return self.entries.get(site)


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"codings": [{"system": system, "code": code}]}


_DOSE = {"amount": 15, "unit": "mg", "per_day": 1}
BODIES: dict[str, dict[str, Any]] = {
    "treatment_ordered": {
        "treatment_id": "t-1",
        "drug": _concept("atc", "L04AF03"),
        "indications": [_concept("icd10", "L20.9")],
        "dose": _DOSE,
        "planned_start_on": "2026-07-01",
    },
    "treatment_cancelled": {"treatment_id": "t-1", "cancelled_on": "2026-04-30"},
    "treatment_started": {
        "treatment_id": "t-1",
        "drug": _concept("atc", "L04AF03"),
        "indications": [_concept("icd10", "L20.9"), _concept("icd10", "K50.9")],
        "dose": _DOSE,
        "started_on": "2026-04-30",
        "started_at": "2026-04-30T08:30:00+01:00",
        "order_id": "o-1",
    },
    "treatment_changed": {"treatment_id": "t-1", "changed_on": "2026-04-30", "dose": _DOSE},
    "treatment_stopped": {"treatment_id": "t-1", "last_dose_on": "2026-04-30", "reason": "remission"},
    "screening_result": {
        "test": _concept("loinc", "42595-9"),
        "collected_on": "2026-04-28",
        "resulted_at": "2026-04-29T16:05:00+01:00",
        "quantity": {"value": 10, "unit": "IU/mL", "comparator": "<"},
    },
    "prevention": {"infection": "tuberculosis", "started_on": "2026-03-01", "ended_on": "2026-04-30"},
    "adverse_event": {
        "term": {**_concept("icd10", "B02.9"), "text": "shingles"},
        "onset_on": "2026-04",
        "seriousness": ["hospitalisation"],
        "grade": 3,
        "outcome": "recovering",
        "suspect_treatment_ids": ["t-1"],
        "relatedness": "possible",
    },
    "patient_profile": {
        "birth_year": 1990,
        "sex": "female",
        "conditions": [{"concept": _concept("icd10", "L20.9"), "since": "2004", "until": "2026-02"}],
        "died_on": "2026-04-30",
    },
    "patient_contact": {"seen_on": "2026-04-30", "days_supplied": 28},
    "feed_status": {"feed": "adverse_event", "complete_through": "2026-04-30"},
    "patient_merged": {"merged_patient_id": "p-2"},
}


def _message(kind: str) -> dict[str, Any]:
    envelope = {
        "schema": 1, "type": kind, "source": "lab", "event_id": "e-1", "version": 2,
        "recorded_at": "2026-05-01T12:00:00+01:00", "patient_id": "p-1", "site": "lisbon",
    }  # fmt: skip
    if kind == "feed_status":
        del envelope["patient_id"]
    return {**envelope, **BODIES[kind]}


def compact(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


VALID = {kind: compact(_message(kind)) for kind in BODIES}


def changed(kind: str, path: str, value: Any) -> bytes:
    """The valid message of a type with one field, given by its path (`drug.codings.0.code`), set to a value."""
    message = json.loads(VALID[kind])
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("."))
    inner = message
    for part in parents:
        inner = inner[part]
    inner[last] = value
    return compact(message)
