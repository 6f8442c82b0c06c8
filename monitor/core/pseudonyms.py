"""The pseudonyms of a patient whose identifier is known: for whoever is to erase what is held of that patient."""

from __future__ import annotations

from collections.abc import Callable

from monitor.core.given import Intake
from monitor.core.registry import Registry, SiteEntry
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary


def pseudonymiser(site: str, key: bytes, registry: Registry | None) -> Callable[[str], list[str]]:
    """The function from a patient id of a site to the pseudonyms, in hexadecimal, under which its facts may stand.

    One for each of the id rules that hold, the latest last, mostly one: a message is read by the rules of the day on
    which it was recorded.
    """
    intake = Intake(Vocabulary(), registry, key)
    rules = {entry and (entry.trim, entry.strip_zeros): entry for entry in _entries(site, registry)}
    states = [SiteState(site, intake, entry) for entry in rules.values()]

    def pseudonyms(patient_id: str) -> list[str]:
        return list(dict.fromkeys(state.pseudonym(patient_id).hex() for state in states))

    return pseudonyms


def _entries(site: str, registry: Registry | None) -> list[SiteEntry | None]:
    if registry is None:
        return [None]
    return [registry.entry_on(site, each.registry.effective_from.toordinal()) for each in registry.versions]
