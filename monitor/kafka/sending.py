"""Sending records so that it is known of each whether the brokers have it: kafka-python, with its traps closed.

After one record that the broker refuses, the library's idempotent producer answers everything with that refusal; and a
flush may end before all is confirmed, or never. So each record is asked for its own outcome, within a time of ours.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from kafka import KafkaProducer
from kafka.errors import (
    AuthorizationError,
    InvalidRecordError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    for_code,
)

from monitor.kafka.reach import CannotReachError, administering, missing_right

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

LONGEST = 1 << 20  # bytes of a value that is tried: the brokers' default; a message that counts has at most 65,536
REFUSALS = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidRecordError)  # of one record, for good
_BATCH_BYTES = 1 << 16  # below what our topics take: kafka-python cannot close once it had to split a batch
_LINGER_MS = 5
_NAMED = re.compile(r"\[Error (\d+)\]")
_HEADROOM = 1 << 16  # the library shall not judge before the broker does


class UndeliveredError(Exception):
    """The brokers do not take what is sent; the text says what to do."""


class Letter(NamedTuple):
    """A record on its way, without a key."""

    topic: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Cluster(NamedTuple):
    """What can be seen of the brokers: who they are, and the topics that we may know of."""

    identity: str
    topics: frozenset[str]


def quiet_library() -> None:
    """The library tells of every attempt to connect; we tell what came of them."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


def look(connection: Connection) -> Cluster:
    """Raises reach.CannotReachError."""
    with administering(connection) as admin:
        try:
            return Cluster(admin.describe_cluster()["cluster_id"], frozenset(admin.list_topics()))
        except KafkaError as error:
            kind = type(error).__name__
            raise CannotReachError(
                f"Kafka at {connection.servers} broke off ({kind}). Do next: see that it runs."
            ) from None


def producer(connection: Connection, patience: float, **more: Any) -> KafkaProducer:
    """One that waits for all replicas that are in sync, and repeats what was not confirmed without doubling it."""
    made = KafkaProducer(
        **connection.for_kafka_python(),
        acks="all",
        enable_idempotence=True,
        allow_auto_create_topics=False,
        batch_size=_BATCH_BYTES,
        linger_ms=_LINGER_MS,
        max_request_size=LONGEST + _HEADROOM,
        max_block_ms=round(patience * 1000),
        **more,
    )
    made.flush = _nothing  # `close` calls it, and hangs in it or raises where the broker is gone
    return made


def outcomes(made: KafkaProducer, letters: Sequence[Letter], patience: float) -> list[KafkaError | None]:
    """Send; of each letter, in order, None where it is confirmed, else why not."""
    deadline = time.monotonic() + patience
    sent = [made.send(to, value, headers=list(headers)) for to, value, headers in letters]
    return [_outcome(each, deadline) for each in sent]


class Sender:
    """Sends letters, each confirmed or refused before it goes on.

    `patience`: seconds to wait for a broker that does not confirm.
    """

    def __init__(self, connection: Connection, patience: float) -> None:
        self._connection = connection
        self._patience = patience
        self._producer = self._new()

    def deliver(self, letters: Sequence[Letter]) -> list[int]:
        """The indexes of those that the broker refuses for good. All others are on its disk when this returns.

        Raises UndeliveredError; any of the letters may then have been taken.
        """
        refused = []
        waiting = list(range(len(letters)))
        while waiting:
            failed = [which for which, error in self._outcomes(letters, waiting) if error is not None]
            if not failed:
                break
            self._renew()
            first, *waiting = failed  # the guilty one, or one that stood before it in the same request
            if not self._is_taken(letters, first):
                refused.append(first)
        return refused

    def close(self) -> None:
        """Without waiting: whatever is not confirmed by now counts as not sent."""
        self._producer.close(timeout=0)

    def _is_taken(self, letters: Sequence[Letter], which: int) -> bool:
        """Whether the broker takes one that is sent alone."""
        ((_, error),) = self._outcomes(letters, [which])
        if error is None:
            return True
        if not isinstance(error, REFUSALS):
            raise self._undelivered(error)
        self._renew()
        return False

    def _outcomes(self, letters: Sequence[Letter], which: Sequence[int]) -> list[tuple[int, KafkaError | None]]:
        """Raises UndeliveredError where no repetition helps: nobody answers, or we may not write."""
        try:
            found = outcomes(self._producer, [letters[each] for each in which], self._patience)
        except KafkaError as error:  # nobody leads the topic
            raise self._undelivered(error) from None
        hopeless = next((each for each in found if isinstance(each, (KafkaTimeoutError, AuthorizationError))), None)
        if hopeless is not None:
            raise self._undelivered(hopeless)
        return list(zip(which, found, strict=True))

    def _new(self) -> KafkaProducer:
        try:
            return producer(self._connection, self._patience)
        except KafkaError as error:
            raise self._undelivered(error) from None

    def _renew(self) -> None:
        self.close()
        self._producer = self._new()

    def _undelivered(self, error: KafkaError) -> UndeliveredError:
        return undelivered(error, self._connection, self._patience)


def undelivered(error: KafkaError, connection: Connection, patience: float) -> UndeliveredError:
    """In words. The library's own text is left out: it may quote what was sent."""
    error = unwrapped(error)
    missing = missing_right(error, "WRITE")
    if missing is not None:
        return UndeliveredError(missing)
    how = f"confirmed nothing for {patience:g} seconds" if isinstance(error, KafkaTimeoutError) else "takes nothing"
    todo = "Do next: see that it runs, then do the same again."
    return UndeliveredError(f"Kafka at {connection.servers} {how} ({type(error).__name__}). {todo}")


def unwrapped(error: KafkaError) -> KafkaError:
    """The broker's error, where the library has one of its own that only bears it, or names it in its text."""
    if type(error) is not KafkaError:
        return error
    borne = next((each for each in error.args if isinstance(each, KafkaError)), None)
    if borne is not None:
        return unwrapped(borne)
    named = _NAMED.search(str(error))
    return cast("KafkaError", for_code(int(named[1]))()) if named else error


def _outcome(future: Any, deadline: float) -> KafkaError | None:
    try:
        future.get(timeout=max(0.0, deadline - time.monotonic()))
    except KafkaError as error:
        return unwrapped(error)
    return None


def _nothing(timeout: float | None = None) -> None:
    """Instead of the library's flush."""
