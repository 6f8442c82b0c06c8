"""Facts of a course that have no effect are listed, each under its own word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.policyfile import load_policies
from monitor.replay import Question, replay_lines

POLICY = load_policies([Path(__file__).parent / "policy.yaml"])
CODED = {"codings": [{"system": "atc", "code": "L04AF03"}]}
AD = {"codings": [{"system": "icd10", "code": "L20.9"}]}
MG_15 = {"amount": 15, "unit": "mg", "per_day": 1}


def fact(kind: str, event_id: str, **body: Any) -> dict[str, Any]:
    common = {"site": "lisbon", "patient_id": "p", "treatment_id": "t", "recorded_at": "2025-12-31T12:00:00Z"}
    return {"type": f"treatment_{kind}", "event_id": event_id} | common | body


def started(event_id: str, on: str) -> dict[str, Any]:
    return fact("started", event_id, drug=CODED, indications=[AD], dose=MG_15, started_on=on)


def stopped(event_id: str, on: str) -> dict[str, Any]:
    return fact("stopped", event_id, last_dose_on=on)


def changed(event_id: str, on: str) -> dict[str, Any]:
    return fact("changed", event_id, changed_on=on, dose=MG_15)


MARCH = started("s", "2025-03-01")
APRIL = stopped("e", "2025-04-01")


@pytest.mark.parametrize(
    ("facts", "what"),
    [
        ([MARCH, APRIL], {}),
        ([MARCH, started("s2", "2025-03-10")], {"s2": "start_while_running"}),
        ([MARCH, APRIL, started("s2", "2025-04-01")], {"s2": "start_while_running"}),
        ([MARCH, stopped("e", "2025-02-01")], {"e": "stop_before_start"}),
        ([MARCH, APRIL, stopped("e2", "2025-05-01")], {"e2": "stop_while_stopped"}),
        ([APRIL, changed("c", "2025-03-01")], {"e": "stop_without_start", "c": "change_without_start"}),
        ([MARCH, changed("c", "2025-02-01")], {"c": "change_without_effect"}),
    ],
)  # fmt: skip
def test_a_fact_without_effect_is_listed(facts: list[dict[str, Any]], what: dict[str, str]) -> None:
    result = replay_lines([json.dumps(each).encode() for each in facts], Question(POLICY))
    assert {row["event_id"]: row["what"] for row in result["listed"]} == what
