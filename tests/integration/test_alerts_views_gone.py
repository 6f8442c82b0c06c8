"""What calls the safety officer while replicas die, are cut off and come back: told once, and ended by people alone.

One story of real processes: broker, worker, two replicas of one hospital, Prometheus and Alertmanager with short times.
Each test is a promise about a part of it.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kafka import KafkaProducer

from monitor.kafka.names import topic
from tests.integration.alarm import Alarm, Message
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.scraping import free_port
from tests.integration.stream_world import World, world
from tests.integration.test_alerts_stream_killed import registry
from tests.integration.views import Viewed
from tests.integration.ward import order, start
from tests.unit.alert_files import run

FURTHER, UNSCREENED = "JakwatchFurtherCase", "JakwatchStartedUnscreened"
NEWS, BATCH = 6, 2  # seconds instead of ten minutes and of five
LATCHED = 'site_kind:jakwatch_cases_open:latched{kind="violation"}'
CLOSING = {"action": "close_case", "kind": "violation", "reason": "paused", "by": "A. Silva", "role": "safety officer"}


@dataclass
class Story:
    """Who lives, and when what happened, by the monotonic clock."""

    broker: Broker
    world: World
    views: Sequence[Viewed]
    alarm: Alarm
    times: dict[str, float] = field(default_factory=dict)
    cases: list[str] = field(default_factory=list)
    known: list[float] = field(default_factory=list)  # what was latched while only one was left that is cut off

    @property
    def site(self) -> str:
        return self.world.sites[0]

    def now(self, what: str) -> None:
        self.times[what] = time.monotonic()

    def told(self, since: str, until: str | None = None) -> list[Message]:
        end = self.times[until] if until else float("inf")
        return [each for each in self.alarm.listener.of_safety(self.times[since]) if each.at < end]

    def latched(self) -> float:
        [found] = self.alarm.ask(LATCHED)
        return float(found["value"][1])

    def says(self, view: Viewed, metric: str) -> float | None:
        """What Prometheus has heard of it last."""
        at = view.url.removeprefix("http://").strip("/")
        found = self.alarm.ask(f'{metric}{{instance="{at}", kind=~"violation|"}}')
        return float(found[0]["value"][1]) if found else None

    def publish_a_case(self) -> None:
        self.cases.append(f"Zq7-{len(self.cases)}")
        self.publish(start(self.cases[-1]))

    def publish(self, message: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.broker.servers)
        producer.send(topic("in", self.site), message).get(60)
        producer.close()

    def waits_for(self, alert: str, since: str, status: str = "firing") -> None:
        self.alarm.listener.waits_for(
            "safety-page-further" if alert == FURTHER else "safety-page", alert, status, self.times[since]
        )


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("gone")
    broker = Broker(folder / "kafka")
    broker.start()
    try:
        with told_on(broker, folder) as told:
            a_first_case(told)
            a_further_case(told)
            one_more_while_both_views_are_dead(told)
            both_views_are_dead_again(told)
            one_view_is_cut_off_and_the_other_dies(told)
            kafka_is_back(told)
            all_are_closed(told)
            yield told
    finally:
        broker.kill()


@contextmanager
def told_on(broker: Broker, folder: Path) -> Iterator[Story]:
    with world(broker.servers, folder / "world", 1, text_of=registry) as made, made.workers() as workers:
        worker_at = f"127.0.0.1:{free_port()}"
        workers.add("first", "--port", worker_at.rpartition(":")[2])
        with made.view() as one, other_view(made) as other:
            addresses = [each.url.removeprefix("http://").strip("/") for each in (one, other)]
            with watched(folder, {"jakwatch-view": addresses, "jakwatch-monitor": [worker_at]}) as alarm:
                workers.wait_until_ready()
                told = Story(broker, made, (one, other), alarm)
                until(lambda: all(told.says(each, "jakwatch_ready") for each in told.views), "both are scraped")
                yield told


@contextmanager
def other_view(made: World) -> Iterator[Viewed]:
    folder = made.folder / "other"
    folder.mkdir()
    given = ["--broker", made.servers, "--sites", str(made.registry), "--key", str(made.key)]
    with Viewed(folder, *given, command="view") as running:
        yield running


def watched(folder: Path, targets: dict[str, list[str]]) -> Alarm:
    """With short times for what is news; how long nobody is believed is as in life."""
    alarm = Alarm(folder, targets, ("safety", "platform"))
    rules = alarm.rules["safety"]
    assert len(re.findall(r"\b10m\b", rules)) > 4
    alarm.rules["safety"] = re.sub(r"> 300\b", f"> {BATCH}", re.sub(r"\b10m\b", f"{NEWS}s", rules))
    return alarm


# What happens


def a_first_case(told: Story) -> None:
    told.now("first")
    told.publish_a_case()
    told.waits_for(UNSCREENED, "first")
    told.alarm.some_time()
    told.now("first told")


def a_further_case(told: Story) -> None:
    until(lambda: time.monotonic() > told.times["first told"] + BATCH, "it is no batch any more")
    told.now("further")
    told.publish_a_case()
    told.waits_for(FURTHER, "further")
    until(lambda: FURTHER not in told.alarm.firing(), "it is no news any more")
    told.alarm.some_time()


def kill_both_views(told: Story) -> None:
    for view in told.views:
        view.kill9()
    told.alarm.listener.waits_for("platform", "JakwatchDown", since=told.times["dead"])


def restart_both_views(told: Story) -> None:
    told.now("restarted")
    for view in told.views:
        view.restart(same_port=True)
    until(lambda: all(told.says(each, "jakwatch_ready") for each in told.views), "both are scraped again")


def one_more_while_both_views_are_dead(told: Story) -> None:
    """For longer than a further case is news."""
    told.now("dead")
    kill_both_views(told)
    told.publish_a_case()
    until(lambda: time.monotonic() > told.times["dead"] + 2 * NEWS, "what was news then is none")
    restart_both_views(told)
    told.waits_for(FURTHER, "restarted")
    until(lambda: FURTHER not in told.alarm.firing(), "it is no news any more")
    told.alarm.some_time()


def both_views_are_dead_again(told: Story) -> None:
    """And nothing happens meanwhile."""
    told.now("dead")
    told.now("dead again")
    kill_both_views(told)
    restart_both_views(told)
    told.alarm.some_time()
    until(lambda: time.monotonic() > told.times["restarted"] + NEWS, "what came with the restart would be told")


def one_view_is_cut_off_and_the_other_dies(told: Story) -> None:
    """While one stands still a case comes; then Kafka is gone, it goes on, and the other one dies."""
    knows, cut_off = told.views
    assert cut_off.process is not None
    cut_off.process.send_signal(signal.SIGSTOP)
    told.now("cut off")
    told.publish(order("Zq7-held"))  # it answers the question that the one which stands still has asked already
    until(lambda: knows.site(told.site)["inbound_offset"] == len(told.cases) + 1, "the other has read it")
    told.publish_a_case()
    told.waits_for(FURTHER, "cut off")
    until(lambda: FURTHER not in told.alarm.firing(), "it is no news any more")
    told.broker.kill()
    cut_off.process.send_signal(signal.SIGCONT)
    until(lambda: told.says(cut_off, "jakwatch_ready") == 0, "it says that it is cut off")
    until(lambda: told.says(cut_off, "jakwatch_cases_open") == len(told.cases) - 1, "it says what it knew before")
    told.now("left alone")
    knows.kill9()
    until(lambda: told.says(knows, "jakwatch_cases_open") is None, "nothing is heard of the other")
    for _ in range(4):
        told.alarm.some_time()
        told.known.append(told.latched())


def kafka_is_back(told: Story) -> None:
    told.now("back")
    told.broker.start()
    until(lambda: told.says(told.views[1], "jakwatch_cases_open") == len(told.cases), "it has read on")
    told.views[0].restart(same_port=True)
    until(lambda: all(told.says(each, "jakwatch_ready") for each in told.views), "both are ready again")
    told.alarm.some_time()


def all_are_closed(told: Story) -> None:
    told.now("closed")
    for case in told.cases:
        status, said = told.views[0].act(**CLOSING, site=told.site, treatment_id=case)
        assert status == 200, said
    told.waits_for(UNSCREENED, "closed", "resolved")
    told.now("ended")


# What is promised of it


def names(messages: Sequence[Message]) -> list[tuple[str, set[str]]]:
    return [(each.status, each.names(each.status)) for each in messages]


def test_a_further_case_calls_once(story: Story) -> None:
    assert names(story.told("first", "further")) == [("firing", {UNSCREENED})]
    assert names(story.told("further", "dead again"))[0] == ("firing", {FURTHER})


def test_a_further_case_of_an_outage_calls_once_when_the_outage_is_over(story: Story) -> None:
    """Of a hospital whose alert fires already, and after longer than it would have been news."""
    [_, message] = story.told("further", "dead again")
    assert names([message]) == [("firing", {FURTHER})]


def test_a_restart_of_all_replicas_calls_nobody(story: Story) -> None:
    assert names(story.told("dead again", "cut off")) == []


def test_a_replica_that_is_cut_off_and_outlives_the_one_that_knew_ends_nothing(story: Story) -> None:
    assert story.known == [4.0] * 4
    assert names(story.told("left alone", "back")) == []


def test_what_was_known_is_not_told_again_when_kafka_is_back(story: Story) -> None:
    assert names(story.told("cut off", "back")) == [("firing", {FURTHER})]
    assert names(story.told("back", "closed")) == []


def test_cases_that_people_closed_are_no_longer_observed_within_seconds(story: Story) -> None:
    assert names(story.told("closed")) == [("resolved", {UNSCREENED})]
    assert story.times["ended"] - story.times["closed"] < 30


def test_prometheus_knows_after_days_what_it_knew_and_nobody_else_says(tmp_path: Path) -> None:
    """It was away for nearly a week, and when it is back no process answers."""
    then, series = (
        int(time.time()) - 6 * 86_400,
        'site_kind:jakwatch_cases_open:latched{site="lisbon",kind="violation"}',
    )
    (tmp_path / "then").write_text(f"# TYPE {series.partition('{')[0]} gauge\n{series} 2 {then}\n# EOF\n")
    alarm = Alarm(tmp_path, {})
    done = run(
        "promtool", "tsdb", "create-blocks-from", "openmetrics", tmp_path / "then", alarm.prometheus.folder / "data"
    )
    assert done.returncode == 0, done.stderr
    with alarm:
        told = alarm.listener.waits_for("safety-page", UNSCREENED)
    assert told.content["alerts"][0]["annotations"]["description"].startswith("At lisbon: 2 open case(s)")
