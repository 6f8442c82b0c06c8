"""`jakwatch doctor` on a real broker: each finding is provoked once, and told with what to do next."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from monitor.doctor import processes
from monitor.doctor.examination import examine
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from monitor.records import Rejected
from tests.integration.broker import Broker
from tests.integration.doctor_visit import (
    KEY,
    SECONDS,
    findings,
    given,
    keep,
    key_file,
    make_topics,
    of,
    registered,
    run,
    send,
)
from tests.integration.live import PROJECT, until

PATIENT = "P-4711"
READY_WITHIN = 120.0


@pytest.fixture
def site(broker: Broker, request: pytest.FixtureRequest) -> str:
    """A site of this test alone, all of whose topics are as they should be, and where a worker has been."""
    name = re.sub("[^a-z0-9]+", "-", request.node.name.removeprefix("test_"))[-40:].strip("-")
    make_topics(broker.connection(), name)
    keep(broker.connection(), name, position=0)
    return name


def test_all_well_is_said_check_by_check_with_exit_code_0(broker: Broker, site: str, tmp_path: Path) -> None:
    code, text = run("--broker", broker.servers, "--sites", registered(tmp_path, site), "--key", key_file(tmp_path))
    assert code == 0, text
    lines = dict(line.removeprefix("ok").strip().split(": ", 1) for line in text.splitlines() if line[:2] == "ok")
    assert lines == {
        "broker": f"Kafka at {broker.servers} lets us in",
        "certificates": "none: the connection is not secured (no --broker-ca)",
        "rights": "our user may do what monitor does",
        "topics": "5 are as they should be (1 site)",
        "key": "its fingerprint is that of the logs of 1 site",
        "lag": "nothing waits (1 site)",
        "progress": "a worker has been at each of 1 site",
        "rejected": "nothing within a day (1 site)",
        "activation": "1 of 1 versions of the policy are in force or will be",
        "clock": "this machine agrees within 2 s with Kafka",
    }
    assert "unseen   processes: none was named" in text


def test_a_live_worker_is_heard_and_what_it_took_in_no_longer_waits(broker: Broker, tmp_path: Path) -> None:
    make_topics(broker.connection(), "doctor-live")
    rules = ["--sites", str(registered(tmp_path, "doctor-live")), "--key", str(key_file(tmp_path))]
    with worker("--broker", broker.servers, *rules, log=tmp_path / "worker.log") as address:
        send(broker.connection(), topic("in", "doctor-live"), feed_status())
        until(  # the first message is what tells of a worker
            lambda: run("--broker", broker.servers, "--workers", address, *rules)[0] == 0, "all is well", 60
        )
        code, text = run("--broker", broker.servers, "--workers", address, *rules)
    assert code == 0, text
    assert "ok       processes: 1 answer and are ready" in text
    assert "ok       rules: all processes are of one version and judge by the same" in text
    assert "ok       owners: each of 1 site has one worker" in text
    assert f"agrees within 2 s with {address}, Kafka" in text


@contextmanager
def worker(*options: str, log: Path) -> Iterator[str]:
    """A `jakwatch monitor` that is ready, by its address."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "monitor", "monitor", "--port", "0", *options],
            cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
        )  # fmt: skip
    try:
        until(lambda: is_ready(address_in(log)), "the worker is ready", READY_WITHIN)
        yield address_in(log)
    finally:
        process.terminate()
        process.wait(SECONDS)


def address_in(log: Path) -> str:
    found = re.search(r"health and metrics at (http://\S+)", log.read_text(encoding="utf-8"))
    return found[1] if found else "http://127.0.0.1:1"


def is_ready(address: str) -> bool:
    heard, _ = processes.listen([address], None, time.time)
    return bool(heard) and heard[0].is_ready


def feed_status() -> bytes:
    said = {"type": "feed_status", "event_id": "f1", "recorded_at": "2026-01-02T00:00:00Z", "feed": "treatment"}
    return json.dumps(said | {"complete_through": "2026-01-01"}).encode()


def test_a_broker_that_is_not_there_ends_it_with_69_and_the_rest_is_still_told() -> None:
    code, text = run("--broker", "127.0.0.1:1", "--workers", "http://127.0.0.1:1")
    assert code == 69
    assert "finding  broker: nobody listens at 127.0.0.1:1\n         Do next: start Kafka there" in text
    assert "finding  processes: http://127.0.0.1:1 does not answer" in text


