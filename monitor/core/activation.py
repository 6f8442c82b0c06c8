"""Which versions of the policy are in force: the first, and those that a person activated before their first day.

An activation that came when the day had begun anywhere would judge anew what was answered already: it is void. So what
is in force is a pure function of what was given and what was decided, the same today and in a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zoneinfo import ZoneInfo

from monitor.core.days import instant, local_day
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from schemas import actions as act


class Lacking(NamedTuple):
    """A version that was activated and that a process was not given."""

    what: str  # policy or sites
    version: int
    sha256: str
    first_day: int  # ordinal; 0 where the activation does not say


def latest_day(registry: Registry | None, at: int) -> int:
    """The latest day that has begun at any registered site at an instant; in UTC where no site is registered.

    Versions of the registry that begin after that day do not count: else one that is added later would change what was
    in time.
    """
    day = local_day(at, None)
    if registry is None:
        return day
    begun = [one for one in registry.versions if one.registry.effective_from.toordinal() <= day]
    zones = {site.zone for one in begun or registry.versions[:1] for site in one.sites.values()}
    return max(local_day(at, ZoneInfo(zone)) for zone in zones)


def active_policies(
    policies: Sequence[PolicyDocument], actions: Iterable[act.Action], registry: Registry | None
) -> tuple[PolicyDocument, ...]:
    """Those of some versions, sorted by their first day, that judge: the first by itself, a later one if activated."""
    decided = [each for each in _activations(actions) if each.what == "policy"]
    later = (each for each in policies[1:] if any(_activates(one, each, registry) for one in decided))
    return (*policies[:1], *later)


def lacking_versions(
    policies: Sequence[PolicyDocument], registry: Registry | None, actions: Iterable[act.Action]
) -> list[Lacking]:
    """What was activated in time and is not among the versions given, the earliest first.

    A version of the registry is in force without an activation, so one that came late counts as well.
    """
    given = {("policy", each.policy.version, each.sha256) for each in policies}
    given |= {("sites", each.registry.version, each.sha256) for each in (registry.versions if registry else ())}
    found = {
        Lacking(each.what, each.version, each.sha256, first_day)
        for each in _activations(actions)
        if (each.what, each.version, each.sha256) not in given
        and ((first_day := _first_day(each)) == 0 or each.what == "sites" or _is_in_time(each, first_day, registry))
    }
    return sorted(found, key=lambda one: (one.first_day, one))


def _activations(actions: Iterable[act.Action]) -> list[act.Activate]:
    return [each for each in actions if isinstance(each, act.Activate)]


def _first_day(action: act.Activate) -> int:
    return 0 if action.effective_from is None else action.effective_from.toordinal()


def _activates(action: act.Activate, policy: PolicyDocument, registry: Registry | None) -> bool:
    names_it = (action.version, action.sha256) == (policy.policy.version, policy.sha256)
    return names_it and _is_in_time(action, policy.policy.effective_from.toordinal(), registry)


def _is_in_time(action: act.Activate, first_day: int, registry: Registry | None) -> bool:
    return latest_day(registry, instant(action.at)) < first_day
