"""The table for people: it fits a screen, and what it does not show it counts."""

from __future__ import annotations

import re

import pytest

from monitor import report
from monitor.demo import cases, hospitals
from monitor.demo.hospitals import as_line
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import Question, replay_lines


@pytest.fixture(scope="module")
def result():
    everyone = [*cases.paper_cases(), *hospitals.generate(1, patients_per_site=20)]
    return replay_lines(map(as_line, everyone), Question(load_policies([default_policy_path()])))


@pytest.fixture(scope="module")
def nothing():
    return replay_lines([], Question(load_policies([default_policy_path()])))


def cumulative(result):
    return [row for row in result["rates"] if (row["window"], row["estimator"]) == ("cumulative", "EAER")]


@pytest.mark.parametrize("width", [80, 100, 300])
def test_no_line_is_wider_than_a_hundred_columns_or_the_terminal(result, width):
    lines = report.table(result, width=width).splitlines()
    assert max(map(len, lines)) <= min(width, 100)


def test_a_table_of_the_default_policy_fits_on_two_screens(result):
    assert len(report.table(result).splitlines()) <= 100


def test_rows_of_rates_that_are_not_shown_are_counted(result):
    text = report.table(result)
    shown = re.findall(r"(?m)^   \w+ +\d+ +\d+ +[\d.,]+ ", text)
    (more,) = re.findall(r"and (\d+) more rows with an event", text)
    assert len(shown) + int(more) == sum(row["events"] > 0 for row in cumulative(result))


def test_levels_of_divided_cohorts_are_shown_only_where_there_is_nothing_else(result):
    divided = [row for row in result["rates"] if row["cohort"].startswith("upadacitinib_by_dose:")]
    assert "upadacitinib_by_dose" not in report.table(result)
    assert "upadacitinib_by_dose:15" in report.table({**result, "rates": divided})


def test_decisions_that_are_not_shown_are_counted(result):
    needy = [row for row in result["decisions"] if row["decision"] in ("violation", "hold")]
    text = report.table(result)
    shown = [row for row in needy if re.search(rf"{row['site']} +{row['treatment_id']} +{row['kind']} ", text)]
    assert 0 < len(shown) < len(needy)
    assert f"and {len(needy) - len(shown)} more: --format csv --rows decisions has all" in text


def test_nobody_is_asked_to_act_on_what_was_before_the_site_went_live(result):
    past = [{**row, "historical": True} for row in result["decisions"]]
    text = report.table({**result, "decisions": past})
    assert "A person must look at" not in text
    assert f"{len(past)} of them from before the site went live" in text


def test_cohorts_without_an_event_are_told_with_their_time(result):
    quiet = [{**row, "events": 0} for row in cumulative(result)]
    text = report.table({**result, "rates": quiet})
    (jak,) = {row["person_days"] for row in quiet if (row["cohort"], row["aesi"]) == ("jak", "any")}
    assert re.search(rf"  jak: no event in {jak / 365.25:.2f} patient-years", text)


def test_where_nothing_was_taken_the_table_says_so(nothing):
    assert report.table(nothing).startswith("No message was taken")


def test_rejected_lines_point_to_validate(nothing):
    messages = {**nothing["messages"], "received": 3, "rejected": {"invalid": 2, "not_json": 1}}
    assert "2 invalid, 1 not_json; jakwatch validate says" in report.table({**nothing, "messages": messages})


def test_the_frame_of_the_table_is_ascii_whatever_the_terminal(result):
    assert report.table(result).isascii()
