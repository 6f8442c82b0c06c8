"""Which topics and rights are needed, and what is said where those of a Kafka differ."""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from monitor.commands.topics import command
from monitor.kafka import acls, topics
from monitor.kafka.acls import Right, Users
from monitor.kafka.topics import HIDDEN, Found

DAY_MS = 86_400_000
USERS = Users()
OURS = USERS.of(["lisbon"])


def as_wanted(replication: int = 1, **changed: str) -> dict[str, Found]:
    """The topics of one site, all of them as they should be but for what is changed in lisbon's inbound one."""
    expected = topics.wanted(["lisbon"], replication)
    there = {name: Found(1, replication, dict(settings)) for name, settings in expected.items()}
    its = {key.replace("_", "."): value for key, value in changed.items()}
    name = "jakwatch.v1.in.lisbon"
    return there | {name: Found(1, replication, {**there[name].settings, **its})}


def told(there: dict[str, Found], replication: int = 1) -> list[str]:
    return [str(each) for each in topics.compare(topics.wanted(["lisbon"], replication), there, replication)]


def test_each_site_needs_four_topics_and_all_share_the_actions() -> None:
    assert list(topics.wanted(["oslo", "lisbon"], 1)) == [
        "jakwatch.v1.actions",
        *(f"jakwatch.v1.{kind}.{site}" for site in ("lisbon", "oslo") for kind in ("in", "facts", "out", "rejected")),
    ]


@pytest.mark.parametrize(
    ("kind", "days", "gone_within"),
    [("in", 14, topics.IN_GONE_WITHIN_DAYS), ("rejected", 30, topics.REJECTED_GONE_WITHIN_DAYS)],
)
def test_what_runs_out_is_kept_as_long_as_promised_and_is_gone_soon_after(
    kind: str, days: int, gone_within: int
) -> None:
    settings = topics.wanted(["lisbon"], 1)[f"jakwatch.v1.{kind}.lisbon"]
    assert (settings["cleanup.policy"], int(settings["retention.ms"])) == ("delete", days * DAY_MS)
    assert (days + int(settings["segment.ms"]) / DAY_MS) < gone_within


@pytest.mark.parametrize("name", ["jakwatch.v1.facts.lisbon", "jakwatch.v1.out.lisbon", "jakwatch.v1.actions"])
def test_what_stays_loses_nothing_but_what_a_tombstone_replaces(name: str) -> None:
    settings = topics.wanted(["lisbon"], 1)[name]
    kept = {"cleanup.policy": "compact", "retention.ms": "-1", "retention.bytes": "-1"}
    assert settings.items() >= kept.items()


def test_a_rejected_message_with_what_is_said_of_it_fits_whatever_came_in() -> None:
    wanted = topics.wanted(["lisbon"], 1)
    largest = {kind: int(wanted[f"jakwatch.v1.{kind}.lisbon"]["max.message.bytes"]) for kind in ("in", "rejected")}
    assert largest["rejected"] > largest["in"] + 65_536


@pytest.mark.parametrize(("replication", "confirming"), [(1, "1"), (2, "1"), (3, "2")])
def test_one_broker_may_be_down_and_what_was_confirmed_stays(replication: int, confirming: str) -> None:
    assert {each["min.insync.replicas"] for each in topics.wanted(["lisbon"], replication).values()} == {confirming}


def test_nothing_is_said_of_topics_that_are_as_they_should_be() -> None:
    assert told(as_wanted()) == []
    assert told(as_wanted(3), 3) == []


def test_a_wrong_setting_is_told_with_what_is_expected_and_the_next_command() -> None:
    assert told(as_wanted(retention_ms="604800000")) == [
        "jakwatch.v1.in.lisbon: retention.ms is 604800000, expected 1209600000. Do next: jakwatch topics apply --fix"
    ]


def test_a_missing_topic_is_told() -> None:
    there = as_wanted()
    del there["jakwatch.v1.out.lisbon"]
    assert told(there) == ["jakwatch.v1.out.lisbon: there is no such topic. Do next: jakwatch topics apply"]


@pytest.mark.parametrize(
    ("found", "right"),
    [(HIDDEN, "DESCRIBE it"), (Found(1, 1, {}), "DESCRIBE_CONFIGS of it")],
    ids=["topic", "settings"],
)
def test_what_our_user_may_not_see_is_told_as_the_right_that_is_missing(found: Found, right: str) -> None:
    (finding,) = told(as_wanted() | {"jakwatch.v1.in.lisbon": found})
    assert f"our user lacks the right to {right}. Do next: " in finding


def test_more_than_one_partition_is_told_and_not_said_to_be_mendable() -> None:
    there = as_wanted()
    there["jakwatch.v1.in.lisbon"] = there["jakwatch.v1.in.lisbon"]._replace(partitions=4)
    (finding,) = topics.compare(topics.wanted(["lisbon"], 1), there, 1)
    assert "it has 4 partitions, expected 1" in finding.text
    assert finding.setting is None


def test_fewer_brokers_than_wanted_are_told_before_more_of_them_are_asked_to_confirm() -> None:
    """Two confirmations of one broker: nothing could be written any more."""
    findings = list(topics.compare(topics.wanted(["lisbon"], 3), as_wanted(1), 3))
    assert {each.text for each in findings} == {"1 broker keeps it, expected 3"}
    assert [each.setting for each in findings] == [None] * 5


