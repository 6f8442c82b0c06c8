"""Person-days and events of one patient at a time, checkable with a calendar.

The patient is `pt` on upadacitinib 15 mg; the tail is 10 days, the rate's denominator is time at risk. The site's
adverse-event feed says on 30 June 2025 that it is complete, unless a case says otherwise.
"""

from __future__ import annotations

import pytest

from monitor.demo.build import concept, message, once_daily
from monitor.demo.cases import ATOPIC_DERMATITIS, SITE, at, prescribed, told

AS_OF = "2025-06-30"
ZOSTER = {"term": concept("icd10:B02.9"), "seriousness": []}


def alive(through=AS_OF, site=SITE):
    return message(
        "feed_status", site, f"alive-{site}", at(through, "23:00"), feed="adverse_event", complete_through=through
    )


def started(day="2025-05-12", **fields):
    body = prescribed("pt", (ATOPIC_DERMATITIS,), 15)
    return told("treatment_started", "pt", f"start-{day}", day, **body, started_on=day) | fields


def stopped(day):
    return told("treatment_stopped", "pt", f"stop-{day}", day, treatment_id="pt-upa", last_dose_on=day)


def changed(day, mg):
    return told(
        "treatment_changed", "pt", f"dose-{day}", day, treatment_id="pt-upa", changed_on=day, dose=once_daily(mg)
    )


def zoster(onset, recorded=None, name="zoster", **fields):
    return told("adverse_event", "pt", name, recorded or onset, onset_on=onset, **ZOSTER) | fields


# Person-time


def test_a_course_exposes_from_the_first_through_the_last_dose_and_is_at_risk_ten_days_more(replay):
    # 12 May to 1 June: 20 + 1 = 21 days; at risk through 11 June: 31.
    row = replay([started(), stopped("2025-06-01"), alive()], AS_OF).rate("upa")
    assert (row["exposed_person_days"], row["at_risk_person_days"], row["person_days"]) == (21, 31, 31)


def test_nobody_is_at_risk_later_than_as_of(replay):
    # 12 May through 20 May: 9 days.
    assert replay([started(), stopped("2025-06-01"), alive()], "2025-05-20").counted("upa") == (0, 9)


def test_a_dose_counts_from_the_day_of_its_change_and_the_earlier_one_has_no_tail(replay):
    # 15 mg: 12 to 31 May = 20 days. 30 mg: 1 to 10 June = 10 days and a tail of 10.
    replayed = replay([started(), changed("2025-06-01", 30), stopped("2025-06-10"), alive()], AS_OF)
    assert replayed.counted("upa_by_dose:15") == (0, 20)
    assert replayed.counted("upa_by_dose:30") == (0, 20)
    assert replayed.counted("upa") == (0, 40)


def test_a_pause_is_a_tail_and_not_exposure(replay):
    # 12 to 21 May = 10 days, then a tail until the resumption on 27 May = 5; 27 May to 5 June = 10 days, tail 10.
    messages = [started(), stopped("2025-05-21"), started("2025-05-27"), stopped("2025-06-05"), alive()]
    row = replay(messages, AS_OF).rate("upa")
    assert (row["exposed_person_days"], row["at_risk_person_days"]) == (20, 35)


def test_a_stop_before_its_start_exposes_no_day(replay):
    assert replay([started(), stopped("2025-05-11"), alive()], AS_OF).rate("upa")["exposed_person_days"] == 0


def test_a_death_ends_exposure_and_counts_as_one_event_of_that_day(replay):
    # 12 to 21 May, the day of death included: 10 days; 1 / 10 * 36525 = 3652.5.
    died = told("patient_profile", "pt", "profile", "2025-05-22", died_on="2025-05-21")
    replayed = replay([started(), died, alive()], AS_OF)
    assert replayed.counted("upa", "death") == (1, 10)
    assert replayed.rate("upa", "death")["rate_per_100_patient_years"] == 3652.5
    assert replayed.counted("upa", "any") == (0, 10)


