"""What a reader of committed records sees of topics, read by another client library than the one that wrote them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from confluent_kafka import Consumer, KafkaError, TopicPartition

PATIENCE = 180.0  # seconds without anything new; a broker that was killed on a busy machine is slow to come back


class Seen(NamedTuple):
    """A record as a reader of the topic sees it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    at: int  # when it was appended, in milliseconds since 1970


class Watch:
    """Follows topics of one partition from their beginning, without a group; what was seen once is never forgotten.

    So nothing that compaction may remove later, and nothing that vanishes after it was seen, escapes it.
    """

    def __init__(self, servers: str, topics: Iterable[str]) -> None:
        self.seen: dict[str, list[Seen]] = {name: [] for name in topics}
        self.next: dict[str, int] = dict.fromkeys(self.seen, 0)  # where to read on
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": "of nobody",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
                "fetch.queue.backoff.ms": 20,
                "log_level": 0,  # a broker that is killed on purpose is no news
            }
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def add(self, topics: Iterable[str]) -> None:
        """Follow these too, which are there by now."""
        for name in topics:
            self.seen[name], self.next[name] = [], 0

    def read(self, topics: Iterable[str] | None = None) -> None:
        """Read on, up to the ends that topics have now. Raises TimeoutError."""
        left = set(self.seen if topics is None else topics)
        self._consumer.assign([TopicPartition(name, 0, self.next[name]) for name in left])
        patience = time.monotonic() + PATIENCE
        while left:
            got = self._consumer.consume(2_000, timeout=0.5)
            left -= {name for each in got if (name := self._noted(each)) is not None}
            patience = time.monotonic() + PATIENCE if got else patience
            if time.monotonic() > patience:
                raise TimeoutError(f"within {PATIENCE:.0f} seconds no more was heard of {sorted(left)[:3]}")
        self._consumer.unassign()

    def _noted(self, message: Any) -> str | None:
        """Keep a record; returns the topic where it was read to its end."""
        error, name = message.error(), message.topic()
        if error is None and message.offset() < self.next[name]:
            return None  # of an earlier round
        if error is None:
            self.seen[name].append(_seen(message))
            self.next[name] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  so the library names it
            self.next[name] = max(self.next[name], message.offset())
            return str(name)
        elif error.code() == KafkaError.OFFSET_OUT_OF_RANGE:
            raise AssertionError(f"{name} ends before offset {self.next[name]}, up to which it was read")
        return None


def _seen(message: Any) -> Seen:
    return Seen(
        message.offset(), message.key(), message.value(), tuple(message.headers() or ()), message.timestamp()[1]
    )


def read_topics(servers: str, topics: Sequence[str]) -> dict[str, list[Seen]]:
    """All that is committed in topics by now."""
    with Watch(servers, topics) as watch:
        watch.read()
    return watch.seen
