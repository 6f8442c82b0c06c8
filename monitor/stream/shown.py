"""What a replica shows: what the single machine would, and beside it how far that goes and what is not known."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from monitor.metrics.platform import ReplicaState, SiteOfReplica, digest_number, rules_in_use
from monitor.overview import Overview
from monitor.records import instant_text
from monitor.rulebook import check_key
from monitor.stream.followed import Followed
from monitor.stream.replica import Replica
from monitor.stream.standing import ReplicaOverview, ReplicaStanding, SiteStanding
from monitor.view import NotKnownError, View

_sorted_json = msgspec.json.Encoder(order="sorted").encode


class ReplicaView(View):
    """Looks at a replica from its own thread."""

    def __init__(self, replica: Replica) -> None:
        super().__init__(replica)
        self.sites = replica
        self._shown: ReplicaOverview | None = None
        self._of: dict[str, Any] | None = None  # the result that the digest is of
        self._digest: str | None = None
        given = replica.given
        self._rules = rules_in_use(given.policies, given.registry, check_key(None, given.key, ""))

    def overview(self) -> Overview:
        """Without one of the sites there are no rates: of a part they are other numbers."""
        seen, is_whole = super().overview(), not self.sites.not_shown()
        if self._of is not seen.result:
            self._of, self._digest = seen.result, self._digest_of(seen)
        fields = {each.name: getattr(seen, each.name) for each in dataclasses.fields(Overview)}
        fields["trouble"] = self.sites.not_as_it_is()
        if not is_whole:
            fields["result"] = seen.result | {"rates": []}
        self._shown = ReplicaOverview(**fields, digest=self._digest if is_whole else None, replica=self._standing())
        return self._shown

    @property
    def last(self) -> Overview | None:
        return self._shown

    def result(self, as_of: int | None = None) -> dict[str, Any]:
        if missing := self.sites.not_shown():
            raise NotKnownError(f"{len(missing)} of {len(self.sites.names)} sites are not read yet: {missing[0]}")
        return super().result(as_of)

    # How far

    def _standing(self) -> ReplicaStanding:
        replica = self.sites
        silent_since = replica.seen.silent_since
        return ReplicaStanding(
            sites=tuple(self._standing_of(site) for site in replica.names),
            actions=len(replica.decisions),
            actions_offset=replica.decisions.contents.offset,
            actions_unreadable=replica.decisions.unreadable,
            kafka_silent_since=None if silent_since is None else instant_text(silent_since),
            not_activated=tuple(each.version for each in replica.not_activated()),
        )

    def _standing_of(self, site: str) -> SiteStanding:
        replica = self.sites
        shown, seen = replica.followed.get(site), replica.seen.sites.get(site)
        followed = shown or replica.coming.get(site)
        comparison = replica.comparisons.get(site)
        known = followed.facts.offset if followed else 0
        is_told = seen is not None and replica.seen.silent_since is None
        return SiteStanding(
            site=site,
            state=self._state(site),
            trouble=replica.unreadable.get(site),
            facts_offset=known,
            answers_offset=followed.out.offset if followed else 0,
            inbound_offset=followed.position if followed else None,
            inbound_end=seen.inbound_end if seen else None,
            written_at=None if followed is None or followed.written_at is None else instant_text(followed.written_at),
            behind_seconds=seen.behind_seconds if seen and is_told else None,
            waiting_seconds=seen.waiting_seconds if seen and is_told else None,
            has_owner=seen.has_owner if seen and is_told else None,
            versions_not_given=self._versions_not_given(followed),
            answers_differing=comparison.differing(replica.now()) if comparison and comparison.is_complete else None,
            sha256=shown.digest() if shown else None,
        )

    def _state(self, site: str) -> str:
        replica = self.sites
        if site in replica.unreadable:
            return "unreadable"
        if replica.seen.was_asked and site not in replica.seen.sites:
            return "unseen"
        return "read" if site in replica.followed and site not in replica.coming else "reading"

    def _versions_not_given(self, followed: Followed | None) -> tuple[int, ...]:
        given = {each.policy.version for each in self.sites.given.policies}
        answered = followed.versions if followed else {}
        return tuple(sorted(version for version, count in answered.items() if count and version not in given))

    # The digest

    def _digest_of(self, seen: Overview) -> str:
        """Of all that is held and of what it comes to; nothing in it can be told from the hash."""
        replica = self.sites
        held = {
            "sites": {site: followed.digest() for site, followed in replica.followed.items()},
            "actions": replica.decisions.contents.told,
            "policies": [each.sha256 for each in replica.rules.policies],
            "registry": [each.sha256 for each in (replica.given.registry.versions if replica.given.registry else ())],
            "today": seen.today,
            "result": {name: value for name, value in seen.result.items() if name != "program"},
            "cases": [(case.site, case.treatment_id, case.kind, case.since) for case in seen.cases],
            "closed_cases": seen.closed_cases,
            "holds": seen.holds,
            "awaiting": seen.awaiting,
        }
        return hashlib.sha256(_sorted_json(held)).hexdigest()

    def replica(self, overview: Overview) -> ReplicaState | None:
        standing = overview.replica if isinstance(overview, ReplicaOverview) else None
        if standing is None:
            return None
        canary = self.sites.canary_seen
        return ReplicaState(self._rules, tuple(_of_metrics(standing)), instant_text(canary) if canary else None)


def _of_metrics(standing: ReplicaStanding) -> Iterator[SiteOfReplica]:
    for each in standing.sites:
        digest = None if each.sha256 is None else digest_number(bytes.fromhex(each.sha256))
        is_loading = each.site in standing.not_shown
        yield SiteOfReplica(each.site, is_loading, each.behind_seconds, each.facts_offset, digest)
