"""What hospitals publish by mistake stops nobody: it is kept as it came, with the reason, and the others go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count, cycle
from pathlib import Path
from typing import Any, Self

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from monitor.core.decode import Rejection, decode
from monitor.kafka.names import topic
from monitor.kafka.wire import original_headers
from tests.data.bad_lines import BAD_LINES, BadLine
from tests.data.valid_lines import VALID, compact
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.stream_checks import rejected_of
from tests.integration.stream_histories import garbage
from tests.integration.stream_publishers import LARGEST, Letter, Publisher, publish
from tests.integration.stream_world import World, world

BAD, BAD_A_SECOND = 10_000, 2_000.0
WARM, PROBES, FEW = 20, 100, 10
SLOWER, NOBODY_CARES = 10.0, 0.25  # times as slow the others may be at most, and seconds below which it is no matter
LONGEST_ANSWER = 60.0  # seconds

REGISTRY = """\
registry: {{name: bad-messages, version: 1, effective_from: 2020-01-01, approved_by: nobody}}
sites:
  {0}: {{zone: Europe/Lisbon, go_live: 2020-01-01, ids: {{trim: true}}, feeds: {{}}}}
  {1}: {{zone: Pacific/Kiritimati, go_live: 2020-01-01, ids: {{leading_zeros: strip}}, feeds: {{}}}}
  {2}: {{zone: Pacific/Niue, go_live: 2020-01-01, feeds: {{}}}}
