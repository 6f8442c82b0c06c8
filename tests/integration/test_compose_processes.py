"""The containers of docker-compose.yml do together what they are there for; here their commands run as processes."""

from __future__ import annotations

import base64
import json
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import pytest
from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from monitor.metrics import catalogue as c
from tests.integration.containers import Containers
from tests.integration.dashboard_questions import QUESTIONS
from tests.integration.docs_blocks import blocks
from tests.integration.live import PROJECT, until

EXAMPLE = PROJECT / "docs" / "example" / "unscreened.jsonl"
SITE = "lisbon"
_open = build_opener(ProxyHandler({})).open


def answers(address: str) -> bool:
    host, port = address.split(":")
    try:
        socket.create_connection(
            (host, int(port)), timeout=1
        ).close()  # the client leaves sockets open where none listens
        with closing(KafkaAdminClient(bootstrap_servers=address, request_timeout_ms=5000)) as admin:
            return isinstance(admin.list_topics(), list)
    except (OSError, KafkaError):
        return False


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """All of them, each healthy before the next begins, in the order of the file."""
    made = Containers(tmp_path_factory.mktemp("compose"))
    try:
        made.start("kafka", healthy=False)  # its health check is a script of Kafka's that is not among its jars
        until(lambda: answers(made.address(9094)), "Kafka answers", 60)
        code, said = made.run("topics")
        assert code == 0, said
        for service in ("alertmanager", "monitor", "view", "canary", "prometheus"):
            made.start(service)
        yield made
    finally:
        made.stop_all()


def get(containers: Containers, path: str, shown: str | None = "read.token") -> tuple[int, Any]:
    """What the view answers a program, or a person (who sends it as a password)."""
    headers = {}
    if shown is not None:
        secret = (containers.secrets / shown).read_text().strip()
        headers["Authorization"] = "Basic " + base64.b64encode(f"anybody:{secret}".encode()).decode()
    try:
        with _open(Request(f"http://{containers.address(8321)}{path}", headers=headers), timeout=30) as answer:
            return answer.status, json.load(answer)
    except HTTPError as refused:
        with refused:
            return refused.code, None


def cases(containers: Containers) -> list[Any]:
    found: list[Any] = get(containers, "/v1/overview")[1]["cases"]
    return found


def asked(containers: Containers, query: str) -> list[Any]:
    with _open(f"http://{containers.address(9090)}/api/v1/query?{urlencode({'query': query})}", timeout=30) as answer:
        found: list[Any] = json.load(answer)["data"]["result"]
    return found


def test_the_topics_are_made_once_and_then_found(containers: Containers) -> None:
    code, said = containers.run("topics")
    assert code == 0, said
    assert "all is as it should be" in said


def test_what_a_hospital_publishes_becomes_a_case_on_the_pages(containers: Containers) -> None:
    command = [sys.executable, "-m", "monitor", "publish", str(EXAMPLE), "--site", SITE]
    subprocess.run([*command, "--broker", containers.address(9094)], cwd=PROJECT, check=True, capture_output=True)
    until(lambda: cases(containers), "the start without screening is a case")
    assert {case["site"] for case in cases(containers)} == {SITE}


def test_nobody_reads_without_the_token_and_nobody_reads_the_key(containers: Containers) -> None:
    assert get(containers, "/v1/overview", shown=None)[0] == 401
    assert get(containers, "/v1/overview", shown="grafana.password")[0] == 403
    key = (containers.secrets / "pseudonym.key").read_text().strip()
    for service in ("monitor", "view", "prometheus"):
        assert key not in containers.said(service)


def test_prometheus_reaches_every_process_and_evaluates_every_rule(containers: Containers) -> None:
    jobs = {"jakwatch-view", "jakwatch-monitor", "prometheus", "alertmanager"}
    until(lambda: {each["metric"]["job"] for each in asked(containers, "up == 1")} == jobs, "all are scraped")
    until(lambda: asked(containers, 'ALERTS{alertname="JakwatchWatchdog"}'), "the rules are evaluated")
    assert asked(containers, "sum(prometheus_rule_evaluation_failures_total) > 0") == []


def test_the_link_of_an_alert_leads_to_its_runbook(containers: Containers) -> None:
    with _open(f"http://{containers.address(9090)}/user/JakwatchWatchdog.md", timeout=30) as answer:
        assert answer.read() == (PROJECT / "alerts/runbooks/JakwatchWatchdog.md").read_bytes()


AT_NIGHT = [
    words
    for block in blocks((PROJECT / "alerts/README.md").read_text(encoding="utf-8"))
    for line in block.lines
    if (words := shlex.split(line))[:3] == ["docker", "compose", "exec"]
]


@pytest.mark.parametrize("words", AT_NIGHT, ids=lambda words: " ".join(words[3:7]))
def test_what_is_typed_at_night_answers_in_the_container_it_names(containers: Containers, words: list[str]) -> None:
    service, *command = [SITE if word == "SITE" else word for word in words[3:]]
    code, said = containers.within(service, command)
    assert code == 0, said
    assert said.strip()


def test_the_doctor_at_night_sees_every_process(containers: Containers) -> None:
    (command,) = (words[4:] for words in AT_NIGHT if "doctor" in words)
    _, said = containers.within("view", command)
    assert "ok       processes: 2 answer and are ready" in said
    assert "unseen" not in said


SHOWN = {"$site": ".*", "$__rate_interval": "8s", "$__range": "1m"}


def as_shown(query: str) -> str:
    """As a panel asks that shows all sites."""
    for variable, value in SHOWN.items():
        query = query.replace(variable, value)
    return query


def test_every_panel_about_alerting_hears_of_prometheus_and_of_alertmanager(containers: Containers) -> None:
    queries = [as_shown(question.query) for question in QUESTIONS if question.is_of_alerting]
    assert len(queries) == 2
    until(lambda: all(len(asked(containers, query)) == 1 for query in queries), "both are scraped twice")


def test_every_panel_about_the_stream_finds_what_its_processes_export(containers: Containers) -> None:
    until(lambda: asked(containers, f"count_over_time({c.OWNED.name}[1m]) > 1"), "the worker is scraped twice")
    until(lambda: asked(containers, f"count_over_time({c.BEHIND.name}[1m]) > 1"), "the replica is scraped twice")
    empty = {
        (question.panel, question.query)
        for question in QUESTIONS
        if question.is_of_kafka
        and c.CANARY.name not in question.query  # nobody publishes one here
        and not asked(containers, as_shown(question.query))
    }
    assert empty == set()


def test_whoever_is_asked_to_stop_ends_well(containers: Containers) -> None:
    for service in ("view", "monitor"):
        assert containers.stop(service) == 0, containers.said(service)
