"""The pages say what is known, in words, escape what hospitals call things, and never look better than it is."""

from __future__ import annotations

import dataclasses
from urllib.parse import parse_qs, urlsplit

import pytest

from monitor.overview import FeedState
from monitor.web import words
from monitor.web.pages import Choice, Said, course_url
from tests.data.shown_overview import overview_of
from tests.unit.page_stage import course, shown

HOSTILE = [
    '"><script>alert(1)</script>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)//{{ 7 * 7 }}",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET}\N{RIGHT-TO-LEFT OVERRIDE}</a>&amp;?site=other#x",
    "x" * 128,
]


def test_no_two_elements_have_one_id_and_every_reference_is_there(page):
    ids = [each.attributes["id"] for each in page.all() if "id" in each.attributes]
    named = [name for each in page.all() for name in each.attributes.get("aria-labelledby", "").split()]
    links = [each.attributes["href"][1:] for each in page.all("a") if each.attributes["href"].startswith("#")]
    assert len(ids) == len(set(ids))
    assert set(named + links) <= set(ids)


def test_nothing_is_fetched_from_elsewhere_and_nothing_needs_a_looser_policy_of_content(page):
    fetched = [each.attributes.get("src") or each.attributes.get("href") for each in page.all()]
    assert all(url.startswith(("/", "#")) and not url.startswith("//") for url in fetched if url)
    assert not [each for each in page.all() if "style" in each.attributes or each.tag == "style"]
    assert not [name for each in page.all() for name in each.attributes if name.startswith("on")]
    assert all(each.attributes.get("src") for each in page.all("script"))


def test_the_page_says_its_language_and_lets_one_skip_to_the_content(page):
    assert page.one("html").attributes["lang"] == "en"
    first = next(page.all("a"))
    assert (first.attributes["href"], first.text) == ("#main", "Skip to the content")


def test_the_header_says_how_fresh_everything_is_and_by_which_policy(page, overview):
    fresh, policy = page.one(id="live-fresh").text, overview.result["policy"]
    for each in ("2026-01-02 03:04:05 UTC", "2026-01-01 00:00 UTC", overview.result["complete_to"]):
        assert each in fresh
    assert f"{policy['name']}, version {policy['version']} {policy['sha256'][:8]}" in fresh


def test_every_rate_stands_beside_its_events_its_person_time_and_its_limits(page, overview):
    rows = {
        row["aesi"]: row
        for row in overview.result["rates"]
        if (row["cohort"], row["window"], row["estimator"]) == ("jak", "cumulative", "EAER")
    }
    printed = {each.attributes["data-aesi"]: each for each in page.all("tr") if "data-aesi" in each.attributes}
    assert printed.keys() == rows.keys()
    for name, row in rows.items():
        cells = [each.text for each in printed[name].all("td")]
        assert cells[:3] == [
            f"{row['events']:,}",
            f"{row['patients_with_event']:,}",
            f"{row['person_days'] / 365.25:,.1f}",
        ]
        numbers = [words.rate(row[each]) for each in ("rate_per_100_patient_years", "lower", "upper")]
        assert cells[4] == "{} ({} to {})".format(*numbers)
        assert len(list(printed[name].all("svg", class_="forest"))) == 1


def test_few_events_no_event_and_no_person_time_are_said_in_words(pages, overview):
    notes = set[str]()
    for cohort in Choice.from_query({}, overview.result).cohort, "ritlecitinib", "upadacitinib_by_dose:45":
        for row in shown(pages, overview, {"cohort": cohort}).all("th", scope="row"):
            notes |= {each.text for each in row.all("span", class_="note")}
    assert {"no event", "few events"} <= notes
    gone = [
        row | {"person_days": 0, "rate_per_100_patient_years": None, "lower": None, "upper": None}
        for row in overview.result["rates"]
    ]
    page = shown(pages, dataclasses.replace(overview, result=overview.result | {"rates": gone}))
    assert "no person-time" in page.one("table", class_="forest-table").text


def test_what_is_left_out_stands_with_the_rates(page, overview):
    tally = page.one("ul", class_="tally").text
    for name, number in overview.result["unplaced"].items():
        assert f"{number} {words.LEFT_OUT[name]}" in tally
    assert f"{overview.result['imputed']} {words.LEFT_OUT['imputed']}" in tally