def test_a_fatal_event_and_its_date_of_death_are_one_death(replay):
    died = told("patient_profile", "pt", "profile", "2025-05-22", died_on="2025-05-21")
    fatal = told("adverse_event", "pt", "sepsis", "2025-05-22", term=concept("icd10:A41.9"), onset_on="2025-05-20")
    fatal |= {"seriousness": ["death"], "outcome": "fatal"}
    replayed = replay([started(), died, fatal, alive()], AS_OF)
    assert replayed.counted("upa", "death") == (1, 10)
    assert replayed.counted("upa", "serious") == (1, 10)


def test_a_silent_feed_stops_the_clock(replay):
    # Complete through 20 May and 10 days of patience: the last day that counts is 30 May; 12 to 30 May = 19.
    assert replay([started(), alive("2025-05-20")], AS_OF).counted("upa") == (0, 19)


def test_a_gap_before_a_later_sign_of_life_counts(replay):
    # 12 May to 30 June = 20 + 30 = 50.
    early = alive("2025-05-20") | {"event_id": "early"}
    assert replay([started(), early, alive()], AS_OF).counted("upa") == (0, 50)


def test_a_feed_that_never_spoke_counts_no_day(replay):
    assert replay([started()], AS_OF).counted("upa") == (0, 0)


def test_a_silent_site_takes_nothing_from_another(replay):
    # porto, silent: 12 to 30 May = 19; lisbon, alive: 12 May to 30 June = 50.
    porto = [each | {"site": "porto"} for each in (started(), alive("2025-05-20", site="porto"))]
    assert replay([started(), alive(), *porto], AS_OF).counted("upa") == (0, 69)


def test_a_patient_not_seen_for_longer_than_the_grace_is_lost(replay):
    # The only contact is the start: 12 May + 90 days = 10 August is the last day; 20 + 30 + 31 + 10 = 91 days.
    replayed = replay([started(), alive("2025-09-30")], "2025-09-30")
    assert replayed.counted("upa") == (0, 91)
    assert replayed.result["lost_to_follow_up"] == 1


def test_a_lost_patient_who_reappears_is_filled_in_backwards(replay):
    # 12 May to 30 September: 20 + 30 + 31 + 31 + 30 = 142.
    back = told("patient_contact", "pt", "back", "2025-09-29", seen_on="2025-09-29")
    replayed = replay([started(), back, alive("2025-09-30")], "2025-09-30")
    assert replayed.counted("upa") == (0, 142)
    assert replayed.result["lost_to_follow_up"] == 0


def test_overlapping_courses_of_a_cohort_count_a_day_once(replay):
    # 12 May to 30 June = 50, whatever the second course adds to its days.
    second = started("2025-05-20") | {"treatment_id": "pt-upa-2"}
    assert replay([started(), second, alive()], AS_OF).counted("upa") == (0, 50)


# Events


def test_an_event_on_the_last_day_of_the_tail_counts(replay):
    # Last dose 1 June, tail through 11 June; 31 days at risk: 1 / 31 * 36525 = 1178.23.
    replayed = replay([started(), stopped("2025-06-01"), zoster("2025-06-11"), alive()], AS_OF)
    assert replayed.counted("upa", "herpes_zoster") == (1, 31)
    assert replayed.rate("upa", "herpes_zoster")["rate_per_100_patient_years"] == 1178.23


