"""From the start of a worker to all of its sites live, against a bare consumer of the same facts."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence

from benchmarks.broker import hospital_lines, make_topics, publish, wait_until_read
from benchmarks.harness import CaseFailed, Setting
from benchmarks.stream import PROJECT, Worker, a_broker, new_sites
from benchmarks.table import Goal, Report, Row
from monitor.kafka.names import topic

WHOLE = Goal("at least 0.1 x a bare consumer", at_least=0.1)
SNAPSHOT = Goal("at least 0.2 x a bare consumer", at_least=0.2)

_BARE = """
import asyncio, sys
from aiokafka import AIOKafkaConsumer, TopicPartition

async def main():
    servers, *names = sys.argv[1:]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed", max_poll_records=5000,
                                max_partition_fetch_bytes=4 << 20)
    await consumer.start()
    places = [TopicPartition(name, 0) for name in names]
    consumer.assign(places)
    await consumer.seek_to_beginning(*places)
    left = await consumer.end_offsets(places)
    while left:
        await consumer.getmany(*left, timeout_ms=200)
        left = {place: end for place, end in left.items() if await consumer.position(place) < end}
    await consumer.stop()

asyncio.run(main())
"""


def run(setting: Setting) -> Report:
    """Facts that a worker took in before; each start in turn with a bare consumer, which only reads them."""
    count, number = setting.size(200_000, quick=4_000, full=1_000_000), setting.size(40, quick=4)
    found: dict[str, list[float]] = {"bare": [], "whole": [], "snapshots": []}
    with a_broker(setting.folder) as servers:
        sites = new_sites(number)
        make_topics(servers, sites)
        publish(servers, hospital_lines(count, sites))
        snapshots = ["--snapshots", str(setting.folder / "snapshots")]
        setting.say(f"taking in {count:,} messages")
        _take_in(setting, servers, sites, snapshots)
        for repetition in range(setting.repetitions):
            setting.say(f"repetition {repetition + 1} of {setting.repetitions}")
            found["bare"].append(count / _bare(servers, sites))
            found["whole"].append(count / _start(setting, servers, sites, []))
            found["snapshots"].append(count / _start(setting, servers, sites, snapshots))
    rows = [Row("bare consumer", "facts/s", found["bare"])]
    for name, goal in (("whole", WHOLE), ("snapshots", SNAPSHOT)):
        ratios = [one / bare for one, bare in zip(found[name], found["bare"], strict=True)]
        rows.append(Row(f"worker, {name}", "facts/s", found[name], ratios, goal))
    note = "wall time from the start of the process, the interpreter's and the group's included"
    return Report(f"live: {count:,} facts of {number} sites until all are live", rows, [note])


def _take_in(setting: Setting, servers: str, sites: Sequence[str], options: list[str]) -> None:
    worker = Worker(setting.folder, servers, sites, *options)
    try:
        worker.wait_for("taken over", len(sites))
        wait_until_read(servers, sites)
        time.sleep(15)  # it writes its snapshots when it has nothing else to do
    finally:
        worker.end()


def _start(setting: Setting, servers: str, sites: Sequence[str], options: list[str]) -> float:
    begun = time.perf_counter()
    worker = Worker(setting.folder, servers, sites, *options)
    try:
        worker.wait_for("taken over", len(sites))
        return time.perf_counter() - begun
    finally:
        worker.end()


def _bare(servers: str, sites: Sequence[str]) -> float:
    names = [topic("facts", site) for site in sites]
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _BARE, servers, *names], cwd=PROJECT, check=False)  # noqa: S603
    if done.returncode:
        raise CaseFailed("the bare consumer has failed")
    return time.perf_counter() - begun