def test_no_comparison_of_drugs_is_implied(page):
    assert "they do not compare drugs" in page.one(id="rates").text


@pytest.mark.parametrize(
    ("query", "notes"),
    [
        ({}, 0),
        ({"cohort": "upadacitinib", "estimator": "EAIR", "window": "90", "aesi": ["any", "vte"]}, 0),
        ({"cohort": "", "window": ""}, 0),
        ({"cohort": "no_such", "estimator": "x", "window": "7", "aesi": "no_such"}, 4),
        ({"cohort": HOSTILE[0], "window": "\N{SUPERSCRIPT TWO}"}, 2),
    ],
)
def test_a_choice_that_is_not_there_falls_back_visibly(pages, overview, query, notes):
    choice = Choice.from_query(query, overview.result)
    page = shown(pages, overview, query)
    assert len(choice.notes) == notes
    assert len(list(page.all("p", class_="said warn"))) == notes
    assert list(page.all("tr", data_aesi="any"))


def test_the_form_shows_what_was_chosen_and_so_does_the_address_it_is_renewed_from(pages, overview):
    query = {"cohort": "upadacitinib", "estimator": "EAIR", "window": "90", "aesi": ["any", "vte"]}
    page = shown(pages, overview, query)
    form = page.one("form", class_="choice")
    assert [each.attributes["value"] for each in form.all("option", selected="")] == ["upadacitinib", "EAIR", "90"]
    assert [each.attributes["value"] for each in form.all("input", checked="")] == ["any", "vte"]
    again = parse_qs(urlsplit(page.one("html").attributes["data-renew-from"]).query)
    assert Choice.from_query(again, overview.result) == Choice.from_query(query, overview.result)
    assert len([each for each in page.all("tr") if "data-aesi" in each.attributes]) == 2


def test_every_case_names_its_course_its_reasons_and_what_to_ask_for(page, overview):
    items = list(page.one(id="live-cases").all("li", class_="item bad"))
    assert len(items) == min(50, len(overview.cases))
    for item, case in zip(items, overview.cases, strict=False):
        assert f"{case.site} {case.treatment_id}" in item.text
        assert next(item.all("a")).attributes["href"] == course_url(case.site, case.treatment_id)
        assert all(words.spelt(reason) in item.text for reason in case.answer["reasons"])
        tests = [name for found in case.answer["findings"].values() for name in found["ask_for"]]
        assert all(words.spelt(name) in item.text for name in tests)


def test_two_cases_of_one_course_are_one_item_in_which_one_chooses(pages, overview):
    first = overview.cases[0]
    both = (first, dataclasses.replace(first, kind="started_on_hold"))
    item = shown(pages, dataclasses.replace(overview, cases=both)).one("li", class_="item bad")
    form = item.one("form")
    assert [each.attributes["value"] for each in form.all("input", name="kind")] == ["violation", "started_on_hold"]


def test_a_case_is_closed_by_somebody_with_a_role_and_a_reason(page, overview):
    form = next(page.all("form", action="/cases/close"))
    fields = {each.attributes["name"]: each.attributes for each in form.all("input")}
    case = overview.cases[0]
    assert form.attributes["method"] == "post"
    assert {name: fields[name]["value"] for name in ("site", "treatment_id", "kind")} == {
        "site": case.site, "treatment_id": case.treatment_id, "kind": case.kind,
    }  # fmt: skip
    assert all("required" in fields[name] for name in ("by", "role", "reason"))
    assert fields.keys() == {"site", "treatment_id", "kind", "by", "role", "reason"}


def test_a_conflict_is_settled_by_choosing_the_body_that_stands(page, overview):
    forms = list(page.all("form", action="/conflicts/settle"))
    conflicts = overview.result["open_conflicts"]
    assert len(forms) == len(conflicts) > 0
    for form, conflict in zip(forms, conflicts, strict=True):
        hidden = {each.attributes["name"]: each.attributes["value"] for each in form.all("input", type="hidden")}
        wanted = {name: conflict[name] for name in ("site", "source", "event_id") if conflict[name] is not None}
        digests = [each.attributes["value"] for each in form.all("input", type="radio")]
        assert hidden == wanted
        assert digests == [body["digest"] for body in conflict["bodies"]]


