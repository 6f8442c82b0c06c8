"""The dashboards: written from the catalogue, as Grafana has them, and so that a person can read them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.metrics import catalogue as c
from tools import dashboards
from tools.grafana import lint, promql

PROJECT = Path(__file__).resolve().parents[2]
DASHBOARDS = {name: json.loads(text) for name, text in dashboards.dashboards()}
NOT_SHOWN = {
    c.CASES_CLOSED: "done is done: the pages of jakwatch list them",
    c.REGISTRY: "the hash in RULES is of all versions",
    c.AS_OF: "provisional days are shown nowhere",
}
Dashboard = dict[str, Any]


def panels(*kinds: str) -> list[Dashboard]:
    found = [panel for dashboard in DASHBOARDS.values() for panel in dashboard["panels"]]
    return [panel for panel in found if panel["type"] != "row" and (not kinds or panel["type"] in kinds)]


def queries() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel.get("targets", ())]


def test_the_files_are_what_the_catalogue_says() -> None:
    assert dashboards.main(["--check"]) == 0
    assert {path.name for path in dashboards.FOLDER.glob("*.json")} == set(DASHBOARDS)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_keeps_to_grafanas_schema_and_to_our_habits(name: str) -> None:
    assert list(lint.findings(DASHBOARDS[name])) == []


def test_a_file_that_is_changed_left_over_or_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert dashboards.main(["--to", str(tmp_path)]) == 0
    monkeypatch.setattr(dashboards, "FOLDER", tmp_path)
    assert dashboards.main(["--check"]) == 0
    (tmp_path / "jakwatch-feeds.json").unlink()
    (tmp_path / "jakwatch-rates.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    assert dashboards.main(["--check"]) == 1
    told = capsys.readouterr().err
    assert [line.split()[0] for line in told.splitlines()] == ["jakwatch-rates.json", "jakwatch-feeds.json", "old.json"]


def test_whoever_serves_it_elsewhere_gets_links_that_lead_there(tmp_path: Path) -> None:
    addresses = ["--pages", "https://jakwatch.example/", "--runbooks", "https://books.example"]
    assert dashboards.main([*addresses, "--to", str(tmp_path)]) == 0
    text = (tmp_path / "jakwatch-overview.json").read_text(encoding="utf-8")
    assert "127.0.0.1" not in text
    leads = set(re.findall(r"https://[^\"]*", text))
    assert {"https://jakwatch.example/", "https://books.example/JakwatchWatchdog.md"} <= leads


# What there is, is shown; what is shown, there is


def test_every_metric_is_shown_somewhere_or_said_why_not() -> None:
    shown = {name for query in queries() for name in lint.metrics_of(query)}
    assert {metric.name for metric in c.CATALOGUE} - shown == {metric.name for metric in NOT_SHOWN}


def test_every_link_of_an_alert_leads_to_a_dashboard() -> None:
    rules = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in (PROJECT / "alerts/rules").glob("*.yaml")]
    alerts = [rule for each in rules for group in each["groups"] for rule in group["rules"] if "alert" in rule]
    linked = {alert["annotations"]["dashboard_url"].rpartition("/d/")[2] for alert in alerts}
    assert linked
    assert linked <= {dashboard["uid"] for dashboard in DASHBOARDS.values()}


def test_every_link_between_dashboards_leads_somewhere() -> None:
    linked = {
        link["url"].removeprefix("/d/").partition("?")[0]
        for panel in panels()
        for link in panel["fieldConfig"]["defaults"].get("links", ())
        if link["url"].startswith("/d/")
    }
    assert linked
    assert linked <= {dashboard["uid"] for dashboard in DASHBOARDS.values()}


def test_no_rate_of_events_is_compared_with_anything() -> None:
    of_rates = [metric.name for metric in (c.RATE, c.RATE_LOWER, c.RATE_UPPER, c.REFERENCE)]
    asked = [query for query in queries() if any(name in of_rates for name in lint.metrics_of(query))]
    assert asked
    assert not [query for query in asked if re.search(r"[<>]|==|!=(?!\")", re.sub(r"\{[^}]*\}", "", query))]


def test_replicas_that_say_the_same_are_never_added_up() -> None:
    for query in queries():
        for metric in lint.metrics_of(query):
            if metric.startswith("jakwatch_") and metric != c.OWNED.name:
                assert not re.search(rf"sum(?: by \([^)]*\))? ?\({metric}\b", query), query


# What a query may not be


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("max(jakwatch_gone)", "jakwatch_gone is no metric of the catalogue"),
        ('max(jakwatch_cases_open{patient="1"})', "jakwatch_cases_open has no label patient"),
        ('max(jakwatch_cases_open{site=~"$hospital"})', "there is no variable hospital"),
        ("rate(jakwatch_messages_received[5m])", "jakwatch_messages_received is a gauge: delta, not rate"),
        (
            "rate(process_cpu_seconds_total[5m])",
            "the rate of process_cpu_seconds_total must be over $__rate_interval, or over all that is shown: $__range",
        ),
        ("vector(1)", "vector is no metric of the catalogue"),
        ("time() - 3", "it asks for no metric: time() - 3"),
    ],
)
def test_a_query_that_could_not_work_is_told(query: str, told: str) -> None:
    assert told in list(lint.query_wrong(query, {"site"}))


def test_names_are_found_whatever_stands_around_them() -> None:
    query = 'sum by (site) (delta(a_b{x="jakwatch_no"}[1h])) / on (site) group_left (c) ("d" or max(e:f) > bool 0)'
    assert lint.metrics_of(query) == ["a_b", "e:f"]


def test_a_query_of_a_label_that_the_metric_has_not_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="jakwatch_cases_open has no label aesi; it has"):
        promql.each(c.CASES_OPEN, "aesi")
    with pytest.raises(ValueError, match="jakwatch_cases_open has no label aesi"):
        promql.each(c.CASES_OPEN, site="$site", aesi="mace")


def test_several_chosen_values_are_matched_as_a_pattern_and_one_as_it_stands() -> None:
    assert promql.selector(c.RATE, aesi="$aesi", cohort="$cohort", window="30d") == (
        'jakwatch_rate_per_100_patient_years{aesi=~"$aesi",cohort="$cohort",window="30d"}'
    )


# What a dashboard may not be


def first(dashboard: Dashboard, kind: str) -> Dashboard:
    return next(panel for panel in dashboard["panels"] if panel["type"] == kind)


def put(*path: str | int, value: Any) -> Callable[[Dashboard], None]:
    def change(dashboard: Dashboard) -> None:
        at: Any = dashboard
        for step in path[:-1]:
            at = first(at, step.removeprefix("first ")) if isinstance(step, str) and step[:5] == "first" else at[step]
        at[path[-1]] = value

    return change


STAT, TABLE = ("first stat",), ("first table",)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("schemaVersion", value="42"), "schemaVersion is not as Grafana has it: '42' is not of type 'number'"),
        (put("colour", value="red"), "Additional properties are not allowed ('colour' was unexpected)"),
        (put("refresh", value=30), "refresh is not as Grafana has it"),
        (put("editable", value=True), "it can be edited in Grafana, where the change would be lost"),
        (put("templating", "list", 0, "name", value="ds"), "its first variable is not the data source"),
        (put("templating", "list", 3, "refresh", value=0), "is not renewed when the time range changes"),
        (put("templating", "list", 3, "query", "query", value="label_values(x, site)"), "x is no metric"),
        (put(*STAT, "gridPos", "w", value="4"), "'4' is not of type 'number'"),
        (put(*STAT, "gridPos", "w", value=13), "lies over another panel or beyond the page"),
        (put(*STAT, "id", value=1), "two panels have one id"),
        (put(*STAT, "title", value=""), "it has no title"),
        (put(*STAT, "description", value="Cases."), "its description does not tell what it means"),
        (put(*STAT, "fieldConfig", "defaults", "unit", value=""), "it has no unit"),
        (put(*STAT, "fieldConfig", "defaults", "noValue", value=""), "an empty panel would look like nothing"),
        (put(*STAT, "options", "colorMode", value="loud"), "'loud' is not one of"),
        (put(*STAT, "targets", value=[]), "it asks nothing"),
        (put(*STAT, "targets", 0, "legendFormat", value=""), "the query A has no name"),
        (put(*STAT, "datasource", "uid", value="mine"), "it does not use the chosen data source"),
        (put(*STAT, "type", value="pie"), "nothing is known here of a panel pie"),
        (put(*TABLE, "fieldConfig", "defaults", "custom", "cellOptions", value=[]), "[] is not valid under any"),
        (
            put(*TABLE, "fieldConfig", "overrides", 0, "properties", 0, "id", value="custom.hidden"),
            "'hidden' was unexpected",
        ),
        (put(*TABLE, "fieldConfig", "overrides", 0, "properties", 0, "id", value="units"), "'units' was unexpected"),
    ],
)
def test_a_dashboard_that_grafana_or_a_person_could_not_read_is_told(
    change: Callable[[Dashboard], None], told: str
) -> None:
    dashboard = copy.deepcopy(DASHBOARDS["jakwatch-overview.json"])
    change(dashboard)
    assert any(told in finding for finding in lint.findings(dashboard)), list(lint.findings(dashboard))
