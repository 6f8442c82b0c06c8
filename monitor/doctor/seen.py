"""What can be seen of a site in its topics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

MOST_REJECTED = 10_000  # beyond it nobody counts


class Kept(NamedTuple):
    """Of the log of a site: which key wrote it, up to where its inbound topic was read, and when that was written."""

    mark: str | None = None
    position: int | None = None
    moved: float | None = None  # seconds since 1970


class Inbound(NamedTuple):
    """Of an inbound topic: its bounds, and when the oldest message arrived that was not taken in, if one waits."""

    first: int
    end: int
    oldest: float | None


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a site; None where our user may not read."""

    site: str
    kept: Kept | None
    inbound: Inbound | None
    rejected: Counter[str] | None  # by reason; at most MOST_REJECTED
