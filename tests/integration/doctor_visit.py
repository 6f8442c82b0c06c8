"""What hospitals, workers and administrators do before the doctor comes, and what the doctor says then."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from kafka import KafkaProducer

from monitor.commands.doctor import command
from monitor.doctor.examination import Given
from monitor.doctor.said import Said
from monitor.files import read_registry
from monitor.kafka import topics
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from monitor.log import Transaction
from monitor.log.kafka import KafkaLog
from monitor.policyfile import default_policy_path, load_policies
from monitor.records import Rejected, Tally
from monitor.rulebook import check_key

KEY = bytes(range(32))
SECONDS = 30.0
REGISTRY = """\
registry: {name: tests, version: 1, effective_from: 2025-01-01, approved_by: safety office}
sites:
"""


def make_topics(connection: Connection, *sites: str) -> None:
    with administering(connection) as admin:
        topics.create(admin, topics.wanted(sites, replication=1), 1)


def send(connection: Connection, name: str, value: bytes, key: bytes | None = None) -> None:
    producer = KafkaProducer(**connection.for_kafka_python())
    producer.send(name, value, key=key).get(SECONDS)
    producer.close()


def keep(connection: Connection, site: str, position: int, *rejected: Rejected, key: bytes = KEY) -> None:
    """What a worker writes that has read the inbound topic up to a position."""

    async def kept() -> None:
        log = KafkaLog(connection, site, key)
        await log.open()
        batch = Transaction(site, Tally(), rejections=rejected, position={topic("in", site): position})
        await log.append(batch, {"pseudonym_key": check_key(None, key, "")})
        await log.close()

    asyncio.run(kept())


def given(connection: Connection, *sites: str, tmp_path: Path, **more: Any) -> Given:
    more.setdefault("policies", load_policies([default_policy_path()]))
    registry = read_registry([str(registered(tmp_path, *sites))])
    return Given(connection=connection, **{"role": "monitor", "registry": registry, "time": time.time, **more})


def registered(folder: Path, *sites: str) -> Path:
    path = folder / "sites.yaml"
    lines = (f"  {site}: {{zone: Europe/Lisbon, go_live: 2025-01-01, feeds: {{}}}}\n" for site in sites)
    path.write_text(REGISTRY + "".join(lines), encoding="utf-8")
    return path


def findings(said: Iterator[Said]) -> list[tuple[str, str, str]]:
    return [(each.check, each.text, each.todo) for each in said if each.result == "finding"]


def of(check: str, said: Iterator[Said]) -> list[Said]:
    return [each for each in said if each.check == check]


def run(*options: str | Path) -> tuple[int, str]:
    """Exit code and output of the command."""
    result = CliRunner().invoke(command, [str(each) for each in options])
    return result.exit_code, result.output


def key_file(folder: Path, key: bytes = KEY) -> Path:
    path = folder / f"{key[0]}.key"
    path.write_text(key.hex() + "\n", encoding="ascii")
    path.chmod(0o600)
    return path
