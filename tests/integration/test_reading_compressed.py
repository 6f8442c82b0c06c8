"""Commands that look into a hospital's topic read it whatever the hospital compresses with, and within a bound."""

from __future__ import annotations

import asyncio
import resource
import secrets

import pytest
from aiokafka import AIOKafkaProducer

from monitor.kafka.names import topic
from monitor.kafka.reading import Reader
from tests.data.bombs import bomb, publish_raw
from tests.integration.broker import Broker
from tests.integration.lone_worker import publish
from tests.integration.stream_world import make_topics


@pytest.fixture
def inbound(broker: Broker) -> str:
    site = f"c{secrets.token_hex(4)}"
    make_topics(broker.servers, [site])
    return topic("in", site)


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_what_a_hospital_compressed_is_read(broker: Broker, inbound: str, codec: str) -> None:
    lines = [b"%d" % number * 1_000 for number in range(10, 60)]

    async def sent() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=broker.servers, compression_type=codec, linger_ms=50)
        await producer.start()
        try:
            await asyncio.gather(*[await producer.send(inbound, line) for line in lines])
        finally:
            await producer.stop()

    asyncio.run(sent())
    with Reader(broker.connection(), inbound) as reader:
        assert [each.value for each in reader.records(reader.begin(), reader.end())] == lines


def test_a_batch_that_inflates_to_half_a_gigabyte_is_passed_over(broker: Broker, inbound: str) -> None:
    site = inbound.rpartition(".")[2]
    publish(broker.servers, site, [b"before"])
    asyncio.run(publish_raw(broker.connection(), inbound, bomb("zstd", 512 << 20)))
    publish(broker.servers, site, [b"after"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Reader(broker.connection(), inbound) as reader:
        assert [(each.offset, each.value) for each in reader.records(0, reader.end())] == [
            (0, b"before"),
            (2, b"after"),
        ]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
