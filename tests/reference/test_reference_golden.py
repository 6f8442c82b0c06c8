"""One patient per case, each number countable on a calendar: the judge is judged by hand."""

from typing import Any

import pytest

from .rates import rate_with_limits
from .replay import replay
from .small_world import (
    as_lines,
    change,
    clean_screening,
    concept,
    contact,
    event,
    message,
    mg,
    order,
    result,
    small_policy,
    small_sites,
    start,
    stop,
)


def run(*messages: Any, policy: dict[str, Any] | None = None, as_of: str = "2026-12-31", **options: Any) -> Any:
    return replay(as_lines(*messages), policies=[policy or small_policy()], as_of=as_of, **options)


def rate(found: Any, cohort: str, aesi: str, estimator: str = "EAER", window: Any = "cumulative") -> Any:
    key = (cohort, aesi, window, estimator)
    rows = [row for row in found["rates"] if (row["cohort"], row["aesi"], row["window"], row["estimator"]) == key]
    assert len(rows) == 1
    return rows[0]


def decision(found: Any, kind: str = "start", course: str = "t1") -> Any:
    rows = [row for row in found["decisions"] if (row["treatment_id"], row["kind"]) == (course, kind)]
    assert len(rows) == 1
    return rows[0]


def finding(found: Any, infection: str, kind: str = "start") -> Any:
    return decision(found, kind)["findings"][infection]


# Person-time and events


def test_an_event_in_the_tail_counts_over_exposure_and_tail() -> None:
    found = run(start("2026-01-01"), stop("2026-01-10"), event("2026-01-20"))
    row = rate(found, "upa", "zoster")
    assert (row["events"], row["person_days"], row["exposed_person_days"], row["at_risk_person_days"]) == (
        1,
        40,
        10,
        40,
    )
    assert row["rate_per_100_patient_years"] == 913.125


def test_eair_ends_with_the_first_event() -> None:
    row = rate(run(start("2026-01-01"), stop("2026-01-10"), event("2026-01-20")), "upa", "zoster", "EAIR")
    assert (row["events"], row["patients_with_event"], row["person_days"]) == (1, 1, 20)
    assert row["exposed_person_days"] == 10


def test_the_day_after_the_tail_is_not_at_risk() -> None:
    messages = [start("2026-01-01"), stop("2026-01-10")]
    assert run(*messages, event("2026-02-09"))["unplaced"] == {}
    assert run(*messages, event("2026-02-10"))["unplaced"] == {"not_at_risk": 1}


def test_a_rolling_window_counts_its_own_days_only() -> None:
    messages = [start("2026-01-01"), stop("2026-01-10"), event("2026-01-05")]
    row = rate(run(*messages, as_of="2026-02-09"), "upa", "zoster", window=30)
    assert (row["events"], row["patients_with_event"], row["person_days"]) == (0, None, 30)
    row = rate(run(*messages, as_of="2026-02-09"), "upa", "zoster", "EAIR", window=30)
    assert (row["events"], row["person_days"], row["rate_per_100_patient_years"]) == (0, 0, None)


def test_a_change_of_dose_ends_the_earlier_dose_without_a_tail() -> None:
    found = run(start("2026-01-01"), change("2026-01-06", 30), stop("2026-01-10"))
    assert rate(found, "upa_by_dose:15", "any")["person_days"] == 5
    assert rate(found, "upa_by_dose:30", "any")["person_days"] == 5 + 30
    assert rate(found, "upa", "any")["person_days"] == 40


def test_a_tail_of_a_dose_ends_when_the_drug_is_taken_again() -> None:
    found = run(start("2026-01-01"), stop("2026-01-10"), start("2026-01-21", 30), stop("2026-01-31"))
    assert rate(found, "upa_by_dose:15", "any")["person_days"] == 10 + 10
    assert rate(found, "upa_by_dose:30", "any")["person_days"] == 11 + 30


