"""What people decide: waivers and settlements, and what they may not do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.core.policy import PolicyDocument
from monitor.demo.cases import case_two
from monitor.policyfile import load_policies
from monitor.replay import Question, replay_lines
from schemas.actions import decode_action

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def policy() -> PolicyDocument:
    return load_policies([HERE / "policy.yaml"])[0]


def replayed(messages: list[dict[str, Any]], policy: PolicyDocument, *actions: dict[str, Any]) -> dict[str, Any]:
    decided = tuple(decode_action(json.dumps(action).encode()) for action in actions)
    return replay_lines([json.dumps(each).encode() for each in messages], Question((policy,), actions=decided))  # type: ignore[arg-type]


def start_of(result: dict[str, Any]) -> dict[str, Any]:
    return next(row for row in result["decisions"] if row["kind"] == "start")


def contradicted() -> list[dict[str, Any]]:
    """Case two, whose HIV result was also reported as positive under the same time of recording."""
    messages = case_two()
    hiv = next(each for each in messages if each["event_id"] == "case-2-hiv")
    return [*messages, hiv | {"outcome": "positive"}]


def settle(result: dict[str, Any], outcome_is_positive: bool, at: str, policy: PolicyDocument) -> dict[str, Any]:
    """The action that lets the body with this outcome stand; a trial tells which digest it has."""
    (conflict,) = result["open_conflicts"]
    for body in conflict["bodies"]:
        action = {
            "action": "settle_conflict", "action_id": f"settled {at}", "at": at, "by": "somebody", "role": "officer",
            "reason": "looked at the paper", "site": conflict["site"], "source": conflict["source"],
            "event_id": conflict["event_id"], "digest": body["digest"],
        }  # fmt: skip
        found = start_of(replayed(contradicted(), policy, action))["findings"]["hiv"]["finding"]
        if (found == "positive") is outcome_is_positive:
            return action
    raise AssertionError("no body of the conflict has this outcome")


def test_a_conflict_holds_until_it_is_settled(policy: PolicyDocument) -> None:
    before = replayed(contradicted(), policy)
    assert (before["conflicts"], start_of(before)["decision"]) == (1, "violation")
    negative = settle(before, outcome_is_positive=False, at="2026-01-01T00:00:00Z", policy=policy)
    after = replayed(contradicted(), policy, negative)
    assert (after["conflicts"], start_of(after)["decision"]) == (0, "compliant")


def test_the_last_word_on_a_conflict_counts(policy: PolicyDocument) -> None:
    before = replayed(contradicted(), policy)
    negative = settle(before, outcome_is_positive=False, at="2026-01-01T00:00:00Z", policy=policy)
    positive = settle(before, outcome_is_positive=True, at="2026-01-02T00:00:00Z", policy=policy)
    for order in ((negative, positive), (positive, negative)):
        assert start_of(replayed(contradicted(), policy, *order))["decision"] == "violation"


def test_a_settlement_does_not_cover_what_was_recorded_after_it(policy: PolicyDocument) -> None:
    before = replayed(contradicted(), policy)
    early = settle(before, outcome_is_positive=False, at="2026-01-01T00:00:00Z", policy=policy)
    too_early = early | {"at": "2020-01-01T00:00:00Z"}
    assert start_of(replayed(contradicted(), policy, too_early))["decision"] == "violation"


@pytest.mark.parametrize(
    ("at", "more", "decision"),
    [
        ("2020-01-01T00:00:00Z", {}, "compliant"),
        ("2030-01-01T00:00:00Z", {}, "violation"),  # signed after the dose
        ("2020-01-01T00:00:00Z", {"ends_on": "2020-06-01"}, "violation"),  # ended before it
        ("2020-01-01T00:00:00Z", {"treatment_id": "another"}, "violation"),
    ],
)
def test_a_waiver_counts_if_signed_before_the_dose_for_this_course_and_not_ended(
    policy: PolicyDocument, at: str, more: dict[str, str], decision: str
) -> None:
    messages = [each for each in case_two() if each["event_id"] != "case-2-hiv"]
    waiver = {
        "action": "sign_waiver", "action_id": "w", "at": at, "by": "somebody", "role": "officer", "reason": "known",
        "site": "lisbon", "infection": "hiv", "treatment_id": "case-2-upa",
    } | more  # fmt: skip
    assert start_of(replayed(messages, policy))["decision"] == "violation"
    assert start_of(replayed(messages, policy, waiver))["decision"] == decision
