"""Which versions of policy and registry a log was judged by: they may be added to, and never changed underneath it.

Whoever changes a version, or leaves out one that was in force, would have every decision of the past judged anew, and
every patient of the past named anew, without a word.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Sequence

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.log import LogUnusableError

Versions = dict[str, tuple[str, int]]
"""Version -> (hash of what it says, first day in force)."""


def check_key(known: str | None, key: bytes, where: str) -> str:
    """The fingerprint of a pseudonym key, if it is the one that a log knows already (None: it knows none yet).

    Another key would make another patient of each. Raises LogUnusableError.
    """
    mark = hmac.digest(key, b"jakwatch: fingerprint of the pseudonym key", "sha256").hex()[:16]
    if known not in (None, mark):
        raise LogUnusableError(
            f"{where} was written with another pseudonym key (fingerprint {known}, given: {mark}). "
            "Put the right key file back: with another one every patient would count as somebody else."
        )
    return mark


def check_versions(
    noted: str | None, received: int, policies: Sequence[PolicyDocument], registry: Registry | None, today: int
) -> str:
    """What to note of the versions, if all that were in force (`noted`) are given and say the same as then.

    `policies` are those that judge (`Sites.rules`): what was given and never activated was never in force, and may be
    changed or left out. `received` is the instant of the latest message; a log that holds none yet may be begun with
    any versions. Raises LogUnusableError.
    """
    given: dict[str, Versions] = {
        "policy": {
            str(each.policy.version): (each.sha256, each.policy.effective_from.toordinal()) for each in policies
        },
        "sites": {
            str(each.registry.version): (each.sha256, each.registry.effective_from.toordinal())
            for each in (registry.versions if registry else ())
        },
    }
    known: dict[str, Versions] = json.loads(noted or "{}") if received else {}
    for version, (_, begins) in given["policy"].items():
        if begins < _first_day(known.get("policy", {})):
            raise LogUnusableError(
                f"version {version} of the policy begins before the first that judged here, and would judge all of "
                "that anew. Let it begin later, and activate it before its day."
            )
    for what, versions in known.items():
        first = _first_day(versions)
        for version, (sha256, begins) in versions.items():
            if begins <= max(first, today):  # before the first the first is in force
                _check(what, version, sha256, given[what].get(version))
    return json.dumps(given)  # of what was in force all is given; what never was may be taken back


def _first_day(versions: Versions) -> int:
    return min((begins for _, begins in versions.values()), default=0)


def _check(what: str, version: str, sha256: str, given: tuple[str, int] | None) -> None:
    name = {"policy": "the policy", "sites": "the site registry"}[what]
    if given is None:
        raise LogUnusableError(
            f"version {version} of {name} was in force here and is not given: give it beside its later versions "
            f"({'--policy' if what == 'policy' else '--sites'} may stand several times)."
        )
    if given[0] != sha256:
        raise LogUnusableError(
            f"version {version} of {name} was in force here and says something else now (it was {sha256[:8]}..., it is "
            f"{given[0][:8]}...). Put it back; what shall change belongs into a further version that begins later."
        )


def check_id_rules(known: str | None, site: str, registry: Registry | None, last: int | None) -> str:
    """What to note of a site's id rules, if those that held for what was taken in are the same as then (`known`).

    Pseudonyms in the log were made of the identifiers as the rules of that day made them equal; `last` is the latest
    instant of recording that was taken in. Raises LogUnusableError.
    """
    rules = registry.id_rules(site) if registry else [(0, False, False)]
    if known is not None and _turns(json.loads(known), last) != _turns(rules, last):
        raise LogUnusableError(
            f"the id rules of {site} changed for what was taken in already. Put the registry back, or give the new "
            "rules in a version that begins later."
        )
    return json.dumps(rules)


def _turns(rules: Iterable[Sequence[int]], last: int | None) -> list[list[int]]:
    """The rules that have begun by an instant; a version that repeats those before it changes nothing."""
    found: list[list[int]] = []
    for begins, *rule in rules:
        if last is not None and begins <= last and (not found or found[-1][1:] != rule):
            found.append([begins, *rule])
    return found
