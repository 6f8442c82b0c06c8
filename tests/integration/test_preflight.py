"""What a process lacks is named before it starts, and nothing else is: on a real broker, with its own credentials."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource, ConfigResourceType

from monitor.kafka import acls, topics
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.preflight import Role, missing, must_have, rights_of
from monitor.kafka.reach import CannotReachError, administering
from tests.integration.broker import Broker

SECONDS = 20.0  # until rights that were given hold, on a busy machine
ROLES: tuple[Role, ...] = ("monitor", "view", "publish")
_users = (f"user-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A secured broker with the topics of two sites."""
    kafka = Broker(tmp_path_factory.mktemp("secured"), secured=True)
    kafka.start()
    make_topics(kafka.connection(), "lisbon", "porto")
    yield kafka
    kafka.stop()


def make_topics(connection: Connection, *sites: str) -> None:
    with administering(connection) as admin:
        topics.create(admin, topics.wanted(sites, replication=1), 1)


def change(connection: Connection, name: str, setting: str, value: str) -> None:
    with administering(connection) as admin:
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {setting: value})])


def user_with(kafka: Broker, rights: list[acls.Right]) -> Connection:
    """A new user who has some rights, as soon as they hold."""
    user = next(_users)
    kafka.add_user(user)
    with administering(kafka.connection()) as admin:
        acls.give(admin, [right._replace(user=user) for right in rights])
    return kafka.connection(user)


def in_the_end(look: Callable[[], list[str]], number: int) -> list[str]:
    """What is said once it is as many things as expected, or after a while: rights take a moment to hold."""
    deadline = time.monotonic() + SECONDS
    while len(said := look()) != number and time.monotonic() < deadline:
        pass
    return said


def test_nothing_is_missing_where_all_is_as_topics_apply_makes_it(broker: Broker) -> None:
    make_topics(broker.connection(), "preflight-a", "preflight-b")
    found = {role: missing(broker.connection(), role, ["preflight-a", "preflight-b"]) for role in ROLES}
    assert found == {"monitor": [], "view": [], "publish": []}


def test_missing_topics_are_named_with_the_command_that_makes_them(broker: Broker) -> None:
    make_topics(broker.connection())
    (said,) = missing(broker.connection(), "monitor", ["preflight-c"])
    assert said == (
        "there is no topic jakwatch.v1.facts.preflight-c, jakwatch.v1.in.preflight-c, jakwatch.v1.out.preflight-c and "
        "1 more. Do next: jakwatch topics apply --sites FILE"
    )


def test_asking_makes_no_topic(broker: Broker) -> None:
    missing(broker.connection(), "monitor", ["preflight-d"])
    with contextlib.closing(KafkaAdminClient(**broker.connection().for_kafka_python())) as admin:
        assert topic("in", "preflight-d") not in admin.list_topics()


@pytest.mark.parametrize("role", ROLES)
def test_the_rights_that_topics_apply_gives_are_all_that_is_asked_for(secured: Broker, role: Role) -> None:
    connection = user_with(secured, rights_of(role, ["lisbon", "porto"]))
    assert in_the_end(lambda: missing(connection, role, ["lisbon", "porto"]), 0) == []


@pytest.mark.parametrize("role", ROLES)
def test_each_right_that_is_missing_is_named_and_no_other(secured: Broker, role: Role) -> None:
    rights = rights_of(role, ["lisbon"])
    for lacking in rights:
        connection = user_with(secured, [right for right in rights if right is not lacking])
        said = in_the_end(lambda: missing(connection, role, ["lisbon"]), 1)  # noqa: B023  called at once
        assert len(said) == 1, (lacking, said)
        assert said[0].startswith(f"our user may not {lacking.operation} "), (lacking, said)
        assert lacking.name in said[0] or lacking.name == "jakwatch.v1.", (lacking, said)
        assert "Do next: have an administrator run `jakwatch topics apply --acls`" in said[0]


def test_a_group_that_nobody_has_joined_yet_is_asked_about_its_rights_too(secured: Broker) -> None:
    rights = rights_of("monitor", ["lisbon"])
    seeing = [right._replace(operation="DESCRIBE") if right.kind == "GROUP" else right for right in rights]
    connection = user_with(secured, seeing)
    said = in_the_end(lambda: missing(connection, "monitor", ["lisbon"]), 1)
    assert [each.partition(". ")[0] for each in said] == ["our user may not READ as the group jakwatch-monitor"]


def test_whoever_may_nothing_is_not_told_that_a_topic_is_there(secured: Broker) -> None:
    connection = user_with(secured, [])
    said = missing(connection, "publish", ["lisbon", "nowhere"])
    assert [each.partition(". ")[0] for each in said] == [
        "our user may not WRITE jakwatch.v1.in.lisbon, jakwatch.v1.in.nowhere, if they are there at all"
    ]


