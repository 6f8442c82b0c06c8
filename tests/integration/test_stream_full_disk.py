"""The broker's disk is full while hospitals publish: nothing is lost, doubled or wrong once there is room again."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from confluent_kafka import Producer

from monitor.kafka.names import topic
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.stream_histories import lives, stirred
from tests.integration.stream_workers import READY_WITHIN
from tests.integration.stream_world import World, world

MEGABYTES = 128
ENDED_WITHIN = 60.0
A_PIECE = b"\0" * (1 << 16)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("A small disk can be made by root alone. Do next: run this test as root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607  wherever the system has it


def send(servers: str, site: str, lines: Sequence[bytes], seconds: int) -> int:
    """How many were not confirmed within some seconds; those may be kept, or not."""
    told: list[bool] = []
    producer = Producer({"bootstrap.servers": servers, "message.timeout.ms": seconds * 1000, "log_level": 0})
    for line in lines:
        producer.produce(topic("in", site), line, partition=0, on_delivery=lambda error, _: told.append(error is None))
    producer.flush(2 * seconds)
    return len(lines) - sum(told)


def fill(disk: Path) -> Path:
    """A file that takes all that is left."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(A_PIECE)
    return path


def history(of: World, site: str) -> list[bytes]:
    today = date.today()  # noqa: DTZ011  the last day of what is invented
    return list(stirred(site, lives([site], 12, today - timedelta(500), today, 7)[site], of.rules.registry, 7))


def test_a_full_disk_of_the_broker_costs_time_and_nothing_else(disk: Path, tmp_path: Path) -> None:
    broker = Broker(disk / "kafka")
    broker.start()
    try:
        with world(broker.servers, tmp_path / "world", 2) as hospitals, hospitals.workers() as workers:
            workers.add("one")
            until(workers.are_ready, "it is ready", READY_WITHIN)
            lines = {site: history(hospitals, site) for site in hospitals.sites}
            for site, each in lines.items():
                assert send(broker.servers, site, each[::2], 60) == 0
            hospitals.wait_until_quiet()
            hospitals.look()
            filler = fill(disk)
            unconfirmed = sum(send(broker.servers, site, each[1::2], 5) for site, each in lines.items())
            assert unconfirmed, "the disk was not full"
            filler.unlink()
            broker.kill()  # it has given up its only disk, or soon will
            broker.start()
            for site, each in lines.items():
                assert send(broker.servers, site, each[1::2], 60) == 0  # again: what was kept already is a repetition
            until(workers.are_ready, "it is ready again", ENDED_WITHIN + READY_WITHIN)
            hospitals.wait_until_quiet()
            with hospitals.view() as view:
                hospitals.check(view)
    finally:
        broker.kill()
