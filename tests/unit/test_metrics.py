"""A scrape says what the overview says, in names and labels of the catalogue, and nothing of a patient."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.demo import cases, hospitals
from monitor.metrics import catalogue
from monitor.metrics.catalogue import CATALOGUE, PROCESS_PREFIXES, Label
from monitor.metrics.exposition import CONTENT_TYPE, Exposition
from monitor.overview import Case, FeedState, Overview, ReferenceRate, SiteActivity
from monitor.policyfile import default_policy_path, load_policies, load_registry
from monitor.replay import Question, replay_lines
from schemas.outbound import Decision, FindingName
from tools import metrics_page

PROJECT = Path(__file__).resolve().parents[2]
COMPUTED_AT, LIVE_SINCE = "2026-01-02T03:04:05.250000+00:00", "2026-01-01T00:00:00Z"
REFERENCES = (
    ReferenceRate("upadacitinib", "mace", "EAER", "trial", 0.3, 0.1, 0.7),
    ReferenceRate("upadacitinib", "mace", "EAIR", "label", 0.4, None, None),
)
NOT_OURS = (b"not json", b'{"type": "feed_status", "site": "nowhere"}')  # nobody knows whose
NOWHERE = {"not_json": 1, "invalid": 1}
SITES = ("lisbon", "madrid", "ponta-delgada", "porto")
CLASSES = ("accepted", "duplicate", "superseded", "conflicting")
REASONS = ("too_large", "not_json", "newer_schema", "unknown_type", "invalid", "site_mismatch", "in_the_future")
CASES = ("violation", "unassessable", "started_on_hold")
ANSWERS = {
    "order": ("screening_complete", "hold", "cancelled", "lapsed", "unassessable", "withdrawn"),
    "start": ("compliant", "awaiting_evidence", "violation", "unassessable", "withdrawn"),
}
INFECTIONS = ("tuberculosis", "hepatitis_b", "hepatitis_c", "hiv")
OPEN = ("positive", "indeterminate", "missing", "expired", "late", "conflicting")
UNPLACED = ("no_onset_date", "no_course", "before_first_dose", "not_at_risk", "not_observed")
CODES = ("drug", "test", "term", "indication", "condition")
CONFLICTS = ["porto", "porto", "madrid"]  # by site, as the result lists them
ON_KAFKA = {*catalogue.OF_KAFKA, *catalogue.OF_WORKER, *catalogue.OF_REPLICA}


def name_of(decision):
    return decision["site"], decision["treatment_id"]


def kinds_of(decision):
    said = {decision["decision"], *decision["reasons"]}
    return [kind for kind in CASES if kind in said]


def activity(site, decisions):
    """Of the demo's hospitals, with numbers of messages that differ from site to site."""
    at = SITES.index(site)
    current = [each for each in decisions if each["site"] == site and not each["historical"]]
    return SiteActivity(
        site, "Europe/Lisbon", "2025-12-31", f"2025-12-31T0{at}:00:00Z" if at else None,
        {"received": 100 + at, "accepted": 90 + at, "duplicate": 7, "superseded": 2, "conflicting": 0},
        {"invalid": 1} if at else {}, 40 + at, dict(Counter((each["kind"], each["decision"]) for each in current)),
        f"2025-12-31T0{2 * at - 1}:00:00Z" if at else None, {"drug": 1} if at else {},
    )  # fmt: skip


@pytest.fixture(scope="module")
def overview():
    lines = chain(
        NOT_OURS, map(hospitals.as_line, chain(cases.paper_cases(), hospitals.generate(1, patients_per_site=30)))
    )
    sites = load_registry([Path(hospitals.__file__).with_name("sites.yaml")])
    result = replay_lines(lines, Question(load_policies([default_policy_path()]), sites))
    decisions = result.pop("decisions")
    result["messages"]["rejected"]["invalid"] += 3  # those of the sites
    result["unmapped"] += [{"kind": "drug", "system": "local", "code": "X", "count": 3}]  # theirs too
    result["open_conflicts"] = [{"site": each} for each in CONFLICTS]
    starts = [each for each in decisions if each["kind"] == "start" and not each["historical"]]
    feeds = [
        FeedState("lisbon", "treatment", "2023-01-01", "2025-12-30", "2025-12-31", 14, silent=False),
        FeedState("porto", "adverse_event", "2023-07-02", None, None, 3, silent=True),
    ]
    return Overview(
        COMPUTED_AT, LIVE_SINCE, None, "2026-01-02", result,
        tuple(
            Case(*name_of(each), kind, f"2025-0{1 + at % 9}-02T10:00:00Z", each)
            for at, each in enumerate(starts)
            for kind in kinds_of(each)
        ),
        5, tuple(each for each in decisions if each["decision"] == "hold"), (), tuple(feeds),
        tuple(activity(site, decisions) for site in SITES), None, REFERENCES,
    )  # fmt: skip


@pytest.fixture(scope="module")
def text(overview):
    return Exposition().render(overview).decode()


def families(text):
    return list(text_string_to_metric_families(text))


