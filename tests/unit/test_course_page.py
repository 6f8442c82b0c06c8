"""The page of one course, and what all pages have in common."""

from __future__ import annotations

import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.overview import Case, CourseView
from monitor.web import words
from tests.data.shown_overview import waiver
from tests.unit.page_reader import read
from tests.unit.page_stage import course, shown

HOSTILE = [
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)//{{ 7 * 7 }}",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}\N{RIGHT-TO-LEFT OVERRIDE}</a>&amp;?site=other#x",
    "x" * 128,
]


def test_the_page_of_a_course_says_why(pages, overview):
    case = next(each for each in overview.cases if any(f["ask_for"] for f in each.answer["findings"].values()))
    page = course(pages, overview, case.site, case.treatment_id, [case.answer], open_cases=[case])
    start = page.one("section", aria_labelledby="start-title")
    assert "violation" in start.text
    assert "No order stands under this id. No answer: not complete." in page.text
    assert len(list(start.one("tbody").all("tr"))) == 4
    for infection, found in case.answer["findings"].items():
        (row,) = [each for each in start.one("tbody").all("tr") if words.spelt(infection) in each.text]
        for each in (found["finding"], *found["evidence"], *map(words.spelt, found["ask_for"])):
            assert each in row.text
    assert "2025-12-30 09:30 UTC" in start.text
    assert page.one("form", action="/cases/close")


def test_no_answer_is_said_to_be_not_complete(pages, overview):
    page = course(pages, overview, "lisbon", "nobody-knows", [])
    assert page.one("h2", id="no-answer").text == "No answer: not complete."


def test_answers_and_cases_of_other_courses_are_not_shown(pages, overview):
    case = overview.cases[0]
    page = course(pages, overview, case.site, "another", [case.answer], open_cases=[case])
    assert "No answer: not complete." in page.text
    assert not list(page.all("form", method="post"))


@pytest.mark.parametrize(("valid_until", "is_past"), [("2026-01-01", True), ("2026-01-02", False), (None, False)])
def test_an_answer_past_its_last_day_is_said_to_be_not_complete(pages, overview, valid_until, is_past):
    answer = {
        "site": "lisbon", "treatment_id": "c-1", "kind": "order", "decision": "screening_complete", "findings": {},
        "flags": [], "reasons": [], "policy_version": None, "decided_at": "2025-12-30T09:30:01Z",
        "valid_until": valid_until,
    }  # fmt: skip
    page = course(pages, overview, "lisbon", "c-1", [answer])
    assert ("Past its last day" in page.text) == is_past


@pytest.mark.parametrize(
    ("kind", "decision", "dose_on", "said"),
    [
        ("order", "hold", "2025-12-30", "Judged for the first dose of 2025-12-30; says nothing of a later dose."),
        (
            "order",
            "screening_complete",
            "2026-01-01",
            "Judged for the first dose of 2026-01-01; says nothing of a later",
        ),
        ("order", "screening_complete", "2026-01-02", None),
        ("order", "screening_complete", "2026-01-03", "Holds for a dose on or after 2026-01-03, not before."),
        ("order", "hold", "2026-01-03", "Judged for a dose on 2026-01-03; says nothing of an earlier dose."),
        ("order", "cancelled", "2026-01-03", None),
        ("order", "screening_complete", None, None),
        ("start", "compliant", "2025-12-30", None),
    ],
)
def test_an_order_says_of_which_doses_its_answer_says_nothing(pages, overview, kind, decision, dose_on, said):
    answer = overview.holds[0] | {
        "site": "lisbon", "treatment_id": "c-1", "kind": kind, "decision": decision, "dose_on": dose_on,
    }  # fmt: skip
    page = course(pages, overview, "lisbon", "c-1", [answer])
    reach = [each.text for each in page.all("p", class_="reach")]
    assert [each[: len(said or "")] for each in reach] == ([said] if said else [])
    assert "This answer stands through" in page.text


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "hepatitis B , waived for this course, signed"),
        ({"ends_on": "2026-06-30"}, "hepatitis B , waived for this course until 2026-06-30, signed"),
        (
            {"treatment_id": None, "ends_on": "2026-06-30"},
            "hepatitis B , waived for all courses of lisbon until 2026-06-30, signed",
        ),
    ],
)
def test_a_course_names_who_waived_what_for_it_when_and_why(pages, overview, changed, said):
    found = CourseView([], [], [], [waiver(by="<Ana>", **changed)])
    html = pages.course(overview, "lisbon", "c-1", found, may_write=False, said=None)
    part = read(html).one("section", aria_labelledby="waived-title").text
    assert f"{said} 2025-11-10 11:12 UTC by <Ana> (physician): known carrier" in part


def test_a_course_without_waivers_does_not_speak_of_any(pages, overview):
    assert "waived" not in course(pages, overview, "lisbon", "c-1", []).one("main").text


