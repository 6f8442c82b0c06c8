"""What a replica says of itself: how far it has read, and what it does not know. Plain values, ready to be printed.

Instants are RFC 3339 text in UTC. Offsets are of the next record. No value here names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.overview import Overview


class SeenSite(NamedTuple):
    """What the brokers say of a site's topics. What we may not ask them is None."""

    behind_seconds: float  # how long, at least, the oldest record of its log that was not read has been there; 0: none
    inbound_end: int | None = None
    waiting_seconds: float | None = None  # the same of its inbound topic and what its owner has taken in
    has_owner: bool | None = None  # False: something waits there, and for a while nobody has taken in anything


@dataclass(frozen=True, slots=True)
class Seen:
    """What the brokers said last."""

    sites: Mapping[str, SeenSite] = field(default_factory=dict)  # those whose topics there are
    silent_since: int | None = None  # since when (instant) they have not answered
    was_asked: bool = False


@dataclass(frozen=True, slots=True)
class SiteStanding:
    """How far a site was read. Without `sha256` nothing of it is shown."""

    site: str
    state: str  # `read`, `reading`, `unreadable`, or `unseen`: no topics of it can be seen
    trouble: str | None  # why what is shown of it is not what it should be, and what to do
    facts_offset: int
    answers_offset: int
    inbound_offset: int | None  # up to where its owner has taken in what the hospital published
    inbound_end: int | None
    written_at: str | None  # when its owner last took in something
    behind_seconds: float | None
    waiting_seconds: float | None
    has_owner: bool | None
    versions_not_given: tuple[int, ...]  # of the policy, by which it was answered and which this replica lacks
    answers_differing: int | None  # from what our own rules say, for longer than they may; None: not compared yet
    sha256: str | None  # of all that is held of it at these offsets


@dataclass(frozen=True, slots=True)
class ReplicaStanding:
    """How far all was read."""

    sites: tuple[SiteStanding, ...]  # all that the registry knows
    actions: int
    actions_offset: int
    actions_unreadable: int
    kafka_silent_since: str | None
    not_activated: tuple[int, ...]  # versions of the policy that were given and have no effect

    @property
    def not_shown(self) -> tuple[str, ...]:
        """The sites that nothing is shown of."""
        return tuple(each.site for each in self.sites if each.sha256 is None)


@dataclass(frozen=True, slots=True)
class ReplicaOverview(Overview):
    """An overview that says how far it goes. `digest` is that of another replica at the same offsets of one day."""

    digest: str | None = None  # SHA-256 in hexadecimal; None while a site is not shown
    replica: ReplicaStanding | None = None
