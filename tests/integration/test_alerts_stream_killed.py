"""From a message published to Kafka to the message that a person gets; and what happens when a component dies.

One story of real processes (broker, worker, replica, canary, Prometheus, Alertmanager), each killed in turn: each test
is a promise about a part of it.
"""

from __future__ import annotations

import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from kafka import KafkaProducer

from monitor.kafka.names import topic
from schemas.parts import RESERVED_SITE
from tests.integration.alarm import Alarm, Listener, Message, Program
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.scraping import free_port
from tests.integration.stream_workers import Worker, Workers
from tests.integration.stream_world import World, make_topics, world
from tests.integration.views import Viewed
from tests.integration.ward import start

PAGE_WITHIN = 5.0  # seconds, with test intervals
SILENCE = 3.0  # seconds in which the watchdog would have been heard some ten times
CANARY_WITHIN = 6  # seconds instead of half an hour
SCRAPED = 'jakwatch_site_loading{job="jakwatch-view"} == 0'
CALLED = {
    "worker": "JakwatchNoWorker",
    "view": "JakwatchDown",
    "canary": "JakwatchCanaryFailed",
    "broker": "JakwatchNotReady",
}
UNSCREENED = "JakwatchStartedUnscreened"
SITE = """\
  {}:
    zone: Europe/Lisbon
    go_live: 2020-01-01
    feeds: {{screening: {{from: 2020-01-01, silent_after_days: 9000, results_after_hours: 0}}}}
"""


class Outage(NamedTuple):
    """When something was killed, and when it had its place again, by the monotonic clock."""

    since: float
    until: float


@dataclass
class Story:
    """Who lives, and what happened, as far as the tests ask for it."""

    broker: Broker
    world: World
    workers: Workers
    worker_at: str
    view: Viewed
    alarm: Alarm
    canary: Program
    outages: dict[str, Outage] = field(default_factory=dict)
    seconds_to_page: float = 0.0
    canary_sent_at: float = 0.0  # seconds since 1970
    canary_seen_at: float = 0.0
    dealt_with_at: float = 0.0
    prometheus_gone_at: float = 0.0

    @property
    def listener(self) -> Listener:
        return self.alarm.listener

    def site(self, number: int) -> str:
        """Hospitals in the order in which they have their first case."""
        return self.world.sites[number]

    def add_worker(self, name: str) -> Worker:
        """At the same address and under the same name as the one before."""
        return self.workers.add(name, "--port", self.worker_at.rpartition(":")[2], "--instance", "worker")

    @contextmanager
    def without(self, component: str) -> Iterator[float]:
        """The time of an outage, from before the kill until whoever ends it says that it is over."""
        since = time.monotonic()
        yield since
        self.outages[component] = Outage(since, time.monotonic())


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("killed")
    broker = Broker(folder / "kafka")
    broker.start()
    try:
        with told_on(broker, folder) as told:
            tell(told)
            yield told
    finally:
        broker.kill()


@contextmanager
def told_on(broker: Broker, folder: Path) -> Iterator[Story]:
    """All processes but the canary; it, too, is ended."""
    with world(broker.servers, folder / "world", 4, text_of=registry) as made, made.workers() as workers:
        make_topics(broker.servers, [RESERVED_SITE])
        with made.view() as view:
            at = f"127.0.0.1:{free_port()}"
            with watched(folder, view, at) as alarm:
                told = Story(broker, made, workers, at, view, alarm, canary_of(broker, folder))
                try:
                    yield told
                finally:
                    told.canary.end()


def registry(sites: Sequence[str]) -> str:
    head = "registry: {name: alerts, version: 1, effective_from: 2020-01-01, approved_by: tests}\nsites:\n"
    return head + "".join(SITE.format(site) for site in sites)


def watched(folder: Path, view: Viewed, worker_at: str) -> Alarm:
    targets = {"jakwatch-view": [view.url.removeprefix("http://").strip("/")], "jakwatch-monitor": [worker_at]}
    alarm = Alarm(folder, targets, ("safety", "feeds", "platform", "stream"))
    alarm.rules["stream"] = re.sub(r"\b1800\b", str(CANARY_WITHIN), alarm.rules["stream"])
    return alarm


def canary_of(broker: Broker, folder: Path) -> Program:
    folder = folder / "canary"
    folder.mkdir()
    jakwatch = str(Path(sys.executable).with_name("jakwatch"))
    return Program([jakwatch, "canary", "--broker", broker.servers, "--every", "1"], folder)


