"""What every log of a site does, on Kafka; and what only this one must: one owner at a time, whatever is left open."""

from __future__ import annotations

import asyncio
import gc
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaProducer

from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic, transactional_id
from monitor.log import LogChangedError, LogRefusedError, LogUnreachableError, Transaction
from monitor.log.kafka import LARGEST_KEPT, MOST_IN_A_REQUEST, KafkaLog, Standing, quiet_client
from monitor.records import Rejected, Tally
from tests.data.kafka_log import KEY, KafkaLogs, as_kept, ignored, read_topics, unwrapped
from tests.data.transactions import ORDER, START, batch
from tests.integration.broker import Broker
from tests.integration.lone_worker import LoneWorker
from tests.integration.stream_world import make_topics, world
from tests.unit.test_log import LogCorpus, pieces


class TestKafkaLog(LogCorpus):
    @pytest.fixture(autouse=True)
    def _on(self, broker: Broker) -> None:
        self.broker = broker

    def opened(self, folder: Path) -> KafkaLogs:
        return KafkaLogs(self.broker.connection(), f"-{folder.name[-30:].strip('-').replace('_', '-').lower()}")

    @settings(max_examples=4)
    @given(transactions=st.lists(pieces, max_size=5))
    def test_it_says_what_its_transactions_come_to(
        self, tmp_path_factory: pytest.TempPathFactory, transactions: list[Transaction]
    ) -> None:
        self.says_what_its_transactions_come_to(tmp_path_factory.mktemp("log"), transactions)


class Site:
    """A site, and whoever comes to own it: all are put away at the end of the test."""

    def __init__(self, broker: Broker, runner: asyncio.Runner) -> None:
        self.name = f"s{secrets.token_hex(6)}"
        self.connection = broker.connection()
        self.run = runner.run
        self._came: list[KafkaLog] = []
        make_topics(broker.servers, [self.name])

    def owner(self) -> KafkaLog:
        log = KafkaLog(self.connection, self.name, KEY)
        self._came.append(log)
        self.run(log.open())
        self.run(log.read(ignored))
        return log

    def append(self, owner: KafkaLog, *facts: bytes, meta: dict[str, str] | None = None, **given: Any) -> None:
        self.run(owner.append(as_kept(batch(self.name, facts=facts, **given)), meta))

    def read(self) -> tuple[list[bytes], Standing]:
        """What the next owner would read, who has waited for the ends of all transactions."""
        facts: list[bytes] = []
        self.records("facts")
        return facts, self.run(
            KafkaLog(self.connection, self.name, KEY).read(lambda found: facts.extend(map(unwrapped, found)))
        )

    def facts(self) -> list[bytes]:
        return self.read()[0]

    def records(self, kind: str) -> list[ConsumerRecord]:
        name = topic(kind, self.name)
        return self.run(read_topics(self.connection, [name]))[name]

    def close(self) -> None:
        for each in self._came:
            self.run(each.close())


@pytest.fixture
def site(broker: Broker) -> Iterator[Site]:
    with asyncio.Runner() as runner:
        made = Site(broker, runner)
        yield made
        made.close()


def test_what_is_learned_while_a_note_is_written_is_not_taken_for_written(site: Site) -> None:
    owner, known = site.owner(), {"versions": "1"}

    async def learned_meanwhile() -> None:
        writing = asyncio.create_task(owner.append(as_kept(batch(site.name, facts=[b"fact"])), known))
        await asyncio.sleep(0)
        known["inbound_id"] = "an id"
        await writing

    site.run(learned_meanwhile())
    assert owner.standing.meta == site.read()[1].meta == {"versions": "1"}


# One owner at a time


