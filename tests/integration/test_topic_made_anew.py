"""An inbound topic that was deleted and made anew is noticed, also where it is longer than what was read of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.commands import topics_reread
from monitor.exitcodes import ExitCode
from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.ids import topic_ids
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from monitor.kafka.topics import create, wanted
from monitor.log import LogRefusedError
from monitor.log.kafka import KafkaLog
from monitor.stream import inbound, worker
from monitor.stream.inbound import INBOUND_ID
from tests.data.kafka_log import KEY
from tests.data.one_patient import papers, start
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.lone_worker import LoneWorker, lines_of, publish, read_topics
from tests.integration.stream_workers import READY_WITHIN, Workers
from tests.integration.stream_world import World, make_topics, world


@pytest.fixture
def one(broker: Broker, tmp_path: Path) -> Iterator[World]:
    with world(broker.servers, tmp_path, 1) as made:
        yield made


def letters(site: str, first: int, count: int) -> list[bytes]:
    return lines_of(site, *(start(f"p{number}") for number in range(first, first + count)))


def made_anew(servers: str, site: str, lines: list[bytes]) -> None:
    """The inbound topic goes, with all in it, and another of its name comes, with these messages."""
    name = topic("in", site)
    with administering(Connection(servers)) as admin:
        admin.delete_topics([name])
        until(lambda: create(admin, {name: wanted([site], 1)[name]}, 1)[0], "the topic is gone and made anew")
    publish(servers, site, lines)


def noted_id(servers: str, site: str) -> str | None:
    records = [each for each in read_topics(servers, [topic("facts", site)])[topic("facts", site)] if each.value]
    found = [wire.read_meta(each.value).get(INBOUND_ID) for each in records if each.key == wire.META]
    return found[-1] if found else None


def id_of(servers: str, site: str) -> str:
    async def asked() -> str:
        log = KafkaLog(Connection(servers), site, KEY)
        await log.open()
        try:
            return (await log.topic_ids([topic("in", site)]))[topic("in", site)]
        finally:
            await log.close()

    return asyncio.run(asked())


def taken_in(of: World, site: str) -> int:
    """How many facts are in the site's log."""
    records = read_topics(of.servers, [topic("facts", site)])[topic("facts", site)]
    return sum(each.key[:1] == b"{" and each.value is not None for each in records)


# The id


def test_the_id_of_the_inbound_topic_is_noted_with_the_first_message(one: World) -> None:
    [site] = one.sites
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        assert noted_id(one.servers, site) is None
        lone.give(site, start())
    assert noted_id(one.servers, site) == id_of(one.servers, site)


def test_a_topic_that_nobody_made_has_no_id(broker: Broker) -> None:
    make_topics(broker.servers, ["ids-0"])

    async def asked() -> dict[str, str]:
        log = KafkaLog(broker.connection(), "ids-0", KEY)
        await log.open()
        try:
            return await log.topic_ids([topic("in", "ids-0"), topic("in", "ids-none")])
        finally:
            await log.close()

    assert set(asyncio.run(asked())) == {topic("in", "ids-0")}


def test_a_client_that_knows_no_broker_says_so() -> None:
    class Nobody:
        def get_random_node(self) -> None:
            return None

    with pytest.raises(Exception, match="no broker is known yet"):
        asyncio.run(topic_ids(Nobody(), ["a"]))


