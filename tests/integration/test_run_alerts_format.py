"""What a single machine posts, beside what a real Alertmanager posts of the same alerts: who reads one reads both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

from monitor.alerting.alerts import Alert, Links, Standing, standing_at
from monitor.alerting.groups import Group, Timing, planned
from monitor.alerting.past import Past
from monitor.alerting.rules import Moment
from monitor.alerting.texts import payload
from tests.data.alert_cases import case, shown
from tests.integration.alarm import Alarm
from tests.integration.live import until

_open = build_opener(ProxyHandler({})).open
LINKS = Links("https://jakwatch.example", "https://books.example")


def fired(now: float) -> list[Alert]:
    """Two alerts of one hospital, one of another."""
    cases = (case(0), case(0, "unassessable"), case(0, where="madrid"))
    overview = shown(0, cases=cases)
    return standing_at(Moment(overview, Past(), now), Standing(), LINKS).firing


def posted_by_alertmanager(alarm: Alarm, alerts: list[Alert]) -> dict[str, Any]:
    """Of each hospital the first message, after Alertmanager was told of the alerts as Prometheus tells it."""
    told = [
        {"labels": each.labels, "annotations": each.annotations, "generatorURL": each.annotations["list_url"]}
        for each in alerts
    ]
    url = f"http://{alarm.alertmanager_address}/api/v2/alerts"
    request = Request(url, json.dumps(told).encode(), {"Content-Type": "application/json"})
    _open(request, timeout=30).close()
    sites = {each.labels["site"] for each in alerts}
    until(lambda: {each.site for each in alarm.listener.to("safety-page")} >= sites, "every hospital was told of")
    return {each.site: each.content for each in alarm.listener.to("safety-page") if each.site}


def posted_by_us(alerts: list[Alert]) -> dict[str, Any]:
    standing = Standing(alerts={each.fingerprint: each for each in alerts})
    groups = {key: Group(0.0) for key in planned(standing, {}, 0.0, Timing()).groups}
    found = planned(standing, groups, 60.0, Timing()).messages
    return {each.labels["site"]: payload(each, LINKS.page) for each in found}


SAME = ("version", "groupKey", "truncatedAlerts", "status", "receiver", "groupLabels", "commonLabels",
        "commonAnnotations")  # fmt: skip
SAME_OF_ALERT = ("status", "labels", "annotations", "generatorURL", "fingerprint")


def test_a_call_is_what_alertmanager_would_post(tmp_path: Path) -> None:
    with Alarm(tmp_path, {}) as alarm:
        alerts = fired(600.0)
        theirs, ours = posted_by_alertmanager(alarm, alerts), posted_by_us(alerts)
    assert theirs.keys() == ours.keys() == {"lisbon", "madrid"}
    for site in theirs:
        assert theirs[site].keys() == ours[site].keys()
        assert {name: ours[site][name] for name in SAME} == {name: theirs[site][name] for name in SAME}
        for mine, other in zip(*(sorted(each[site]["alerts"], key=lambda alert: alert["fingerprint"])
                                 for each in (ours, theirs)), strict=True):  # fmt: skip
            assert mine.keys() == other.keys()
            assert {name: mine[name] for name in SAME_OF_ALERT} == {name: other[name] for name in SAME_OF_ALERT}
            assert (mine["endsAt"], mine["startsAt"][-1]) == (other["endsAt"], other["startsAt"][-1])


def test_the_end_is_told_with_its_instant() -> None:
    ended = [replace(each, until=660.0) for each in fired(600.0)]
    standing = Standing(alerts={each.fingerprint: each for each in ended})
    groups = {key: Group(0.0, {each.fingerprint: each.since for each in ended})
              for key in planned(standing, {}, 0.0, Timing()).groups}  # fmt: skip
    for message in planned(standing, groups, 700.0, Timing()).messages:
        said = payload(message, LINKS.page)
        assert said["status"] == "resolved"
        assert {each["endsAt"] for each in said["alerts"]} == {"1970-01-01T00:11:00.000Z"}
