"""Versions of the policy and of the registry that were given or activated, but not both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from monitor.core.activation import active_policies, lacking_versions, latest_day
from monitor.core.days import iso
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.doctor.said import Said, finding, or_ok
from schemas import actions as act

CHECK = "activation"
_OPTION = {"policy": "--policy", "sites": "--sites"}


def activation(
    policies: Sequence[PolicyDocument], registry: Registry | None, decided: Iterable[act.Action], now: int
) -> Iterator[Said]:
    """Versions of the policy that nobody activated, and versions activated that were not given here.

    `now` is an instant: microseconds since 1970.
    """
    decided = list(decided)
    active, begun = active_policies(policies, decided, registry), latest_day(registry, now)
    findings = [_dormant(each, begun) for each in policies if each not in active]
    findings += [
        finding(
            CHECK,
            f"version {each.version} of {each.what} ({each.sha256[:8]}...) was activated and is not given here",
            f"give it beside the others by {_OPTION[each.what]}, to all processes too",
        )
        for each in lacking_versions(policies, registry, decided)
    ]
    yield from or_ok(
        CHECK, findings, f"{len(active)} of {len(policies)} versions of the policy are in force or will be"
    )


def _dormant(policy: PolicyDocument, begun: int) -> Said:
    head = policy.policy
    first_day = head.effective_from.toordinal()
    text = f"version {head.version} of the policy is given, and nobody activated it before {iso(first_day)}"
    if first_day <= begun:
        return finding(CHECK, text, "give a further version that begins later, and activate that before its day")
    text = f"version {head.version} of the policy is given, and nobody has activated it: on {iso(first_day)} it is void"
    todo = f"have `activate` with its sha256 {policy.sha256} sent to /v1/actions of a view before that day"
    return finding(CHECK, text, todo)
