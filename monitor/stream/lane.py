"""One inbound topic as a worker reads it: where it stands, what waits, what is under way."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from monitor.kafka.names import site_of
from monitor.log import LogRefusedError

log = logging.getLogger("jakwatch")

MOST_IN_A_BATCH = 500
"""Messages of one transaction: more would keep the other sites waiting, and no more are needed for speed."""

MOST_WAITING, MOST_WAITING_BYTES = 2_000, 16 << 20
"""Beyond it the topic is not read on: each site is held back by itself alone."""

MOST_BYTES_IN_A_BATCH = 4 << 20
TRAILING_SECONDS = 2.0
FAILURES, WITHIN_SECONDS = 5, 600.0
"""So often a site may be taken anew before it is parked; what went wrong longer ago is forgotten."""


@dataclass(eq=False, slots=True)
class Batch:
    """Messages of one site that become one transaction."""

    lane: Lane
    records: list[Any]
    end: int  # offset behind the last of them, aborted ones and markers included
    task: asyncio.Task[None] | None = None


@dataclass(eq=False, slots=True)
class Lane:
    """One site's inbound topic.

    Everything below `position` is in the site's log. [position, read) is the batch under way and what waits.
    """

    site: str
    position: int = 0
    read: int = 0
    waiting: deque[Any] = field(default_factory=deque)
    waiting_bytes: int = 0
    batch: Batch | None = None
    live: bool = False
    resumes: float = 0.0  # when it is no longer left alone (monotonic)
    parked: str | None = None  # why it is left alone until somebody looks
    taking: asyncio.Task[None] | None = None
    told: str = ""  # what was said last of why it does not go on
    read_at: float = 0.0  # when `read` moved last (monotonic)
    failures: deque[float] = field(default_factory=deque)
    end: int | None = None  # offset behind the last message of the topic, as far as known

    @property
    def wants(self) -> bool:
        """Whether more may be read."""
        has_room = len(self.waiting) < MOST_WAITING and self.waiting_bytes < MOST_WAITING_BYTES
        return self.live and has_room and not self.is_paused

    @property
    def is_paused(self) -> bool:
        """Whether the site is left alone for a while."""
        return self.resumes > time.monotonic()

    @property
    def is_busy(self) -> bool:
        """Whether a batch is under way of which nobody knows yet how it ends."""
        return self.batch is not None and self.batch.task is not None and not self.batch.task.done()

    @property
    def lag(self) -> int | None:
        """Offsets from what is kept to the end of the topic, as far as known."""
        at = self.read if not self.waiting and self.batch is None else self.position
        return None if self.end is None else max(0, self.end - at)

    def begin(self, position: int) -> None:
        """Read from here."""
        self.position, self.live, self.told = position, True, ""
        self.rewind()

    def rewind(self) -> None:
        """Forget what was read and not kept; it is read again."""
        self._forget()
        self.batch, self.read = None, self.position

    def stop(self) -> None:
        """What waits is forgotten; a batch under way may end."""
        if self.batch is None or self.batch.task is None:
            self.rewind()
        else:
            self._forget()
            self.read = self.batch.end

    def _forget(self) -> None:
        self.waiting.clear()
        self.waiting_bytes = 0

    def note(self, records: Iterable[Any], read: int, end: int | None) -> None:
        """What a poll found: records, the offset behind them, and the end of the topic as far as it is known."""
        for record in records:
            self.waiting.append(record)
            self.waiting_bytes += _size(record)
        if read != self.read:
            self.read, self.read_at = read, time.monotonic()
        self.end = end

    def cut(self) -> Batch | None:
        """The next batch, if there is something to do and nothing under way.

        It is empty where nothing came for a while but marks of transactions: then only the position moves on.
        """
        if self.batch is not None or not self.live or self.is_paused:
            return None
        if not self.waiting:
            trails = self.read > self.position and time.monotonic() > self.read_at + TRAILING_SECONDS
            self.batch = Batch(self, [], self.read) if trails else None
            return self.batch
        records: list[Any] = []
        size = 0
        while self.waiting and len(records) < MOST_IN_A_BATCH and size < MOST_BYTES_IN_A_BATCH:
            records.append(self.waiting.popleft())
            size += _size(records[-1])
        self.waiting_bytes -= size
        end = records[-1].offset + 1 if self.waiting else self.read
        self.batch = Batch(self, records, end)
        return self.batch

    def finish(self, batch: Batch, pause: float) -> None:
        """The batch is kept; leave the site alone for some seconds."""
        self.batch, self.position = None, batch.end
        if pause:
            self.resumes = time.monotonic() + pause
            self.rewind()  # nobody would hand over what waits in a lane that wants no more

    def failed(self) -> int:
        """Note a failure; returns how many there were lately."""
        now = time.monotonic()
        self.failures.append(now)
        while self.failures[0] < now - WITHIN_SECONDS:
            self.failures.popleft()
        return len(self.failures)


def _size(record: Any) -> int:
    return len(record.value or b"")


def where_to_read(name: str, position: int | None, first: int, end: int) -> int:
    """The offset to read a topic from. Raises LogRefusedError where it does not continue what was read before."""
    if position is None:
        return first
    if end < position:
        raise LogRefusedError(
            f"{name} ends at offset {end}, but was read up to {position}: it was cut or made anew. Do next: ask the "
            "hospital what it published since it was last answered, and have that published again; then "
            f"`jakwatch topics reread --site {site_of(name)}`"
        )
    if first > position:
        log.error("%s begins at offset %d, was read up to %d: messages expired unread", name, first, position)
    return max(first, position)
