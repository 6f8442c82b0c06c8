"""The text of a scrape is right for any value, stays within its budget, and is the same however it came about."""

from __future__ import annotations

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from benchmarks import scrape
from monitor.metrics.catalogue import CASES_OPEN, POLICY, RATE_FAMILIES, SITE
from monitor.metrics.exposition import Exposition
from monitor.metrics.readings import preset
from monitor.metrics.text import as_bytes, family, number
from monitor.overview import Case, SiteActivity

PROJECT = Path(__file__).resolve().parents[2]
RATE_NAMES = {metric.name for metric in RATE_FAMILIES}
HOSTILE = ['"', "\\", "\n", "\\n", '"} 1\njakwatch_fake 1', "{a=b}", "  ", "été ☃", "# HELP x y", "a,b", "\r", "\x85"]


def samples(text):
    """(name, sorted labels, value) of each sample in turn."""
    parsed = text_string_to_metric_families(text.decode())
    return [(each.name, sorted(each.labels.items()), each.value) for one in parsed for each in one.samples]


def rates(text):
    return [each for each in samples(text) if each[0] in RATE_NAMES]


def ours(text):
    """Without the metrics of the process, which differ from scrape to scrape."""
    return text.partition(b"# HELP p")[0]


def of(rows, budget=50_000):
    """What a new exposition says of rows."""
    return Exposition(budget).render(scrape.overview(rows))


@pytest.fixture
def rows():
    return next(scrape.rows_anew(250))  # three cohorts, the last one in part


# Values


@pytest.mark.parametrize("cohort", HOSTILE)
def test_a_hostile_label_is_read_back_as_it_was(rows, cohort):
    said = rates(of([dict(rows[0], cohort=cohort)]))
    assert [dict(labels)["cohort"] for _, labels, _ in said] == [cohort] * len(RATE_FAMILIES)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read_back_as_a_label(value):
    text = as_bytes(family(POLICY, [((value, "1", "0"), 1)]))
    assert samples(text) == [(POLICY.name, sorted({"name": value, "version": "1", "sha256": "0"}.items()), 1)]


def test_half_a_surrogate_pair_spoils_no_scrape():
    assert b'site="a?"' in as_bytes(family(CASES_OPEN, [(("a\ud800", "violation"), 1)]))


