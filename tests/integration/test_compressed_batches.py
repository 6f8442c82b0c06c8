"""What a hospital compresses is taken in; what inflates to gigabytes is rejected, within bounded memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from monitor.kafka.connection import Connection
from monitor.kafka.inflate import MOST_INFLATED, TOLD
from monitor.kafka.names import topic
from monitor.kafka.wire import original_headers
from schemas.parts import MAX_BYTES
from tests.data.bombs import bomb, publish_raw
from tests.data.one_patient import start
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.lone_worker import lines_of, publish, read_topics
from tests.integration.stream_workers import READY_WITHIN, Worker
from tests.integration.stream_world import World, world

HUGE = 1 << 30
AGAIN = 20
MORE_MEMORY = 320 << 10
"""KiB beyond what a worker has anyway: a batch at its bound, its messages, and what may wait of a site."""


@pytest.fixture
def two(broker: Broker, tmp_path: Path) -> Iterator[World]:
    with world(broker.servers, tmp_path, 2) as made:
        yield made


def records(of: World, kind: str, site: str) -> list[ConsumerRecord]:
    return read_topics(of.servers, [topic(kind, site)])[topic(kind, site)]


def facts(of: World, site: str) -> int:
    return sum(each.key[:1] == b"{" for each in records(of, "facts", site))


def peak_kib(worker: Worker) -> int:
    assert worker.process is not None
    lines = Path(f"/proc/{worker.process.pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_a_batch_that_inflates_to_a_gigabyte_is_rejected_and_costs_nobody_anything(two: World) -> None:
    evil, sound = two.sites
    publish(two.servers, evil, lines_of(evil, start("before")))
    with two.workers() as workers:
        worker = workers.add("only")
        until(lambda: facts(two, evil) == 1, "what came before is taken in", READY_WITHIN)
        before = peak_kib(worker)
        connection, name = Connection(two.servers), topic("in", evil)
        raw = bomb("zstd", HUGE)
        assert len(raw) < 1 << 20
        at = asyncio.run(publish_raw(connection, name, raw))
        publish(two.servers, evil, lines_of(evil, start("after")))
        publish(two.servers, sound, lines_of(sound, start("elsewhere")))
        until(lambda: facts(two, evil) == 2 and facts(two, sound) == 1, "the others are taken in", READY_WITHIN)
        assert peak_kib(worker) - before < MORE_MEMORY
        assert workers.problems() == []
        assert worker.starts == 1
    [rejected] = records(two, "rejected", evil)
    assert json.loads(rejected.key) == {"topic": name, "offset": at}
    assert dict(rejected.headers)["reason"] == b"too_large"
    told = dict(original_headers(rejected.headers))[TOLD].decode()
    assert told == f"1 messages, {len(raw)} bytes of zstd, broken or more than {MOST_INFLATED} without it"
    assert len(rejected.value) == MAX_BYTES + 1


@pytest.mark.parametrize("codec", ["gzip", "lz4", "zstd"])
def test_many_batches_that_each_stay_within_the_bound_are_not_held_at_once(two: World, codec: str) -> None:
    evil, _ = two.sites
    raw = bomb(codec, MOST_INFLATED - (1 << 20))
    for _ in range(AGAIN):
        asyncio.run(publish_raw(Connection(two.servers), topic("in", evil), raw))
    publish(two.servers, evil, lines_of(evil, start("after")))
    with two.workers() as workers:
        worker = workers.add("only")
        until(worker.is_ready, "it runs", READY_WITHIN)
        until(lambda: facts(two, evil) == 1, "what came after is taken in", READY_WITHIN)
        assert peak_kib(worker) < MORE_MEMORY + (150 << 10)
        assert workers.problems() == []
    rejected = records(two, "rejected", evil)
    assert len(rejected) == AGAIN
    assert {dict(each.headers)["reason"] for each in rejected} == {b"too_large"}


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_what_a_hospital_compresses_is_taken_in_whatever_it_compresses_with(two: World, codec: str) -> None:
    site, _ = two.sites

    async def sent() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=two.servers, compression_type=codec, linger_ms=50)
        await producer.start()
        try:
            lines = lines_of(site, *(start(f"p{number}") for number in range(500)))
            await asyncio.gather(*[await producer.send(topic("in", site), line) for line in lines])
        finally:
            await producer.stop()

    asyncio.run(sent())
    with two.workers() as workers:
        workers.add("only")
        until(lambda: facts(two, site) == 500, "all are taken in", READY_WITHIN)
        assert workers.problems() == []
    assert records(two, "rejected", site) == []
