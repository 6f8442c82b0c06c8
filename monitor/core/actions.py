"""What people decided, as the values that the core judges by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from monitor.core.days import instant
from monitor.core.given import Settlement
from monitor.core.screening import Waiver
from schemas import actions as act


def waivers_of(actions: Iterable[act.Action], site: str) -> tuple[Waiver, ...]:
    """The waivers signed at a site."""
    return tuple(
        Waiver(
            action.action_id,
            action.infection,
            action.treatment_id,
            None if action.ends_on is None else action.ends_on.toordinal(),
            instant(action.at),
        )
        for action in actions
        if isinstance(action, act.SignWaiver) and action.site == site
    )


def settlements_of(actions: Iterable[act.Action], site: str) -> tuple[Settlement, ...]:
    """The conflicts that were settled at a site."""
    return tuple(
        Settlement(action.source, action.event_id, action.digest, instant(action.at), action.action_id)
        for action in actions
        if isinstance(action, act.SettleConflict) and action.site == site
    )


def erasures_of(actions: Iterable[act.Action]) -> Mapping[str, Mapping[str, int]]:
    """Site -> pseudonym of who was erased there -> up to which instant (microseconds since 1970)."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for action in actions:
        if isinstance(action, act.Erase):
            mine = found[action.site]
            mine[action.pseudonym] = max(instant(action.at), mine.get(action.pseudonym, 0))
    return found
