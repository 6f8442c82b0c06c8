"""Decisions of one patient at a time, checkable by hand against the contract and `policy.yaml`.

The patient is `pt`, the course `pt-upa`: first dose on Monday 12 May 2025 in Lisbon, all four infections excluded by
results of 17 April, unless a case says otherwise.
"""

from __future__ import annotations

import pytest

from monitor.demo.build import concept, message, once_daily
from monitor.demo.cases import (
    ATOPIC_DERMATITIS,
    CROHNS_DISEASE,
    SITE,
    at,
    case_one,
    prescribed,
    result,
    screened,
    told,
)

FIRST_DOSE = "2025-05-12"
AS_OF = "2025-06-10"
CASE_ONE = "case-1-upa"
TOFACITINIB = {"drug": concept("atc:L04AF01"), "dose": {"amount": 5, "unit": "mg", "per_day": 2}}


def course(mg=15, indications=(ATOPIC_DERMATITIS,)):
    return prescribed("pt", indications, mg)


def started(day=FIRST_DOSE, **fields):
    return told("treatment_started", "pt", f"start-{day}", day, **course(), started_on=day) | fields


def stopped(day, **fields):
    return told("treatment_stopped", "pt", f"stop-{day}", day, treatment_id="pt-upa", last_dose_on=day) | fields


def papers(**instead):
    """The five clean results; `without=...` leaves one out, `test_name={...}` changes fields of one."""
    without = instead.pop("without", None)
    names = {each["event_id"].removeprefix("pt-"): each for each in screened("pt", "2025-04-14", "2025-04-17")}
    changed = {name: each | instead.get(name.replace("-", "_"), {}) for name, each in names.items()}
    return [each for name, each in changed.items() if name != without]


def hiv(resulted_at, **fields):
    return result("pt", "hiv", "2025-04-14", resulted_at) | fields


# When a result counts


