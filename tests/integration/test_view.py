"""A replica as a process on a real Kafka: it shows what replay says, live, and what it does not know."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import date
from functools import cache

import pytest
from kafka import KafkaProducer

from monitor.exitcodes import ExitCode
from monitor.kafka import wire
from monitor.kafka.names import topic
from monitor.records import Answer, write_answer
from schemas.parts import RESERVED_SITE
from tests.data.good_history import good_lines
from tests.data.history_on_kafka import Owner
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.views import WITHIN, Viewed, World, jakwatch_view

LATE = "ponta-delgada"


@cache
def lines_of(site: str) -> list[bytes]:
    return [line for line in good_lines() if json.loads(line)["site"] == site]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A broker that tests stop and start: no other module's; one hospital has no topics yet."""
    folder = tmp_path_factory.mktemp("view")
    broker = Broker(folder / "kafka")
    broker.start()
    yield World(broker, folder, without=[LATE])
    broker.kill()


@pytest.fixture(scope="module")
def owners(world: World) -> Iterator[dict[str, Owner]]:
    """Who owns lisbon and madrid; half of what the hospitals have to say is said."""
    with ExitStack() as stack:
        found = {site: stack.enter_context(world.owner(site)) for site in ("lisbon", "madrid")}
        for site, owner in found.items():
            owner.give(lines_of(site)[::2], at_once=100)
        yield found


@pytest.fixture(scope="module")
def view(world: World, owners: dict[str, Owner]) -> Iterator[Viewed]:
    with world.view("view") as running:
        running.until_read(*owners.values())
        yield running


def check_equals_replay(view: Viewed, world: World, owners: dict[str, Owner]) -> None:
    view.until_read(*owners.values())
    status, found = view.ask("v1/result")
    assert status == 200
    as_of = date.fromisoformat(json.loads(found)["as_of"]).toordinal()
    assert found.decode() == world.replayed(owners.values(), as_of)


# The same as replay


def test_the_result_is_that_of_replay_byte_for_byte_also_live(
    world: World, owners: dict[str, Owner], view: Viewed
) -> None:
    check_equals_replay(view, world, owners)
    for site, owner in owners.items():
        owner.give(lines_of(site)[1::2], at_once=25)
        check_equals_replay(view, world, owners)


def test_answers_cases_page_and_metrics_are_those_of_the_single_machine(view: Viewed) -> None:
    overview = view.overview
    assert overview["cases"]
    case = overview["cases"][0]
    status, found = view.get("v1/sites/lisbon/answers", treatment_id=case["treatment_id"])
    assert (status, [each["kind"] for each in found["answers"]]) in ((200, ["start"]), (200, ["order", "start"]))
    assert view.get("course", site=case["site"], treatment_id=case["treatment_id"])[0] == 200
    page, metrics = view.get("")[1], view.get("metrics")[1]
    assert case["treatment_id"] in page
    assert overview["digest"] in page
    assert 'jakwatch_site_loading{site="lisbon"} 0' in metrics
    assert "jakwatch_ready 1" in metrics
    assert 'jakwatch_cases_open{site="lisbon",kind="violation"}' in metrics


def test_messages_are_refused_with_the_topic_to_publish_to(view: Viewed) -> None:
    status, found = view.post("lisbon", lines_of("lisbon")[0])
    assert (status, "jakwatch.v1.in.lisbon" in found["do"]) == (405, True)
    assert "/v1/sites/{site}/messages" not in view.get("openapi.json")[1]["paths"]


def test_the_violation_of_the_canary_is_seen(world: World, view: Viewed) -> None:
    name = "canary-1751392800"
    world.make_topics([RESERVED_SITE])
    answer = Answer(site=RESERVED_SITE, treatment_id=name, kind="start", decision="violation")
    record = wire.answer((name, "start"), write_answer(answer))
    with closing(KafkaProducer(bootstrap_servers=world.broker.servers)) as producer:
        producer.send(topic("out", RESERVED_SITE), record.value, key=record.key).get(WITHIN)
    line = "jakwatch_canary_last_success_timestamp_seconds 1751392800"
    until(lambda: line in view.get("metrics")[1], "it is seen", WITHIN)


# What is there later, or no more


def test_a_site_whose_topics_are_made_later_is_found(world: World, view: Viewed) -> None:
    assert view.site(LATE)["state"] == "unseen"
    world.make_topics([LATE])
    with world.owner(LATE) as owner:
        owner.give(lines_of(LATE))
        view.until_read(owner)
    assert view.overview["result"]["messages"]["received"] >= len(lines_of(LATE))


