"""Faust as released, with a table in memory and its changelog: SERVERS COUNT GROUP FOLDER TOPIC..."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

import faust

from benchmarks.peers.job import Clock, kept, validated

servers, count, group, folder, *topics = sys.argv[1:]
clock = Clock()
app = faust.App(
    group,
    broker=f"kafka://{servers}",
    store="memory://",
    datadir=folder,
    web_enabled=False,
    topic_disable_leader=True,
    topic_partitions=1,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
)
inbound = app.topic(*topics, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
patients = app.Table("patients", key_type=bytes, value_type=bytes)
done = 0


@app.agent(inbound)
async def work(stream: Any) -> None:
    global done  # noqa: PLW0603  a script
    async for event in stream.events():
        clock.note()
        key = event.key
        known = patients.get(key)
        state = kept(json.loads(known) if known else None, validated(event.value))
        patients[key] = json.dumps(state).encode()
        done += 1
        if done == int(count):
            asyncio.get_running_loop().create_task(_end())


async def _end() -> None:
    await asyncio.sleep(0)  # what was processed last is acknowledged
    await app.consumer.commit()
    os.write(1, f"\n{clock.told()}\n".encode())  # the worker takes what is printed for a line of its log
    os._exit(0)


sys.argv[1:] = ["worker", "-l", "error", "--without-web"]
app.main()
