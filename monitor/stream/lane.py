"""One inbound topic as a worker reads it: where it stands, what waits, what is under way."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MOST_IN_A_BATCH = 500
"""Messages of one transaction: more would keep the other sites waiting, and no more are needed for speed."""

MOST_WAITING = 2_000  # beyond it the topic is not read on: each site is held back by itself alone
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
        return self.live and len(self.waiting) < MOST_WAITING and not self.is_paused

    @property
    def is_paused(self) -> bool:
        """Whether the site is left alone for a while."""
        return self.resumes > time.monotonic()

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
        self.waiting.clear()
        self.batch, self.read = None, self.position

    def stop(self) -> None:
        """What waits is forgotten; a batch under way may end."""
        if self.batch is None or self.batch.task is None:
            self.rewind()
        else:
            self.waiting.clear()
            self.read = self.batch.end

    def note(self, records: Iterable[Any], read: int, end: int | None) -> None:
        """What a poll found: records, the offset behind them, and the end of the topic as far as it is known."""
        self.waiting.extend(records)
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
        records = [self.waiting.popleft() for _ in range(min(MOST_IN_A_BATCH, len(self.waiting)))]
        end = records[-1].offset + 1 if self.waiting else self.read
        self.batch = Batch(self, records, end)
        return self.batch

    def finish(self, batch: Batch, pause: float) -> None:
        """The batch is kept; leave the site alone for some seconds."""
        self.batch, self.position = None, batch.end
        self.resumes = time.monotonic() + pause if pause else 0.0

    def failed(self) -> int:
        """Note a failure; returns how many there were lately."""
        now = time.monotonic()
        self.failures.append(now)
        while self.failures[0] < now - WITHIN_SECONDS:
            self.failures.popleft()
        return len(self.failures)