def test_as_json_it_is_one_object_and_never_more(broker: Broker, site: str, tmp_path: Path) -> None:
    code, text = run("--broker", broker.servers, "--sites", registered(tmp_path, site), "--format", "json")
    told = json.loads(text)
    assert (code, told["findings"]) == (0, 0)
    assert {each["result"] for each in told["checks"]} == {"ok", "unseen"}
    assert all(set(each) == {"check", "result", "text", "todo"} for each in told["checks"])


def test_on_a_terminal_it_is_a_table(broker: Broker, site: str, tmp_path: Path) -> None:
    leader, follower = pty.openpty()
    asked = ["--broker", broker.servers, "--sites", str(registered(tmp_path, site))]
    code = "import sys; from monitor.commands.doctor import command; command(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", code, *asked],
        cwd=PROJECT,
        stdout=follower,
        env={**os.environ, "COLUMNS": "200"},
    )
    os.close(follower)
    text = shown(leader)
    assert process.wait(SECONDS) == 0
    assert "what was seen, and what to do next" in text
    assert "our user may do what monitor does" in text


def shown(leader: int) -> str:
    """All that was written to a terminal, until nobody holds it any more."""
    text = b""
    with open(leader, "rb", buffering=0) as screen:
        try:
            while part := screen.read(4096):
                text += part
        except OSError:  # how a terminal says that its last writer has gone
            pass
    return text.decode()


def test_a_site_without_topics_is_a_finding_with_the_command_that_makes_them(broker: Broker, tmp_path: Path) -> None:
    make_topics(broker.connection())
    said = findings(examine(given(broker.connection(), "doctor-nowhere", tmp_path=tmp_path)))
    assert [each for each in said if each[0] == "topics"] == [
        ("topics", NO_TOPICS, "jakwatch topics apply --sites FILE")
    ]


NO_TOPICS = (
    "there is no topic jakwatch.v1.facts.doctor-nowhere, jakwatch.v1.in.doctor-nowhere, "
    "jakwatch.v1.out.doctor-nowhere and 1 more"
)


def test_a_setting_that_is_not_as_it_should_be_is_a_finding(broker: Broker, site: str, tmp_path: Path) -> None:
    with administering(broker.connection()) as admin:
        changed = {"retention.ms": "3600000"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic("rejected", site), changed)])
    assert findings(examine(given(broker.connection(), site, tmp_path=tmp_path))) == [(
        "topics",
        f"jakwatch.v1.rejected.{site}: retention.ms is 3600000, expected 2592000000",
        "jakwatch topics apply --fix",
    )]  # fmt: skip


def test_a_log_of_another_key_is_a_finding(broker: Broker, site: str, tmp_path: Path) -> None:
    code, text = run(
        "--broker", broker.servers, "--sites", registered(tmp_path, site), "--key", key_file(tmp_path, bytes([9]) * 32)
    )
    assert code == 1
    assert f"finding  key: the log of {site} was written with another pseudonym key (fingerprint" in text
    assert "Do next: Put the right key file back" in text


def test_a_message_that_waits_is_a_finding_after_a_minute(broker: Broker, site: str, tmp_path: Path) -> None:
    send(broker.connection(), topic("in", site), b"{}")
    asked = given(broker.connection(), site, tmp_path=tmp_path)
    assert [each.text for each in of("lag", examine(asked))] == ["the oldest message that waits came 0 s ago (1 site)"]
    later = given(broker.connection(), site, tmp_path=tmp_path, time=lambda: time.time() + 600)
    (said,) = of("lag", examine(later))
    assert said.text == f"{site}: a message has been waiting for 10 min; the last was taken in 10 min ago"
    assert said.todo == "see that a worker takes the site in (--workers URL tells), and look into its log"


def test_a_message_that_was_taken_in_does_not_wait(broker: Broker, site: str, tmp_path: Path) -> None:
    send(broker.connection(), topic("in", site), b"{}")
    keep(broker.connection(), site, position=1)
    later = given(broker.connection(), site, tmp_path=tmp_path, time=lambda: time.time() + 600)
    assert [each.text for each in of("lag", examine(later))] == ["nothing waits (1 site)"]


def test_a_site_that_sent_something_where_no_worker_has_been_is_a_finding(broker: Broker, tmp_path: Path) -> None:
    make_topics(broker.connection(), "doctor-new")
    asked = given(broker.connection(), "doctor-new", tmp_path=tmp_path)
    (said,) = of("progress", examine(asked))
    assert (said.result, said.text) == ("ok", "a worker has been at each of 0 sites; at 1 site nothing ever came")
    send(broker.connection(), topic("in", "doctor-new"), b"{}")
    (said,) = of("progress", examine(asked))
    assert (said.result, said.text) == ("finding", "doctor-new: no worker has ever been there")
    assert said.todo.startswith("start jakwatch monitor with a registry that has the site")


