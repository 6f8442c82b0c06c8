"""A site's topics on a real Kafka: made, looked into, and the commands that write to them run as processes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic

from monitor.kafka.names import topic
from monitor.kafka.topics import wanted
from tests.integration.broker import Broker
from tests.integration.live import PROJECT

WITHIN = 120.0  # seconds for a command, on a busy machine
_numbers = itertools.count(1)


def new_site(broker: Broker, **settings_of_inbound: str) -> str:
    """A site that nobody else uses, with its topics; `_` in the name of a setting stands for a dot."""
    site = f"site-{os.getpid()}-{next(_numbers)}"
    make_topics(broker, site, **settings_of_inbound)
    return site


def make_topics(broker: Broker, site: str, **settings_of_inbound: str) -> None:
    more = {name.replace("_", "."): value for name, value in settings_of_inbound.items()}
    settings = wanted([site], replication=1)
    inbound, rejected = topic("in", site), topic("rejected", site)
    with closing(KafkaAdminClient(bootstrap_servers=broker.servers)) as admin:
        admin.create_topics([
            NewTopic(inbound, 1, 1, topic_configs={**settings[inbound], **more}),
            NewTopic(rejected, 1, 1, topic_configs=dict(settings[rejected])),
        ])  # fmt: skip
        admin.wait_for_topics([inbound, rejected])


def records(broker: Broker, name: str) -> list[Any]:
    """All that is committed in a topic."""
    where = TopicPartition(name, 0)
    with KafkaConsumer(
        bootstrap_servers=broker.servers, isolation_level="read_committed", enable_auto_commit=False
    ) as consumer:
        consumer.assign([where])
        consumer.seek(where, consumer.beginning_offsets([where])[where])
        end = consumer.end_offsets([where])[where]
        found: list[Any] = []
        while consumer.position(where) < end:
            found += consumer.poll(1_000).get(where, ())
    return found


def values(broker: Broker, site: str) -> list[bytes]:
    """What was published to a site, in order."""
    return [each.value for each in records(broker, topic("in", site))]


def end(broker: Broker, name: str) -> int:
    """Behind the last committed record of a topic: sooner told than all are read."""
    where = TopicPartition(name, 0)
    with KafkaConsumer(bootstrap_servers=broker.servers, isolation_level="read_committed") as consumer:
        return int(consumer.end_offsets([where])[where])


def arguments(broker: Broker, *words: str | Path) -> list[str]:
    return [sys.executable, "-m", "monitor", *map(str, words), "--broker", broker.servers]


def jakwatch(broker: Broker, *words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end, whatever that is."""
    return subprocess.run(  # noqa: PLW1510  how it ends is what is tested
        arguments(broker, *words), cwd=PROJECT, input=stdin, capture_output=True, timeout=WITHIN
    )


@contextmanager
def begun(broker: Broker, *words: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command under way; it is killed at the end of the block if it has not ended."""
    process = subprocess.Popen(
        arguments(broker, *words),
        cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()