def test_a_silent_patient_is_lost_after_the_grace_and_filled_in_when_seen_again() -> None:
    found = run(start("2026-01-01"))
    assert (rate(found, "upa", "any")["person_days"], found["lost_to_follow_up"]) == (181, 1)
    found = run(start("2026-01-01"), contact("2026-12-01"))
    assert (rate(found, "upa", "any")["person_days"], found["lost_to_follow_up"]) == (365, 0)


def test_death_ends_person_time_and_is_one_event() -> None:
    found = run(start("2026-01-01"), message("patient_profile", "profile", "2026-01-06", died_on="2026-01-05"))
    assert (rate(found, "upa", "death")["events"], rate(found, "upa", "death")["person_days"]) == (1, 5)
    assert rate(found, "upa", "any")["events"] == 0


def test_a_partial_onset_is_the_earliest_day_at_risk() -> None:
    found = run(start("2026-01-15"), event("2026-01"), as_of="2026-01-15")
    assert (found["imputed"], rate(found, "upa", "zoster")["events"]) == (1, 1)


def test_what_counts_nowhere_is_listed_with_its_reason() -> None:
    found = run(
        start("2026-03-01"),
        event("2026-02-01", event_id="before"),
        message("adverse_event", "undated", "2026-03-02", term=concept("icd10", "B02"), seriousness=[]),
        event("2026-03-02", patient_id="p2", event_id="other"),
    )
    assert found["unplaced"] == {"before_first_dose": 1, "no_course": 1, "no_onset_date": 1}


def test_unobserved_days_have_neither_person_time_nor_events() -> None:
    found = run(start("2026-01-01"), event("2026-01-02"), event("2026-01-10"), sites=small_sites())
    row = rate(found, "upa", "zoster")
    assert (row["events"], row["person_days"]) == (1, 20)  # 5 January through 10 January and 14 days of silence
    assert found["unplaced"] == {"not_observed": 1}


def test_a_comorbidity_learnt_later_moves_no_day_backwards() -> None:
    conditions = [{"concept": concept("icd10", "M45")}]
    told = message("patient_profile", "profile", "2026-03-01", conditions=conditions)
    found = run(start("2026-01-01"), stop("2026-01-10"), told)
    assert rate(found, "upa_ad_comorbid", "any")["person_days"] == 0
    found = run(start("2026-01-01"), stop("2026-03-10"), told)  # recorded in the course: chronic, so from its first day
    assert rate(found, "upa_ad_comorbid", "any")["person_days"] == 31 + 28 + 10 + 30


def test_denominator_exposure_mixes_as_trial_tables_do() -> None:
    policy = small_policy(denominator="exposure")
    others = [start("2026-01-01", patient_id="p2", course="t2"), stop("2026-01-10", patient_id="p2", course="t2")]
    found = run(start("2026-01-01"), stop("2026-01-10"), event("2026-01-20"), *others, policy=policy)
    assert rate(found, "upa", "zoster")["person_days"] == 10 + 10
    row = rate(found, "upa", "zoster", "EAIR")
    assert (row["person_days"], row["exposed_person_days"], row["at_risk_person_days"]) == (20 + 10, 20, 20 + 40)
    assert rate(found, "upa", "zoster", "EAIR", window=30)["events"] is None


@pytest.mark.parametrize(
    ("events", "person_years", "expected"),
    [
        (2, 200, (1.0, 0.121105, 3.61234)),  # facts: 0.1211-3.6123
        (0, 308.6, (0.0, 0.0, 1.19536)),  # facts: 0-1.1954
        (5, 308.6, (1.62022, 0.52608, 3.78105)),  # facts: 0.5261-3.7811
    ],
)
def test_limits_are_those_of_garwood(events: int, person_years: float, expected: tuple[float, ...]) -> None:
    found = rate_with_limits(events, round(person_years * 365.25), 0.95)
    assert found == pytest.approx(expected, rel=5e-5)