def test_an_inbound_topic_that_was_made_anew_is_a_finding(broker: Broker, site: str, tmp_path: Path) -> None:
    keep(broker.connection(), site, position=5)
    (said,) = of("progress", examine(given(broker.connection(), site, tmp_path=tmp_path)))
    assert said.text == f"jakwatch.v1.in.{site} ends at offset 0, but was read up to 5: it was cut or made anew"


def test_where_nobody_made_topics_yet_that_is_all_that_is_said_and_how_to_make_them(
    broker: Broker, tmp_path: Path
) -> None:
    said = list(examine(given(broker.connection(), "doctor-none", tmp_path=tmp_path)))
    (topics,) = of("topics", said)
    assert topics.text.startswith("there is no topic jakwatch.v1.")
    assert topics.todo == "jakwatch topics apply --sites FILE"
    assert not {each.check for each in said} & {"key", "lag", "progress", "rejected"}


def test_who_would_publish_hears_that_there_is_no_topic_to_publish_to(broker: Broker, tmp_path: Path) -> None:
    said = list(examine(given(broker.connection(), "doctor-none", tmp_path=tmp_path, role="publish")))
    assert [each.text for each in of("topics", said)] == ["there is no topic jakwatch.v1.in.doctor-none"]


def test_a_position_is_found_behind_thousands_of_facts(broker: Broker, site: str, tmp_path: Path) -> None:
    producer = KafkaProducer(**broker.connection().for_kafka_python())
    for number in range(2_500):
        producer.send(topic("facts", site), b"{}", key=b'{"event_id":"%d"}' % number)
    producer.close(SECONDS)
    said = {each.check: each for each in examine(given(broker.connection(), site, tmp_path=tmp_path, key=KEY))}
    assert said["progress"].result == "ok"
    assert said["key"].text == "its fingerprint is that of the logs of 1 site"


def test_what_was_rejected_is_a_finding_by_reason_and_never_by_value(broker: Broker, site: str, tmp_path: Path) -> None:
    raw = b'{"patient_id": "%s"}' % PATIENT.encode()
    keep(
        broker.connection(), site, 3,
        *(Rejected(raw, topic("in", site), place, "invalid", "/type", "must be there") for place in (0, 1)),
        Rejected(PATIENT.encode(), topic("in", site), 2, "not_json", "", "must be JSON"),
    )  # fmt: skip
    code, text = run("--broker", broker.servers, "--sites", registered(tmp_path, site))
    assert code == 1
    assert f"finding  rejected: {site}: 3 rejected within a day (invalid 2, not_json 1)" in text
    assert f"Do next: jakwatch rejected list --site {site}" in text
    assert PATIENT not in text


def test_what_was_rejected_two_days_ago_is_no_finding(broker: Broker, site: str, tmp_path: Path) -> None:
    keep(broker.connection(), site, 1, Rejected(b"x", topic("in", site), 0, "not_json", "", "must be JSON"))
    in_two_days = given(broker.connection(), site, tmp_path=tmp_path, time=lambda: time.time() + 2 * 86_400)
    assert [each.result for each in of("rejected", examine(in_two_days))] == ["ok"]


@pytest.mark.parametrize(("by", "told"), [(10, "behind"), (-10, "ahead of")])
def test_a_clock_that_is_not_kafkas_is_a_finding(
    broker: Broker, site: str, tmp_path: Path, by: float, told: str
) -> None:
    (said,) = of("clock", examine(given(broker.connection(), site, tmp_path=tmp_path, time=lambda: time.time() + by)))
    assert re.fullmatch(f"the clock of Kafka is (9|10) s {told} this machine's", said.text)
    assert "timedatectl" in said.todo


def test_sites_are_those_whose_topics_can_be_seen_where_no_registry_is_given(broker: Broker, site: str) -> None:
    _, text = run("--broker", broker.servers, "--format", "json")
    (lag,) = (each["text"] for each in json.loads(text)["checks"] if each["check"] == "lag")
    assert re.search(r"\(\d+ sites?\)", lag) or site in lag


def test_a_position_of_a_later_version_is_a_finding(broker: Broker, site: str, tmp_path: Path) -> None:
    send(broker.connection(), topic("facts", site), b'{"schema":99}', b"position")
    (said,) = of("log", examine(given(broker.connection(), site, tmp_path=tmp_path)))
    assert said.text == f"the log of {site} holds what this version cannot read"