def test_a_former_owner_is_refused_and_nothing_of_it_is_kept(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    quiet_client()
    former = site.owner()
    site.append(former, b"before", answers={ORDER: b"hold"})
    rightful = site.owner()
    with pytest.raises(LogRefusedError):
        site.append(former, b"of the former", answers={ORDER: b"screening_complete"}, rejections=[garbage(b"{")])
    site.run(former.close())
    gc.collect()
    assert caplog.messages == []  # it is told so by what it called, and by nothing else
    site.append(rightful, b"after")
    facts, standing = site.read()
    assert facts == [b"before", b"after"]
    assert standing.answers == {ORDER: b"hold"}
    assert site.records("rejected") == []


def test_what_a_dead_owner_left_open_is_aborted_by_the_next(site: Site) -> None:
    """All its records are on the broker's disk; only the end of the transaction was never asked for."""
    site.append(site.owner(), b"before", answers={ORDER: b"hold"})
    dead = site.run(left_open(site))
    began = time.monotonic()
    site.append(site.owner(), b"after")  # also readers no longer wait for the end of the other
    assert site.facts() == [b"before", b"after"]
    assert site.read()[1].answers == {ORDER: b"hold"}
    assert time.monotonic() - began < 20  # the broker would end it after 30
    with pytest.raises(KafkaError):
        site.run(dead.commit_transaction())
    site.run(dead.stop())


async def left_open(site: Site) -> Any:
    dead = aiokafka.AIOKafkaProducer(
        **site.connection.for_aiokafka(), transactional_id=transactional_id(site.name), transaction_timeout_ms=30_000
    )
    await dead.start()
    await dead.begin_transaction()
    [fact] = as_kept(batch(site.name, facts=[b"of the dead"])).facts
    await dead.send_and_wait(topic("facts", site.name), fact, key=b'{"event_id":"dead"}')
    answer = wire.answer(ORDER, b"screening_complete")
    await dead.send_and_wait(topic("out", site.name), answer.value, key=answer.key)
    return dead


def test_an_owner_sees_all_that_it_has_written_at_once(site: Site) -> None:
    """Also where the broker does not show it to others yet: who is erased may be named by the last fact alone."""
    owner = site.owner()
    for number in range(1, 26):
        site.append(owner, b"%d" % number, answers={ORDER: b"hold" * 2_000})
        assert len(site.run(owner.facts())) == number


def test_who_comes_right_after_a_commit_reads_all_of_it(site: Site) -> None:
    """A broker shows a transaction a moment after it said that it is committed: who takes the epoch waits for that."""
    owner = site.owner()
    for number in range(1, 16):
        site.append(owner, b"%d" % number, answers={ORDER: b"%d" % number * 2_000})
        owner, found = KafkaLog(site.connection, site.name, KEY), list[bytes]()
        site.run(owner.open())
        standing = site.run(owner.read(found.extend))
        assert (len(found), standing.answers) == (number, {ORDER: b"%d" % number * 2_000})
        site.run(owner.close())
        owner = site.owner()


def test_who_was_put_away_writes_no_more(site: Site) -> None:
    owner = site.owner()
    site.run(owner.close())
    with pytest.raises(LogRefusedError, match="is not open"):
        site.append(owner, b"too late")


# What comes back


def test_position_tally_and_what_is_noted_come_back_as_they_were_last(site: Site) -> None:
    owner, inbound = site.owner(), topic("in", site.name)
    tally = Tally(9, 7, {"invalid": 2}, -1, 1_700_000_000_000_001, {"screening": -5})
    site.append(owner, b"one", position={inbound: 4}, meta={"versions": "those"})
    site.append(owner, b"two", position={inbound: 9}, tally=tally)
    site.append(owner, answers={START: b"compliant"})
    _, standing = site.read()
    assert (standing.position, standing.tally, standing.meta) == (9, tally, {"versions": "those"})
    site.append(owner, meta={"versions": "others"})
    assert site.read()[1].meta == {"versions": "others"}
    assert site.read()[1].position == 9


def test_an_owner_knows_of_its_log_what_the_next_will_read(site: Site) -> None:
    """The answers it holds itself; a snapshot is taken of this."""
    owner, inbound = site.owner(), topic("in", site.name)
    for number, facts in enumerate(([b"one"], [], [b"two", b"three" * 60_000, b"four"] + [b"x" * 9_000] * 100)):
        site.append(owner, *facts, position={inbound: number}, meta={"round": str(number)})
        _, read = site.read()
        here = owner.standing
        assert (here.facts, here.last, here.position, here.tally, here.meta) == (
            read.facts, read.last, read.position, read.tally, read.meta
        )  # fmt: skip


def test_a_log_can_be_read_on_from_where_it_stood(site: Site) -> None:
    owner = site.owner()
    site.append(owner, b"one", b"two")
    _, standing = site.read()
    site.append(owner, b"three", position={topic("in", site.name): 5})
    tail: list[bytes] = []
    log = KafkaLog(site.connection, site.name, KEY)
    again = site.run(log.read(lambda found: tail.extend(map(unwrapped, found)), standing))
    assert tail == [b"three"]
    assert (again.facts, again.last, again.position) == (3, site.read()[1].last, 5)


@pytest.mark.parametrize("last", [(0, b'{"event_id":"another"}'), (700, b'{"event_id":"later"}')])
def test_it_is_not_read_on_where_it_is_another_log_or_ends_before(site: Site, last: tuple[int, bytes]) -> None:
    site.append(site.owner(), b"one", b"two")
    log = KafkaLog(site.connection, site.name, KEY)
    with pytest.raises(LogRefusedError):
        site.run(log.read(ignored, Standing(facts=1, last=last)))


def test_what_was_erased_is_left_out_when_it_is_read_anew_and_not_what_came_after(site: Site) -> None:
    """The tombstone may come many records behind the fact, when that was given out already."""
    owner = site.owner()
    gone = as_kept(batch(site.name, facts=[b"gone"]))
    site.run(owner.append(gone))
    site.append(owner, b"stays", *[b"." * 9_000] * 500)  # twice what is fetched at once
    [key] = [each.key for each in site.records("facts")[:1]]
    site.run(owner.write({"facts": [wire.Record(key or b"", None)]}))
    site.records("facts")
    log, first, second, third = KafkaLog(site.connection, site.name, KEY), list[bytes](), list[bytes](), list[bytes]()
    with pytest.raises(LogChangedError):
        site.run(log.read(first.extend))
    standing = site.run(log.read(second.extend))
    site.run(owner.append(gone))
    site.records("facts")
    site.run(log.read(third.extend))
    assert [gone.facts[0] in each for each in (first, second, third)] == [True, False, True]
    assert standing.facts == len(second) == 501


# What is large


def test_a_transaction_of_more_than_a_request_is_whole_and_in_order(site: Site) -> None:
    facts = [b"%05d" % number + b"." * 3_000 for number in range(500)]
    assert sum(map(len, facts)) > 2 * MOST_IN_A_REQUEST
    answers = {(f"t{number}", "start"): b"%d" % number * 5_000 for number in range(200)}
    site.append(site.owner(), *facts, answers=answers)
    found, standing = site.read()
    assert found == facts
    assert standing.answers == answers


def test_the_largest_message_that_is_rejected_comes_back_with_all_its_headers(site: Site) -> None:
    raw = secrets.token_bytes(LARGEST_KEPT)
    headers = [("trace", secrets.token_bytes(wire.MOST_OF_HEADERS - len("in.trace")))]
    given_to = as_kept(batch(site.name, rejections=[garbage(raw)]))
    site.run(site.owner().append(given_to, headers={0: headers}))
    [kept] = site.records("rejected")
    assert kept.value == raw
    assert list(wire.original_headers(kept.headers)) == headers


def test_headers_of_any_size_keep_no_message_from_being_kept(site: Site) -> None:
    """As many as one batch has, each with as much as is kept: together far more than the broker takes at once."""
    count = 200
    headers = {place: [("trace", bytes([place]) * (wire.MOST_OF_HEADERS - 100))] for place in range(count)}
    headers[3] = [("one", b"1" * wire.MOST_OF_HEADERS), ("two", b"2"), ("none", b"")]
    given_to = as_kept(batch(site.name, rejections=[garbage(b"{", place) for place in range(count)]))
    site.run(site.owner().append(given_to, headers=headers))
    kept = site.records("rejected")
    assert len(kept) == count
    assert list(wire.original_headers(kept[4].headers)) == headers[4]
    assert list(wire.original_headers(kept[3].headers)) == []
    assert dict(kept[3].headers)[wire.LEFT_OUT] == b"3"


def test_a_message_that_was_compressed_is_kept_as_far_as_it_fits(broker: Broker, tmp_path: Path) -> None:
    """Of what a topic takes compressed, more may come out than the other takes."""
    with world(broker.servers, tmp_path, 1) as hospitals, LoneWorker(broker.servers, hospitals.rules) as lone:
        [site] = hospitals.sites
        lone.take_over(site)
        with KafkaProducer(bootstrap_servers=broker.servers, compression_type="gzip", max_request_size=9 << 20) as one:
            one.send(topic("in", site), b"0" * (8 << 20)).get(60)
        assert lone.read_on(site) == 1
        name = topic("rejected", site)
        [kept] = asyncio.run(read_topics(broker.connection(), [name]))[name]
        assert kept.value == b"0" * LARGEST_KEPT
        assert dict(kept.headers)["reason"] == b"too_large"


def garbage(raw: bytes, place: int = 0) -> Rejected:
    return Rejected(raw, "jakwatch.v1.in.here", place, "not_json", "", "must be JSON")


# When nobody answers

PATIENCE = 1.5  # seconds


@pytest.fixture
def silent() -> Iterator[str]:
    """An address at which somebody listens who never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def unreachable(servers: str) -> Iterator[tuple[str, float]]:
    """What is said of a log when its brokers do not answer, and after how many seconds."""

    async def tried(step: str) -> None:
        log = KafkaLog(Connection(servers), "lisbon", KEY, PATIENCE)
        try:
            await (log.open() if step == "open" else log.read(ignored))
        finally:
            await log.close()

    for step in ("open", "read"):
        began = time.monotonic()
        with pytest.raises(LogUnreachableError) as said:
            asyncio.run(tried(step))
        gc.collect()  # whoever was left open says so now
        yield str(said.value), time.monotonic() - began


def test_brokers_that_do_not_answer_are_said_to_within_the_time(silent: str) -> None:
    told = list(unreachable(silent))
    assert [said for said, _ in told] == ["the log of lisbon does not answer"] * 2
    assert all(seconds < PATIENCE + 3 for _, seconds in told)


def test_brokers_that_are_not_there_are_said_to_be_unreachable() -> None:
    told = list(unreachable("127.0.0.1:1"))
    assert len(told) == 2
    assert all("of lisbon" in said for said, _ in told)
    assert all(seconds < PATIENCE + 3 for _, seconds in told)