def test_an_event_on_the_day_after_the_tail_is_listed_as_not_at_risk(replay):
    replayed = replay([started(), stopped("2025-06-01"), zoster("2025-06-12"), alive()], AS_OF)
    assert replayed.counted("upa", "herpes_zoster") == (0, 31)
    assert replayed.result["unplaced"]["not_at_risk"] == 1


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([zoster("2025-05-20")], "no_course"),
        ([started(), zoster("2025-05-11")], "before_first_dose"),
        ([started(), {key: each for key, each in zoster("2025-05-20").items() if key != "onset_on"}], "no_onset_date"),
    ],
    ids=["no_course", "before_first_dose", "no_onset_date"],
)
def test_an_event_that_counts_nowhere_is_listed_with_its_reason(replay, messages, reason):
    replayed = replay([*messages, alive()], AS_OF)
    assert replayed.result["unplaced"][reason] == 1
    assert replayed.rate("upa")["events"] == 0


def test_a_late_report_counts_on_the_day_of_its_onset(replay):
    # As of 31 May the window of 30 days begins on 2 May; the report came on 20 June.
    replayed = replay([started(), zoster("2025-05-20", recorded="2025-06-20"), alive()], "2025-05-31")
    assert replayed.rate("upa", "herpes_zoster", window=30)["events"] == 1


def test_of_two_events_the_rate_of_first_events_counts_one_and_no_time_after_it(replay):
    # Onsets on 20 and 25 May. EAER: 2 events in 50 days; EAIR: 1 in the days through 20 May = 9.
    replayed = replay([started(), zoster("2025-05-20"), zoster("2025-05-25", name="again"), alive()], AS_OF)
    assert replayed.counted("upa", "herpes_zoster") == (2, 50)
    assert replayed.counted("upa", "herpes_zoster", "EAIR") == (1, 9)


def test_an_event_counts_for_the_dose_taken_on_its_day(replay):
    # The change on 1 June is the first day of 30 mg.
    replayed = replay([started(), changed("2025-06-01", 30), zoster("2025-06-01"), alive()], AS_OF)
    assert replayed.counted("upa_by_dose:30", "herpes_zoster") == (1, 30)
    assert replayed.counted("upa_by_dose:15", "herpes_zoster") == (0, 20)


def test_an_event_after_a_switch_counts_for_both_drugs(replay):
    # Upadacitinib through 1 June with a tail through 11 June, tofacitinib from 2 June; onset on 5 June.
    other = prescribed("pt", (ATOPIC_DERMATITIS,), 5) | {"drug": concept("atc:L04AF01"), "treatment_id": "pt-tofa"}
    tofa = told("treatment_started", "pt", "tofa", "2025-06-02", **other, started_on="2025-06-02")
    replayed = replay([started(), stopped("2025-06-01"), tofa, zoster("2025-06-05"), alive()], AS_OF)
    assert replayed.counted("upa", "herpes_zoster") == (1, 31)
    assert replayed.counted("tofa", "herpes_zoster") == (1, 29)


def test_a_partial_onset_is_the_earliest_day_at_risk_it_may_mean(replay):
    # May 2025 may mean 12 May, the first dose: 1 day for the rate of first events.
    replayed = replay([started(), zoster("2025-05", recorded="2025-06-05"), alive()], AS_OF)
    assert replayed.counted("upa", "herpes_zoster", "EAIR") == (1, 1)
    assert replayed.result["imputed"] == 1


def test_a_retracted_event_leaves_nothing_behind(replay):
    event = zoster("2025-05-20")
    retraction = {**event, "recorded_at": at("2025-06-01", "09:00"), "status": "entered_in_error"}
    with_it = replay([started(), event, retraction, alive()], AS_OF).result
    without = replay([started(), alive()], AS_OF).result
    assert with_it["rates"] == without["rates"]
    assert with_it["unplaced"] == without["unplaced"]


def test_every_message_ends_in_exactly_one_class(replay):
    # The first onset lost to the second, which came twice; the other two stand.
    first, second = zoster("2025-05-20"), zoster("2025-05-21", recorded="2025-05-25")
    messages = replay([started(), first, second, second, alive()], AS_OF).result["messages"]
    expected = {"received": 5, "accepted": 3, "duplicate": 1, "superseded": 1, "conflicting": 0, "rejected": {}}
    assert messages == expected