def in_conflict(*bodies):
    told = [dict(zip(("digest", "type", "outcome", "recorded_at"), each, strict=True)) for each in bodies]
    return {"site": "lisbon", "source": None, "event_id": "e-1", "bodies": told}


@pytest.mark.parametrize(
    ("other", "is_form"),
    [
        (("screening_result", "negative", "2025-01-02T03:04:05+00:00"), False),
        (("screening_result", "negative", "2025-01-02T04:04:05+01:00"), False),
        (("screening_result", "negative", "2025-01-02T03:04:06+00:00"), True),
        (("screening_result", "positive", "2025-01-02T03:04:05+00:00"), True),
        (("treatment_stopped", None, "2025-01-02T03:04:05+00:00"), True),
    ],
)
def test_nobody_is_asked_to_choose_between_versions_that_look_the_same(pages, overview, other, is_form):
    first = ("screening_result", "negative", "2025-01-02T03:04:05+00:00")
    conflict = in_conflict(("a" * 64, *first), ("b" * 64, *other))
    result = overview.result | {"open_conflicts": [conflict]}
    part = shown(pages, dataclasses.replace(overview, result=result)).one(id="live-conflicts")
    assert bool(list(part.all("form"))) == is_form
    said = "These cannot be told apart here. Ask the hospital for a later version."
    assert (said in part.text) == (not is_form)
    labels = [each.text for each in part.all("label", class_="radio")]
    assert len({label[:-8] for label in labels}) == (2 if is_form else 0)  # even without their digests


def test_who_may_only_read_finds_no_form_that_writes(pages, overview):
    page = shown(pages, overview, may_write=False)
    assert not list(page.all("form", method="post"))
    assert "reading only" in page.one(id="attention").text
    case = overview.cases[0]
    one = course(pages, overview, case.site, case.treatment_id, [case.answer], open_cases=[case], may_write=False)
    assert not list(one.all("form", method="post"))


def test_long_lists_show_fifty_and_count_the_others(pages, overview):
    holds = tuple(overview.holds[0] | {"treatment_id": f"c-{n}"} for n in range(73))
    part = shown(pages, dataclasses.replace(overview, holds=holds)).one(id="live-holds")
    assert len(list(part.all("li", class_="item warn"))) == 50
    assert "The first 50 of 73 are here; 23 more are not shown." in part.text


@pytest.fixture(scope="module")
def quiet(overview):
    result = overview.result | {"open_conflicts": [], "unplaced": {}, "unmapped": [], "listed": [], "conflicts": 0}
    return dataclasses.replace(overview, cases=(), holds=(), awaiting=(), result=result)


def said_when_empty(page, part):
    return page.one(id=part).one("p", class_="empty").text


def test_an_empty_list_says_that_it_is_empty_and_reassures_nobody_beyond_that(pages, quiet):
    page = shown(pages, dataclasses.replace(quiet, closed_cases=3))
    assert said_when_empty(page, "live-cases") == "No case is open."
    assert said_when_empty(page, "live-awaiting") == "No start awaits evidence."
    assert said_when_empty(page, "live-holds") == "No order is on hold."
    assert said_when_empty(page, "live-conflicts") == "No two versions of a message contradict each other."


@pytest.mark.parametrize(("number", "said"), [(1, "1 start awaits evidence."), (2, "2 starts await evidence.")])
def test_no_open_case_does_not_hide_the_starts_that_await_evidence(pages, quiet, overview, number, said):
    page = shown(pages, dataclasses.replace(quiet, awaiting=overview.holds[:1] * number))
    assert said_when_empty(page, "live-cases") == f"No case is open. {said}"