def test_a_log_that_was_written_before_ids_were_noted_takes_the_id_it_finds(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    [site] = one.sites
    with monkeypatch.context() as before, LoneWorker(one.servers, one.rules) as lone:
        before.setattr(worker, "inbound_id", lambda *_: {})
        before.setattr(worker, "LOOK_SECONDS", float("inf"))
        lone.take_over(site)
        lone.give(site, start())
        assert noted_id(one.servers, site) is None
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
    assert noted_id(one.servers, site) == id_of(one.servers, site)


def test_where_the_broker_tells_no_id_what_is_noted_stays_and_nobody_is_stopped() -> None:
    known, name = {INBOUND_ID: "an id"}, topic("in", "lisbon")
    assert inbound.inbound_id("lisbon", known, {}) == known
    assert inbound.inbound_id("lisbon", {}, {}) == {}
    assert inbound.inbound_id("lisbon", known, {name: "an id"}) == known
    with pytest.raises(LogRefusedError, match="was deleted and made anew"):
        inbound.inbound_id("lisbon", known, {name: "another"})


# Noticed


def test_a_worker_that_comes_refuses_a_topic_that_was_made_anew_and_is_longer(one: World) -> None:
    [site] = one.sites
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        lone.give_lines(site, letters(site, 0, 10))
        before = id_of(one.servers, site)
    made_anew(one.servers, site, letters(site, 100, 20))
    with (
        LoneWorker(one.servers, one.rules) as lone,
        pytest.raises(LogRefusedError, match=f"jakwatch topics reread --site {site}"),
    ):
        lone.take_over(site)
    assert noted_id(one.servers, site) == before
    assert taken_in(one, site) == 10


def test_a_worker_that_runs_notices_it_and_goes_on_once_it_was_told_to_read_anew(one: World) -> None:
    [site] = one.sites
    publish(one.servers, site, letters(site, 0, 10))
    with one.workers() as workers:
        first = workers.add("only")
        until(lambda: taken_in(one, site) == 10, "the first ten are taken in", READY_WITHIN)
        made_anew(one.servers, site, letters(site, 100, 20))
        until(lambda: "was deleted and made anew" in first.said(), "it is noticed", READY_WITHIN)
        assert f"jakwatch topics reread --site {site}" in first.said()
        workers.dismiss(first)
    assert _reread(one, site) == (0, f"{site}: it is read from its beginning\n")
    with one.workers() as workers:
        workers.folder = _folder(workers)
        workers.add("only")
        until(lambda: taken_in(one, site) == 30, "all twenty are taken in", READY_WITHIN)
        assert workers.problems() == []
    assert noted_id(one.servers, site) == id_of(one.servers, site)
    assert _reread(one, site) == (0, f"{site}: it goes on where it was read up to\n")


def _folder(workers: Workers) -> Path:
    folder = workers.folder / "again"
    folder.mkdir()
    return folder


def _reread(of: World, site: str) -> tuple[int, str]:
    said = CliRunner().invoke(topics_reread.command, ["--broker", of.servers, "--site", site])
    return said.exit_code, said.output


def test_a_worker_that_runs_looks_again_and_again(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    [site] = one.sites
    monkeypatch.setattr(worker, "LOOK_SECONDS", 0.0)
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        lone.give(site, *papers())
        made_anew(one.servers, site, letters(site, 100, 20))
        with pytest.raises(LogRefusedError, match="was deleted and made anew"):
            lone.tick()


def test_where_no_broker_answers_nobody_is_taken_for_made_anew(one: World) -> None:
    [site] = one.sites
    log = KafkaLog(Connection(one.servers), site, KEY)  # not open

    async def found() -> list[str]:
        return [name async for name, _ in inbound.made_anew({site: {INBOUND_ID: "an id"}}, log)]

    assert asyncio.run(found()) == []


# Read anew


def test_what_was_cut_is_read_from_its_beginning_and_counts_once(one: World) -> None:
    [site] = one.sites
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        lone.give_lines(site, letters(site, 0, 10))
    made_anew(one.servers, site, letters(site, 8, 4))  # shorter, and two of them are known
    assert _reread(one, site) == (0, f"{site}: it is read from its beginning\n")
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        assert lone.read_on(site) == 4
        holds = lone.holds(site)
    assert holds["tally"].received == 14
    assert holds["classes"]["duplicate"] == 2
    assert len(holds["identities"]) == 12


def test_a_topic_that_was_never_read_is_left_alone(one: World) -> None:
    [site] = one.sites
    assert _reread(one, site) == (0, f"{site}: nothing was read of it yet\n")
    assert read_topics(one.servers, [topic("facts", site)])[topic("facts", site)] == []


def test_whoever_owns_a_site_is_not_disturbed_where_nothing_is_to_be_done(one: World) -> None:
    """A worker that is fenced takes the site anew, and leaves it alone after the fifth time."""
    [site] = one.sites
    publish(one.servers, site, letters(site, 0, 10))
    with one.workers() as workers:
        worker = workers.add("only")
        until(lambda: taken_in(one, site) == 10, "the first ten are taken in", READY_WITHIN)
        for number in range(6):
            assert _reread(one, site) == (0, f"{site}: it goes on where it was read up to\n")
            publish(one.servers, site, letters(site, 100 + number, 1))
            until(lambda: taken_in(one, site) == 11 + number, "the next is taken in", READY_WITHIN)  # noqa: B023
        assert "taken anew" not in worker.said()


def test_where_there_is_no_topic_it_says_at_once_how_to_make_it(one: World) -> None:
    begin = time.monotonic()
    code, said = _reread(one, "nowhere")
    assert code == ExitCode.SERVICE_MISSING
    assert "there is no topic jakwatch.v1.in.nowhere. Do next: jakwatch topics apply --sites FILE" in said
    assert time.monotonic() - begin < 20


def test_to_read_anew_without_a_broker_says_so_within_seconds() -> None:
    begin = time.monotonic()
    said = CliRunner().invoke(topics_reread.command, ["--broker", "127.0.0.1:9", "--site", "lisbon"])
    assert said.exit_code == ExitCode.SERVICE_MISSING
    assert "Do next" in said.output
    assert time.monotonic() - begin < 20


def test_what_was_erased_hinders_nobody_from_reading_anew(one: World) -> None:
    [site] = one.sites
    with LoneWorker(one.servers, one.rules) as lone:
        lone.take_over(site)
        lone.give(site, start("gone"), start("stays"))
        pseudonym = next(iter(lone.owned(site).keeper.state.ledger.sheets)).hex()
        lone.decide("erase", site=site, pseudonym=pseudonym)
    made_anew(one.servers, site, [])
    assert _reread(one, site) == (0, f"{site}: it is read from its beginning\n")
    records = read_topics(one.servers, [topic("facts", site)])[topic("facts", site)]
    positions = [wire.read_position(each.value).offset for each in records if each.key == wire.POSITION]
    assert positions[-1] == 0 < positions[-2]
