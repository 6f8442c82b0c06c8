"""A Kafka of one's own with hospitals that have published: what the stream is measured on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from kafka import KafkaAdminClient

from benchmarks.messages import lines
from monitor.kafka.names import topic
from monitor.kafka.topics import create, wanted
from monitor.kafka.wire import POSITION
from schemas.parts import RESERVED_SITE

PATIENCE_SECONDS = 600


def make_topics(servers: str, sites: Iterable[str]) -> None:
    """The topics of some sites, and those that every installation has."""
    with closing(KafkaAdminClient(bootstrap_servers=servers)) as admin:
        known = set(admin.list_topics())
        create(admin, {name: its for name, its in wanted([*sites, RESERVED_SITE], 1).items() if name not in known}, 1)


def write_registry(path: Path, sites: Iterable[str]) -> Path:
    """A registry of sites that went live long ago."""
    feeds = "\n".join(
        f"      {feed}: {{from: 2015-01-01, silent_after_days: 14{more}}}"
        for feed, more in (("treatment", ""), ("screening", ", results_after_hours: 36"), ("adverse_event", ""))
    )
    head = "registry: {name: load, version: 1, effective_from: 2015-01-01, approved_by: nobody}\nsites:\n"
    entries = (f"  {site}:\n    zone: UTC\n    go_live: 2015-03-01\n    feeds:\n{feeds}\n" for site in sites)
    path.write_text(head + "".join(entries), encoding="utf-8")
    return path


def hospital_lines(count: int, sites: list[str], seed: int = 1) -> Iterator[tuple[str, bytes, bytes]]:
    """(site, patient, message) of `benchmarks.messages`, spread over the sites, without the field `site`."""
    names = {f"site-{number:02d}": site for number, site in enumerate(sites, 1)}
    for line in lines(count, len(sites), seed):
        fields = json.loads(line)
        site = names[fields.pop("site")]
        yield site, fields["patient_id"].encode(), json.dumps(fields, separators=(",", ":")).encode()


def publish(servers: str, messages: Iterable[tuple[str, bytes, bytes]]) -> None:
    """All of them, confirmed; the patient is the key, which the peers need."""
    producer, lost = Producer({"bootstrap.servers": servers, "enable.idempotence": True}), 0
    for site, patient, message in messages:
        while True:
            try:
                producer.produce(topic("in", site), message, patient, partition=0)
                break
            except BufferError:
                producer.poll(0.1)
    lost = producer.flush(PATIENCE_SECONDS)
    if lost:
        raise RuntimeError(f"{lost} messages were not confirmed")


def ends(servers: str, names: Iterable[str]) -> dict[str, int]:
    """Topic -> offset behind its last record."""
    with closing(Consumer({"bootstrap.servers": servers, "group.id": "looks"})) as consumer:
        return {name: consumer.get_watermark_offsets(TopicPartition(name, 0))[1] for name in names}


def wait_until_read(servers: str, sites: Iterable[str]) -> None:
    """Until the position of each site in its log is the end of its inbound topic."""
    left = {site: ends(servers, [topic("in", site)])[topic("in", site)] for site in sites}
    patience = time.monotonic() + PATIENCE_SECONDS
    looks = Consumer({"bootstrap.servers": servers, "group.id": "looks", "isolation.level": "read_committed"})
    with closing(looks):
        looks.assign([TopicPartition(topic("facts", site), 0, 0) for site in left])
        while left:
            for record in looks.consume(5_000, 0.1):
                site = (record.topic() or "").rpartition(".")[2]
                if record.key() == POSITION and json.loads(record.value() or b"")["offset"] >= left.get(site, 1 << 62):
                    del left[site]
            if time.monotonic() > patience:
                raise RuntimeError(f"not read within {PATIENCE_SECONDS} s: {sorted(left)}")
