"""Which versions of policy and registry a log was judged by: they may be added to, and never changed underneath it.

Whoever changes a version, or leaves out one that was in force, would have every decision of the past judged anew, and
every patient of the past named anew, without a word.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.log import LogUnusableError
from monitor.log.sqlite import SqliteLog

Versions = dict[str, tuple[str, int]]
"""Version -> (hash of what it says, first day in force)."""


def check_versions(log: SqliteLog, policies: Sequence[PolicyDocument], registry: Registry | None, today: int) -> None:
    """Raise LogUnusableError if a version that was in force is not given, or says something else; note the new ones.

    A log that holds nothing yet may be begun with any.
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
    known: dict[str, Versions] = json.loads(log.meta("versions") or "{}") if log.sites() else {}
    for what, versions in known.items():
        for version, (sha256, begins) in versions.items():
            if begins <= today:
                _check(what, version, sha256, given[what].get(version))
    log.note("versions", json.dumps({what: known.get(what, {}) | versions for what, versions in given.items()}))


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


def check_id_rules(log: SqliteLog, site: str, registry: Registry | None) -> None:
    """Raise LogUnusableError if other id rules than in their time hold for what was taken in: other patients they were.

    Pseudonyms in the log were made of the identifiers as the rules of that day made them equal.
    """
    rules = registry.id_rules(site) if registry else [(0, False, False)]
    known, last = log.meta(f"id_rules {site}"), log.tally(site).last_recorded
    used = [list(each) for each in rules if last is not None and each[0] <= last]
    if known is not None and [each for each in json.loads(known) if last is not None and each[0] <= last] != used:
        raise LogUnusableError(
            f"the id rules of {site} changed for what was taken in already. Put the registry back, or give the new "
            "rules in a version that begins later."
        )
    if json.dumps(rules) != known:
        log.note(f"id_rules {site}", json.dumps(rules))
