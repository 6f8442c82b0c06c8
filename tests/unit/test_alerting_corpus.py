"""One corpus of cases, told to our own conditions and to Prometheus' rules: both call the same people.

Prometheus is given what the program itself exports for the very same overviews, and must find the same alerts with the
same words.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

import pytest
import yaml

from monitor.alerting.alerts import Alert, Links, Standing, standing_at
from monitor.alerting.past import Past
from monitor.alerting.rules import JOB, RULES, Moment
from monitor.metrics.exposition import Exposition
from tests.data.alert_cases import INSTANCE, STORIES, Story
from tests.unit.alert_files import BY_NAME, LINKS, RULE_FILES, metrics_of, read, run
from tests.unit.alert_files import RULES as ALL_RULES

OURS = Links(LINKS["jakwatch"], LINKS["runbooks"])
NAMES = [rule.name for rule in RULES]
EXPORTED = {name for rule in ALL_RULES for name in metrics_of(rule["expr"])}


def told(story: Story) -> dict[int, list[Alert]]:
    """What fires at the minutes that the story asks of, by our own conditions."""
    standing, past, found = Standing(), Past(), {}
    for minute in story.minutes:
        overview = story.at(minute)
        if overview is not None:
            past = past.and_now(overview, 60 * minute)
            standing = standing_at(Moment(overview, past, 60 * minute, INSTANCE), standing, OURS)
        found[minute] = standing.firing
    return {minute: found[minute] for minute in story.expected}


def plain(alerts: list[tuple[str, dict[str, str]]]) -> list[Any]:
    return sorted((name, sorted(labels.items())) for name, labels in alerts)


def without_rule(alert: Alert) -> tuple[str, dict[str, str]]:
    """Its name, and the labels that are not the same in every alert of its rule."""
    return alert.name, {key: each for key, each in alert.labels.items() if key not in {"alertname", "severity", "team"}}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_the_single_machine_calls_whom_it_should(story):
    found = {minute: plain([without_rule(each) for each in alerts]) for minute, alerts in told(story).items()}
    assert found == {minute: plain(alerts) for minute, alerts in story.expected.items()}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_prometheus_calls_the_same_in_the_same_words(story, tmp_path):
    path = tmp_path / "story.yaml"
    path.write_text(yaml.safe_dump(promtool_test(story)), encoding="utf-8")
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_of_the_single_machine_fires_in_some_story_and_is_silent_in_some():
    fired = {name for story in STORIES for alerts in story.expected.values() for name, _ in alerts}
    assert fired == set(NAMES)
    assert any(not alerts for story in STORIES for alerts in story.expected.values())


# As promtool reads it


def promtool_test(story: Story) -> dict[str, Any]:
    files = [str(path) for path in RULE_FILES if path.stem != "stream"]
    test = {
        "interval": f"{story.step}m",
        "external_labels": LINKS,
        "input_series": [{"series": name, "values": values} for name, values in series_of(story).items()],
        "alert_rule_test": list(checks_of(story)),
    }
    return {"rule_files": files, "evaluation_interval": f"{story.step}m", "tests": [test]}


def checks_of(story: Story) -> Iterator[dict[str, Any]]:
    for minute, alerts in told(story).items():
        for name in NAMES:
            mine = [each for each in alerts if each.name == name]
            yield {"alertname": name, "eval_time": f"{minute}m", "exp_alerts": [*map(as_expected, mine)]}


def as_expected(alert: Alert) -> dict[str, Any]:
    """Prometheus adds the name itself, and leads to Grafana too, and to our page only where patients are concerned."""
    texts = {name: text for name, text in BY_NAME[alert.name]["annotations"].items() if name == "dashboard_url"}
    said = {name: text for name, text in alert.annotations.items() if name in BY_NAME[alert.name]["annotations"]}
    links = {name: text.replace("{{ $externalLabels.grafana }}", LINKS["grafana"]) for name, text in texts.items()}
    labels = {name: value for name, value in alert.labels.items() if name != "alertname"}
    return {"exp_labels": labels, "exp_annotations": said | links}


def series_of(story: Story) -> dict[str, str]:
    """What the process exports, scraped at every look."""
    exposition = Exposition()
    scrapes = [{} if (shown := story.at(minute)) is None else scraped(exposition.render(shown))
               for minute in story.minutes]  # fmt: skip
    names = dict.fromkeys(name for scrape in scrapes for name in scrape)
    return {name: notation([scrape.get(name) for scrape in scrapes]) for name in names}


def scraped(text: bytes) -> dict[str, str]:
    """Series -> value, of what rules look at."""
    found = {}
    for line in text.decode().splitlines():
        series, _, value = line.rpartition(" ")
        name, _, labels = series.partition("{")
        if name in EXPORTED:
            found[f'{name}{{job="{JOB}",instance="{INSTANCE}"{f",{labels}" if labels else "}"}'] = value
    return found


def notation(values: list[str | None]) -> str:
    """As promtool writes it: what is missing after a value is stale, as Prometheus marks what it no longer sees."""
    parts, before = [], None
    for value, equal in groupby(values):
        count = len(list(equal))
        if value is None:
            parts += ["_"] * count if before is None else ["stale", *["_"] * (count - 1)]
        else:
            parts.append(f"{value}x{count - 1}" if count > 1 else value)
        before = value
    return " ".join(parts)


# The texts as they stand


def as_python(text: str) -> str:
    """A text with Prometheus' places for values written as ours."""
    kinds = {"": "", " | humanizeDuration": ":duration", " | humanizeTimestamp": ":moment"}
    for theirs, ours in kinds.items():
        text = text.replace(f"{{{{ $value{theirs} }}}}", f"{{value{ours}}}")
    for label in ("site", "kind", "feed", "job", "instance"):
        text = text.replace(f"{{{{ $labels.{label} }}}}", f"{{{label}}}")
    return text


UNITS = {"s": 1, "m": 60, "h": 3_600}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_an_alert_has_the_words_and_the_patience_of_the_rule_of_its_name(rule):
    theirs = BY_NAME[rule.name]
    said = theirs["annotations"]
    assert (rule.severity, rule.team) == (theirs["labels"]["severity"], theirs["labels"]["team"])
    assert rule.for_seconds == int(theirs.get("for", "0s")[:-1]) * UNITS[theirs.get("for", "0s")[-1]]
    texts = (rule.summary, rule.description, rule.resolved)
    assert texts == tuple(as_python(said[name]) for name in ("summary", "description", "resolved"))
    if "list_url" in said:
        assert said["list_url"] == f"{{{{ $externalLabels.jakwatch }}}}{rule.page}"


# Only who looks on can say these: that nothing answers, that Prometheus or Alertmanager fails, that the budget of its
# series is spent. A heartbeat that stays away stands for the watchdog.
OF_ONLOOKERS = {
    "JakwatchWatchdog", "JakwatchDown", "JakwatchTargetDown", "JakwatchRatesLeftOut", "JakwatchRuleFailing",
    "JakwatchNotificationsFailing",
}  # fmt: skip


def test_no_alert_is_forgotten_but_what_only_an_onlooker_can_say():
    of_one_machine = [path for path in RULE_FILES if path.stem != "stream"]
    rules = [rule for path in of_one_machine for group in read(path)["groups"] for rule in group["rules"]]
    assert set(NAMES) == {rule["alert"] for rule in rules if "alert" in rule} - OF_ONLOOKERS
    assert set(BY_NAME) >= OF_ONLOOKERS
