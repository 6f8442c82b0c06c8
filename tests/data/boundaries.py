"""For each field that says something happened: the latest value that a registry's zone allows, and the next."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.data.valid_lines import changed, compact


def _at(kind: str, site: str, recorded_at: str, field: str, value: Any) -> bytes:
    message = json.loads(changed(kind, field, value))
    return compact({**message, "site": site, "recorded_at": recorded_at})


# (type, site, recorded_at, field, the latest value allowed, the earliest value that is not)
BOUNDARIES: tuple[tuple[str, str, str, str, Any, Any], ...] = (
    ("treatment_stopped", "lisbon", "2026-05-01T12:00:00+01:00", "last_dose_on", "2026-05-02", "2026-05-03"),
    ("treatment_stopped", "lisbon", "2026-05-01T23:30:00Z", "last_dose_on", "2026-05-03", "2026-05-04"),
    ("treatment_stopped", "lisbon", "2026-01-01T23:30:00Z", "last_dose_on", "2026-01-02", "2026-01-03"),
    ("treatment_stopped", "kiritimati", "2026-05-01T09:59:59Z", "last_dose_on", "2026-05-02", "2026-05-03"),
    ("treatment_stopped", "kiritimati", "2026-05-01T10:00:00Z", "last_dose_on", "2026-05-03", "2026-05-04"),
    ("treatment_stopped", "niue", "2026-05-01T10:59:59Z", "last_dose_on", "2026-05-01", "2026-05-02"),
    ("treatment_stopped", "niue", "2026-05-01T11:00:00Z", "last_dose_on", "2026-05-02", "2026-05-03"),
    ("treatment_stopped", "niue", "2026-05-02T00:30:00+14:00", "last_dose_on", "2026-05-01", "2026-05-02"),
    ("treatment_stopped", "niue", "2026-05-02T10:00:00+23:59", "last_dose_on", "2026-05-01", "2026-05-02"),
    ("treatment_stopped", "kiritimati", "2026-05-01T23:00:00-11:00", "last_dose_on", "2026-05-04", "2026-05-05"),
    ("treatment_stopped", "lisbon", "2024-02-28T12:00:00Z", "last_dose_on", "2024-02-29", "2024-03-01"),
    ("treatment_cancelled", "lisbon", "2026-05-01T12:00:00Z", "cancelled_on", "2026-05-02", "2026-05-03"),
    ("treatment_started", "lisbon", "2026-05-01T12:00:00Z", "started_on", "2026-05-02", "2026-05-03"),
    (
        "treatment_started", "lisbon", "2026-05-01T12:00:00Z", "started_at",
        "2026-05-02T13:00:00+01:00", "2026-05-02T12:00:00.000001Z",
    ),
    ("treatment_changed", "lisbon", "2026-05-01T12:00:00Z", "changed_on", "2026-05-02", "2026-05-03"),
    ("screening_result", "lisbon", "2026-05-01T12:00:00Z", "collected_on", "2026-05-02", "2026-05-03"),
    (
        "screening_result", "lisbon", "2026-05-01T12:00:00-03:00", "resulted_at",
        "2026-05-02T15:00:00Z", "2026-05-03T05:00:01+14:00",
    ),
    ("prevention", "lisbon", "2026-05-01T12:00:00Z", "started_on", "2026-05-02", "2026-05-03"),
    ("prevention", "lisbon", "2026-05-01T12:00:00Z", "ended_on", "2026-05-02", "2026-05-03"),
    ("adverse_event", "lisbon", "2026-05-01T12:00:00Z", "onset_on", "2026-05-02", "2026-05-03"),
    ("adverse_event", "lisbon", "2026-05-30T12:00:00Z", "onset_on", "2026-05", "2026-06"),
    ("adverse_event", "lisbon", "2026-05-31T12:00:00Z", "onset_on", "2026-06", "2026-07"),
    ("adverse_event", "lisbon", "2026-12-31T12:00:00Z", "onset_on", "2027", "2028"),
    ("adverse_event", "lisbon", "2026-12-30T12:00:00Z", "onset_on", "2026", "2027"),
    ("adverse_event", "lisbon", "2026-05-01T12:00:00Z", "ended_on", "2026-05-02", "2026-05-03"),
    ("patient_profile", "lisbon", "2026-12-30T12:00:00Z", "birth_year", 2026, 2027),
    ("patient_profile", "lisbon", "2026-12-31T12:00:00Z", "birth_year", 2027, 2028),
    ("patient_profile", "lisbon", "2026-05-01T12:00:00Z", "died_on", "2026-05-02", "2026-05-03"),
    ("patient_profile", "lisbon", "2026-05-01T12:00:00Z", "conditions.0.since", "2026-05-02", "2026-06"),
    ("patient_contact", "lisbon", "2026-05-01T12:00:00Z", "seen_on", "2026-05-02", "2026-05-03"),
    ("feed_status", "lisbon", "2026-05-01T12:00:00Z", "complete_through", "2026-05-02", "2026-05-03"),
)  # fmt: skip


def boundary_lines() -> Iterator[tuple[str, bytes, bytes]]:
    """Per boundary its name, the last line allowed and the first that is not."""
    for kind, site, recorded_at, field, last, first in BOUNDARIES:
        name = f"{kind}.{field} {first} recorded at {recorded_at} in {site}"
        yield name, _at(kind, site, recorded_at, field, last), _at(kind, site, recorded_at, field, first)