"""
NAMES = ("lisbon", "kiritimati", "niue")  # as the lines call the sites of that registry


@pytest.fixture
def three(broker: Broker, tmp_path: Path) -> Iterator[World]:
    """Sites like those that the bad lines are about, under names of their own."""
    with world(broker.servers, tmp_path, 3, text_of=lambda names: REGISTRY.format(*names)) as made:
        yield made


def named(line: bytes, of: World) -> bytes:
    for name, site in zip(NAMES, of.sites, strict=True):
        line = line.replace(f'"{name}"'.encode(), f'"{site}"'.encode())
    return line


def site_of(bad: BadLine, of: World) -> str:
    """The site in whose topic a bad line is bad: that of its channel, of its own words, or any."""
    told = dict(zip(NAMES, of.sites, strict=True))
    if bad.channel is not None:
        return told.get(bad.channel, of.sites[2])  # of a site that nobody knows there is no topic
    return next((site for name, site in told.items() if f'"{name}"'.encode() in bad.line), of.sites[0])


def bad_letters(of: World) -> Iterator[tuple[str, Letter]]:
    """(the reason, the message) of the whole corpus, but for what Kafka itself refuses, each with headers."""
    for number, bad in enumerate(BAD_LINES):
        site, line = site_of(bad, of), named(bad.line, of)
        decoded = decode(line, site, of.rules.registry)
        if len(line) < LARGEST and isinstance(decoded, Rejection):  # a line that lacks only its site has one here
            assert decoded.reason == bad.reason, bad.name
            yield bad.reason, Letter(site, line, (("system", b"lab"), ("number", b"%d" % number)))


def test_each_bad_line_is_kept_as_it_came_with_its_origin_its_reason_and_its_headers(three: World) -> None:
    letters = list(bad_letters(three))
    assert len(letters) > len(BAD_LINES) - 10
    good = named(VALID["patient_contact"], three)
    with three.workers() as workers:
        workers.add("only")
        publish(three.servers, [letter for _, letter in letters])
        publish(three.servers, [Letter(three.sites[0], good)])
        nothing_at_all(three.servers, three.sites[1])
        three.wait_until_quiet()
        three.check()
    assert workers.problems() == []
    found = {site: rejected_of(three.watch, site) for site in three.sites}
    assert sum(map(len, found.values())) == len(letters) + 1
    for reason, letter in letters:
        assert kept_as_it_came(three, letter, found[letter.site]) == reason
    empty = found[three.sites[1]][three.watch.seen[topic("in", three.sites[1])][-1].offset]
    assert (empty.value, dict(empty.headers)["reason"]) == (b"", b"not_json")


def nothing_at_all(servers: str, site: str) -> None:
    """A message with a key and no value: what deletes in a compacted topic."""
    producer = Producer({"bootstrap.servers": servers})
    producer.produce(topic("in", site), None, b"a key")
    assert producer.flush(60) == 0


def kept_as_it_came(of: World, letter: Letter, rejected: dict[int, Any]) -> str:
    """The reason for which a message was rejected; its bytes, headers and times are found with it."""
    [came] = [each for each in of.watch.seen[topic("in", letter.site)] if letter.headers == each.headers]
    kept = rejected[came.offset]
    assert kept.value == letter.line == came.value
    assert tuple(original_headers(kept.headers)) == letter.headers
    told = {name: value.decode() for name, value in kept.headers if not name.startswith("in.")}
    assert datetime.fromisoformat(told["rejected_at"]).timestamp() * 1000 >= came.at
    return told["reason"]


# One site's rubbish and the others


def test_ten_thousand_bad_messages_of_one_site_keep_no_other_waiting(broker: Broker, tmp_path: Path) -> None:
    with world(broker.servers, tmp_path, 3) as made, made.workers() as workers:
        bad, *others = made.sites
        workers.add("only")
        until(lambda: workers.share_out(made.sites), "the worker has all sites")
        with Probe(made.servers, others) as probe:
            probe.seconds(WARM)
            before = probe.seconds(PROBES)
            flood = Publisher("librdkafka", made.servers, rubbish(made, bad), BAD_A_SECOND)
            flood.start()
            during = []
            while flood.is_alive():
                during += probe.seconds(1)
        flood.finish()
        made.wait_until_quiet()
        made.check()
        assert len(rejected_of(made.watch, bad)) == BAD
    assert workers.problems() == []
    assert len(during) >= FEW
    for share in (0.5, 0.99):
        slow, usual = percentile(during, share), percentile(before, share)
        print(f"{share:.0%} of {len(during)} within {slow:.3f} s, without rubbish within {usual:.3f} s")  # noqa: T201
        assert slow < max(SLOWER * usual, NOBODY_CARES)


def rubbish(of: World, site: str) -> Iterator[Letter]:
    short = [each for each in garbage(site, of.rules.registry) if len(each) < 2_000]
    return (Letter(site, line) for line, _ in zip(cycle(short), range(BAD), strict=False))


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(share * len(seconds)))]


class Probe:
    """Orders a drug and waits for the answer, as a hospital's system does."""

    def __init__(self, servers: str, sites: list[str]) -> None:
        self._sites = cycle(sites)
        self._number = count()
        self._producer = Producer({"bootstrap.servers": servers, "linger.ms": 0})
        self._answers = Consumer(
            {
                "bootstrap.servers": servers, "group.id": "of nobody", "isolation.level": "read_committed",
                "enable.auto.commit": False, "fetch.wait.max.ms": 10, "auto.offset.reset": "earliest",
            }
        )  # fmt: skip
        self._answers.assign([TopicPartition(topic("out", site), 0, 0) for site in sites])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._producer.flush(10)

    def seconds(self, times: int) -> list[float]:
        """From the publication of an order to when its answer can be read, so many times."""
        return [self._ask(next(self._sites), f"order-{next(self._number)}") for _ in range(times)]

    def _ask(self, site: str, name: str) -> float:
        began = time.monotonic()
        self._producer.produce(topic("in", site), order(site, name))
        self._producer.poll(0)
        while not self._is_answered(name):
            assert time.monotonic() - began < LONGEST_ANSWER, f"{name} is not answered"
        return time.monotonic() - began

    def _is_answered(self, name: str) -> bool:
        answer = self._answers.poll(0.05)
        if answer is None or answer.error() is not None:
            return False
        return bool(json.loads(answer.key())["treatment_id"] == name)


def order(site: str, name: str) -> bytes:
    now = datetime.now(UTC).isoformat()
    named = {"site": site, "event_id": name, "treatment_id": name, "patient_id": name, "recorded_at": now, "version": 1}
    told = {key: value for key, value in json.loads(VALID["treatment_ordered"]).items() if key != "planned_start_on"}
    return compact(told | named)
