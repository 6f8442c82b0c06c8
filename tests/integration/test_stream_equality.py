"""The stream equals the batch: what workers make of many hospitals' messages is what a replay of them says.

Three client libraries publish at once, a second worker comes while they do, hospitals use transactions, people decide.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from kafka import KafkaProducer

from monitor.kafka.names import ACTIONS, topic
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.stream_checks import answers_of, facts_of
from tests.integration.stream_histories import lives, load, stirred
from tests.integration.stream_publishers import CLIENTS, Letter, Librdkafka, Publisher
from tests.integration.stream_world import World, by_turns, world
from tests.integration.views import Viewed

SITES = 20
SIGNED = {"by": "A. Person", "role": "safety officer", "reason": "as minuted"}


@pytest.fixture
def hospitals(broker: Broker, tmp_path: Path) -> Iterator[World]:
    with world(broker.servers, tmp_path, SITES) as made:
        yield made


def histories(of: World) -> dict[str, list[bytes]]:
    """Half of the sites live lives, the others send a load."""
    today = date.today()  # noqa: DTZ011  the last day of what is invented
    half = len(of.sites) // 2
    told = lives(of.sites[:half], 5, today - timedelta(500), today, seed=1) | load(of.sites[half:], 100, seed=2)
    return {site: stirred(site, lines, of.rules.registry, seed=3) for site, lines in told.items()}


def publishers(of: World, lines: dict[str, list[bytes]]) -> list[Publisher]:
    """Each client library publishes for a third of the sites."""
    shares = [{site: lines[site] for site in of.sites[place :: len(CLIENTS)]} for place in range(len(CLIENTS))]
    return [
        Publisher(client, of.servers, [Letter(*each) for each in by_turns(share)])
        for client, share in zip(CLIENTS, shares, strict=True)
    ]


def test_two_workers_come_to_what_a_replay_says(hospitals: World) -> None:
    lines = histories(hospitals)
    with hospitals.view() as view, hospitals.workers() as workers:
        workers.add("first")
        until(lambda: workers.share_out(hospitals.sites), "one worker has all sites")
        sending = publishers(hospitals, {site: each[: len(each) // 2] for site, each in lines.items()})
        for each in sending:
            each.start()
        second = workers.add("second")  # comes while they publish
        until(lambda: workers.share_out(hospitals.sites) and second.is_ready(), "two workers share the sites")
        assert [len(each.owned()) for each in workers.here] == [SITES // 2, SITES // 2]
        rest = publishers(hospitals, {site: each[len(each) // 2 :] for site, each in lines.items()})
        for each in rest:
            each.start()
        for each in [*sending, *rest]:
            each.finish()
        hospitals.wait_until_quiet()
        hospitals.check(view)
        assert {site: sorted(lines[site]) for site in hospitals.sites} == published(hospitals)
        decide(hospitals)
        until(lambda: is_as_decided(hospitals), "what people decided has taken effect")
        hospitals.check(view)
    assert workers.problems() == []
    assert workers.summary()["ends"] == {0: 2}


def nothing_waits(view: Viewed, site: str) -> bool:
    """The end of the topic, as Kafka tells it, lies behind what was aborted."""
    told = view.site(site)
    return bool(told["inbound_offset"] == told["inbound_end"] and told["waiting_seconds"] == 0)


def published(of: World) -> dict[str, list[bytes]]:
    return {site: sorted(each.value or b"" for each in of.watch.seen[topic("in", site)]) for site in of.sites}


def decide(of: World) -> None:
    """Settle every conflict, and waive what keeps orders waiting; then see that it made a difference."""
    before = of.replays().of(today_in_utc())
    actions = [*settlements(before), *waivers(before)]
    assert {each["action"] for each in actions} == {"settle_conflict", "sign_waiver"}
    producer = KafkaProducer(bootstrap_servers=of.servers)
    for number, each in enumerate(actions):
        named = each | SIGNED | {"action_id": f"{of.sites[0]}-{number}", "at": datetime.now(UTC).isoformat()}
        producer.send(ACTIONS, json.dumps(named).encode(), named["action_id"].encode()).get(60)
    producer.close()
    of.watch.read()
    assert of.replays().of(today_in_utc())["decisions"] != before["decisions"]


def settlements(replayed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    rng = Random(1)  # noqa: S311  no secret
    for each in replayed["open_conflicts"]:
        source = {"source": each["source"]} if each["source"] else {}
        said = {"event_id": each["event_id"], "digest": rng.choice(each["bodies"])["digest"]}
        yield {"action": "settle_conflict", "site": each["site"], **source, **said}


def waivers(replayed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Until a day in a year, at every site that has an order on hold."""
    ends_on = (datetime.now(UTC) + timedelta(365)).date().isoformat()
    held = [row for row in replayed["decisions"] if (row["kind"], row["decision"]) == ("order", "hold")]
    for site, infection in sorted({(row["site"], each) for row in held for each in row["findings"]}):
        yield {"action": "sign_waiver", "site": site, "infection": infection, "ends_on": ends_on}


def today_in_utc() -> int:
    return datetime.now(UTC).date().toordinal()


def is_as_decided(of: World) -> bool:
    of.watch.read()
    try:
        of.check()
    except AssertionError:
        return False
    return True


def test_what_a_hospital_aborts_is_never_seen(hospitals: World) -> None:
    site = hospitals.sites[0]
    today = date.today()  # noqa: DTZ011
    lines = lives([site], 12, today - timedelta(500), today, seed=4)[site]
    parts = [lines[at : at + 10] for at in range(0, len(lines), 10)]
    hospital = Librdkafka(hospitals.servers, transactional_id=f"hospital-{site}")
    with hospitals.view() as view, hospitals.workers() as workers:
        workers.add("only")
        for number, part in enumerate(parts):
            hospital.in_transaction([Letter(site, line) for line in part], abort=number % 3 == 1)
        hospitals.wait_until_quiet()
        hospital.in_transaction([Letter(site, line) for line in lines[:10]], abort=True)  # nothing follows it
        hospitals.check(view)
        until(lambda: nothing_waits(view, site), "what was aborted does not seem to wait")
    committed = [line for number, part in enumerate(parts) if number % 3 != 1 for line in part]
    assert published(hospitals)[site] == sorted(committed)
    kept = {json.loads(each.value or b"")["message"]["event_id"] for each in facts_of(hospitals.watch, site)}
    assert kept == {json.loads(line)["event_id"] for line in committed}
    assert answers_of(hospitals.watch, site)
    assert workers.problems() == []
