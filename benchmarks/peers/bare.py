"""A bare loop: every record of some topics is written to others at once, as it is. SERVERS FROM:TO..."""

from __future__ import annotations

import asyncio
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition


async def main() -> None:
    servers, *pairs = sys.argv[1:]
    to = dict(pair.split(":") for pair in pairs)
    places = [TopicPartition(name, 0) for name in to]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, fetch_max_wait_ms=50)
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0)
    await consumer.start()
    await producer.start()
    consumer.assign(places)
    await consumer.seek_to_end(*places)
    for place in places:
        await consumer.position(place)
    sys.stderr.write("taken over\n" * len(places))
    sys.stderr.flush()
    while True:
        for records in (await consumer.getmany(timeout_ms=500)).values():
            for record in records:
                await producer.send(to[record.topic], record.value, key=record.key, partition=0)


asyncio.run(main())