# What happens


def tell(told: Story) -> None:
    told.add_worker("first")
    told.workers.wait_until_ready()
    until(lambda: told.alarm.ask(SCRAPED), "the view is scraped")
    the_canary_comes(told)
    a_case(told)
    prometheus_crashes(told)
    the_worker_dies(told)
    the_view_dies(told)
    the_canary_dies(told)
    the_broker_dies(told)
    a_case_is_dealt_with(told)
    prometheus_is_gone(told)


def the_canary_comes(told: Story) -> None:
    """Until then nobody has seen it, which is an alarm."""
    told.listener.waits_for("platform", "JakwatchCanaryFailed")
    told.canary_sent_at, sent_at = time.time(), time.monotonic()
    told.canary.start()
    told.listener.waits_for("deadman", "JakwatchCanarySeen", since=sent_at)
    told.listener.waits_for("platform", "JakwatchCanaryFailed", "resolved", sent_at)
    [seen] = told.alarm.ask("max(jakwatch_canary_last_success_timestamp_seconds)")
    told.canary_seen_at = float(seen["value"][1])


def publish(told: Story, site: str) -> None:
    """As a hospital does, and as confirmed."""
    producer = KafkaProducer(bootstrap_servers=told.broker.servers)
    producer.send(topic("in", site), start(f"Zq7-{site}")).get(60)
    producer.close()


def paged_for(told: Story, site: str) -> list[Message]:
    return [each for each in told.listener.of_safety() if each.site == site]


def a_case(told: Story) -> None:
    begun, site = time.monotonic(), told.site(0)
    publish(told, site)
    until(lambda: paged_for(told, site), "somebody is called")
    told.seconds_to_page = paged_for(told, site)[0].at - begun


def prometheus_crashes(told: Story) -> None:
    """Started again at once, as a service manager does."""
    with told.without("prometheus"):
        told.alarm.prometheus.end(signal.SIGKILL)
        back_at = time.time()
        told.alarm.prometheus.start()
        scraped = f"timestamp(jakwatch_ready) > {back_at}"
        until(lambda: len(told.alarm.ask(scraped)) == len(told.alarm.targets), "Prometheus scrapes again")
        until(lambda: UNSCREENED in told.alarm.firing(), "Prometheus evaluates again")


def the_worker_dies(told: Story) -> None:
    """What is published meanwhile waits."""
    with told.without("worker") as since:
        told.workers.dismiss(told.workers.here[0], signal.SIGKILL)
        publish(told, told.site(1))
        told.listener.waits_for("platform", CALLED["worker"], since=since)
        assert not paged_for(told, told.site(1))
        told.add_worker("second")
        told.listener.waits_for("platform", CALLED["worker"], "resolved", since)
    until(lambda: paged_for(told, told.site(1)), "what had waited calls somebody")


def the_view_dies(told: Story) -> None:
    with told.without("view") as since:
        told.view.kill9()
        publish(told, told.site(2))
        told.listener.waits_for("platform", CALLED["view"], since=since)
        told.view.restart(same_port=True)
        told.listener.waits_for("platform", CALLED["view"], "resolved", since)
    until(lambda: paged_for(told, told.site(2)), "what nobody saw calls somebody")


def the_canary_dies(told: Story) -> None:
    until(lambda: "JakwatchCanarySeen" in told.alarm.firing(), "the canary is seen again")
    until(lambda: "JakwatchCanaryFailed" not in told.alarm.firing(), "its alert is over")
    with told.without("canary") as since:
        told.canary.end(signal.SIGKILL)
        told.listener.waits_for("platform", CALLED["canary"], since=since)


def the_broker_dies(told: Story) -> None:
    with told.without("broker") as since:
        told.broker.kill()
        told.listener.waits_for("platform", CALLED["broker"], since=since)
        until(lambda: not_ready(told, since) == {*told.alarm.targets}, "workers and replicas say that Kafka is silent")
        told.broker.start()
        told.listener.waits_for("platform", CALLED["broker"], "resolved", since)
    publish(told, told.site(3))
    until(lambda: paged_for(told, told.site(3)), "all goes on")


def not_ready(told: Story, since: float) -> set[str]:
    """The jobs of which it was told."""
    heard = [alert for each in told.listener.to("platform", since) for alert in each.content["alerts"]]
    return {alert["labels"]["job"] for alert in heard if alert["labels"]["alertname"] == CALLED["broker"]}


