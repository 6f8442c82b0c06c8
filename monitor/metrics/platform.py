"""What the processes on Kafka say of themselves, beside or instead of an overview: workers and replicas.

A process fills one of these values for every scrape and hands it to `monitor.metrics.exposition`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.metrics import catalogue as c
from monitor.metrics.readings import Sample, moment

DIGEST_BITS = 48  # a sample is a float, which holds 53 bits exactly
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class RulesInUse:
    """What a process judges by: hashes in hexadecimal, which tell nothing of what they are made from."""

    policies: str
    registries: str  # `-` without a registry
    key: str  # fingerprint of the pseudonym key, as the log has it


def rules_in_use(policies: Sequence[PolicyDocument], registry: Registry | None, key: str) -> RulesInUse:
    """Of all versions that a process was given; `key` is the fingerprint of the pseudonym key."""
    versions = () if registry is None else registry.versions
    return RulesInUse(_one_hash([each.sha256 for each in policies]), _one_hash([each.sha256 for each in versions]), key)


def _one_hash(hashes: Sequence[str]) -> str:
    return sha256("\n".join(sorted(hashes)).encode()).hexdigest()[:16] if hashes else NOTHING


def digest_number(digest: bytes) -> int:
    """The first 48 bits of a digest as a number that a sample holds exactly. `digest`: at least 6 bytes."""
    return int.from_bytes(digest[: DIGEST_BITS // 8])


@dataclass(frozen=True, slots=True)
class SiteOfWorker:
    """One registered site, as a worker sees it."""

    site: str
    is_owned: bool
    is_loading: bool = False  # it owns the site and still reads its facts
    is_paused: bool = False
    lag_seconds: float | None = None  # age of the oldest message not taken in, 0 without any; None: not the owner
    rejected_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker (`jakwatch monitor`) at one moment."""

    program: str  # version
    live_since: str  # instant at which the process began to serve
    trouble: str | None  # why it takes nothing in
    rules: RulesInUse
    sites: tuple[SiteOfWorker, ...]  # every registered one, so that the one without an owner is seen


@dataclass(frozen=True, slots=True)
class SiteOfReplica:
    """One site, as a replica has read it."""

    site: str
    is_loading: bool  # until it has once read up to what was there when it began
    behind_seconds: float | None  # age of the oldest record not read, 0 without any; None: the broker does not say
    offset: int | None  # up to where its facts were read: of the next record
    digest: int | None = None  # of all it holds of the site at that offset, by `digest_number`


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What a replica (`jakwatch view`) says beside its overview."""

    rules: RulesInUse
    sites: tuple[SiteOfReplica, ...]
    canary_seen_at: str | None = None  # instant at which the canary's violation was last seen after it was published

    @property
    def loading(self) -> frozenset[str]:
        """The sites of which nothing else is said yet."""
        return frozenset(each.site for each in self.sites if each.is_loading)


def worker_samples(state: WorkerState) -> Iterator[tuple[c.Metric, list[Sample]]]:
    """Each metric of a worker; of a site that another owns only that this one does not."""
    owned = [each for each in state.sites if each.is_owned]
    yield c.BUILD, [((state.program,), 1)]
    yield c.READY, [((), int(state.trouble is None))]
    yield c.LIVE_SINCE, [((), moment(state.live_since))]
    yield c.RULES, _rules(state.rules)
    yield c.LOADING, [((each.site,), int(each.is_loading)) for each in owned]
    yield c.OWNED, [((each.site,), int(each.is_owned)) for each in state.sites]
    yield c.LAG, [((each.site,), each.lag_seconds) for each in owned if each.lag_seconds is not None]
    yield c.PAUSED, [((each.site,), int(each.is_paused)) for each in owned]
    yield c.REJECTED_IN_A_ROW, [((each.site,), each.rejected_in_a_row) for each in owned]


def replica_samples(state: ReplicaState) -> Iterator[tuple[c.Metric, list[Sample]]]:
    """Each metric that a replica adds to its overview."""
    yield c.RULES, _rules(state.rules)
    yield c.LOADING, [((each.site,), int(each.is_loading)) for each in state.sites]
    yield c.BEHIND, list(_known(state, lambda each: each.behind_seconds))
    yield c.OFFSET, list(_known(state, lambda each: each.offset))
    yield c.DIGEST, list(_known(state, lambda each: each.digest))
    yield c.CANARY, [] if state.canary_seen_at is None else [((), moment(state.canary_seen_at))]


def _rules(rules: RulesInUse) -> list[Sample]:
    return [((rules.policies, rules.registries, rules.key), 1)]


def _known(state: ReplicaState, number: Callable[[SiteOfReplica], float | None]) -> Iterator[Sample]:
    for each in state.sites:
        if (value := number(each)) is not None:
            yield (each.site,), value
