"""Hospitals that publish, each with one of three client libraries, until every line is confirmed."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import KafkaException, Producer
from kafka import KafkaProducer
from kafka.errors import KafkaError

from monitor.kafka.names import topic

LARGEST = 1_000_000  # bytes of a message: what Kafka itself takes at most, and some
CONFIRMED_WITHIN = 240.0  # seconds, however long the broker is away meanwhile
AT_ONCE = 200


class Letter(NamedTuple):
    """A line on its way to the topic of a site."""

    site: str
    line: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class Client(Protocol):
    """A publisher of some library."""

    def deliver(self, letters: Sequence[Letter]) -> list[Letter]:
        """Send letters, in order; returns those of which it is not known whether they arrived."""

    def close(self) -> None: ...


class KafkaPython:
    """kafka-python, idempotent as it is by itself."""

    def __init__(self, servers: str) -> None:
        self._producer = KafkaProducer(
            bootstrap_servers=servers, acks="all", linger_ms=5, max_request_size=2 * LARGEST, delivery_timeout_ms=60_000
        )

    def deliver(self, letters: Sequence[Letter]) -> list[Letter]:
        sent = [self._send(letter) for letter in letters]
        with suppress(KafkaError):
            self._producer.flush(60)
        has_arrived = [each is not None and bool(each.succeeded()) for each in sent]
        return [letter for letter, arrived in zip(letters, has_arrived, strict=True) if not arrived]

    def _send(self, letter: Letter) -> Any:
        with suppress(KafkaError):
            return self._producer.send(topic("in", letter.site), letter.line, headers=list(letter.headers))
        return None

    def close(self) -> None:
        self._producer.close(5)


class Librdkafka:
    """librdkafka by way of confluent-kafka; `transactional` hospitals commit or abort what they deliver."""

    def __init__(self, servers: str, transactional_id: str | None = None) -> None:
        given: dict[str, Any] = {
            "bootstrap.servers": servers, "enable.idempotence": True, "linger.ms": 5, "message.max.bytes": 2 * LARGEST,
            "message.timeout.ms": 60_000, "log_level": 0,
        }  # fmt: skip
        if transactional_id is not None:
            given["transactional.id"] = transactional_id
        self._producer = Producer(given)
        if transactional_id is not None:
            self._producer.init_transactions(60)

    def deliver(self, letters: Sequence[Letter]) -> list[Letter]:
        left = dict(enumerate(letters))

        def told(place: int) -> Callable[[Any, Any], None]:
            def note(error: Any, _: Any) -> None:
                if error is None:
                    del left[place]

            return note

        for place, letter in enumerate(letters):
            with suppress(BufferError, KafkaException):
                self._producer.produce(
                    topic("in", letter.site), letter.line, headers=list(letter.headers), on_delivery=told(place)
                )
            self._producer.poll(0)
        self._producer.flush(70)
        return list(left.values())

    def in_transaction(self, letters: Sequence[Letter], *, abort: bool) -> None:
        """Deliver letters all or none: none where the hospital thinks better of it."""
        self._producer.begin_transaction()
        assert self.deliver(letters) == []
        if abort:
            self._producer.abort_transaction(60)
        else:
            self._producer.commit_transaction(60)

    def close(self) -> None:
        self._producer.flush(5)


class Aiokafka:
    """aiokafka, idempotent, its loop in a thread of its own."""

    def __init__(self, servers: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._producer: Any = self._run(self._started(servers), 60)

    async def _started(self, servers: str) -> Any:
        producer = AIOKafkaProducer(
            bootstrap_servers=servers, enable_idempotence=True, linger_ms=5, max_request_size=2 * LARGEST
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        return producer

    def _run(self, task: Any, seconds: float) -> Any:
        return asyncio.run_coroutine_threadsafe(asyncio.wait_for(task, seconds), self._loop).result()

    def deliver(self, letters: Sequence[Letter]) -> list[Letter]:
        done: set[int] = set()
        with suppress(TimeoutError):
            self._run(self._deliver(letters, done), 90)
        return [letter for place, letter in enumerate(letters) if place not in done]

    async def _deliver(self, letters: Sequence[Letter], done: set[int]) -> None:
        async def one(place: int) -> None:
            with suppress(AiokafkaError):
                await sent[place]
                done.add(place)

        sent = [
            await self._producer.send(topic("in", letter.site), letter.line, headers=list(letter.headers))
            for letter in letters
        ]
        await asyncio.gather(*(one(place) for place in range(len(letters))))

    def close(self) -> None:
        with suppress(TimeoutError, AiokafkaError):
            self._run(self._producer.stop(), 10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


CLIENTS: dict[str, Callable[[str], Client]] = {
    "kafka-python": KafkaPython, "librdkafka": Librdkafka, "aiokafka": Aiokafka
}  # fmt: skip


class Publisher(threading.Thread):
    """Publishes letters by one client, at a rate if one is given. `confirmed` holds what the broker said it has.

    What is not confirmed is sent again by a new client, as a hospital's interface would: so it may arrive twice.
    """

    def __init__(self, client: str, servers: str, letters: Iterable[Letter], per_second: float | None = None) -> None:
        super().__init__(daemon=True, name=f"publisher by {client}")
        self._opened = CLIENTS[client]
        self._servers = servers
        self._letters = iter(letters)
        self._per_second = per_second
        self._stops = threading.Event()
        self.confirmed: list[Letter] = []
        self.failed: BaseException | None = None

    def run(self) -> None:
        try:
            self._publish()
        except BaseException as error:  # noqa: BLE001  `finish` raises it where the test sees it
            self.failed = error

    def _publish(self) -> None:
        client = self._client()
        try:
            for letters in self._windows():
                client = self._confirm(client, letters)
        finally:
            client.close()

    def _windows(self) -> Iterator[list[Letter]]:
        """Letters that are sent together: as many as are due by now."""
        began, sent = time.monotonic(), 0
        while not self._stops.is_set():
            due = AT_ONCE
            if self._per_second is not None:
                due = min(AT_ONCE, int((time.monotonic() - began) * self._per_second) - sent)
            if due <= 0:
                self._stops.wait(0.01)
                continue
            window = list(islice(self._letters, due))
            if not window:
                return
            sent += len(window)
            yield window

    def _confirm(self, client: Client, letters: list[Letter]) -> Client:
        deadline = time.monotonic() + CONFIRMED_WITHIN
        left = letters
        while left := client.deliver(left):
            assert time.monotonic() < deadline, f"{len(left)} lines were not confirmed by {self.name}"
            client.close()  # a producer that failed once may refuse everything from then on
            client = self._client()
        self.confirmed += letters
        return client

    def _client(self) -> Client:
        deadline = time.monotonic() + CONFIRMED_WITHIN
        while True:
            try:
                return self._opened(self._servers)
            except (KafkaError, AiokafkaError, KafkaException, TimeoutError, OSError):
                if time.monotonic() > deadline:
                    raise
                self._stops.wait(0.5)

    def stop(self) -> None:
        """No further letters."""
        self._stops.set()

    def finish(self) -> None:
        """Wait until all is confirmed. Raises what the publisher failed on."""
        self.join(3600)
        assert not self.is_alive(), f"{self.name} does not end"
        if self.failed is not None:
            raise self.failed


@contextmanager
def brokers_may_die() -> Iterator[None]:
    """What the clients log of it holds on to sockets that kafka-python leaves to the collector of garbage; it tells."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def publish(servers: str, letters: Iterable[Letter], client: str = "librdkafka") -> None:
    """Publish letters; when this returns, all are confirmed."""
    publisher = Publisher(client, servers, letters)
    publisher.start()
    publisher.finish()
