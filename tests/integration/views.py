"""Replicas as processes, and hospitals whose histories their owners write to a Kafka of our own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from monitor.kafka import topics
from monitor.kafka.names import ACTIONS
from monitor.kafka.reach import administering
from monitor.policyfile import default_policy_path, load_policies, load_registry
from monitor.replay import Question, replay_lines
from monitor.sites import Rules
from schemas import actions as act
from tests.data.good_history import SITES
from tests.data.history_on_kafka import Owner
from tests.integration.broker import Broker
from tests.integration.live import PROJECT, Live, until

KEY = "17" * 32
WITHIN = 90.0  # seconds for what a replica must come to see, on a busy machine


class Viewed(Live):
    """`with world.view("one") as view:` is a replica on a free port until the end of the block."""

    def arguments(self, port: int = 0) -> list[str]:
        return [sys.executable, "-m", "monitor", *self.options, "--port", str(port)]

    @property
    def overview(self) -> dict[str, Any]:
        status, found = self.get("v1/overview")
        assert status == 200, found
        return dict(found)

    def site(self, name: str) -> dict[str, Any]:
        """What the replica says of how far it has read a site."""
        return next(each for each in self.overview["replica"]["sites"] if each["site"] == name)

    def is_ready(self) -> bool:
        return self.get("readyz")[0] == 200

    def has_read(self, *owners: Owner) -> bool:
        """Whether it shows all that these have written, and nothing else waits to be read."""
        sites = {each["site"]: each for each in self.overview["replica"]["sites"]}
        return all(
            sites[owner.site]["inbound_offset"] == len(owner.given) and sites[owner.site]["state"] == "read"
            for owner in owners
        )

    def until_read(self, *owners: Owner) -> None:
        until(lambda: self.is_ready() and self.has_read(*owners), f"all is read\n{self.stderr}", WITHIN)


class World:
    """A broker, the rules, and the topics of all registered sites but those `without`."""

    def __init__(self, broker: Broker, folder: Path, without: Sequence[str] = ()) -> None:
        self.broker = broker
        self.folder = folder
        self.sites, self.key = folder / "sites.yaml", folder / "pseudonym.key"
        self.sites.write_text(SITES, encoding="utf-8")
        self.key.write_text(KEY, encoding="ascii")
        self.key.chmod(0o600)
        registry = load_registry([self.sites])
        self.rules = Rules(load_policies([default_policy_path()]), registry, bytes.fromhex(KEY))
        self.make_topics(registry.names - set(without))

    def make_topics(self, sites: Iterable[str]) -> None:
        with administering(self.broker.connection()) as admin:
            topics.create(admin, topics.wanted(sites, replication=1), 1)

    def owner(self, site: str) -> Owner:
        return Owner(self.broker.connection(), site, self.rules)

    def options(self) -> list[str]:
        return ["--broker", self.broker.servers, "--sites", str(self.sites), "--key", str(self.key)]

    @contextmanager
    def view(self, name: str) -> Iterator[Viewed]:
        folder = self.folder / name
        folder.mkdir()
        with Viewed(folder, *self.options(), command="view") as running:
            yield running

    def replayed(self, owners: Iterable[Owner], as_of: int, actions: Sequence[act.Action] = ()) -> str:
        """What `jakwatch replay` prints of all that was given to these."""
        lines = [line for owner in owners for line in owner.given]
        question = Question(self.rules.policies, self.rules.registry, tuple(actions), as_of=as_of, key=self.rules.key)
        return json.dumps(replay_lines(lines, question), indent=1, ensure_ascii=False) + "\n"

    def decided(self) -> list[tuple[bytes, bytes]]:
        """The records of what people decided, in order."""
        place = TopicPartition(ACTIONS, 0)
        with KafkaConsumer(bootstrap_servers=self.broker.servers) as consumer:
            consumer.assign([place])
            consumer.seek(place, 0)
            end = consumer.end_offsets([place])[place]
            found: list[Any] = []
            while consumer.position(place) < end:
                found += consumer.poll(1_000).get(place, ())
        return [(each.key, each.value) for each in found]


def jakwatch_view(*options: str | Path) -> subprocess.CompletedProcess[str]:
    """A replica that is expected to say why it cannot start."""
    return subprocess.run(  # noqa: PLW1510  how it ends is what is tested
        [sys.executable, "-m", "monitor", "view", "--port", "0", *map(str, options)],
        cwd=PROJECT, capture_output=True, text=True, timeout=WITHIN,
    )  # fmt: skip
