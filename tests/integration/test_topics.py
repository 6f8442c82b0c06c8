"""`jakwatch topics` on a real Kafka: what it makes, what it refuses, and that what was erased is gone."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kafka import KafkaProducer
from kafka.admin import ConfigResource

from monitor.commands.topics import command
from monitor.kafka import topics
from monitor.kafka.names import ACTIONS, KINDS, topic
from monitor.kafka.reach import administering
from tests.integration.broker import Broker
from tests.integration.live import until

WELL = "all is as it should be: 5 topics\n"


@pytest.fixture
def site() -> str:
    """A site that no other test knows."""
    return f"s{uuid.uuid4().hex[:12]}"


def run(broker: Broker, name: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [name, "--broker", broker.servers, *arguments])


def altered(broker: Broker, name: str, **settings: str) -> None:
    """Somebody else changes settings of a topic."""
    given = {key.replace("_", "."): value for key, value in settings.items()}
    with administering(broker.connection()) as admin:
        said = admin.alter_configs([ConfigResource("TOPIC", name, given)])
    assert said["topic"][name] == "OK"


def settings_of(broker: Broker, name: str) -> topics.Settings:
    with administering(broker.connection()) as admin:
        return topics.found(admin, [name])[name].settings


def test_apply_makes_what_is_missing_then_nothing_and_check_agrees(broker: Broker, site: str) -> None:
    before = run(broker, "check", "--site", site)
    assert before.exit_code == 1
    assert f"{topic('in', site)}: there is no such topic. Do next: jakwatch topics apply\n" in before.output
    made = run(broker, "apply", "--site", site)
    assert made.exit_code == 0
    lines = {line for line in made.output.splitlines() if ACTIONS not in line}  # another test may have made that one
    assert lines == {WELL.strip(), *(f"made {topic(kind, site)}" for kind in KINDS)}
    for again in ("apply", "check"):
        assert (run(broker, again, "--site", site).output, run(broker, again, "--site", site).exit_code) == (WELL, 0)


def test_the_sites_of_a_registry_get_their_topics(broker: Broker, site: str, tmp_path: Path) -> None:
    registry = tmp_path / "sites.yaml"
    head = "registry: {name: sites, version: 1, effective_from: 2026-01-01}"
    one = f"  {site}: {{zone: Europe/Lisbon, go_live: 2026-01-01, feeds: {{}}}}"
    registry.write_text(f"{head}\nsites:\n{one}\n")
    made = run(broker, "apply", "--sites", str(registry))
    assert (made.exit_code, f"made {topic('out', site)}\n" in made.output) == (0, True), made.output


def test_a_wrong_setting_is_refused_until_it_is_asked_to_be_fixed(broker: Broker, site: str) -> None:
    run(broker, "apply", "--site", site)
    name = topic("facts", site)
    altered(broker, name, cleanup_policy="delete", retention_ms="1000")
    wrong = [
        f"{name}: cleanup.policy is delete, expected compact. Do next: jakwatch topics apply --fix",
        f"{name}: retention.ms is 1000, expected -1. Do next: jakwatch topics apply --fix",
    ]
    for refusing in ("check", "apply"):
        result = run(broker, refusing, "--site", site)
        assert (result.output.splitlines(), result.exit_code) == (wrong, 1)
    assert settings_of(broker, name)["retention.ms"] == "1000"
    fixed = run(broker, "apply", "--site", site, "--fix")
    assert fixed.output.splitlines() == [
        f"changed {name}: cleanup.policy is delete, expected compact",
        f"changed {name}: retention.ms is 1000, expected -1",
        WELL.strip(),
    ]
    assert fixed.exit_code == 0
    assert settings_of(broker, name)["retention.ms"] == "-1"


def test_a_topic_of_several_partitions_is_refused_and_never_deleted(broker: Broker, site: str) -> None:
    name = topic("in", site)
    with administering(broker.connection()) as admin:
        admin.create_topics({name: {"num_partitions": 3, "replication_factor": 1}}, wait_for_metadata=True)
    result = run(broker, "apply", "--site", site, "--fix")
    assert result.exit_code == 1
    assert f"{name}: it has 3 partitions, expected 1" in result.output
    with administering(broker.connection()) as admin:
        assert topics.found(admin, [name])[name].partitions == 3


def test_more_copies_than_there_are_brokers_are_refused_by_name(broker: Broker, site: str) -> None:
    result = run(broker, "apply", "--site", site, "--replication", "3")
    assert result.exit_code == 69
    assert f"{topic('in', site)}: Kafka refuses it (InvalidReplicationFactorError)" in result.output


def test_rights_on_a_kafka_that_asks_for_none_are_refused(broker: Broker, site: str) -> None:
    run(broker, "apply", "--site", site)
    result = run(broker, "check", "--site", site, "--acls")
    assert (result.exit_code, "Kafka asks nobody for rights" in result.output) == (69, True), result.output


HURRIED_DAY = 1.0  # seconds
PAUSES_OF_THE_CLEANER = 2  # days, of this kind, between its looks: of a real day they are a thousandth


@pytest.fixture
def hurried(broker: Broker, site: str) -> str:
    """A topic with the settings of facts, whose days pass in a second each."""
    name, hurry = topic("facts", site), 24 * 3600 / HURRIED_DAY
    wanted = topics.wanted([site], 1)[name]
    times = {key: str(int(int(wanted[key]) / hurry)) for key in wanted if key.endswith(".ms") and int(wanted[key]) > 0}
    configs = {**wanted, **times, "file.delete.delay.ms": "0"}
    with administering(broker.connection()) as admin:
        admin.create_topics({name: {"num_partitions": 1, "replication_factor": 1, "configs": configs}})
        admin.wait_for_topics([name])
    return name


def test_of_what_a_tombstone_replaces_no_byte_is_left_within_the_days_promised(broker: Broker, hurried: str) -> None:
    """Neither of the key nor of the value, in a topic to which one record a day is written."""
    with KafkaProducer(**broker.connection().for_kafka_python()) as producer:
        producer.send(hurried, key=b"key-of-somebody", value=b"said-of-somebody")
        producer.send(hurried, key=b"key-of-another", value=b"said-of-another").get(10)
        producer.send(hurried, key=b"key-of-somebody", value=None).get(10)
        assert in_files(broker, hurried, b"of-somebody")
        began, days = time.monotonic(), 0

        def nothing_is_left() -> bool:
            nonlocal days
            if time.monotonic() - began > HURRIED_DAY * (days + 1):
                days += 1
                producer.send(hurried, key=b"position", value=b"of day %d" % days).get(10)
            return not in_files(broker, hurried, b"of-somebody")

        until(nothing_is_left, "the erased record is compacted away")
    assert days <= topics.COMPACTED_WITHIN_DAYS + PAUSES_OF_THE_CLEANER
    assert in_files(broker, hurried, b"said-of-another")


def in_files(broker: Broker, name: str, sought: bytes) -> bool:
    return any(sought in content for content in segments(broker, name))


def segments(broker: Broker, name: str) -> Iterator[bytes]:
    for path in (broker.folder / "data" / f"{name}-0").iterdir():
        try:
            yield path.read_bytes()
        except FileNotFoundError:  # the broker has just deleted it
            continue
