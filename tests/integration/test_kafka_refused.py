"""What is said to whoever a Kafka does not let in, or not do what they want: it is told soon, and no secret with it."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from monitor.kafka import acls
from monitor.kafka.connection import Connection
from monitor.kafka.names import PREFIX, topic
from monitor.kafka.reach import CannotReachError, administering, check
from tests.integration.broker import Broker
from tests.integration.certificates import Authority
from tests.integration.guarded import WELL, run_topics, taken_away

PROJECT = Path(__file__).resolve().parents[2]
SECONDS = 8.0  # asking takes six at most


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts, and its certificate for lisbon."""
    made = Authority.founded(tmp_path_factory.mktemp("strangers") / "tls")
    made.sign("lisbon")
    return made


# What is said to whoever is not let in

Reached = Callable[[Broker, Connection, Authority], Connection]
REFUSED: dict[str, tuple[Reached, str]] = {
    "a wrong password": (
        lambda kafka, _, __: replace(kafka.connection(), password="swordfish"),  # noqa: S106  so wrong that it may be seen
        "does not know the user admin with this password. Do next: look at --broker-user",
    ),
    "an unknown user": (
        lambda kafka, _, __: kafka.connection("somebody"),
        "does not know the user somebody with this password",
    ),
    "a certificate that ended": (
        lambda kafka, _, __: kafka.connection("ended", "mtls"),
        "ended.crt ended on 2024-02-01. Do next: have a new one made",
    ),
    "a certificate that strangers signed": (
        lambda kafka, _, them: replace(
            kafka.connection("lisbon", "mtls"), cert=them.cert("lisbon"), key=them.key("lisbon")
        ),
        "does not accept our certificate",
    ),
    "no certificate where one is asked for": (
        lambda kafka, _, __: replace(kafka.connection("lisbon", "mtls"), cert=None, key=None),
        "asks for a certificate. Do next: give --broker-cert and --broker-key",
    ),
    "a certificate and the key of another": (
        lambda kafka, _, them: replace(kafka.connection("lisbon", "mtls"), key=them.key("lisbon")),
        "are no certificate and its key (PEM)",
    ),
    "a certificate where a user is asked for": (
        lambda kafka, _, __: replace(kafka.connection("lisbon", "mtls"), servers=kafka.address("scram")),
        "wants a user. Do next: give --broker-user and --broker-password",
    ),
    "trust in strangers only": (
        lambda kafka, _, them: replace(kafka.connection(), ca=them.ca),
        "is signed by nobody in",
    ),
    "a file without certificates to trust": (
        lambda kafka, _, them: replace(kafka.connection(), ca=them.key("lisbon")),
        "holds no certificates (PEM)",
    ),
    "no TLS where it is asked for": (
        lambda kafka, _, __: Connection(kafka.address("scram")),
        "speaks TLS only. Do next: give --broker-ca FILE",
    ),
    "TLS where there is none": (
        lambda kafka, plain, _: replace(kafka.connection(), servers=plain.servers),
        "speaks without TLS. Do next: name its port for TLS",
    ),
    "the port of a controller": (
        lambda kafka, _, __: replace(kafka.connection(), servers=kafka.address("controller")),
        "asks for a certificate",
    ),
    "a port where nobody listens": (
        lambda kafka, _, __: replace(kafka.connection(), servers="127.0.0.1:1"),
        "nobody listens at 127.0.0.1:1. Do next: start Kafka there",
    ),
    "a host that nobody knows": (
        lambda kafka, _, __: replace(kafka.connection(), servers="kafka.invalid:9092"),
        "no host is called kafka.invalid. Do next: look at the name",
    ),
}