def test_no_person_time_is_no_rate() -> None:
    assert rate_with_limits(1, 0, 0.95) == (None, None, None)


# Versions


def test_negative_positive_negative_ends_negative() -> None:
    said = [
        result("igra", "2026-01-01", outcome, event_id="x", recorded_at=f"2026-01-0{on}T12:00:00Z")
        for on, outcome in enumerate(["negative", "positive", "negative"], start=1)
    ]
    found = run(clean_screening("2026-01-01", but=("igra",)), said, start("2026-01-10"))
    assert decision(found)["decision"] == "compliant"
    assert (found["messages"]["duplicate"], found["messages"]["superseded"], found["conflicts"]) == (1, 1, 0)


def test_a_conflict_is_listed_and_no_evidence() -> None:
    twice = [result("igra", "2026-01-01", outcome, event_id="x", version=1) for outcome in ("negative", "positive")]
    found = run(clean_screening("2026-01-01", but=("igra",)), twice, start("2026-01-10"))
    assert (found["conflicts"], found["messages"]["conflicting"]) == (1, 1)
    assert finding(found, "tuberculosis") == {
        "finding": "conflicting",
        "evidence": [],
        "ask_for": ["igra"],
        "marks": [],
    }


def test_a_retraction_leaves_nothing_behind() -> None:
    wrong = message("adverse_event", "ae-2026-01-05", "2026-01-06", status="entered_in_error")
    found = run(start("2026-01-01"), event("2026-01-05"), wrong)
    assert rate(found, "upa", "any")["events"] == 0
    assert found["messages"]["superseded"] == 1


def test_a_correction_to_another_patient_moves_the_fact() -> None:
    moved = event("2026-01-05", patient_id="p2", recorded_at="2026-01-07T12:00:00Z")
    found = run(start("2026-01-01"), event("2026-01-05"), moved)
    assert (found["unplaced"], found["conflicts"]) == ({"no_course": 1}, 0)


def test_of_two_that_differ_only_in_the_patient_none_counts() -> None:
    found = run(start("2026-01-01"), event("2026-01-05"), event("2026-01-05", patient_id="p2"))
    assert (found["messages"]["accepted"], found["messages"]["conflicting"], found["conflicts"]) == (1, 2, 1)
    assert rate(found, "upa", "any")["events"] == 0


def test_merged_patients_are_one() -> None:
    merge = message("patient_merged", "merge", "2026-02-01", merged_patient_id="p2")
    found = run(clean_screening("2026-01-01", patient="p2"), start("2026-01-10"), merge)
    assert decision(found)["decision"] == "compliant"


def test_a_course_of_two_patients_is_a_violation_and_counts_in_no_cohort() -> None:
    found = run(clean_screening("2026-01-01"), start("2026-01-10"), stop("2026-02-01", patient_id="p2"))
    assert decision(found)["reasons"] == ["treatment_of_two_patients"]
    assert (decision(found)["decision"], rate(found, "upa", "any")["person_days"]) == ("violation", 0)


# The gate


def test_case_1_of_the_paper_45_mg_is_right_in_the_induction_of_crohns_disease() -> None:
    found = run(
        clean_screening("2026-01-01"), start("2026-01-10", 45, icd=("L20.9", "K50.9")), change("2026-02-09", 30)
    )
    row = decision(found)
    assert (row["decision"], row["flags"], row["reasons"]) == ("compliant", [], [])
    assert {one["finding"] for one in row["findings"].values()} == {"excluded"}


def test_case_2_of_the_paper_15_mg_with_axial_spondyloarthritis() -> None:
    found = run(clean_screening("2026-01-01"), start("2026-01-10", icd=("L20.9", "M45")))
    assert (decision(found)["decision"], decision(found)["flags"]) == ("compliant", [])
    assert rate(found, "upa_ad_comorbid", "any")["person_days"] == 181