def test_a_result_of_the_same_day_counts_and_is_marked(replay):
    replayed = replay([*papers(without="hiv"), hiv(at(FIRST_DOSE, "08:00")), started()], AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.decision("pt-upa")["findings"]["hiv"]["marks"] == ["same_day"]


def test_a_result_of_the_same_day_after_the_instant_of_the_dose_is_late(replay):
    after_seven = started(started_at=at(FIRST_DOSE, "07:00"))
    replayed = replay([*papers(without="hiv"), hiv(at(FIRST_DOSE, "08:00")), after_seven], AS_OF)
    assert replayed.verdict("pt-upa") == "violation"
    assert replayed.not_excluded("pt-upa") == {"hiv": "late"}


def test_a_result_in_time_that_was_recorded_late_counts_and_is_marked(replay):
    recorded_late = hiv(at("2025-04-17", "11:30"), recorded_at=at("2025-05-20", "09:00"))
    replayed = replay([*papers(without="hiv"), recorded_late, started()], AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.decision("pt-upa")["findings"]["hiv"]["marks"] == ["documented_late"]


def test_a_correction_that_shows_the_evidence_was_there_makes_a_start_compliant(replay):
    first = hiv(at("2025-04-17", "11:30"), outcome="indeterminate")
    corrected = first | {"outcome": "negative", "recorded_at": at("2025-05-20", "09:00")}
    replayed = replay([*papers(without="hiv"), first, corrected, started()], AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.decision("pt-upa")["findings"]["hiv"]["marks"] == ["documented_late"]


def test_a_start_awaits_its_evidence_as_long_as_results_normally_take(replay):
    # 36 hours are rounded up to two days: through 14 May it may still come, on 15 May it has not.
    messages = [*papers(without="hiv"), started()]
    assert replay(messages, "2025-05-14").verdict("pt-upa") == "awaiting_evidence"
    assert replay(messages, "2025-05-15").verdict("pt-upa") == "violation"


def test_a_violation_does_not_age_away(replay):
    late = hiv(at("2025-05-13", "09:00"))
    assert replay([*papers(without="hiv"), late, started()], "2026-05-12").verdict("pt-upa") == "violation"


# What the results say


def latent(prevented_from):
    prevention = told(
        "prevention", "pt", "isoniazid", prevented_from, infection="tuberculosis", started_on=prevented_from
    )
    early = {
        "collected_on": "2025-04-01",
        "resulted_at": at("2025-04-04", "11:30"),
        "recorded_at": at("2025-04-04", "11:30"),
    }
    return [*papers(igra={"outcome": "positive"} | early), prevention, started()]


def test_latent_tuberculosis_treated_for_30_days_is_treated(replay):
    # 12 April + 30 days = 12 May, the day of the first dose.
    replayed = replay(latent("2025-04-12"), AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.not_excluded("pt-upa") == {"tuberculosis": "treated"}
    assert replayed.decision("pt-upa")["findings"]["tuberculosis"]["evidence"] == ["pt-igra", "pt-isoniazid"]


def test_latent_tuberculosis_treated_for_29_days_is_positive(replay):
    replayed = replay(latent("2025-04-13"), AS_OF)
    assert replayed.verdict("pt-upa") == "violation"
    assert replayed.not_excluded("pt-upa") == {"tuberculosis": "positive"}
    assert replayed.decision("pt-upa")["reasons"] == ["tuberculosis:positive"]


def viral_load(**quantity):
    body = {"test": concept("loinc:42595-9"), "collected_on": "2025-04-18", "resulted_at": at("2025-04-22", "11:30")}
    return told("screening_result", "pt", "dna", "2025-04-22", **body, quantity={"unit": "IU/mL", **quantity})


def test_old_hepatitis_b_without_viral_dna_is_excluded(replay):
    # HBsAg negative, anti-HBc positive, DNA below 10 IU/mL: `<10` with a cut-off of 10 is negative.
    messages = [*papers(anti_hbc={"outcome": "positive"}), viral_load(value=10, comparator="<"), started()]
    replayed = replay(messages, AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.findings("pt-upa")["hepatitis_b"] == "excluded"


def test_viral_dna_at_the_cut_off_is_positive(replay):
    replayed = replay([*papers(anti_hbc={"outcome": "positive"}), viral_load(value=10), started()], AS_OF)
    assert replayed.not_excluded("pt-upa") == {"hepatitis_b": "positive"}


def test_old_hepatitis_b_asks_for_viral_dna(replay):
    replayed = replay([*papers(anti_hbc={"outcome": "positive"}), started()], AS_OF)
    found = replayed.decision("pt-upa")["findings"]["hepatitis_b"]
    assert (found["finding"], found["ask_for"]) == ("missing", ["hbv_dna"])


def test_a_positive_learnt_after_the_dose_is_never_hidden_as_late(replay):
    after = hiv(at("2025-05-20", "09:00"), outcome="positive")
    assert replay([*papers(without="hiv"), after, started()], AS_OF).not_excluded("pt-upa") == {"hiv": "positive"}


def test_an_earlier_positive_stands_against_a_later_negative(replay):
    earlier = result("pt", "hiv", "2025-03-20", at("2025-03-21", "11:30"), outcome="positive") | {
        "event_id": "pt-hiv-1"
    }
    assert replay([*papers(), earlier, started()], AS_OF).not_excluded("pt-upa") == {"hiv": "positive"}


def test_a_tuberculin_test_is_read_by_the_policys_millimetres(replay):
    # Positive from 5 mm: 4.5 mm excludes tuberculosis, 5 mm does not.
    def tuberculin(mm):
        found = {"test": concept("local:TST"), "quantity": {"value": mm, "unit": "mm"}}
        dates = {"collected_on": "2025-04-14", "resulted_at": at("2025-04-17", "11:30")}
        skin = told("screening_result", "pt", "tst", "2025-04-17", **found, **dates)
        return replay([*papers(without="igra"), skin, started()], AS_OF).findings("pt-upa")["tuberculosis"]

    assert tuberculin(4.5) == "excluded"
    assert tuberculin(5) == "positive"


# Waivers


def waiver(signed_at, **what):
    signed = {
        "action_id": "waiver-1",
        "at": signed_at,
        "by": "dr.a",
        "role": "safety officer",
        "reason": "repeat on file",
    }
    return {"action": "sign_waiver", **signed, "site": SITE, "infection": "hiv", **what}


def test_a_waiver_signed_before_the_first_dose_makes_a_start_compliant(replay):
    signed = waiver(at("2025-05-10", "10:00"), treatment_id="pt-upa")
    replayed = replay([*papers(without="hiv"), started()], AS_OF, actions=[signed])
    assert replayed.verdict("pt-upa") == "compliant"
    assert replayed.not_excluded("pt-upa") == {"hiv": "waived"}


def test_a_waiver_signed_after_the_first_dose_waives_nothing(replay):
    signed = waiver(at("2025-05-13", "10:00"), treatment_id="pt-upa")
    replayed = replay([*papers(without="hiv"), started()], AS_OF, actions=[signed])
    assert replayed.verdict("pt-upa") == "violation"


@pytest.mark.parametrize(("ends_on", "verdict"), [("2025-05-12", "compliant"), ("2025-05-11", "violation")])
def test_a_waiver_ends_with_its_last_day(replay, ends_on, verdict):
    signed = waiver(at("2025-05-01", "10:00"), ends_on=ends_on)
    assert replay([*papers(without="hiv"), started()], AS_OF, actions=[signed]).verdict("pt-upa") == verdict


def test_a_waiver_of_another_course_waives_nothing(replay):
    signed = waiver(at("2025-05-10", "10:00"), treatment_id="another")
    replayed = replay([*papers(without="hiv"), started()], AS_OF, actions=[signed])
    assert replayed.not_excluded("pt-upa") == {"hiv": "missing"}


# Doses and combinations


def case_one_tapered_on(day):
    return [
        each | {"changed_on": day, "recorded_at": at(day, "17:00")} if each["event_id"] == "case-1-taper" else each
        for each in case_one()
    ]


def test_45_mg_through_the_last_day_of_week_12_is_not_flagged(replay):
    # 10 March + 84 days = 2 June, the first day beyond the induction.
    assert replay(case_one_tapered_on("2025-06-02"), AS_OF).decision(CASE_ONE)["flags"] == []


def test_45_mg_on_the_first_day_of_week_13_is_flagged(replay):
    assert replay(case_one_tapered_on("2025-06-03"), AS_OF).decision(CASE_ONE)["flags"] == ["dose_above_label"]


def test_45_mg_beyond_week_12_is_not_flagged_before_that_day_has_come(replay):
    assert replay(case_one_tapered_on("2025-06-03"), "2025-06-01").decision(CASE_ONE)["flags"] == []


def test_45_mg_in_dermatitis_alone_is_flagged_and_does_not_block(replay):
    replayed = replay([*papers(), started(**course(45))], AS_OF)
    assert replayed.decision("pt-upa")["flags"] == ["dose_above_label"]
    assert replayed.verdict("pt-upa") == "compliant"


def test_45_mg_is_right_for_crohns_disease_that_only_the_profile_tells_of(replay):
    crohn = {"concept": concept(CROHNS_DISEASE)}
    profile = told("patient_profile", "pt", "profile", "2025-04-14", conditions=[crohn])
    assert replay([*papers(), profile, started(**course(45))], AS_OF).decision("pt-upa")["flags"] == []


def tofacitinib(day):
    other = course() | TOFACITINIB | {"treatment_id": "pt-tofa"}
    return told("treatment_started", "pt", "tofa", day, **other, started_on=day)


def test_a_switch_on_the_last_day_is_no_combination(replay):
    replayed = replay([*papers(), started(), stopped("2025-06-01"), tofacitinib("2025-06-01")], AS_OF)
    assert replayed.decision("pt-tofa")["flags"] == []
    assert replayed.decision("pt-upa")["flags"] == []


def test_two_drugs_of_a_class_at_once_are_flagged_where_the_second_begins(replay):
    replayed = replay([*papers(), started(), stopped("2025-06-02"), tofacitinib("2025-06-01")], AS_OF)
    assert replayed.decision("pt-tofa")["flags"] == ["two_of_one_class"]
    assert replayed.decision("pt-upa")["flags"] == []


def test_a_start_on_another_dose_than_ordered_says_so(replay):
    order = told("treatment_ordered", "pt", "order", "2025-05-05", **course(15), planned_start_on=FIRST_DOSE)
    replayed = replay([*papers(), order, started(**course(30))], AS_OF)
    assert replayed.decision("pt-upa")["flags"] == ["differs_from_order"]


# Courses


def test_a_resumption_after_a_longer_pause_than_the_policys_is_judged_anew(replay):
    # HIV, collected 14 April, holds 60 days, through 13 June. Doses end on 1 June; a pause of 21 days, through 22 June.
    messages = [*papers(), started(), stopped("2025-06-01"), started("2025-06-23")]
    assert replay(messages, "2025-06-30").not_excluded("pt-upa") == {"hiv": "expired"}


def test_a_resumption_after_a_pause_of_exactly_the_policys_days_is_no_new_start(replay):
    messages = [*papers(), started(), stopped("2025-06-01"), started("2025-06-22")]
    assert replay(messages, "2025-06-30").verdict("pt-upa") == "compliant"


def test_a_course_of_two_patients_is_a_violation_and_counts_nowhere(replay):
    stranger = started(patient_id="other", event_id="other-start")
    replayed = replay([*papers(), started(), stranger], AS_OF)
    rows = [each for each in replayed.result["decisions"] if each["treatment_id"] == "pt-upa"]
    assert rows
    assert all(each["decision"] == "violation" for each in rows)
    assert all("treatment_of_two_patients" in each["reasons"] for each in rows)
    assert replayed.counted("upa") == (0, 0)


def test_a_retraction_gives_a_course_of_two_patients_back_to_one(replay):
    stranger = started(patient_id="other", event_id="other-start")
    retraction = message("treatment_started", SITE, "other-start", at("2025-06-01", "09:00"), patient_id="other")
    replayed = replay([*papers(), started(), stranger, retraction | {"status": "entered_in_error"}], AS_OF)
    assert replayed.verdict("pt-upa") == "compliant"


def test_merged_patients_share_their_papers(replay):
    elsewhere = [each | {"patient_id": "pt-before"} for each in papers()]
    merged = told("patient_merged", "pt", "merge", "2025-05-02", merged_patient_id="pt-before")
    assert replay([*elsewhere, merged, started()], AS_OF).verdict("pt-upa") == "compliant"
    assert replay([*elsewhere, started()], AS_OF).verdict("pt-upa") == "violation"


def test_an_undone_merge_takes_the_papers_away_again(replay):
    elsewhere = [each | {"patient_id": "pt-before"} for each in papers()]
    merged = told("patient_merged", "pt", "merge", "2025-05-02", merged_patient_id="pt-before")
    undone = merged | {"recorded_at": at("2025-05-30", "09:00"), "status": "entered_in_error"}
    assert replay([*elsewhere, merged, undone, started()], AS_OF).verdict("pt-upa") == "violation"


# Orders


def ordered(planned=FIRST_DOSE):
    return told("treatment_ordered", "pt", "order", "2025-05-05", **course(), planned_start_on=planned)


def test_a_complete_order_holds_until_its_first_result_expires(replay):
    # HIV, collected 14 April, holds 60 days: the last day is 13 June.
    decision = replay([*papers(), ordered()], "2025-05-08").decision("pt-upa", "order")
    assert (decision["decision"], decision["valid_until"]) == ("screening_complete", "2025-06-13")


def test_an_order_lapses_when_its_planned_day_is_long_past(replay):
    # 12 May + 60 days = 11 July; HIV has expired by then, so the order is held until it lapses.
    assert replay([*papers(), ordered()], "2025-07-11").verdict("pt-upa", "order") == "hold"
    assert replay([*papers(), ordered()], "2025-07-12").verdict("pt-upa", "order") == "lapsed"


def test_a_cancelled_order_is_cancelled(replay):
    cancelled = told(
        "treatment_cancelled", "pt", "cancel", "2025-05-08", treatment_id="pt-upa", cancelled_on="2025-05-08"
    )
    assert replay([*papers(), ordered(), cancelled], AS_OF).verdict("pt-upa", "order") == "cancelled"


def test_an_order_of_an_unknown_drug_is_held(replay):
    unknown = ordered() | {"drug": concept("local:NEW")}
    decision = replay([*papers(), unknown], "2025-05-08").decision("pt-upa", "order")
    assert (decision["decision"], decision["reasons"]) == ("hold", ["unmapped_drug"])


def test_a_start_before_the_site_went_live_is_historical(replay):
    early = told("treatment_started", "pt", "start", "2024-12-31", **course(), started_on="2024-12-31")
    assert replay([early], "2025-01-31").decision("pt-upa")["historical"] is True


@pytest.mark.parametrize("drug", ["atc:L04AF03", "local:UPA"])
def test_one_known_coding_suffices(replay, drug):
    both = {"drug": concept("atc:L04AF03", drug), "dose": once_daily(15)}
    assert replay([*papers(), started(**both)], AS_OF).verdict("pt-upa") == "compliant"
