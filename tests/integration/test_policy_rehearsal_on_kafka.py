"""A policy rehearsed on the logs of a Kafka says what replay says of the same messages."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner, Result

from monitor.commands.policy import command
from monitor.commands.rehearsal import rehearsed_on_kafka
from monitor.exitcodes import ExitCode
from monitor.policyfile import default_policy_path
from monitor.replay import Question, replay_lines
from tests.data.good_history import good_lines
from tests.integration.broker import Broker
from tests.integration.views import World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("rehearsal")
    broker = Broker(folder / "kafka")
    broker.start()
    yield World(broker, folder)
    broker.kill()


@pytest.fixture(scope="module")
def lines(world: World) -> list[bytes]:
    """What lisbon has said, and its owner has taken in."""
    found = [line for line in good_lines() if json.loads(line)["site"] == "lisbon"]
    with world.owner("lisbon") as owner:
        owner.give(found, at_once=100)
    return found


def test_on_kafka_it_says_what_replay_says_of_the_same_messages(world: World, lines: list[bytes]) -> None:
    rules = world.rules
    day = 740_000
    [found] = rehearsed_on_kafka(world.broker.connection(), rules.policies, rules.registry, rules.key, day)
    expected = replay_lines(lines, Question(rules.policies, rules.registry, (), "lisbon", day, key=rules.key))
    assert found == expected
    assert found["messages"]["received"] == len(lines)


def diff(*options: str) -> Result:
    path = str(default_policy_path())
    return CliRunner().invoke(command, ["diff", path, path, *options])


def test_the_same_policy_moves_nothing(world: World, lines: list[bytes]) -> None:
    assert lines
    done = diff("--broker", world.broker.servers, "--sites", str(world.sites))
    assert (done.exit_code, done.stdout.count(": 0\n")) == (ExitCode.DONE, 4), done.stderr


def test_without_the_registry_or_with_two_sources_it_is_wrong_use(world: World) -> None:
    assert diff("--broker", world.broker.servers).exit_code == ExitCode.WRONG_USE
    assert diff(__file__, "--broker", world.broker.servers).exit_code == ExitCode.WRONG_USE


def test_a_broker_that_is_not_there_is_said_within_seconds(world: World) -> None:
    done = diff("--broker", "127.0.0.1:1", "--sites", str(world.sites))
    assert done.exit_code == ExitCode.SERVICE_MISSING
    assert "nobody listens" in done.stderr
