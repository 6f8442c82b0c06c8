"""What all dashboards share: variables, ways on, words for states."""

from __future__ import annotations

from typing import Any

from monitor.metrics import catalogue as c
from tools.grafana.panels import BAD, GOOD, SOURCE, Json, Link, Query, table
from tools.grafana.promql import ONE_OF

HOUR, DAY = 3600, 86_400
FIRING = 'ALERTS{alertstate="firing",severity!="none"}'
OF_PROMETHEUS = ("ALERTS", "up", "scrape_duration_seconds", "scrape_samples_scraped")
"""Series that Prometheus makes by itself, beside those of the catalogue."""
OF_ALERTING = ("prometheus_rule_evaluation_failures_total", "alertmanager_notifications_failed_total")
"""How Prometheus and Alertmanager fare themselves."""
PAGES, RUNBOOKS = "http://127.0.0.1:8321", "http://127.0.0.1:9090/user"  # as in docker-compose.yml
YES_IS_BAD = {"0": ("no", GOOD), "1": ("yes", BAD)}
YES_IS_GOOD = {"0": ("no", BAD), "1": ("yes", GOOD)}

CASES_PAGE = Link("The cases, one by one", "${pages}/#cases")
RUNBOOK = Link("What to do", "${runbooks}/${__value.raw}.md")
SCREENING = Link("By site and infection", "/d/jakwatch-screening?${site:queryparam}&${__url_time_range}")
FEEDS = Link("Which feeds", "/d/jakwatch-feeds?${site:queryparam}&${__url_time_range}")


def date(moment: str) -> str:
    """A day, given as midnight in UTC, for Grafana: noon, the same day nearly everywhere, in milliseconds."""
    return f"({moment} + 12 * 3600) * 1000"


DATE = "time:YYYY-MM-DD"


def source() -> Json:
    """The choice of a Prometheus."""
    chosen = {"text": "jakwatch", "value": "jakwatch"}
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "current": chosen,
    }


def choice(label: c.Label, query: str, current: str | None = None) -> Json:
    """A variable: the values that a label has. One that takes several begins with all of them."""
    several = ONE_OF[label.name]
    made: dict[str, Any] = {
        "type": "query", "name": label.name, "label": label.name, "description": label.meaning, "datasource": SOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"}, "refresh": 2,
        "sort": 1, "multi": several,
        "includeAll": several,
    }  # fmt: skip
    if several:
        made |= {"allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}
    elif current is not None:
        made |= {"current": {"text": current, "value": current}}
    return made


def site() -> Json:
    return choice(c.SITE, f"label_values({c.PATIENTS.name}, site)")


def address(name: str, label: str, url: str) -> Json:
    """Where something else is. Constant: who serves it elsewhere writes the dashboards anew with that address."""
    return {"type": "constant", "name": name, "label": label, "query": url, "hide": 2, "skipUrlSync": True}


def ways_on(pages: str, runbooks: str) -> tuple[Json, ...]:
    """Links at the top of each dashboard."""
    link = {"asDropdown": False, "includeVars": False, "keepTime": False, "tags": [], "targetBlank": True}
    return (
        link | {
            "type": "dashboards", "title": "jakwatch", "tags": ["jakwatch"], "tooltip": "The other dashboards",
            "icon": "dashboard", "includeVars": True, "keepTime": True, "targetBlank": False,
        },
        link | {"type": "link", "title": "Cases and answers", "icon": "external link", "url": f"{pages}/",
                "tooltip": "The pages of jakwatch itself: who is meant, and where a case is closed"},
        link | {"type": "link", "title": "Is the alarm itself alive?", "icon": "doc",
                "url": f"{runbooks}/JakwatchWatchdog.md", "tooltip": "The runbook of the alert that never ends"},
    )  # fmt: skip


def alerts(*, width: int = 24, height: int = 8) -> Any:
    """What Prometheus alerts of now, each with the way to its runbook."""
    return table(
        "Alerts that fire",
        "What Prometheus alerts of now. Click on a name for its runbook: what it means and what to do. Silencing an "
        "alert does not take it from here. Empty is good only while the rules are evaluated: see Alerts above.",
        ("alertname", "severity", "team", "site"),
        [Query(f"max by (alertname, severity, team, site) ({FIRING})", "firing")],
        width=width,
        height=height,
        styles={"alertname": {"links": [RUNBOOK.json()]}},
        hidden="firing",
    )