def samples(text):
    """Sample by name and labels; fails where one stands twice."""
    found = [each for family in families(text) for each in family.samples]
    by_key = {(each.name, frozenset(each.labels.items())): each.value for each in found}
    assert len(by_key) == len(found)
    return by_key


def keyed(name, value, /, **labels):
    return (f"jakwatch_{name}", frozenset(labels.items())), value


def seconds(instant):
    return datetime.fromisoformat(instant).replace(tzinfo=UTC).timestamp()


def expected_rates(result):
    for row in result["rates"]:
        if not row["person_days"] and not row["events"]:
            continue
        window = row["window"] if row["window"] == "cumulative" else f"{row['window']}d"
        labels = {"cohort": row["cohort"], "aesi": row["aesi"], "window": window, "estimator": row["estimator"]}
        yield keyed("events", row["events"], **labels)
        yield keyed("person_years", row["person_days"] / 365.25, **labels)
        yield keyed("rate_per_100_patient_years", row["rate_per_100_patient_years"], **labels)
        yield keyed("rate_lower_per_100_patient_years", row["lower"], **labels)
        yield keyed("rate_upper_per_100_patient_years", row["upper"], **labels)


def expected_of_site(overview, site):
    name = site.site
    mine = [case for case in overview.cases if case.site == name]
    holds = [each for each in overview.holds if each["site"] == name]
    for kind in CASES:
        of_kind = [case for case in mine if case.kind == kind]
        yield keyed("cases_open", len(of_kind), site=name, kind=kind)
        if of_kind:
            moments = [seconds(case.since) for case in of_kind]
            yield keyed("cases_open_oldest_timestamp_seconds", min(moments), site=name, kind=kind)
            yield keyed("cases_open_newest_timestamp_seconds", max(moments), site=name, kind=kind)
    yield keyed("orders_on_hold", len(holds), site=name)
    starts = list({case.treatment_id: case.answer for case in mine}.values())
    for kind, answers in (("order", holds), ("start", starts)):
        for infection in INFECTIONS:
            given = [each["findings"][infection]["finding"] for each in answers if infection in each["findings"]]
            for finding in OPEN:
                labels = {"site": name, "kind": kind, "infection": infection, "finding": finding}
                yield keyed("open_findings", given.count(finding), **labels)
        for decision in ANSWERS[kind]:
            count = site.answers.get((kind, decision), 0)
            yield keyed("courses", count, site=name, kind=kind, decision=decision)
    compliant = site.answers["start", "compliant"]
    yield keyed("starts_compliant", compliant, site=name)
    yield keyed("starts_judged", compliant + site.answers["start", "violation"], site=name)
    yield keyed("patients", site.patients, site=name)
    yield keyed("messages_received", site.messages["received"], site=name)
    yield from (keyed("messages", site.messages[each], site=name, **{"class": each}) for each in CLASSES)
    yield from (keyed("messages_rejected", site.rejected.get(each, 0), site=name, reason=each) for each in REASONS)
    yield keyed("conflicts_open", CONFLICTS.count(name), site=name)
    yield from (keyed("unmapped_occurrences", site.unmapped.get(each, 0), site=name, kind=each) for each in CODES)
    if site.last_received:
        yield keyed("site_last_received_timestamp_seconds", seconds(site.last_received), site=name)
        late = seconds(site.last_received) - seconds(site.last_recorded)
        yield keyed("site_lateness_seconds", max(late, 0), site=name)
        yield keyed("site_clock_ahead_seconds", max(-late, 0), site=name)


def expected_of_all(overview):
    result = overview.result
    policy, sites = result["policy"], result["sites"]
    for each in REFERENCES:
        labels = {"cohort": each.cohort, "aesi": each.aesi, "estimator": each.estimator, "source": each.source}
        numbers = {"rate": each.rate, "rate_lower": each.lower, "rate_upper": each.upper}
        for name, value in numbers.items():
            if value is not None:
                yield keyed(f"reference_{name}_per_100_patient_years", value, **labels)
    yield keyed("rate_limits_confidence_ratio", 0.95)
    yield keyed("rate_rows_left_out", 0)
    yield keyed("series_budget", 50_000)
    yield keyed("cases_closed", 5)
    others = result["messages"]["received"] - sum(each.messages["received"] for each in overview.sites)
    yield keyed("messages_received", others, site="-")
    yield from (keyed("messages_rejected", NOWHERE.get(each, 0), site="-", reason=each) for each in REASONS)
    yield from (keyed("events_unplaced", result["unplaced"].get(each, 0), reason=each) for each in UNPLACED)
    yield keyed("events_imputed", result["imputed"])
    yield keyed("facts_waiting", result["waiting"])
    yield keyed("patients_lost_to_follow_up", result["lost_to_follow_up"])
    yield keyed("patients_unassessable", result["unassessable"])
    for kind in CODES:
        counts = [row["count"] for row in result["unmapped"] if row["kind"] == kind]
        yield keyed("unmapped_codes", len(counts), kind=kind)
        of_sites = sum(each.unmapped.get(kind, 0) for each in overview.sites)
        yield keyed("unmapped_occurrences", sum(counts) - of_sites, site="-", kind=kind)
    yield keyed("build_info", 1, version=result["program"].split()[1])
    yield keyed("policy_info", 1, name=policy["name"], version=str(policy["version"]), sha256=policy["sha256"])
    yield keyed("registry_info", 1, version=str(sites["version"]), sha256=sites["sha256"])
    yield keyed("as_of_timestamp_seconds", seconds(result["as_of"]))
    yield keyed("complete_to_timestamp_seconds", seconds(result["complete_to"]))
    yield keyed("computed_timestamp_seconds", seconds(COMPUTED_AT))
    yield keyed("live_since_timestamp_seconds", seconds(LIVE_SINCE))
    yield keyed("ready", 1)