def test_what_a_hospital_published_and_nobody_took_in_is_seen_to_wait(owners: dict[str, Owner], view: Viewed) -> None:
    owner = owners["madrid"]
    assert view.site("madrid")["waiting_seconds"] == 0
    owner.publish(lines_of("madrid")[:3])
    until(lambda: view.site("madrid")["waiting_seconds"] > 0, "it is seen to wait", WITHIN)
    assert view.site("madrid")["inbound_end"] == len(owner.given) + 3
    owner.take(lines_of("madrid")[:3])
    until(lambda: view.site("madrid")["waiting_seconds"] == 0, "nothing waits", WITHIN)


def test_an_erased_patient_is_forgotten(owners: dict[str, Owner], view: Viewed) -> None:
    owner = owners["lisbon"]
    view.until_read(owner)
    before = view.overview["result"]["messages"]["accepted"]
    gone = [json.loads(each)["event_id"] for each in lines_of("lisbon") if b'"lost-' in each]
    keys = [each for each in owner.keys if json.loads(each)["event_id"] in gone]
    courses = [course for course in owner.keeper.said if course[0].startswith("lost")]
    assert len(keys) > 3
    assert courses
    owner.write(facts=[wire.Record(key, None) for key in keys], out=[wire.answer(each, None) for each in courses])
    until(lambda: view.overview["result"]["messages"]["accepted"] < before, "it is forgotten", WITHIN)
    assert view.get("v1/sites/lisbon/answers", treatment_id=courses[0][0])[1] == {"answers": []}
    assert '"lost-' not in json.dumps(view.result())


# What goes wrong


def test_it_goes_on_when_the_broker_was_away(world: World, owners: dict[str, Owner], view: Viewed) -> None:
    world.broker.kill()
    until(lambda: not view.is_ready(), "it says that Kafka is silent", WITHIN)
    assert "has not answered since" in view.get("readyz")[1]["trouble"]
    assert view.get("healthz")[0] == 200
    assert "Kafka has not answered since" in view.get("")[1]
    assert view.site("lisbon")["behind_seconds"] is None
    world.broker.start()
    owner = owners["madrid"]
    owner.give(lines_of("madrid")[:5])
    view.until_read(owner)


def test_a_broker_that_is_not_there_is_an_error_within_seconds(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = jakwatch_view("--broker", f"127.0.0.1:{port}", "--sites", world.sites, "--key", world.key)
    assert (done.returncode, done.stdout) == (ExitCode.SERVICE_MISSING, "")
    assert "nobody listens" in done.stderr


@pytest.mark.usefixtures("owners")
def test_another_pseudonym_key_than_the_logs_have_is_refused(world: World) -> None:
    other = world.folder / "other.key"
    other.write_text("18" * 32)
    other.chmod(0o600)
    done = jakwatch_view("--broker", world.broker.servers, "--sites", world.sites, "--key", other)
    assert done.returncode == ExitCode.SERVICE_MISSING
    assert "was written with another pseudonym key" in done.stderr
    assert "a bug" not in done.stderr


def test_without_a_registry_or_with_a_key_for_all_to_read_it_does_not_start(world: World) -> None:
    done = jakwatch_view("--broker", world.broker.servers, "--key", world.key)
    assert (done.returncode, "--sites is missing" in done.stderr) == (ExitCode.WRONG_USE, True)
    loose = world.folder / "loose.key"
    loose.write_text("17" * 32)
    loose.chmod(0o644)
    done = jakwatch_view("--broker", world.broker.servers, "--sites", world.sites, "--key", loose)
    assert (done.returncode, "chmod 600" in done.stderr) == (ExitCode.SERVICE_MISSING, True)


def test_asked_to_end_it_ends_at_once_and_without_a_word_of_trouble(world: World, owners: dict[str, Owner]) -> None:
    with world.view("ends") as view:
        view.until_read(*owners.values())
        case = view.overview["cases"][0]
        named = {name: case[name] for name in ("site", "treatment_id", "kind")}
        assert view.act(action="close_case", by="a", role="b", reason="c", **named)[0] == 200  # writes to Kafka as well
        assert view.terminate() == ExitCode.DONE
        assert {line.partition(" ")[2].lstrip("0123456789 ") for line in view.stderr.splitlines()} <= {
            "records read; 0 of 5 sites are left",
            "all sites are read",
        }