@pytest.mark.parametrize("confirming", ["1", "4"])
def test_too_few_confirmations_are_told_and_so_are_more_than_there_can_be(confirming: str) -> None:
    (finding,) = told(as_wanted(3, min_insync_replicas=confirming), 3)
    assert f"min.insync.replicas is {confirming}, expected 2" in finding


def test_a_larger_limit_of_message_sizes_is_no_finding() -> None:
    assert told(as_wanted(max_message_bytes="9000000")) == []


def test_a_hospital_may_write_its_messages_and_read_what_is_said_of_them_and_nothing_else() -> None:
    its = [right for right in acls.wanted(["lisbon", "oslo"], USERS) if right.user == "hospital-lisbon"]
    assert its == [
        Right("hospital-lisbon", "WRITE", "TOPIC", "jakwatch.v1.in.lisbon"),
        Right("hospital-lisbon", "READ", "TOPIC", "jakwatch.v1.out.lisbon"),
        Right("hospital-lisbon", "READ", "TOPIC", "jakwatch.v1.rejected.lisbon"),
    ]


def test_users_may_be_known_by_other_names() -> None:
    users = Users("clinic.{site}", "worker", "screen")
    assert {right.user for right in acls.wanted(["oslo"], users)} == {"clinic.oslo", "worker", "screen"}


def test_nothing_is_said_of_rights_that_are_as_they_should_be() -> None:
    needed = acls.wanted(["lisbon"], USERS)
    assert list(acls.compare(needed, reversed(needed), OURS)) == []


def test_a_missing_right_is_told_with_the_next_command() -> None:
    needed = acls.wanted(["lisbon"], USERS)
    assert list(acls.compare(needed, needed[:-1], OURS)) == [
        (
            "User:hospital-lisbon may READ topic jakwatch.v1.rejected.lisbon: not given. "
            "Do next: jakwatch topics apply --acls"
        )
    ]


@pytest.mark.parametrize(
    ("right", "finding"),
    [
        (
            Right("hospital-lisbon", "READ", "TOPIC", "jakwatch.v1.facts.", begins=True),
            (
                "User:hospital-lisbon may READ topic jakwatch.v1.facts.*: more than is needed. Do next: "
                "kafka-acls --remove --allow-principal 'User:hospital-lisbon' --operation READ --topic "
                "'jakwatch.v1.facts.' --resource-pattern-type prefixed"
            ),
        ),
        (
            Right("*", "ALL", "TOPIC", "*"),
            (
                "User:* may ALL topic *: more than is needed. Do next: kafka-acls --remove --allow-principal 'User:*' "
                "--operation ALL --topic '*'"
            ),
        ),
        (
            Right("jakwatch-monitor", "READ", "GROUP", "jakwatch-monitor", allowed=False, host="10.0.0.1"),
            (
                "User:jakwatch-monitor is denied to READ group jakwatch-monitor from 10.0.0.1: overrules what is "
                "needed. Do next: kafka-acls --remove --deny-principal 'User:jakwatch-monitor' --deny-host 10.0.0.1 "
                "--operation READ --group 'jakwatch-monitor'"
            ),
        ),
        (
            Right("jakwatch-view", "ALTER", "CLUSTER", "kafka-cluster"),
            (
                "User:jakwatch-view may ALTER cluster kafka-cluster: more than is needed. Do next: kafka-acls --remove "
                "--allow-principal 'User:jakwatch-view' --operation ALTER --cluster"
            ),
        ),
    ],
    ids=["a hospital reads facts", "everybody", "denied", "the cluster"],
)
def test_a_right_beyond_those_needed_is_told_with_kafkas_command_to_take_it_away(right: Right, finding: str) -> None:
    needed = acls.wanted(["lisbon"], USERS)
    assert list(acls.compare(needed, [*needed, right], OURS)) == [finding]


@pytest.mark.parametrize(
    "right",
    [
        Right("backup", "READ", "TOPIC", "jakwatch.v1.", begins=True),
        Right("hospital-lisbon", "READ", "GROUP", "lisbon-ehr"),
        Right("hospital-lisbon", "WRITE", "TOPIC", "laboratory"),
    ],
    ids=["other users", "a group of its own", "topics of others"],
)
def test_rights_of_others_and_on_other_things_are_nobodys_business_here(right: Right) -> None:
    needed = acls.wanted(["lisbon"], USERS)
    assert list(acls.compare(needed, [*needed, right], OURS)) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "whose topics?"),
        (["--site", "Lisbon"], "1 to 40 of a-z"),
        (["--site", "lisbon", "--acls", "--hospital-user", "hospital"], "must hold {site} once"),
        (["--site", "lisbon", "--acls", "--hospital-user", "{site}{0}"], "must hold {site} once"),
        (["--site", "lisbon", "--replication", "0"], "0 is not in the range"),
    ],
)
@pytest.mark.parametrize("name", ["apply", "check"])
def test_wrong_use_is_told_before_kafka_is_asked(name: str, arguments: list[str], said: str) -> None:
    result: Any = CliRunner().invoke(command, [name, "--broker", "127.0.0.1:1", *arguments])
    assert (result.exit_code, said in result.output) == (2, True), result.output