@pytest.mark.parametrize(
    ("value", "shown"),
    [(math.nan, "NaN"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (0, "0"), (0.1, "0.1"), (1e22, "1e+22"), (-2, "-2")],
)
def test_numbers_are_spelled_as_the_format_says(value, shown):
    assert number(value) == shown


@given(st.floats(allow_nan=False) | st.integers(-(2**53), 2**53))
def test_any_number_is_read_back_as_it_was(value):
    assert samples(as_bytes(family(CASES_OPEN, [(("a", "violation"), value)])))[0][2] == value


def test_a_row_without_person_time_and_events_has_no_series(rows):
    empty = dict(rows[0], events=0, person_days=0, rate_per_100_patient_years=None, lower=None, upper=None)
    nothing = dict.fromkeys(rows[1], None) | {key: rows[1][key] for key in ("cohort", "aesi", "window", "estimator")}
    assert rates(of([empty, nothing, rows[2]])) == rates(of([rows[2]]))


def test_a_number_that_does_not_exist_is_left_out_and_the_others_stay(rows):
    said = rates(of([dict(rows[0], rate_per_100_patient_years=None, lower=None, upper=None)]))
    assert {name for name, _, _ in said} == {"jakwatch_events", "jakwatch_person_years"}


def test_without_any_message_a_scrape_still_says_so():
    empty = scrape.overview([])
    text = Exposition().render(replace(empty, result=empty.result | {"as_of": None, "complete_to": None}))
    said = {name: value for name, _, value in samples(text)}
    assert said["jakwatch_messages_received"] == 0
    assert "jakwatch_as_of_timestamp_seconds" not in said
    assert "jakwatch_registry_info" not in said


# Closed values


def test_an_unknown_value_is_counted_as_other_and_makes_no_series_of_its_own():
    assert list(preset(("a", "b"), {"b": 2, "c": 3, "d": 4})) == [("a", 0), ("b", 2), ("other", 7)]


def test_unknown_words_of_the_program_reach_a_scrape_only_as_other(rows):
    answer = {"site": "a", "findings": {"plague": {"finding": "missing"}, "hiv": {"finding": "guessed"}}}
    site = SiteActivity("a", "UTC", "2026-01-01", None, {"lost": 1}, {"rude": 1}, 0, {("start", "maybe"): 1})
    case = Case("a", "1", "strange", "2026-01-01T00:00:00Z", answer)
    text = Exposition().render(replace(scrape.overview(rows), cases=(case, case), holds=(answer,), sites=(site,)))
    others = [name for name, labels, value in samples(text) if "other" in dict(labels).values() and value]
    assert sorted(others) == sorted(
        [f"jakwatch_{name}" for name in ("messages", "messages_rejected", "courses", "cases_open")]
        + [f"jakwatch_cases_open_{which}_timestamp_seconds" for which in ("oldest", "newest")]
        + ["jakwatch_open_findings"] * 4
    )  # fmt: skip
    for word in (b"strange", b"rude", b"maybe", b"plague", b"guessed"):
        assert word not in text


def test_a_site_that_sent_nothing_has_its_counts_at_zero():
    site = SiteActivity("a", "UTC", "2026-01-01", None, {}, {}, 0, {})
    text = Exposition().render(replace(scrape.overview([]), sites=(site,)))
    of_site = [(name, value) for name, labels, value in samples(text) if (SITE.name, "a") in labels]
    assert {value for _, value in of_site} == {0}
    assert {name.removeprefix("jakwatch_") for name, _ in of_site} == {
        "cases_open", "orders_on_hold", "open_findings", "courses", "starts_judged", "starts_compliant", "patients",
        "messages_received", "messages", "messages_rejected", "conflicts_open", "unmapped_occurrences",
    }  # fmt: skip


# The budget of series


def largest_first(rows):
    days = {row["cohort"]: max(each["person_days"] for each in rows if each["cohort"] == row["cohort"]) for row in rows}
    return sorted(days, key=lambda cohort: -days[cohort])


def budget_for(rows):
    """What exactly these rows, and all that is not rates, need."""
    return sum(name.startswith("jakwatch_") for name, _, _ in samples(of(rows)))


def left_out(text):
    return next(value for name, _, value in samples(text) if name == "jakwatch_rate_rows_left_out")


def test_beyond_the_budget_the_largest_cohorts_stay_whole_and_the_rest_is_counted(rows):
    first, *_ = largest_first(rows)
    kept = [row for row in rows if row["cohort"] == first]
    text = of(rows, budget_for(kept))
    assert rates(text) == rates(of(kept))
    assert left_out(text) == len(rows) - len(kept)


@pytest.mark.parametrize(("less", "lost"), [(0, 0), (1, 1)])
def test_a_scrape_never_has_more_series_than_its_budget(rows, less, lost):
    budget = budget_for(rows) - less
    text = of(rows, budget)
    assert sum(name.startswith("jakwatch_") for name, _, _ in samples(text)) <= budget
    assert (left_out(text) > 0) == bool(lost)


def test_without_room_for_any_rate_all_else_is_still_said(rows):
    text = of(rows, budget=1)
    assert rates(text) == []
    assert left_out(text) == len(rows)
    assert {name for name, _, _ in samples(text)} >= {"jakwatch_policy_info", "jakwatch_computed_timestamp_seconds"}


def test_what_was_left_out_comes_back_when_there_is_room(rows):
    exposition = Exposition(budget_for(rows[:120]))
    exposition.render(scrape.overview(rows))
    text = exposition.render(scrape.overview(rows[:120]))
    assert (left_out(text), rates(text)) == (0, rates(of(rows[:120])))


def test_what_else_is_said_takes_its_room_from_unchanged_rates(rows):
    budget = budget_for(rows)
    exposition, overview = Exposition(budget), scrape.overview(rows)
    assert left_out(exposition.render(overview)) == 0
    site = SiteActivity("a", "UTC", "2026-01-01", None, {}, {}, 0, {})
    assert left_out(exposition.render(replace(overview, sites=(site,)))) > 0
    assert left_out(exposition.render(replace(overview))) == 0


# Scrape after scrape


def changes(rows):
    """What may happen between two scrapes."""
    other = next(islice(scrape.rows_anew(250), 1, None))
    yield "the same", rows
    yield "equal", [dict(row) for row in rows]
    yield "one changed", [*rows[:7], dict(rows[7], events=1000), *rows[8:]]
    yield "changed back", rows
    yield "one without numbers", [*rows[:7], dict(rows[7], events=0, person_days=0), *rows[8:]]
    yield "a cohort more in the middle", [*rows[:120], *(dict(row, cohort="new") for row in rows[:120]), *rows[120:]]
    yield "that cohort gone", rows
    yield "all changed", other
    yield "two in another order", [other[1], other[0], *other[2:]]
    yield "none", []
    yield "all again", other


@pytest.mark.parametrize("budget", [50_000, 700])
def test_a_scrape_after_others_is_what_it_would_be_alone(rows, budget):
    exposition = Exposition(budget)
    for what, now in changes(rows):
        assert ours(exposition.render(scrape.overview(now))) == ours(of(now, budget)), what


def test_a_scrape_after_one_that_failed_is_what_it_would_be_alone(rows):
    exposition = Exposition()
    exposition.render(scrape.overview(rows))
    broken = [dict(rows[0], events=1000), {key: value for key, value in rows[1].items() if key != "events"}, *rows[2:]]
    with pytest.raises(KeyError):
        exposition.render(scrape.overview(broken))
    assert ours(exposition.render(scrape.overview(rows))) == ours(of(rows))


def test_an_unchanged_overview_is_told_again_word_for_word(rows):
    exposition, overview = Exposition(), scrape.overview(rows)
    assert ours(exposition.render(overview)) == ours(exposition.render(overview))


@pytest.fixture
def hasty_threads():
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_threads_may_share_an_exposition():
    exposition = Exposition()
    overviews = [scrape.overview(each) for each in islice(scrape.rows_anew(250), 4)]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(exposition.render, overviews * 10))
    assert list(map(ours, found)) == [ours(of(overview.result["rates"])) for overview in overviews] * 10


def test_two_expositions_of_a_process_do_not_meet():
    assert samples(of([]))
    assert samples(of([]))


def test_importing_the_metrics_leaves_the_librarys_global_registry_alone():
    code = "import sys, monitor.metrics.exposition as e; print('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert done.stdout == "False\n"


# What the benchmark compares


def test_the_library_says_the_same_rates(rows):
    library = scrape.Library()
    library.set(rows)
    assert sorted(samples(generate_latest(library.registry))) == sorted(rates(of(rows)))


def test_the_rows_of_the_benchmark_are_as_many_as_asked_and_no_cell_twice():
    made = next(scrape.rows_anew(2_000))
    assert len({scrape.labels_of(row) for row in made}) == 2_000
    assert len(rates(of(made))) == 10_000