def test_45_mg_is_above_label_from_the_85th_day() -> None:
    messages = [clean_screening("2026-01-01"), start("2026-01-01", 45, icd=("K50.9",)), contact("2026-06-01")]
    assert decision(run(*messages, as_of="2026-03-25"))["flags"] == []
    assert decision(run(*messages, as_of="2026-03-26"))["flags"] == ["dose_above_label"]


def test_a_result_of_the_day_after_the_first_dose_is_late() -> None:
    found = run(clean_screening("2026-01-01", but=("igra",)), start("2026-01-10"), result("igra", "2026-01-11"))
    assert (decision(found)["decision"], decision(found)["reasons"]) == ("violation", ["tuberculosis:late"])


def test_the_instant_of_the_dose_decides_a_result_of_the_same_day() -> None:
    messages = [clean_screening("2026-01-01", but=("igra",)), result("igra", "2026-01-10")]
    before = run(*messages, start("2026-01-10", started_at="2026-01-10T11:59:59Z"))
    after = run(*messages, start("2026-01-10", started_at="2026-01-10T12:00:01Z"))
    assert finding(before, "tuberculosis")["finding"] == "late"
    assert (finding(after, "tuberculosis")["finding"], finding(after, "tuberculosis")["marks"]) == (
        "excluded",
        ["same_day"],
    )


def test_twenty_past_midnight_in_summer_belongs_to_the_local_day() -> None:
    late = result("igra", "2026-07-09", resulted_at="2026-07-10T23:20:00Z", recorded_at="2026-07-11T08:00:00Z")
    messages = [clean_screening("2026-07-01", but=("igra",)), start("2026-07-10"), late]
    assert finding(run(*messages, sites=small_sites()), "tuberculosis")["finding"] == "late"
    assert finding(run(*messages), "tuberculosis")["marks"] == ["documented_late", "same_day"]


def test_a_negative_expires_the_day_after_its_validity() -> None:
    assert decision(run(clean_screening("2026-01-01"), start("2027-01-01"), as_of="2027-02-01"))["reasons"] == []
    found = run(clean_screening("2026-01-01", but=("hiv",)), result("hiv", "2025-12-31"), start("2027-01-01"))
    assert finding(found, "hiv") == {
        "finding": "expired",
        "evidence": ["hiv-2025-12-31"],
        "ask_for": ["hiv_ag_ab"],
        "marks": [],
    }


def test_the_control_of_the_igra_is_no_evidence() -> None:
    found = run(clean_screening("2026-01-01", but=("igra",)), result("71774-4", "2026-01-01"), start("2026-01-10"))
    assert (finding(found, "tuberculosis")["finding"], found["unmapped"]) == ("missing", [])
    assert finding(found, "tuberculosis")["ask_for"] == ["igra", "tst"]


def test_hbsag_without_anti_hbc_is_not_enough() -> None:
    found = run(clean_screening("2026-01-01", but=("anti_hbc",)), start("2026-01-10"))
    assert finding(found, "hepatitis_b") == {
        "finding": "missing",
        "evidence": ["hbsag-p1"],
        "ask_for": ["anti_hbc"],
        "marks": [],
    }


def test_prevention_of_30_days_treats_from_the_31st() -> None:
    messages = [
        clean_screening("2026-01-01", but=("igra",)),
        result("igra", "2026-01-01", "positive"),
        message("prevention", "isoniazid", "2026-01-10", infection="tuberculosis", started_on="2026-01-10"),
    ]
    assert finding(run(*messages, start("2026-02-08")), "tuberculosis")["finding"] == "positive"
    treated = finding(run(*messages, start("2026-02-09")), "tuberculosis")
    assert (treated["finding"], treated["evidence"]) == ("treated", ["igra-2026-01-01", "isoniazid"])


def test_a_held_order_that_is_started_says_so() -> None:
    found = run(order("2026-01-05"), start("2026-01-10"))
    assert decision(found, "order")["decision"] == "hold"
    assert "started_on_hold" in decision(found)["reasons"]


