"""A secured Kafka with two hospitals, and everybody a process with the rights that `topics apply --acls` gives it.

lisbon comes by password, oslo by certificate. What any process says is kept, to be searched for secrets.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from monitor.kafka import acls
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from monitor.log.kafka import read_whole
from tests.integration.broker import ADMIN, Broker
from tests.integration.certificates import ENDED
from tests.integration.live import PROJECT, until
from tests.integration.stream_workers import Worker, Workers
from tests.integration.views import Viewed

SITES = ("lisbon", "oslo")
MONITOR, VIEW = "jakwatch-monitor", "jakwatch-view"
PSEUDONYM_KEY = "5e" * 32
PATIENT = "Rosa-Secreta-1871"
GIVES_UP_WITHIN = 20.0  # seconds for a command that must; alone on a machine two, of which one is the start of Python
COMES_WITHIN = 90.0  # for what must come to be, on a machine that is busy with other tests
# What a person sets who looks for a fault: more is told then, but no secret.
DEBUGGING = {"JAKWATCH_DEBUG": "1", "PYTHONASYNCIODEBUG": "1", "PYTHONDEVMODE": "1"}
_REGISTRY = """\
registry: {name: secured, version: 1, effective_from: 2025-01-01, approved_by: safety office}
sites:
"""


class Said(NamedTuple):
    """How a command ended, and what it told."""

    code: int
    text: str


@dataclass
class World:
    """Who is there, and what they are given."""

    broker: Broker
    folder: Path
    said: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def registry(self) -> list[str]:
        return ["--sites", str(self.folder / "sites.yaml")]

    @property
    def rules(self) -> list[str]:
        return [*self.registry, "--key", str(self.folder / "pseudonym.key")]

    # How somebody connects

    def hospital(self, site: str) -> Connection:
        """lisbon by password, oslo by certificate."""
        by_password = site == SITES[0]
        return self.broker.connection(f"hospital-{site}" if by_password else site, "scram" if by_password else "mtls")

    def user_with(self, rights: Sequence[acls.Right]) -> Connection:
        """A new user who has some rights, once they hold."""
        user = f"user-{next(self._numbers)}"
        self.broker.add_user(user)
        with administering(self.broker.connection()) as admin:
            acls.give(admin, [right._replace(user=user) for right in rights])
        return self.broker.connection(user)

    def options(self, connection: Connection) -> list[str]:
        """The same for the command line."""
        options = ["--broker", connection.servers]
        for option, path in (("ca", connection.ca), ("cert", connection.cert), ("key", connection.key)):
            options += [] if path is None else [f"--broker-{option}", str(path)]
        if connection.user is not None:
            options += ["--broker-user", connection.user, "--broker-password", str(self._secret(connection))]
        return options

    def _secret(self, connection: Connection) -> Path:
        path = self.folder / f"{next(self._numbers)}.secret"
        path.write_text(f"{connection.password}\n", encoding="ascii")
        path.chmod(0o600)
        return path

    # Processes

    def jakwatch(self, *words: str, who: Connection, given: bytes = b"") -> Said:
        """A command that ends by itself, within seconds, while somebody looks for a fault."""
        done = subprocess.run(  # noqa: PLW1510  how it ends is what is tested
            [sys.executable, "-m", "monitor", *words, *self.options(who)], env=os.environ | DEBUGGING,
            cwd=PROJECT, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=GIVES_UP_WITHIN,
        )  # fmt: skip
        self.said.append(done.stdout.decode())
        return Said(done.returncode, self.said[-1])

    def publish(self, site: str, *messages: dict[str, Any]) -> Said:
        """As the hospital does it, with its own rights."""
        lines = "".join(f"{json.dumps(each)}\n" for each in messages).encode()
        return self.jakwatch("publish", "-", "--site", site, who=self.hospital(site), given=lines)

    @contextmanager
    def worker(self, name: str = "worker-1") -> Iterator[Worker]:
        """A `jakwatch monitor` that works; somebody starts it again when it ends."""
        options = [*self.options(self.broker.connection(MONITOR)), *self.rules]
        with Workers(self._folder("worker"), options) as workers:
            worker = workers.add(name, "--instance", name)
            workers.wait_until_ready(COMES_WITHIN)
            yield worker

    @contextmanager
    def view(self) -> Iterator[Viewed]:
        """A `jakwatch view` that has read all."""
        options = [*self.options(self.broker.connection(VIEW)), *self.rules]
        with Viewed(self._folder("view"), *options, command="view") as view:
            until(view.is_ready, "the view has read all", COMES_WITHIN)
            yield view

    def _folder(self, kind: str) -> Path:
        folder = self.folder / f"{kind}-{next(self._numbers)}"
        folder.mkdir()
        return folder

    # What is read

    def answers(self, site: str) -> dict[tuple[str, str], str]:
        """What the hospital itself reads of its answers: (treatment_id, kind) -> decision."""
        found = map(json.loads, self.values("out", site, self.hospital(site)))
        return {(each["treatment_id"], each["kind"]): each["decision"] for each in found}

    def values(self, kind: str, site: str, who: Connection) -> list[bytes]:
        """The values of a topic; of each key the last."""
        found: dict[bytes, bytes | None] = {}

        def heard(records: list[Any]) -> None:
            found.update((each.key, each.value) for each in records)

        asyncio.run(read_whole(who, {topic(kind, site): heard}))
        return [value for value in found.values() if value is not None]

    def until_answered(self, site: str, treatment_id: str, decision: str) -> None:
        """Until the hospital reads that answer to its order."""
        until(
            lambda: self.answers(site).get((treatment_id, "order")) == decision,
            f"{site} reads {decision} for {treatment_id}",
            COMES_WITHIN,
        )

    # Secrets

    def told(self) -> set[str]:
        """Which secrets anybody was told so far, by a command or in the log of a process."""
        logs = [path for path in self.folder.glob("*-*/*") if path.suffix == ".log" or path.name == "stderr"]
        everything = "".join([*self.said, *(path.read_text(encoding="utf-8", errors="replace") for path in logs)])
        return {secret for secret in self._secrets() if secret in everything}

    def _secrets(self) -> set[str]:
        """Passwords, keys, and who is treated."""
        keys = [path.read_text(encoding="ascii") for path in self.folder.rglob("*.key") if path.is_file()]
        lines = {line for key in keys for line in key.splitlines() if "PRIVATE KEY" not in line}
        passwords = {path.read_text(encoding="ascii").strip() for path in self.folder.glob("*.secret")}
        return {PATIENT, *passwords, *lines} - {""}


def address(worker: Worker) -> str:
    """Where it tells its health."""
    return re.findall(r"health and metrics at (\S+)", worker.said())[-1]


def wrong(connection: Connection) -> Connection:
    """The same user, by another password."""
    return replace(connection, password="swordfish-and-not-that")  # noqa: S106  so wrong that it may be seen


@contextmanager
def secured_world(folder: Path) -> Iterator[World]:
    """A broker of its own, with everybody's users and certificates; topics and rights are still to be made."""
    made = World(Broker(folder / "kafka", secured=True), folder)
    made.broker.start()
    try:
        for user in (MONITOR, VIEW, "hospital-lisbon"):
            made.broker.add_user(user)
        made.broker.hospitals.sign("oslo")
        made.broker.hospitals.sign("ended", "oslo", ENDED)
        sites = "".join(f"  {site}: {{zone: UTC, go_live: 2025-01-01, feeds: {{}}}}\n" for site in SITES)
        (folder / "sites.yaml").write_text(_REGISTRY + sites, encoding="utf-8")
        key = folder / "pseudonym.key"
        key.write_text(PSEUDONYM_KEY, encoding="ascii")
        key.chmod(0o600)
        yield made
    finally:
        made.broker.kill()


@contextmanager
def debugging() -> Iterator[None]:
    """All processes that are started meanwhile tell more than usual."""
    before = dict(os.environ)
    os.environ.update(DEBUGGING)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def applied(world: World) -> Said:
    """Topics and rights as an administrator makes them."""
    return world.jakwatch("topics", "apply", "--acls", *world.registry, who=world.broker.connection(ADMIN))


def order(treatment_id: str) -> dict[str, Any]:
    """An order of now for a patient of whom nothing is known."""
    return {
        "type": "treatment_ordered", "event_id": f"order-{treatment_id}", "patient_id": PATIENT,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "treatment_id": treatment_id, "drug": _coded("atc", "L04AF03"), "indications": [_coded("icd10", "L20.9")],
        "dose": {"amount": 15, "unit": "mg", "per_day": 1},
    }  # fmt: skip


def _coded(system: str, code: str) -> dict[str, Any]:
    return {"codings": [{"system": system, "code": code}]}
