"""Whether Kafka can be used, and in whose words it cannot: every command asks before it begins."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient

from monitor.kafka.connection import Connection, addresses
from monitor.kafka.knock import CannotReachError, knock
from monitor.kafka.names import GROUP, PREFIX

__all__ = ["CannotReachError", "administering", "check", "missing_right"]

SECONDS = 6.0
_SECONDS_FOR_AN_ADMINISTRATOR = 15
_TOPICS = re.compile(rf"{re.escape(PREFIX)}[a-z]+(?:[.][a-z0-9-]+)?")
_TOPIC, _GROUP, _CLUSTER, _TRANSACTION, _NO_RIGHTS = 29, 30, 31, 53, 54  # Kafka's error codes
_GIVE = "Do next: have an administrator run `jakwatch topics apply --acls`, which names the users and what each may."


def check(connection: Connection) -> None:
    """Returns once one of the servers lets us in. Raises CannotReachError within six seconds."""
    told: queue.Queue[CannotReachError | None] = queue.Queue()
    servers = addresses(connection.servers)
    for server in servers:  # all at once; a name that the DNS keeps us waiting for holds nobody up, nor the end
        threading.Thread(target=_told, args=(connection, server, told), daemon=True).start()
    deadline = time.monotonic() + SECONDS
    problems: list[str] = []
    while len(problems) < len(servers):
        problem = _next(told, deadline)
        if problem is None:
            return
        problems.append(str(problem))
    raise CannotReachError("\n".join(dict.fromkeys(problems)))


def _told(connection: Connection, server: str, told: queue.Queue[CannotReachError | None]) -> None:
    try:
        knock(connection, server)
        told.put(None)
    except CannotReachError as problem:
        told.put(problem)
    except Exception as error:  # noqa: BLE001  whatever a library raises here, nobody would hear of it in this thread
        told.put(CannotReachError(f"{server} cannot be used ({type(error).__name__}). Do next: look into Kafka's log."))


def _next(told: queue.Queue[CannotReachError | None], deadline: float) -> CannotReachError | None:
    try:
        return told.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise CannotReachError(
            f"Kafka did not answer within {SECONDS:g} seconds. Do next: look at the addresses in --broker, then at "
            "the DNS and the network of this machine."
        ) from None


def missing_right(error: BaseException, right: str = "READ or WRITE") -> str | None:
    """Which right Kafka says is missing, and what to do; None where the error is about something else.

    `error` is one of aiokafka or kafka-python; `right` is what was being done to a topic: READ, WRITE, CREATE, ...
    """
    code = None if isinstance(error, OSError) else getattr(error, "errno", None)  # those numbers are the system's
    topics = ", ".join(sorted(set(_TOPICS.findall(str(error))))) or "a topic"
    told = {
        _TOPIC: f"Kafka does not give our user the right to {right} {topics}. {_GIVE}",
        _GROUP: f"Kafka does not give our user the right to READ as the group {GROUP}. {_GIVE}",
        _TRANSACTION: f"Kafka does not give our user the right to WRITE as the transactional id {GROUP}-*. {_GIVE}",
        _CLUSTER: "Kafka does not give our user the right to do this to the cluster, or to WRITE to any topic. "
        "Do next: deploy/kafka/README.md says what an administrator needs; for others `jakwatch topics apply --acls`.",
        _NO_RIGHTS: "Kafka asks nobody for rights: whoever reaches it reads and writes everything. Do next: set "
        "authorizer.class.name as in deploy/kafka/server.properties.",
    }
    return told.get(code) if isinstance(code, int) else None


@contextmanager
def administering(connection: Connection) -> Iterator[KafkaAdminClient]:
    """A client that manages topics and rights. Raises CannotReachError."""
    check(connection)
    given: dict[str, Any] = connection.for_kafka_python()
    if connection.password is not None:
        given["sasl_plain_password"] = _Unprinted(connection.password)  # the client logs all its settings
    with KafkaAdminClient(request_timeout_ms=_SECONDS_FOR_AN_ADMINISTRATOR * 1000, **given) as admin:
        yield admin


class _Unprinted(str):
    """A secret that shows nothing of itself where a dictionary of settings is printed."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(not shown)'"