@pytest.mark.parametrize(("kind", "is_said"), [("drug", True), ("term", False)])
def test_no_open_case_does_not_hide_the_starts_of_unknown_drugs_that_get_no_answer(pages, quiet, kind, is_said):
    unmapped = [{"kind": kind, "system": "local", "code": "x", "count": 1}]
    page = shown(pages, dataclasses.replace(quiet, result=quiet.result | {"unmapped": unmapped}))
    wanted = "Starts of drugs the policy does not know get no answer (see codes the policy does not know )."
    assert (wanted in said_when_empty(page, "live-cases")) == is_said
    assert page.one("details", id="unmapped")


def test_orders_that_hold_are_said_not_to_be_started(page, overview):
    tile = page.one("a", class_="tile warn", href="#holds").text
    assert tile == f"{len(overview.holds)} orders on hold, not started"
    assert page.one("h3", id="holds").text == "Orders on hold, not started"


def test_an_order_that_could_not_be_judged_does_not_read_as_if_papers_were_missing(pages, overview):
    failed = overview.holds[0] | {"decision": "unassessable", "findings": {}, "reasons": []}
    part = shown(pages, dataclasses.replace(overview, holds=(failed, overview.holds[1]))).one(id="live-holds")
    item = part.one("li", class_="item bad").text
    assert "Unassessable" in item
    assert "The program failed on this course." in item
    assert "test to ask for" not in item
    assert "1 of them could not be judged" in part.one("p", class_="hint").text


def test_where_nothing_arrived_nothing_looks_like_all_clear(pages, nothing):
    page = shown(pages, overview_of(nothing, sites=(), feeds=(), cases=(), holds=()))
    assert "does not mean all clear" in page.one("section", class_="banner").text
    for part in ("live-cases", "live-holds"):
        assert "Nothing has been received" in page.one(id=part).one("p", class_="empty").text
    assert not list(page.all("table", class_="forest-table"))


def test_the_banner_names_what_must_not_be_trusted(pages, overview):
    silent = FeedState("porto", "adverse_event", "2023-01-01", None, None, 14, silent=True)
    result = overview.result | {"unassessable": 2, "sites": {"version": 1, "sha256": "0" * 64}}
    page = shown(pages, dataclasses.replace(overview, feeds=(silent,), result=result))
    banner = page.one("section", class_="banner").text
    assert "porto: silent for longer than agreed: adverse event (last heard never)" in banner
    assert "failed on 2 patients" in banner
    assert "No site registry" not in banner
    assert "silent" in page.one(id="live-feeds").one("tr", class_="warn").text


def test_there_is_no_banner_where_nothing_speaks_against_the_numbers(pages, overview):
    result = overview.result | {"unassessable": 0, "sites": {"version": 1, "sha256": "0" * 64}}
    calm = dataclasses.replace(overview, result=result, approved_by="the safety board")
    assert not list(shown(pages, calm).all("section", class_="banner"))


def test_the_banner_says_that_nobody_approved_the_policy_in_force(page):
    said = "Nobody has approved the policy in force: its values are examples to be confirmed; see jakwatch policy check"
    assert said in page.one("section", class_="banner").text


@pytest.mark.parametrize("silent", [False, True])
def test_a_feed_heard_on_a_day_yet_to_come_is_neither_alive_nor_merely_silent(pages, overview, silent):
    feed = FeedState("porto", "adverse_event", "2023-01-01", None, "2031-01-01", 14, silent, from_the_future=True)
    page = shown(pages, dataclasses.replace(overview, feeds=(feed,)))
    banner = page.one("section", class_="banner").text
    said = "porto: adverse event was last heard on 2031-01-01, which is yet to come: a clock is wrong, and its rates "
    assert said + "cannot be trusted." in banner
    assert "silent for longer" not in banner
    assert "heard on a day yet to come" in page.one(id="live-feeds").one("tr", class_="warn").text


def test_without_a_registry_the_banner_says_so(page):
    assert "No site registry" in page.one("section", class_="banner").text


def test_rejections_stand_with_their_reasons(page):
    assert "2 2 invalid" in page.one(id="live-feeds").text


@pytest.mark.parametrize("done", [True, False])
def test_what_was_just_done_is_said_first(pages, overview, done):
    said = shown(pages, overview, said=Said("<b>So</b> it went.", done)).one(role="status")
    assert said.text == "<b>So</b> it went."
    assert said.attributes["class"] == ("said good" if done else "said bad")
