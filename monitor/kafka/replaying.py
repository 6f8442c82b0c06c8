"""Bringing in again what was rejected, once it was mended what it was rejected for: each message exactly once.

A message that is replayed bears a header that names where it was rejected. Whoever replays takes the newest epoch of
a transactional id first, so that nobody else can any more; then looks through the inbound topic for these headers; and
publishes what is left, in transactions. What was interrupted is not there, what was done is seen by the next run.
"""

from __future__ import annotations

import enum
import math
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from kafka.errors import (
    InvalidProducerEpochError,
    KafkaError,
    KafkaTimeoutError,
    ProducerFencedError,
    TransactionalIdAuthorizationFailedError,
)

from monitor.core.decode import Rejection, decode
from monitor.kafka.names import topic
from monitor.kafka.reading import Reader, committed_end
from monitor.kafka.rejected import REPLAYED_FROM, Choice, Found, Origin, origins, rejections
from monitor.kafka.sending import REFUSALS, Letter, UndeliveredError, outcomes, producer, undelivered, unwrapped

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from monitor.core.registry import Registry
    from monitor.kafka.connection import Connection

LETTERS = 500  # of a transaction
BYTES = 1 << 20
_PATIENCE = 15.0  # seconds
_TO_ABORT = 2.0  # seconds
_TRANSACTION_MS = 20_000  # what is left open is ended by the broker; the monitor waits behind it
_CLOCKS_MS = 3_600_000  # by how much the brokers' clocks may differ


class Fate(enum.Enum):
    """What becomes of a rejection."""

    DUE = "to be replayed"
    REPLAYED = "replayed before"
    UNMENDED = "would be rejected again"
    TOO_OLD = "too old to know"  # the inbound topic no longer holds all that was replayed since
    REFUSED = "too large to replay"  # with the header that is added


@dataclass(frozen=True, slots=True)
class Order:
    """What a person wants to be replayed of a site, judged by the registry that is given (None: any site, in UTC)."""

    site: str
    choice: Choice
    registry: Registry | None = None
    unmended_too: bool = False
    older_too: bool = False


Tally = dict[str, Counter[Fate]]
"""Reason -> what becomes of the rejections that have it."""


class _Memory(NamedTuple):
    """What can be known of earlier replays."""

    replayed: frozenset[Origin]
    complete_since_ms: float


class _AgainError(Exception):
    """The producer is of no use any more; nothing of its last transaction counts."""