def test_an_order_is_complete_until_its_first_negative_expires() -> None:
    found = run(clean_screening("2026-01-01"), order("2026-01-05"), as_of="2026-01-10")
    row = decision(found, "order")
    assert (row["decision"], row["valid_until"]) == ("screening_complete", "2027-01-01")


def test_missing_evidence_is_awaited_for_the_usual_delay_of_the_site() -> None:
    messages = [clean_screening("2026-03-01", but=("igra",)), start("2026-03-10")]
    found = run(*messages, as_of="2026-03-12", sites=small_sites())
    assert (decision(found)["decision"], decision(found)["valid_until"]) == ("awaiting_evidence", "2026-03-12")
    assert decision(run(*messages, as_of="2026-03-13", sites=small_sites()))["decision"] == "violation"


def test_a_resumption_after_a_pause_of_exactly_the_days_is_not_a_new_start() -> None:
    positive = result("igra", "2026-03-01", "positive")
    messages = [clean_screening("2026-01-01"), start("2026-01-10"), stop("2026-01-20"), positive]
    kept = decision(run(*messages, start("2026-03-22")))  # 60 days without a dose
    new = decision(run(*messages, start("2026-03-23")))
    assert (kept["decision"], new["decision"]) == ("compliant", "violation")


def test_two_drugs_of_a_class_at_once_are_flagged_but_not_a_switch_on_the_last_day() -> None:
    other = start("2026-02-01", course="t2", drug=concept("atc", "L04AF01"))
    running = run(clean_screening("2026-01-01"), start("2026-01-10"), other)
    assert decision(running, course="t2")["flags"] == ["two_of_one_class"]
    switched = run(clean_screening("2026-01-01"), start("2026-01-10"), stop("2026-02-01"), other)
    assert decision(switched, course="t2")["flags"] == []


def test_an_order_of_an_unknown_drug_is_held_and_its_code_listed() -> None:
    found = run(order("2026-01-05", drug=concept("atc", "X")))
    assert (decision(found, "order")["decision"], decision(found, "order")["reasons"]) == ("hold", ["unmapped_drug"])
    assert found["unmapped"] == [{"kind": "drug", "system": "atc", "code": "X", "count": 1}]


def test_a_start_that_differs_from_its_order_says_so() -> None:
    found = run(clean_screening("2026-01-01"), order("2026-01-05"), start("2026-01-10", dose=mg(30)))
    assert decision(found)["flags"] == ["differs_from_order"]


# Lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff{}", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": "\\ud800"}', "not_json"),
        (b"[" * 65 + b"]" * 65, "not_json"),
        (b"[" * 64 + b"]" * 64, "invalid"),
        (b'{"schema": 2}', "newer_schema"),
        (b'{"type": "unheard"}', "unknown_type"),
        (b'{"type": "patient_contact", "type": "patient_contact"}', "invalid"),
        (b"x" * 65_536, "not_json"),
        (b"x" * 65_537, "too_large"),
    ],
)
def test_a_bad_line_is_rejected_with_the_first_reason_that_holds(line: bytes, reason: str) -> None:
    found = replay([line + b"\n", b"\n"], policies=[small_policy()])
    assert found["messages"]["rejected"] == {reason: 1}
    assert found["messages"]["received"] == 1


def test_what_happened_may_not_lie_more_than_a_day_after_its_recording() -> None:
    fine = contact("2026-01-02", recorded_at="2026-01-01T12:00:00Z")
    late = contact("2026-01-03", recorded_at="2026-01-01T12:00:00Z")
    assert run(fine, late)["messages"]["rejected"] == {"in_the_future": 1}


def test_what_was_recorded_later_is_not_known() -> None:
    found = run(start("2026-01-01"), event("2026-01-05"), known_at="2026-01-02T00:00:00Z")
    assert (found["messages"]["received"], rate(found, "upa", "any")["events"]) == (1, 0)