@pytest.mark.parametrize("cause", REFUSED)
def test_whoever_is_not_let_in_hears_the_cause_within_seconds_and_no_secret_is_told(
    cause: str, guarded: Broker, broker: Broker, strangers: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    reached, words = REFUSED[cause]
    caplog.set_level(logging.DEBUG)
    connection, began = reached(guarded, broker.connection(), strangers), time.monotonic()
    result = run_topics(guarded.folder, "check", connection)
    assert time.monotonic() - began < SECONDS
    assert (result.exit_code, words in result.output) == (69, True), result.output
    assert not tells_a_secret(connection, result.output + caplog.text)


def tells_a_secret(connection: Connection, text: str) -> bool:
    return connection.password is not None and connection.password in text


def test_whoever_is_let_in_is_told_no_secret_either(guarded: Broker, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    result = run_topics(guarded.folder, "check", guarded.connection())
    assert (result.exit_code, result.output) == (0, WELL)
    assert caplog.records
    assert not tells_a_secret(guarded.connection(), result.output + caplog.text)


@pytest.mark.parametrize("listener", ["scram", "mtls", "internal"])
def test_whoever_has_a_right_user_or_certificate_is_let_in(listener: str, guarded: Broker) -> None:
    check(guarded.connection("lisbon" if listener == "mtls" else "hospital-lisbon", listener))


def test_one_server_that_lets_us_in_is_enough(guarded: Broker) -> None:
    check(replace(guarded.connection(), servers=f"127.0.0.1:1,{guarded.servers}"))


def test_of_several_servers_every_cause_is_told_once(guarded: Broker) -> None:
    with pytest.raises(CannotReachError) as caught:
        check(replace(guarded.connection(), servers="127.0.0.1:1,127.0.0.1:1,kafka"))
    assert sorted(line.split(" Do next")[0] for line in str(caught.value).splitlines()) == [
        "'kafka' is no address of Kafka. Allowed is HOST:PORT, several joined by commas.",
        "nobody listens at 127.0.0.1:1.",
    ]


def test_a_server_that_takes_the_connection_and_says_nothing_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(CannotReachError):
            check(Connection(f"127.0.0.1:{silent.getsockname()[1]}"))
        assert time.monotonic() - began < SECONDS


def test_a_key_with_a_password_is_told_and_asked_of_nobody(guarded: Broker, tmp_path: Path) -> None:
    key = tmp_path / "locked.key"
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    result = run_topics(guarded.folder, "check", replace(guarded.connection("lisbon", "mtls"), key=key))
    assert (result.exit_code, "has a password of its own" in result.output) == (69, True), result.output


# What is said to whoever is let in and lacks a right


def test_topics_that_may_not_be_seen_are_told_with_the_missing_right(guarded: Broker) -> None:
    result = run_topics(guarded.folder, "check", guarded.connection("hospital-oslo"), rights=False)
    assert result.exit_code == 1
    assert f"{topic('in', 'lisbon')}: our user lacks the right to DESCRIBE it. Do next: " in result.output
    assert f"{topic('in', 'oslo')}: our user lacks the right to DESCRIBE_CONFIGS of it. Do next: " in result.output


def test_the_monitor_sees_whether_topics_are_as_they_should_be(guarded: Broker) -> None:
    result = run_topics(guarded.folder, "check", guarded.connection("jakwatch-monitor"), rights=False)
    assert (result.exit_code, result.output) == (0, "all is as it should be: 9 topics\n")


def test_rights_are_seen_and_given_by_an_administrator_only(guarded: Broker) -> None:
    for name in ("check", "apply"):
        result = run_topics(guarded.folder, name, guarded.connection("jakwatch-monitor"))
        assert (result.exit_code, "does not give our user the right" in result.output) == (69, True), result.output


def test_a_topic_that_may_not_be_made_is_told_with_the_missing_right(guarded: Broker) -> None:
    result = run_topics(guarded.folder, "apply", guarded.connection("jakwatch-monitor"), rights=False, sites=["porto"])
    assert result.exit_code == 69
    assert f"{topic('in', 'porto')}: our user lacks the right to CREATE it. Do next: " in result.output


def test_an_administrator_needs_no_more_rights_than_the_guide_says(guarded: Broker) -> None:
    """deploy/kafka/README.md lists them."""
    guarded.add_user("keeper")
    with administering(guarded.connection()) as admin:
        acls.give(admin, of_administrators("keeper"))
    for name in ("apply", "check"):
        result = run_topics(guarded.folder, name, guarded.connection("keeper"))
        assert (result.exit_code, result.output) == (0, WELL)


def of_administrators(user: str) -> list[acls.Right]:
    guide = (PROJECT / "deploy" / "kafka" / "README.md").read_text(encoding="utf-8")
    (on_topics,) = re.findall(r"--operation (.*) --topic jakwatch.v1. --resource-pattern-type prefixed", guide)
    (on_cluster,) = re.findall(r"--operation (.*) --cluster", guide)
    topics = [acls.Right(user, each, "TOPIC", PREFIX, begins=True) for each in on_topics.split(" --operation ")]
    cluster = [acls.Right(user, each, "CLUSTER", "kafka-cluster") for each in on_cluster.split(" --operation ")]
    assert topics
    return topics + cluster


def test_a_right_too_many_is_told_and_left_where_it_is(guarded: Broker) -> None:
    much = acls.Right("hospital-oslo", "READ", "TOPIC", topic("facts", "oslo"))
    with administering(guarded.connection()) as admin:
        acls.give(admin, [much])
        try:
            for name in ("check", "apply"):
                result = run_topics(guarded.folder, name, guarded.connection())
                assert result.exit_code == 1
                assert result.output.startswith(f"{much}: more than is needed. Do next: kafka-acls --remove ")
            assert much in acls.found(admin)
        finally:
            taken_away(admin, much)
