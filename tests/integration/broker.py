"""A real Apache Kafka of our own: one node, started in a folder, killed and started again at the same address."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from kafka.admin import UserScramCredentialUpsertion
from kafka.errors import KafkaError

from monitor.kafka.connection import Connection
from monitor.kafka.reach import CannotReachError, administering
from tests.integration.certificates import Authority

LIBS = Path(os.environ.get("JAKWATCH_KAFKA_LIBS", Path.home() / ".cache" / "jakwatch" / "kafka-4.1.1"))
SECONDS_TO_START = 120  # on a busy machine; alone it takes five
SECONDS_TO_STOP = 60
ADMIN = "admin"
CLUSTER = "amFrd2F0Y2gtdGVzdHMhIQ"  # 16 bytes in base64, as Kafka names clusters
# It starts sooner and leaves more of the machine to what is tested.
JAVA = """-Xmx512m -Xms64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1
          -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true
          -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS""".split()

# It ends with the tests, also where those are killed; start it in a thread that lives as long as it is to.
_BOUND = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []

# A small node that is quick: a killed one is let in again once the session of its former self has ended.
_SMALL = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
log.cleaner.backoff.ms=250
log.cleaner.dedupe.buffer.size=33554432
log.dirs={folder}/data
"""
_PLAIN = """\
listeners=PLAIN://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{plain}
listener.security.protocol.map=PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
"""
# Secured it is what deploy/ shows, but for where things are.
_EXAMPLE = Path(__file__).resolve().parents[2] / "deploy" / "kafka" / "server.properties"
_OUTSIDE = "HOSPITAL_SCRAM://127.0.0.1:{scram},HOSPITAL_MTLS://127.0.0.1:{mtls},INTERNAL://127.0.0.1:{internal}"
_SECURED = f"""\
listeners={_OUTSIDE},CONTROLLER://127.0.0.1:{{controller}}
advertised.listeners={_OUTSIDE}
"""
_LISTENERS = {False: ("plain", "controller"), True: ("scram", "mtls", "internal", "controller")}


class BrokerFailedError(Exception):
    """The broker did not start, with what it said last."""


class Broker:
    """One node. `secured`: hospitals by SCRAM and by mTLS, ourselves by SCRAM, rights by ACL.

    A secured one knows the super user `admin`; `add_user` makes others, `connection` says how each connects.
    """

    def __init__(self, folder: Path, *, secured: bool = False) -> None:
        self.folder = folder
        self.secured = secured
        self.ports = dict(zip(_LISTENERS[secured], _free_ports(len(_LISTENERS[secured])), strict=True))
        self.log = folder / "kafka.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        """Where our own processes connect."""
        return self.address("internal" if self.secured else "plain")

    @property
    def authority(self) -> Authority:
        """Who signed the broker's certificate; only a secured broker has one."""
        return Authority(self.folder / "brokers")

    @property
    def hospitals(self) -> Authority:
        """Who signs the certificates of hospitals."""
        return Authority(self.folder / "hospitals")

    def address(self, listener: str) -> str:
        """Where a listener is: `plain`, or `scram`, `mtls` (hospitals) and `internal` of a secured one."""
        return f"127.0.0.1:{self.ports[listener]}"

    def connection(self, user: str = ADMIN, listener: str = "internal") -> Connection:
        """How a user connects by SCRAM, or who has a certificate of that name by mTLS; plainly to a plain broker."""
        if not self.secured:
            return Connection(self.servers)
        where, ca = self.address(listener), self.authority.ca
        if listener == "mtls":
            return Connection(where, ca, cert=self.hospitals.cert(user), key=self.hospitals.key(user))
        return Connection(where, ca, user=user, password=password_of(user))

    def add_user(self, user: str) -> None:
        """A SCRAM user; its password is `password_of(user)`."""
        wanted = UserScramCredentialUpsertion(user, "SCRAM-SHA-512", password_of(user))
        with administering(self.connection()) as admin:
            admin.alter_user_scram_credentials([wanted])

    def start(self) -> None:
        """Returns when it answers."""
        if not LIBS.is_dir() or shutil.which("java") is None:
            pytest.skip(f"There is no Kafka to test on (Java, and its jars in {LIBS}). Do next: make programs")
        if not (self.folder / "data").exists():
            self._prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_BOUND, *_java("kafka.Kafka"), "server.properties"],
                cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._wait_until_it_answers()

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:  # what is tested is not how the broker stops
            self._process.kill()
            self._process.wait()
        self._process = None

    def _prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        own = (_SMALL + (_SECURED if self.secured else _PLAIN)).format(folder=self.folder, **self.ports)
        settings = {**(self._prepare_secured() if self.secured else {}), **_settings(own)}
        (self.folder / "server.properties").write_text(
            "".join(f"{key}={value}\n" for key, value in settings.items()), encoding="utf-8"
        )
        self._format()

    def _prepare_secured(self) -> dict[str, str]:
        """Authorities and secrets, and the settings of the example with their places here."""
        Authority.founded(self.folder / "brokers").sign("broker")
        Authority.founded(self.folder / "hospitals")
        (self.folder / "secrets.properties").write_text(f"broker={password_of('broker')}\n", encoding="utf-8")
        text = _EXAMPLE.read_text(encoding="utf-8")
        for shown, here in (
            ("tls/broker.pem", "brokers/broker.pem"),
            ("tls/brokers-ca.crt", "brokers/ca.crt"),
            ("tls/hospitals-ca.crt", "hospitals/ca.crt"),
            ("secrets.properties", "secrets.properties"),
        ):
            text = text.replace(f"/etc/kafka/{shown}", str(self.folder / here))
        return _settings(text)

    def _format(self) -> None:
        """Users that the broker needs for its own start can only be made here."""
        users = ["broker", ADMIN] if self.secured else []
        given = ["-t", CLUSTER, "-c", "server.properties"]
        given += [f"--add-scram=SCRAM-SHA-512=[name={user},password={password_of(user)}]" for user in users]
        done = subprocess.run(  # noqa: PLW1510  its words are needed where it failed
            [*_java("kafka.tools.StorageTool"), "format", *given],
            cwd=self.folder, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 0:
            raise BrokerFailedError(done.stdout + done.stderr)

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerFailedError(f"Kafka in {self.folder} did not start:\n{self._last_words()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        """It lets somebody log in and knows its topics; that a port is open would say little."""
        try:
            with administering(self.connection()) as admin:
                admin.list_topics()
        except (CannotReachError, KafkaError):
            return False
        return True

    def _last_words(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _settings(text: str) -> dict[str, str]:
    lines = (line.strip().partition("=") for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {key: value for key, _, value in lines}


def password_of(user: str) -> str:
    return f"{user}-secret"


def _java(main: str) -> list[str]:
    return ["java", *JAVA, "-cp", f"{LIBS}/*", main]


def _free_ports(number: int) -> list[int]:
    """Below those that the system gives to who connects: another would take one while the broker is down."""
    found: list[int] = []
    while len(found) < number:
        port = random.randrange(20_000, 32_000)  # noqa: S311  no secret
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.append(port)
    return found
