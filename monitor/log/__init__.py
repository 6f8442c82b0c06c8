"""The log of a site: the system of record. Everything else a process holds is computed from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from monitor.core.batch import News
from monitor.records import Course, Rejected, Tally


class LogUnusableError(Exception):
    """The log is none of ours, or one that this version or this key cannot go on with; the text says what to do."""


class LogFullError(Exception):
    """There is no room: nothing of the transaction was kept, and the same may be tried again once there is."""


class LogRefusedError(Exception):
    """A transaction was refused for good, mostly since somebody else owns the site now: nothing of it was kept."""


class LogUnreachableError(Exception):
    """The log does not answer. Whether a transaction was kept is found out by reading it again."""


class LogChangedError(Exception):
    """The log holds less than what was read of it, since something was erased: it is to be read anew."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """What one batch of one site comes to. It is kept whole or not at all."""

    site: str
    tally: Tally
    facts: Sequence[bytes] = ()  # `records.fact_record`
    news: Sequence[News] = ()  # the same as the core holds them, for logs that keep each under its key
    answers: Mapping[Course, bytes] = field(default_factory=dict)  # `records.write_answer`
    rejections: Sequence[Rejected] = ()
    position: Mapping[str, int] = field(default_factory=dict)  # channel -> the next place to read
    at: int = 0  # instant, of all of it


class SiteLog(Protocol):
    """One log per site, facts append-only and answers by course."""

    def sites(self) -> list[str]:
        """All sites of which anything was kept."""

    def facts(self, site: str) -> Iterator[bytes]:
        """All facts in the order in which they were kept."""

    def answers(self, site: str) -> Iterator[tuple[Course, bytes]]:
        """The standing answer of each course."""

    def tally(self, site: str) -> Tally:
        """What had arrived with the last transaction."""

    def position(self, site: str) -> dict[str, int]:
        """Per channel the next place to read."""

    def rejections(self, site: str, channel: str) -> Iterator[Rejected]:
        """What was rejected of a channel, in the order of its places."""

    def append(self, transaction: Transaction) -> None:
        """Keep a transaction: durable when this returns. Raises LogFullError if there is no room."""