def test_a_start_on_a_held_order_is_not_said_to_have_been_answered_hold_at_the_time():
    assert words.KINDS["started_on_hold"] == "Its order, judged on the day of the dose, would have been held"


def test_the_lost_are_said_to_count_through_the_days_of_grace(pages, overview):
    page = shown(pages, dataclasses.replace(overview, result=overview.result | {"lost_to_follow_up": 4}))
    said = "4 patients lost to follow-up: their time ends with the policy's days of grace after their last contact"
    assert said in page.one("ul", class_="tally").text


def test_the_rates_say_that_reports_are_taken_as_complete_and_how_to_read_few_and_no_events(page, overview):
    rates = page.one("figure", class_="rates")
    assert f"Reports are taken as complete to {overview.result['complete_to']};" in rates.text
    legend = [each.text for each in rates.one("ul", class_="legend").all("li")]
    assert "fewer than 3 events: read the limits" in legend
    assert "no event; the mark is the upper limit" in legend


def test_the_feeds_say_how_far_a_silent_one_counts(page):
    said = "A silent feed counts through the silent days the registry allows, then stops."
    assert said in page.one(id="live-feeds").text


def test_two_days_in_the_header_that_are_one_are_said_once(pages, overview):
    apart = shown(pages, overview).one(id="live-fresh").text
    assert f"Rates as of {overview.result['as_of']} Reports taken as complete to" in apart
    day = {"as_of": "2025-11-16", "complete_to": "2025-11-16"}
    once = shown(pages, dataclasses.replace(overview, result=overview.result | day)).one(id="live-fresh").text
    assert "Today 2026-01-02 Rates to 2025-11-16 (reports are taken as complete to then)" in once
    assert "Rates as of" not in once
    assert once.count("2025-11-16") == 1


@pytest.mark.parametrize("word", ["released", ""])
def test_a_word_that_is_not_known_never_looks_good(word):
    state = words.state(words.DECISIONS, word)
    assert (state.word, state.tone) == (word, "bad")


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_hospital_calls_things_is_shown_as_it_is_and_does_nothing(pages, overview, name):
    answer = overview.cases[0].answer | {"treatment_id": name, "site": "lisbon"}
    case = Case("lisbon", name, "violation", "2025-05-06T07:08:09Z", answer)
    conflict = {"site": "lisbon", "source": name[:40], "event_id": name, "bodies": []}
    unmapped = {"kind": "term", "system": "local", "code": name, "count": 1}
    listed = {"site": "lisbon", "what": "stop_while_stopped", "treatment_id": name, "event_id": name}
    result = overview.result | {"open_conflicts": [conflict], "unmapped": [unmapped], "listed": [listed]}
    hostile = dataclasses.replace(overview, cases=(case,), holds=(answer,), awaiting=(answer,), result=result)
    for page in (
        shown(pages, hostile),
        course(pages, hostile, "lisbon", name, [answer], open_cases=[case]),
        course(pages, hostile, name, name, []),
    ):
        assert {each.attributes.get("src") for each in page.all("script")} == {"/static/live.js"}
        assert not [each for each in page.all() if any(key.startswith("on") for key in each.attributes)]
        links = [each.attributes["href"] for each in page.all("a") if "/course?" in each.attributes["href"]]
        assert all(parse_qs(urlsplit(link).query)["treatment_id"] == [name] for link in links)
        assert " ".join(name.split()) in page.text


def test_a_problem_is_said_with_what_to_do(pages):
    page = read(pages.problem(404, "There is <nothing> here", "Go to the overview."))
    assert page.one("h1").text == "Status 404 There is <nothing> here"
    assert "Go to the overview." in page.one("main").text
    assert "data-renew" not in page.one("html").attributes


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.00661374, "0.00661"), (0.735, "0.735"), (1.8286, "1.83"), (82.0258, "82.0"), (36_889, "36,889")],
)
def test_a_rate_has_three_digits_that_count(value, text):
    assert words.rate(value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hiv_ag_ab", "HIV Ag Ab"),
        ("upadacitinib_by_dose:15", "upadacitinib by dose: 15"),
        ("hepatitis_b", "hepatitis B"),
    ],
)
def test_names_are_spelt_as_on_paper(name, text):
    assert words.spelt(name) == text


def test_a_course_keeps_what_was_said_when_its_case_was_closed(pages, overview):
    case = overview.cases[0]
    said = {"kind": case.kind, "at": "2026-01-02T03:04:05Z", "by": "<Rui>", "role": "safety officer", "reason": "seen"}
    found = CourseView([case.answer], [], [said])
    html = pages.course(overview, case.site, case.treatment_id, found, may_write=True, said=None)
    assert "<Rui> (safety officer): seen" in read(html).text