def a_case_is_dealt_with(told: Story) -> None:
    told.dealt_with_at, site = time.monotonic(), told.site(0)
    closing = {"site": site, "treatment_id": f"Zq7-{site}", "by": "A. Silva", "role": "safety officer"}
    status, said = told.view.act(action="close_case", kind="violation", reason="paused", **closing)
    assert status == 200, said
    until(lambda: ended(told, site), "the end of the alert is told")


def ended(told: Story, site: str) -> list[Message]:
    return [each for each in paged_for(told, site) if each.status == "resolved"]


def prometheus_is_gone(told: Story) -> None:
    told.prometheus_gone_at = time.monotonic()
    told.alarm.prometheus.end(signal.SIGKILL)
    until(lambda: time.monotonic() - told.listener.to("deadman")[-1].at > SILENCE, "nothing more is heard")


# What is promised of it


def test_an_unscreened_start_published_to_kafka_calls_the_safety_officer_within_seconds(story: Story) -> None:
    assert 0 < story.seconds_to_page < PAGE_WITHIN


@pytest.mark.parametrize("component", CALLED)
def test_the_death_of_a_component_calls_whoever_runs_it(story: Story, component: str) -> None:
    began, over = story.outages[component]
    told = [each for each in story.listener.to("platform", began) if each.at < over]
    assert CALLED[component] in set().union(*(each.names() for each in told))


def test_the_watchdog_is_heard_through_every_outage_but_that_of_prometheus(story: Story) -> None:
    beats = [each.at for each in story.listener.to("deadman") if "JakwatchWatchdog" in each.names()]
    for component in CALLED:
        began, over = story.outages[component]
        assert [at for at in beats if began < at < over], component
    assert time.monotonic() - beats[-1] > SILENCE


def test_no_death_and_no_return_ends_an_alert_about_a_patient_or_tells_it_again(story: Story) -> None:
    """Each of four hospitals with a case is told of once, by the one message of its case."""
    until_then = [each for each in story.listener.of_safety() if each.at < story.dealt_with_at]
    assert [(each.site, each.status, each.names()) for each in until_then] == [
        (site, "firing", {UNSCREENED}) for site in story.world.sites
    ]
    assert all(each.since < each.until < story.dealt_with_at for each in story.outages.values())


@pytest.mark.parametrize(("component", "number"), [("worker", 1), ("view", 2)])
def test_what_is_published_during_an_outage_calls_somebody_after_it(story: Story, component: str, number: int) -> None:
    [message] = [each for each in paged_for(story, story.site(number)) if each.status == "firing"]
    began, _ = story.outages[component]
    assert message.at > story.listener.waits_for("platform", CALLED[component], since=began).at


def test_processes_that_hear_nothing_of_kafka_say_so_and_go_on_when_it_is_back(story: Story) -> None:
    began, _ = story.outages["broker"]
    assert not_ready(story, began) == {"jakwatch-view", "jakwatch-monitor"}
    assert story.workers.problems() == []


def test_the_violation_of_the_canary_is_seen_and_calls_nobody(story: Story) -> None:
    assert story.canary_seen_at >= int(story.canary_sent_at)
    told = [alert for each in story.listener.of_safety() for alert in each.content["alerts"]]
    assert {alert["labels"]["site"] for alert in told} == {*story.world.sites}


def test_whoever_waits_for_the_canary_outside_misses_it_when_it_is_dead(story: Story) -> None:
    seen = [each.at for each in story.listener.to("deadman") if "JakwatchCanarySeen" in each.names()]
    assert seen[-1] < story.outages["broker"].until < story.prometheus_gone_at


def test_a_case_that_was_dealt_with_is_no_longer_observed_never_closed(story: Story) -> None:
    resolved = ended(story, story.site(0))[0]
    assert story.dealt_with_at < resolved.at < story.prometheus_gone_at
    for message in story.listener.of_safety():
        for alert in message.content["alerts"]:
            assert alert["annotations"]["resolved"].startswith("No longer observed.")
        assert b"closed" not in message.raw.lower()


def test_no_message_names_a_patient_a_course_or_a_pseudonym(story: Story) -> None:
    everything = b"".join(message.raw for message in story.listener.heard)
    assert len(story.listener.heard) > 20
    assert "Zq7-" in str(story.view.overview)  # the mark is one that the program knows
    assert b"Zq7" not in everything
    assert not re.search(rb"canary-\d", everything)
    assert not re.search(rb"[0-9a-f]{32}", everything)
