"""Which versions were in force is noted in a site's log as soon as they are, not only when somebody takes it over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
import yaml

from monitor.core.policy import PolicyDocument
from monitor.kafka import wire
from monitor.kafka.names import topic
from monitor.policyfile import default_policy_path, load_policies
from tests.data.one_patient import start
from tests.integration.broker import Broker
from tests.integration.lone_worker import LoneWorker, read_topics
from tests.integration.stream_world import World, world


@pytest.fixture
def one(broker: Broker, tmp_path: Path) -> Iterator[World]:
    with world(broker.servers, tmp_path, 1) as made:
        yield made


def later_version(folder: Path) -> PolicyDocument:
    """A further version of the default policy, that begins in years."""
    default = default_policy_path()
    document = yaml.safe_load(default.read_text(encoding="utf-8"))
    document["policy"] |= {"version": document["policy"]["version"] + 1, "effective_from": date(2099, 1, 1)}
    path = Path(shutil.copytree(default.parent, folder / "later")) / default.name  # with its code lists
    path.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return load_policies([default, path])[-1]


def noted_versions(of: World) -> list[list[str]]:
    """The versions of the policy in each note of the log."""
    name = topic("facts", of.sites[0])
    records = [each for each in read_topics(of.servers, [name])[name] if each.key == wire.META]
    return [sorted(json.loads(wire.read_meta(each.value)["versions"])["policy"]) for each in records]


def test_a_version_that_is_activated_while_a_worker_runs_is_noted_by_it(one: World, tmp_path: Path) -> None:
    later = later_version(tmp_path)
    version = later.policy.version
    rules = replace(one.rules, policies=(*one.rules.policies, later))
    with LoneWorker(one.servers, rules) as lone:
        lone.take_over(*one.sites)
        lone.give(one.sites[0], start())
        assert noted_versions(one) == [[str(version - 1)]]
        lone.decide("activate", what="policy", version=version, sha256=later.sha256, effective_from=date(2099, 1, 1))
        assert noted_versions(one)[-1] == [str(version - 1), str(version)]
        assert lone.unusable == []
        notes = len(noted_versions(one))
        lone.tick()
        assert len(noted_versions(one)) == notes  # once


def test_of_a_log_in_which_nothing_arrived_nothing_is_noted(one: World, tmp_path: Path) -> None:
    later = later_version(tmp_path)
    rules = replace(one.rules, policies=(*one.rules.policies, later))
    with LoneWorker(one.servers, rules) as lone:
        lone.take_over(*one.sites)
        lone.decide(
            "activate", what="policy", version=later.policy.version, sha256=later.sha256,
            effective_from=date(2099, 1, 1),
        )  # fmt: skip
    assert noted_versions(one) == []