EXPECTED_FEEDS = (
    keyed("feed_silent", 0, site="lisbon", feed="treatment"),
    keyed("feed_silence_limit_seconds", 14 * 86_400, site="lisbon", feed="treatment"),
    keyed("feed_last_heard_timestamp_seconds", seconds("2025-12-31"), site="lisbon", feed="treatment"),
    keyed("feed_complete_through_timestamp_seconds", seconds("2025-12-30"), site="lisbon", feed="treatment"),
    keyed("feed_silent", 1, site="porto", feed="adverse_event"),
    keyed("feed_silence_limit_seconds", 3 * 86_400, site="porto", feed="adverse_event"),
)


def expected(overview):
    of_sites = chain.from_iterable(expected_of_site(overview, site) for site in overview.sites)
    return dict(chain(expected_rates(overview.result), of_sites, EXPECTED_FEEDS, expected_of_all(overview)))


def test_every_sample_is_the_overviews_and_none_is_missing(overview, text):
    said = {key: value for key, value in samples(text).items() if key[0].startswith("jakwatch_")}
    wanted = expected(overview)
    assert said.keys() == wanted.keys()
    assert {key: (said[key], value) for key, value in wanted.items() if said[key] != value} == {}


def test_the_demo_has_what_the_comparison_is_to_see(overview):
    assert any(row["events"] for row in overview.result["rates"])
    assert {case.kind for case in overview.cases} == {"violation", "started_on_hold"}
    assert overview.holds
    assert overview.result["unplaced"]
    assert overview.result["unmapped"]


def test_every_name_of_a_scrape_is_in_the_catalogue_and_the_other_way_round(text):
    said = {family.name for family in families(text)}
    known = {each.name for each in CATALOGUE if each not in ON_KAFKA}
    assert {name for name in said if not name.startswith(PROCESS_PREFIXES)} == known


def test_labels_and_their_closed_values_are_those_of_the_catalogue(text):
    by_name = {metric.name: metric for metric in CATALOGUE}
    for name, labels in samples(text):
        if metric := by_name.get(name):
            assert {key for key, _ in labels} == {label.name for label in metric.labels}
            closed = {label.name: label.values for label in metric.labels if label.values}
            assert [value for key, value in labels if value not in closed.get(key, (value,))] == []


def test_help_and_type_of_every_metric_are_told(text):
    told = {family.name: (family.documentation, family.type) for family in families(text)}
    mine = [metric for metric in CATALOGUE if metric not in ON_KAFKA]
    assert {metric.name: told[metric.name] for metric in mine} == {
        metric.name: (metric.help, "gauge") for metric in mine
    }


def test_the_process_is_told_of_by_the_librarys_collectors(text):
    said = {family.name for family in families(text)}
    assert {"python_info", "python_gc_collections"} <= said
    assert "process_open_fds" in said or not sys.platform.startswith("linux")


def test_no_course_patient_or_message_is_named(overview, text):
    identifiers = {case.treatment_id for case in overview.cases} | {each["treatment_id"] for each in overview.holds}
    assert len(identifiers) > 20
    assert [each for each in identifiers if each in text] == []


def test_promtool_has_nothing_to_say(text):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.fail("There is no promtool. `make test` installs it (Debian: prometheus).")
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_content_type_names_the_format_and_its_encoding():
    assert CONTENT_TYPE == "text/plain; version=0.0.4; charset=utf-8"


# The catalogue


def test_every_metric_of_the_catalogue_is_in_one_group_under_one_name():
    defined = [each for each in vars(catalogue).values() if isinstance(each, catalogue.Metric)]
    assert sorted(defined, key=repr) == sorted(CATALOGUE, key=repr)
    assert len({metric.name for metric in CATALOGUE}) == len(CATALOGUE)


def test_the_closed_values_are_those_of_the_messages():
    assert {*catalogue.ORDER_DECISIONS, *catalogue.START_DECISIONS} == set(get_args(Decision))
    assert {*catalogue.CLEARED, *catalogue.FINDING.values} == set(get_args(FindingName))
    labels = [each for each in vars(catalogue).values() if isinstance(each, Label)]
    assert [label.name for label in labels if catalogue.OTHER in label.values] == []


def test_the_page_of_all_metrics_is_current():
    assert metrics_page.main(["--check"]) == 0
    page = metrics_page.PAGE.read_text(encoding="utf-8")
    assert [metric.name for metric in CATALOGUE if f"| `{metric.name}` |" not in page] == []
