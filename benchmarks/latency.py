"""From an order published to its answer readable, at the rate of a country's hospitals, beside a bare loop."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from statistics import quantiles
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.broker import make_topics
from benchmarks.harness import Setting
from benchmarks.stream import PROJECT, Worker, a_broker, new_sites
from benchmarks.table import Goal, Report, Row
from monitor.kafka.names import topic

A_SECOND = 200
HALF = Goal("at most 30 ms more", at_most=30.0)
NEARLY_ALL = Goal("at most 100 ms more", at_most=100.0)
SETTLE_SECONDS = 3.0


def run(setting: Setting) -> Report:
    """The worker and the bare loop in turn, on the same broker, each on sites of its own."""
    seconds, count = setting.size(60, quick=4), setting.size(40, quick=8)
    found: dict[str, list[tuple[float, float]]] = {"monitor": [], "bare loop": []}
    with a_broker(setting.folder) as servers:
        own = {name: new_sites(count) for name in found}  # the bare loop's answers are none that a worker could read
        for sites in own.values():
            make_topics(servers, sites)
        for repetition in range(setting.repetitions):
            for name, measured in found.items():
                setting.say(f"repetition {repetition + 1} of {setting.repetitions}: {name}, {seconds} s")
                with _running(name, setting, servers, own[name]):
                    measured.append(asyncio.run(_measured(servers, own[name], seconds)))
    return Report(f"latency: {A_SECOND} orders a second over {count} sites, ms", _rows(found), [_NOTE])


_NOTE = "publisher, observer, broker and worker share the machine; random sites, random moments"


class _Bare:
    """The bare loop as a process."""

    def __init__(self, servers: str, sites: Sequence[str]) -> None:
        pairs = [f"{topic('in', site)}:{topic('out', site)}" for site in sites]
        self.process = subprocess.Popen(  # noqa: S603 - this project's
            [sys.executable, "-m", "benchmarks.peers.bare", servers, *pairs],
            cwd=PROJECT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    wait_for = Worker.wait_for
    end = Worker.end


class _running:  # noqa: N801  used like a function
    """Whichever is measured, ready."""

    def __init__(self, name: str, setting: Setting, servers: str, sites: Sequence[str]) -> None:
        self.worker: Any = Worker(setting.folder, servers, sites) if name == "monitor" else _Bare(servers, sites)
        self.worker.wait_for("taken over", len(sites))

    def __enter__(self) -> None:
        time.sleep(SETTLE_SECONDS)

    def __exit__(self, *_: object) -> None:
        self.worker.end()


async def _measured(servers: str, sites: Sequence[str], seconds: float) -> tuple[float, float]:
    """Median and 99th percentile in ms."""
    producer = AIOKafkaProducer(bootstrap_servers=servers, linger_ms=0)
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, isolation_level="read_committed", fetch_max_wait_ms=20)
    await producer.start()
    await consumer.start()
    places = [TopicPartition(topic("out", site), 0) for site in sites]
    consumer.assign(places)
    await consumer.seek_to_end(*places)
    for place in places:
        await consumer.position(place)
    sent: dict[bytes, float] = {}
    took: list[float] = []
    reading = asyncio.create_task(_read(consumer, sent, took))
    await _publish(producer, sites, sent, seconds)
    await asyncio.sleep(SETTLE_SECONDS)
    reading.cancel()
    await producer.stop()
    await consumer.stop()
    if sent:
        raise RuntimeError(f"{len(sent)} of {len(sent) + len(took)} orders were not answered")
    parts = quantiles(took, n=100)
    return 1000 * parts[49], 1000 * parts[98]


async def _read(consumer: Any, sent: dict[bytes, float], took: list[float]) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=100)).values():
            now = time.perf_counter()
            for record in records:
                began = sent.pop(record.key, None)
                if began is not None:
                    took.append(now - began)


async def _publish(producer: Any, sites: Sequence[str], sent: dict[bytes, float], seconds: float) -> None:
    end, due, number = time.perf_counter() + seconds, time.perf_counter(), 0
    run_number = random.randrange(1 << 40)  # noqa: S311 - no secret
    while due < end:
        due += random.expovariate(A_SECOND)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        number += 1
        name = f"{run_number:x}-{number}"
        key = json.dumps({"treatment_id": name, "kind": "order"}, separators=(",", ":")).encode()
        sent[key] = time.perf_counter()
        await producer.send(topic("in", random.choice(sites)), _order(name), key=key, partition=0)  # noqa: S311


def _order(name: str) -> bytes:
    return json.dumps(
        {
            "type": "treatment_ordered",
            "event_id": name,
            "recorded_at": datetime.now(UTC).isoformat(),
            "patient_id": name,
            "treatment_id": name,
            "drug": {"codings": [{"system": "atc", "code": "L04AF03"}]},
            "indications": [{"codings": [{"system": "icd10", "code": "L20.9"}]}],
            "dose": {"amount": 15, "unit": "mg", "per_day": 1},
        }
    ).encode()


def _rows(found: dict[str, list[tuple[float, float]]]) -> list[Row]:
    rows = []
    for which, (name, goal) in enumerate((("p50", HALF), ("p99", NEARLY_ALL))):
        ours, bare = ([each[which] for each in found[who]] for who in ("monitor", "bare loop"))
        more = [one - other for one, other in zip(ours, bare, strict=True)]
        rows += [
            Row(f"{name}, monitor", "ms", ours),
            Row(f"{name}, bare loop", "ms", bare),
            Row(f"{name}, difference", "ms", more, (), goal),
        ]
    return rows
