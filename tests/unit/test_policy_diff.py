"""What `policy diff` says of two results of the same messages."""

from typing import Any

from monitor.commands.policy_diff import moved_decisions, moved_rates, moved_tallies


def start(treatment_id: str, decision: str, **findings: str) -> dict[str, Any]:
    return {
        "site": "lisbon", "treatment_id": treatment_id, "kind": "start", "decision": decision,
        "findings": {infection: {"finding": finding, "evidence": []} for infection, finding in findings.items()},
        "flags": [], "reasons": [], "valid_until": None, "historical": False,
    }  # fmt: skip


def rate(cohort: str, events: int, person_days: int, upper: float = 1.0) -> dict[str, Any]:
    key = {"cohort": cohort, "aesi": "any", "window": "cumulative", "estimator": "EAER"}
    return key | {"events": events, "person_days": person_days, "upper": upper}


def result(**parts: Any) -> dict[str, Any]:
    tallies = dict.fromkeys(("imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable"), 0)
    return {"decisions": [], "rates": [], "unplaced": {}, "unmapped": [], **tallies, **parts}


def test_equal_results_move_nothing() -> None:
    one, other = (
        result(decisions=[start("T1", "compliant", hiv="excluded")], rates=[rate("upa", 1, 10)]) for _ in "ab"
    )
    assert [*moved_decisions(one, other), *moved_rates(one, other), *moved_tallies(one, other)] == []


def test_a_decision_that_moves_is_told_with_its_findings_and_flags() -> None:
    old = result(decisions=[start("T1", "compliant", hiv="excluded", tuberculosis="excluded")])
    new = result(decisions=[start("T1", "violation", hiv="excluded", tuberculosis="expired") | {"flags": ["x"]}])
    told = "lisbon T1 start: compliant -> violation; tuberculosis excluded -> expired; flags none -> x"
    assert list(moved_decisions(old, new)) == [told]


def test_a_decision_only_one_policy_makes_is_told() -> None:
    told = list(moved_decisions(result(), result(decisions=[start("T1", "compliant")])))
    assert told == ["lisbon T1 start: no decision -> compliant"]


def test_a_rate_that_moves_is_told_by_what_its_limits_follow_from() -> None:
    told = list(moved_rates(result(rates=[rate("upa", 1, 10, 5.0)]), result(rates=[rate("upa", 2, 12, 6.0)])))
    assert told == ["upa any cumulative EAER: events 1 -> 2, person_days 10 -> 12"]


def test_a_rate_whose_limits_alone_move_is_told() -> None:
    told = list(moved_rates(result(rates=[rate("upa", 1, 10, 5.0)]), result(rates=[rate("upa", 1, 10, 6.0)])))
    assert told == ["upa any cumulative EAER: upper 5.0 -> 6.0"]


def test_rows_that_come_and_go_are_told() -> None:
    told = list(moved_rates(result(rates=[rate("old", 1, 10)]), result(rates=[rate("new", 1, 10)])))
    assert told == ["old any cumulative EAER: row gone", "new any cumulative EAER: new row"]


def test_what_is_no_longer_mapped_or_placed_is_told() -> None:
    unmapped = [{"kind": "term", "system": "icd10", "code": "R51", "count": 4}]
    told = list(moved_tallies(result(imputed=1), result(unmapped=unmapped, unplaced={"no_course": 2})))
    assert told == ["unplaced: none -> no_course 2", "imputed: 1 -> 0", "unmapped term icd10:R51: 0 -> 4"]