def test_an_inbound_topic_that_bears_the_times_of_others_is_refused(broker: Broker) -> None:
    make_topics(broker.connection(), "preflight-e")
    change(broker.connection(), topic("in", "preflight-e"), "message.timestamp.type", "CreateTime")
    (said,) = missing(broker.connection(), "monitor", ["preflight-e"])
    assert said == (
        "jakwatch.v1.in.preflight-e: message.timestamp.type is CreateTime, expected LogAppendTime. "
        "Do next: jakwatch topics apply --fix"
    )


@pytest.mark.parametrize("kind", ["facts", "out"])
def test_a_log_that_forgets_is_refused(broker: Broker, kind: str) -> None:
    site = f"preflight-f-{kind}"
    make_topics(broker.connection(), site)
    change(broker.connection(), topic(kind, site), "cleanup.policy", "delete")
    assert missing(broker.connection(), "view", [site]) == [
        f"jakwatch.v1.{kind}.{site}: cleanup.policy is delete, expected compact. Do next: jakwatch topics apply --fix"
    ]


def test_a_topic_of_two_partitions_is_refused(broker: Broker) -> None:
    make_topics(broker.connection(), "preflight-g")
    with administering(broker.connection()) as admin:
        admin.create_partitions({topic("in", "preflight-g"): 2})
    (said,) = missing(broker.connection(), "monitor", ["preflight-g"])
    assert "jakwatch.v1.in.preflight-g: it has 2 partitions, expected 1" in said


def test_settings_that_our_user_may_not_see_are_not_held_against_a_topic(secured: Broker) -> None:
    make_topics(secured.connection(), "hidden")
    change(secured.connection(), topic("facts", "hidden"), "cleanup.policy", "delete")
    connection = user_with(secured, rights_of("view", ["hidden"]))
    assert in_the_end(lambda: missing(connection, "view", ["hidden"]), 0) == []


def test_a_broker_that_is_not_there_is_told_as_such() -> None:
    with pytest.raises(CannotReachError, match="nobody listens"):
        missing(Connection("127.0.0.1:1"), "monitor", ["lisbon"])


def narrowed(rights: list[acls.Right], operation: str, to: list[str]) -> list[acls.Right]:
    """With a right to the facts of some sites only, instead of all."""
    facts = topic("facts", "")
    (all_facts,) = (each for each in rights if (each.operation, each.name) == (operation, facts))
    kept = [each for each in rights if each is not all_facts]
    return [*kept, *(all_facts._replace(name=topic("facts", site), begins=False) for site in to)]


def test_a_site_that_may_not_be_written_is_left_out_and_the_others_are_not(secured: Broker) -> None:
    rights = rights_of("monitor", ["lisbon", "porto"])
    connection = user_with(secured, narrowed(rights, "WRITE", ["porto"]))
    in_the_end(lambda: missing(connection, "monitor", ["lisbon", "porto"]), 1)
    lacking = must_have(connection, "monitor", ["lisbon", "porto"])
    assert lacking.left_out == {"lisbon"}
    assert [each.partition(". ")[0] for each in lacking.told] == ["our user may not WRITE jakwatch.v1.facts.lisbon"]


@pytest.mark.parametrize("role", ["monitor", "view"])
def test_who_could_work_on_no_site_at_all_does_not_start(secured: Broker, role: Role) -> None:
    connection = user_with(secured, narrowed(rights_of(role, ["lisbon", "porto"]), "READ", []))
    in_the_end(lambda: missing(connection, role, ["lisbon", "porto"]), 1)
    with pytest.raises(CannotReachError, match=r"may not READ jakwatch\.v1\.facts\.lisbon, jakwatch\.v1\.facts\.porto"):
        must_have(connection, role, ["lisbon", "porto"])


def test_wrong_settings_of_one_site_leave_it_out_and_of_all_stop_all(broker: Broker) -> None:
    make_topics(broker.connection(), "preflight-h", "preflight-i")
    sites = ["preflight-h", "preflight-i"]
    change(broker.connection(), topic("facts", "preflight-h"), "cleanup.policy", "delete")
    assert must_have(broker.connection(), "monitor", sites).left_out == {"preflight-h"}
    change(broker.connection(), topic("in", "preflight-i"), "message.timestamp.type", "CreateTime")
    with pytest.raises(CannotReachError) as refused:
        must_have(broker.connection(), "monitor", sites)
    assert sorted(line.partition(":")[0] for line in str(refused.value).splitlines()) == [
        "jakwatch.v1.facts.preflight-h",
        "jakwatch.v1.in.preflight-i",
    ]


def test_a_site_without_topics_is_waited_for(broker: Broker) -> None:
    make_topics(broker.connection())
    lacking = must_have(broker.connection(), "monitor", ["preflight-j"])
    assert (len(lacking.told), lacking.left_out) == (1, frozenset())
