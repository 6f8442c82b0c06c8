"""From a message that a hospital sends to the message that a person gets, by real programs; and what no outage ends.

One story, told by one module-wide process, Prometheus and Alertmanager: each test is a promise about a part of it.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.integration import alert_story
from tests.integration.alarm import Alarm, Listener, Message
from tests.integration.desk import POLICY
from tests.integration.live import Live, until

SILENCE = 3.0  # seconds in which the watchdog would have been heard some ten times
PAGES = ("safety-page", "safety-page-further")


@dataclass
class Story:
    """What happened, as far as the tests ask for it; `heard` in the order in which it was."""

    live: Live
    alarm: Alarm
    seconds_to_page: float = 0.0
    killed_at: float = 0.0
    prometheus_back_at: float = 0.0
    alertmanager_back_at: float = 0.0
    dealt_with_at: float = 0.0

    @property
    def listener(self) -> Listener:
        return self.alarm.listener


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("alerts")
    (folder / "sites.yaml").write_text(alert_story.SITES)
    with Live(folder, "--sites", folder / "sites.yaml", "--policy", POLICY) as live, watched(folder, live) as alarm:
        told = Story(live, alarm)
        nobody_is_called(told)
        a_case(told)
        forty_cases(told)
        the_process_dies(told)
        prometheus_dies_too(told)
        the_process_is_back(told)
        alertmanager_is_restarted(told)
        all_is_dealt_with(told)
        yield told


def watched(folder: Path, live: Live) -> Alarm:
    return Alarm(folder, {"jakwatch-view": [live.url.removeprefix("http://").strip("/")]})


# What happens


def nobody_is_called(told: Story) -> None:
    alert_story.nothing_to_call_for(told.live)
    told.alarm.some_time()


def a_case(told: Story) -> None:
    begun = time.monotonic()
    alert_story.one_case_at_lisbon(told.live)
    told.seconds_to_page = told.listener.waits_for("safety-page", "JakwatchStartedUnscreened").at - begun


def forty_cases(told: Story) -> None:
    alert_story.forty_cases_at_madrid(told.live)
    until(lambda: [each for each in told.listener.to("safety-page") if each.site == "madrid"], "madrid is told of")
    told.alarm.some_time()


def the_process_dies(told: Story) -> None:
    told.killed_at = time.monotonic()
    told.live.kill9()
    told.listener.waits_for("platform", "JakwatchDown")
    told.alarm.some_time(20)


def prometheus_dies_too(told: Story) -> None:
    """When it is back there is nobody to ask: what it knows of cases it knows from before."""
    told.alarm.prometheus.end(signal.SIGKILL)
    told.alarm.prometheus.start()
    until(lambda: "JakwatchDown" in told.alarm.firing(), "Prometheus evaluates again")
    told.prometheus_back_at = time.monotonic()
    told.alarm.some_time()


def the_process_is_back(told: Story) -> None:
    back_at = time.monotonic()
    told.live.restart(same_port=True)
    told.listener.waits_for("platform", "JakwatchDown", "resolved", back_at)
    told.alarm.some_time()


def alertmanager_is_restarted(told: Story) -> None:
    told.alarm.alertmanager.end()
    told.alarm.alertmanager.start()
    told.alertmanager_back_at = time.monotonic()
    told.alarm.some_time()


def all_is_dealt_with(told: Story) -> None:
    told.dealt_with_at = time.monotonic()
    alert_story.all_dealt_with(told.live)
    for site in ("lisbon", "madrid"):
        until(lambda site=site: ended(told, site), f"the end of {site}'s alert is told")


def ended(told: Story, site: str) -> list[Message]:
    later = told.listener.of_safety(told.dealt_with_at)
    return [each for each in later if (each.site, each.status) == (site, "resolved")]


# What is promised of it


def test_an_unscreened_start_calls_the_safety_officer_within_seconds(story: Story) -> None:
    assert story.seconds_to_page < alert_story.PAGE_WITHIN


def test_neither_history_nor_a_start_that_may_still_be_proved_nor_a_held_order_calls_anybody(story: Story) -> None:
    told = [
        (alert["labels"].get("site"), alert["labels"])
        for each in story.listener.of_safety()
        for alert in each.content["alerts"]
    ]
    assert {site for site, _ in told} == {"lisbon", "madrid"}
    first = story.listener.of_safety()[0]
    assert first.content["alerts"][0]["annotations"]["description"].startswith("At lisbon: 1 open case(s)")


def test_forty_cases_of_one_hospital_are_one_message(story: Story) -> None:
    firing = [each for each in story.listener.of_safety() if each.site == "madrid" and each.status == "firing"]
    assert len(firing) == 1
    assert firing[0].content["alerts"][0]["annotations"]["description"].startswith("At madrid: 40 open case(s)")


def test_the_death_of_the_process_calls_whoever_runs_it(story: Story) -> None:
    message = story.listener.waits_for("platform", "JakwatchDown", since=story.killed_at)
    labels = {"alertname": "JakwatchDown", "severity": "critical", "team": "platform"}
    assert labels in [alert["labels"] for alert in message.content["alerts"]]


def test_no_death_and_no_return_ends_an_alert_of_safety_or_tells_it_again(story: Story) -> None:
    """The process by `kill -9`, Prometheus by `kill -9` before it is back, and Alertmanager as an upgrade does."""
    between = [each for each in story.listener.of_safety(story.killed_at) if each.at < story.dealt_with_at]
    assert between == []
    assert story.killed_at < story.prometheus_back_at < story.alertmanager_back_at < story.dealt_with_at


def test_the_watchdog_is_heard_again_once_prometheus_is_back(story: Story) -> None:
    assert story.listener.to("deadman", story.prometheus_back_at)


def test_the_watchdog_falls_silent_when_prometheus_stays_dead(tmp_path: Path) -> None:
    with Alarm(tmp_path, {}, resend="500ms") as alarm:
        alarm.prometheus.end(signal.SIGKILL)
        until(lambda: _seconds_since(alarm.listener) > SILENCE, "nothing more is heard of the watchdog")
        assert [each.names() for each in alarm.listener.to("deadman")][-1] == {"JakwatchWatchdog"}


def _seconds_since(listener: Listener) -> float:
    return time.monotonic() - listener.to("deadman")[-1].at


def test_a_case_that_was_dealt_with_is_no_longer_observed_never_closed(story: Story) -> None:
    for site in ("lisbon", "madrid"):
        [message] = ended(story, site)
        [alert] = message.content["alerts"]
        assert alert["annotations"]["resolved"].startswith("No longer observed.")
        assert "closed" not in message.raw.decode().lower()


def test_every_message_says_where_to_look_and_what_to_do(story: Story) -> None:
    for message in story.listener.heard:
        for alert in message.content["alerts"]:
            said = alert["annotations"]
            assert said["runbook_url"].endswith(f"/{alert['labels']['alertname']}.md")
            assert said["dashboard_url"].startswith("http://127.0.0.1:3000/d/jakwatch-")


def test_no_message_names_a_patient_a_course_or_a_process(story: Story) -> None:
    everything = b"".join(message.raw for message in story.listener.heard)
    assert len(story.listener.heard) > 20
    status, overview = story.live.get("v1/overview")
    assert status == 200
    assert "Zq7-wait" in str(overview)  # the mark is one that the program knows
    assert b"Zq7" not in everything
    assert b"instance" not in b"".join(message.raw for message in story.listener.of_safety())
    assert b'"runbooks":' not in everything  # a label that is there for links alone


@pytest.mark.parametrize("receiver", PAGES)
def test_whoever_is_paged_is_told_by_whom(story: Story, receiver: str) -> None:
    assert {message.content["receiver"] for message in story.listener.to(receiver)} <= {receiver}