@dataclass(slots=True)
class Replay:
    """One run. Its methods raise reading.UnreadableError and sending.UndeliveredError.

    Where `run` raises, each message is replayed or not, and another run will know of each which.
    """

    connection: Connection
    order: Order
    published: set[Origin] = field(default_factory=set)  # by this run
    _refused: set[Origin] = field(default_factory=set)
    _letters: int = LETTERS

    def rehearse(self) -> Tally:
        """What would be done."""
        tally: Tally = defaultdict(Counter)
        for found, fate in self._judged():
            tally[found.entry.reason][fate] += 1
        return tally

    def run(self) -> Tally:
        """Do it; what is still due in the answer was replayed by this run."""
        while True:
            with suppress(_AgainError), _fenced(self.connection, self.order.site) as made:
                return self._published(made)

    def _published(self, made: KafkaProducer) -> Tally:
        tally: Tally = defaultdict(Counter)
        window: list[Found] = []
        with closing(self._judged()) as judged:
            for found, fate in judged:
                tally[found.entry.reason][fate] += 1
                if fate is Fate.DUE and found.entry.origin not in self.published:
                    window.append(found)
                if len(window) >= self._letters or sum(each.entry.size for each in window) >= BYTES:
                    self._commit(made, window)
                    window = []
        self._commit(made, window)
        return tally

    def _commit(self, made: KafkaProducer, window: Sequence[Found]) -> None:
        """Publish all of them or none."""
        if not window:
            return
        made.begin_transaction()
        letters = [self._letter(each) for each in window]
        errors = [error for error in outcomes(made, letters, _PATIENCE) if error is not None]
        if any(isinstance(error, REFUSALS) for error in errors):
            self._note_refusal(window)
            raise _AgainError
        if errors:
            raise errors[0]
        _within(_PATIENCE, made.commit_transaction)
        self.published.update(each.entry.origin for each in window)

    def _note_refusal(self, window: Sequence[Found]) -> None:
        """One of them is too large; which, shows when each goes alone."""
        if len(window) == 1:
            self._refused.add(window[0].entry.origin)
        self._letters = 1

    def _letter(self, found: Found) -> Letter:
        header = (REPLAYED_FROM, str(found.entry.origin).encode())
        theirs = ((name, value or b"") for name, value in found.headers)  # the library sends no header without a value
        return Letter(topic("in", self.order.site), found.raw, (*theirs, header))

    def _judged(self) -> Generator[tuple[Found, Fate], None, None]:
        """What was rejected by now and is meant, each with what is to become of it."""
        with Reader(self.connection, topic("rejected", self.order.site)) as reader:
            begin, end = reader.begin(), reader.end()
            memory = self._memory(rejections(reader, begin, end))
            seen: set[Origin] = set()
            for found in rejections(reader, begin, end):
                if self.order.choice.has(found.entry) and found.entry.origin not in seen:
                    seen.add(found.entry.origin)
                    yield found, self._fate(found, memory)

    def _memory(self, rejected: Iterator[Found]) -> _Memory:
        """What was replayed: the inbound topic says it, and so does what was rejected again since."""
        again: set[Origin] = set()
        oldest_ms = math.inf
        for found in rejected:
            again.update(found.entry.replayed_from)
            if self.order.choice.has(found.entry):
                oldest_ms = min(oldest_ms, found.entry.kept_ms)
        if oldest_ms == math.inf:
            return _Memory(frozenset(), 0)
        with Reader(self.connection, topic("in", self.order.site)) as inbound:
            end = committed_end(inbound, self.connection)
            start = inbound.first_since(max(0, int(oldest_ms) - _CLOCKS_MS))
            later = inbound.records(end if start is None else start, end)
            replayed = {origin for record in later for origin in origins(record.headers)}
            return _Memory(frozenset(again | replayed), _complete_since_ms(inbound, end))

    def _fate(self, found: Found, memory: _Memory) -> Fate:
        entry, order = found.entry, self.order
        if entry.origin in self._refused:
            return Fate.REFUSED
        if entry.origin in self.published:
            return Fate.DUE
        if entry.origin in memory.replayed:
            return Fate.REPLAYED
        if not order.older_too and entry.kept_ms - _CLOCKS_MS < memory.complete_since_ms:
            return Fate.TOO_OLD
        if not order.unmended_too and isinstance(decode(found.raw, order.site, order.registry), Rejection):
            return Fate.UNMENDED
        return Fate.DUE


def _complete_since_ms(inbound: Reader, end: int) -> float:
    """Since when the inbound topic holds all that was ever written to it."""
    begin = inbound.begin()
    if begin == 0:
        return -math.inf
    first = next(inbound.records(begin, end), None)
    return math.inf if first is None else float(first.timestamp)


@contextmanager
def _fenced(connection: Connection, site: str) -> Iterator[KafkaProducer]:
    """A producer beside which no other can replay this site. Left by an error, nothing of its transaction counts."""
    try:
        made = producer(connection, _PATIENCE, transactional_id=_id(site), transaction_timeout_ms=_TRANSACTION_MS)
        try:
            made.init_transactions()
            yield made
        except BaseException:
            with suppress(KafkaError):  # else the broker does it after a while
                _within(_TO_ABORT, made.abort_transaction)
            raise
        finally:
            made.close(timeout=0)
    except KafkaError as error:
        raise _in_words(error, connection, site) from None


def _in_words(error: KafkaError, connection: Connection, site: str) -> UndeliveredError:
    error = unwrapped(error)
    if isinstance(error, (ProducerFencedError, InvalidProducerEpochError)):
        return UndeliveredError(
            f"another replay of {site} has begun since, and goes on alone. Do next: wait until it has ended."
        )
    if isinstance(error, TransactionalIdAuthorizationFailedError):
        return UndeliveredError(
            f"Kafka does not give our user the right to WRITE as the transactional id {_id(site)}. "
            "Do next: have an administrator give it, or replay as one who has it."
        )
    return undelivered(error, connection, _PATIENCE)


def _id(site: str) -> str:
    return f"jakwatch-replay-{site}"


def _within(seconds: float, act: Callable[[], object]) -> None:
    """Do what the library would wait for without end. Raises KafkaTimeoutError: it may still come to pass."""
    raised: list[Exception] = []
    thread = threading.Thread(target=_caught, args=(act, raised), daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise KafkaTimeoutError
    if raised:
        raise raised[0]


def _caught(act: Callable[[], object], raised: list[Exception]) -> None:
    try:
        act()
    except Exception as error:  # noqa: BLE001  it is raised where somebody waits for it
        raised.append(error)
