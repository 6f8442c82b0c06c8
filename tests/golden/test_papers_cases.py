"""The two patients of the paper: what must pass, and the same papers with one thing wrong, which must not."""

from __future__ import annotations

import pytest

from monitor.demo import cases
from monitor.policyfile import default_policy_path

FOUR = {"hepatitis_b": "excluded", "hepatitis_c": "excluded", "hiv": "excluded", "tuberculosis": "excluded"}


@pytest.fixture
def told(replay):
    """Both cases, three months after the first dose of case 1."""
    return replay(cases.paper_cases(), cases.AS_OF)


@pytest.fixture
def start_of_case_two(replay):
    """Verdict of the start and the infections not excluded before it, of a variant of case 2."""

    def judge(messages):
        replayed = replay([*messages, *cases.nothing_to_report()], cases.AS_OF)
        return replayed.verdict("case-2-upa"), replayed.not_excluded("case-2-upa")

    return judge


@pytest.mark.parametrize("course", ["case-1-upa", "case-2-upa"])
def test_both_starts_are_compliant_with_four_exclusions_each(told, course):
    assert told.verdict(course) == "compliant"
    assert told.findings(course) == FOUR
    assert told.decision(course)["reasons"] == []


@pytest.mark.parametrize("course", ["case-1-upa", "case-2-upa"])
def test_both_orders_are_complete_before_the_first_dose(told, course):
    assert told.verdict(course, "order") == "screening_complete"


@pytest.mark.parametrize("course", ["case-1-upa", "case-2-upa"])
def test_the_default_policy_says_the_same_of_both_and_flags_neither(replay, course):
    told = replay(cases.paper_cases(), cases.AS_OF, policy=default_policy_path())
    assert told.verdict(course) == "compliant"
    assert told.findings(course) == FOUR
    assert told.decision(course)["flags"] == []


def test_45_mg_is_right_for_crohns_induction(told):
    assert told.decision("case-1-upa")["flags"] == []


def test_doses_and_person_days_are_as_told(told):
    # The first on 45 mg from 10 March to 9 April, 22 + 9 = 31 days, on 30 mg to 10 June, 21 + 31 + 10 = 62;
    # the second on 15 mg from 12 May to 10 June, 20 + 10 = 30. Both go on, so there is no tail.
    assert told.counted("upa_by_dose:45") == (0, 31)
    assert told.counted("upa_by_dose:30") == (0, 62)
    assert told.counted("upa_by_dose:15") == (0, 30)
    assert told.counted("upa") == (0, 123)


def test_both_patients_count_as_dermatitis_with_another_immune_disease(told):
    assert told.counted("upa_ad_comorbid") == (0, 123)


def test_no_adverse_event_in_123_days_is_a_rate_of_nought_with_an_upper_limit(told):
    # Garwood with no events: upper limit -ln(0.025) / PY; 3.6888794541 / (123 / 365.25) * 100 = 1095.42
    row = told.rate("upa")
    assert (row["rate_per_100_patient_years"], row["lower"], row["upper"]) == (0, 0, 1095.42)


def test_a_result_on_the_day_after_the_first_dose_is_late(start_of_case_two):
    assert start_of_case_two(cases.result_the_day_after()) == ("violation", {"hiv": "late"})


def test_a_result_at_twenty_past_midnight_is_late_though_its_utc_day_is_that_of_the_dose(start_of_case_two):
    # 2025-05-12T23:20Z is 00:20 on 13 May in Lisbon (summer time); the first dose was on 12 May.
    assert start_of_case_two(cases.result_past_midnight_written_in_utc()) == ("violation", {"hiv": "late"})


def test_a_negative_of_366_days_is_expired(start_of_case_two):
    # collected 2024-05-11, first dose 2025-05-12: 366 days, 365 are allowed.
    assert start_of_case_two(cases.expired()) == ("violation", {"hepatitis_b": "expired"})


def test_a_negative_of_365_days_still_counts(start_of_case_two):
    day_later = {"collected_on": "2024-05-12"}
    messages = [each | day_later if each["event_id"] == "case-2-hbsag" else each for each in cases.expired()]
    assert start_of_case_two(messages) == ("compliant", {})


def test_an_indeterminate_igra_is_no_negative(start_of_case_two):
    assert start_of_case_two(cases.igra_indeterminate()) == ("violation", {"tuberculosis": "indeterminate"})


def test_hbsag_without_anti_hbc_excludes_nothing(start_of_case_two):
    assert start_of_case_two(cases.without_anti_hbc()) == ("violation", {"hepatitis_b": "missing"})


def test_the_igras_control_is_never_its_result(start_of_case_two):
    assert start_of_case_two(cases.control_for_igra()) == ("violation", {"tuberculosis": "missing"})


def test_a_retracted_result_is_as_if_it_had_never_been(start_of_case_two):
    assert start_of_case_two(cases.result_retracted()) == ("violation", {"hiv": "missing"})


def test_of_two_conflicting_results_neither_is_evidence(start_of_case_two):
    assert start_of_case_two(cases.result_conflicting()) == ("violation", {"hiv": "conflicting"})


def test_a_result_moved_to_another_patient_is_missing_where_it_was(start_of_case_two):
    assert start_of_case_two(cases.result_moved_to_another_patient()) == ("violation", {"hiv": "missing"})


def test_an_order_held_and_started_all_the_same_says_so(replay):
    replayed = replay(cases.started_on_hold(), cases.AS_OF)
    assert replayed.verdict("case-2-upa", "order") == "hold"
    assert replayed.verdict("case-2-upa") == "violation"
    assert replayed.decision("case-2-upa")["reasons"] == ["hiv:missing", "started_on_hold"]


@pytest.mark.parametrize("name", sorted(cases.VARIANTS))
def test_no_variant_passes_under_the_default_policy(replay, name):
    messages, infection, finding = cases.VARIANTS[name]
    replayed = replay(messages(), cases.AS_OF, policy=default_policy_path())
    assert replayed.verdict("case-2-upa") == "violation"
    assert replayed.not_excluded("case-2-upa") == {infection: finding}


@pytest.mark.parametrize("name", sorted(cases.VARIANTS))
def test_the_order_of_every_variant_is_held(replay, name):
    assert replay(cases.VARIANTS[name][0](), cases.AS_OF).verdict("case-2-upa", "order") == "hold"
