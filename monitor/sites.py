"""Every site that a process holds: its keepers, what people decided, the rules, and the days as they pass.

The single machine takes messages in and holds its own log, a worker owns some sites of a log that others read, a
replica only reads. What they have in common is here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from monitor.core.actions import settlements_of
from monitor.core.activation import Lacking, active_policies, lacking_versions, latest_day
from monitor.core.days import instant, iso, local_day
from monitor.core.given import Intake
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.registry import Registry, SiteEntry, complete_to
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.judging import Judging
from monitor.keeper import Keeper
from monitor.log import LogUnusableError
from schemas import actions as act
from schemas.parts import RESERVED_SITE, SITE_PATTERN


class UnknownSiteError(Exception):
    """The registry does not know the site."""


class ActionRefusedError(Exception):
    """What a person wants to do cannot be done; the text says why and what can."""


class NotJudgingError(Exception):
    """A version that is in force is lacking: nothing is judged, nothing kept. The text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is judged by."""

    policies: tuple[PolicyDocument, ...]
    registry: Registry | None
    key: bytes  # of the pseudonyms


class Dormant(NamedTuple):
    """A version of the policy that was given and that nobody activated: it has no effect."""

    version: int
    sha256: str
    effective_from: date  # once this day has begun, it never will have


class Sites:
    """All sites of one process. `clock` tells the time, `on_fault` is told where the core failed on somebody."""

    def __init__(self, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]) -> None:
        self.given = rules  # all versions of the policy, in force or not
        self.rules = replace(rules, policies=rules.policies[:1])  # those in force, as far as is decided
        self.clock = clock
        self.on_fault = on_fault
        self.vocabulary = Vocabulary()
        self._compiled = Judging(rules.policies, self.vocabulary)
        self.judging = self._compiled.only(self.rules.policies)
        self._lacking: list[Lacking] = []
        self.keepers: dict[str, Keeper] = {}
        self.actions: list[act.Action] = []
        self.closed: dict[tuple[str, str, str], int] = {}  # (site, treatment_id, kind of case) -> when it was closed
        self.trouble: str | None = None  # why nothing can be taken in, or shown as it is
        self.changes = 0  # grows with everything that may show
        self._stamp = 0  # the latest instant that was given to anything
        self.policy = self.judging.contributions(self.rates_day())

    # Time

    def now(self) -> int:
        """What time it is for what happens now: later than all that happened, also where the clock was set back."""
        self._stamp = max(instant(self.clock()), self._stamp + 1)
        return self._stamp

    def today(self, site: str) -> int:
        """The day it is at a site."""
        now, registry = instant(self.clock()), self.rules.registry
        entry = registry.entry_on(site, local_day(now, None)) if registry else None
        return local_day(now, entry.zone if entry else None)

    def today_everywhere(self) -> int:
        """The latest day that has begun at every site: rates of all sites end with it."""
        names = self.rules.registry.names if self.rules.registry else ()
        return min((self.today(site) for site in names), default=local_day(instant(self.clock()), None))

    def rates_day(self) -> int:
        """The day to which reports are taken as complete: pages and metrics end there, by the policy of that day."""
        today = self.today_everywhere()
        lag = policy_in_force(self.rules.policies, today).counting.complete_after_days
        return complete_to(self.rules.registry, lag, today)

    def count_by_the_day(self) -> bool:
        """Go by the version of the day with which the rates end; whether that is another one than before."""
        differs = self.judging.contributions_differ(self.policy, self.rates_day())
        if differs:
            self.policy = self.judging.contributions(self.rates_day())
        return differs

    # What is in force

    def lacking(self) -> str | None:
        """What to do about a version that was activated, has begun and was not given; None: everything is here."""
        begun = latest_day(self.rules.registry, instant(self.clock())) if self._lacking else 0
        return next((_to_be_given(each) for each in self._lacking if each.first_day <= begun), None)

    def must_judge(self) -> None:
        """Raise NotJudgingError where a version is lacking that would have to judge."""
        if (lacking := self.lacking()) is not None:
            raise NotJudgingError(lacking)

    def not_activated(self) -> list[Dormant]:
        """The versions of the policy that were given and have no effect, the earliest first."""
        heads = [(each.policy, each.sha256) for each in self.given.policies if each not in self.rules.policies]
        return [Dormant(head.version, sha256, head.effective_from) for head, sha256 in heads]

    def _heed_activations(self) -> bool:
        given = self.given
        self._lacking = lacking_versions(given.policies, given.registry, self.actions)
        policies = active_policies(given.policies, self.actions, given.registry)
        if len(policies) == len(self.rules.policies):  # an activation is never taken back
            return False
        self.rules = replace(given, policies=policies)
        self.judging = self._compiled.only(policies)
        if not self.keepers:
            self.policy = self.judging.contributions(self.rates_day())
        return True

    # The sites

    def known(self, site: str) -> None:
        """Raise UnknownSiteError if nobody said that there is such a site."""
        registry = self.rules.registry
        is_known = re.fullmatch(SITE_PATTERN, site) if registry is None else site in registry.names
        if site == RESERVED_SITE or not is_known:
            raise UnknownSiteError(site)

    def entry(self, site: str) -> SiteEntry | None:
        """What the registry says of a site today. Raises LogUnusableError where it leaves out one that has a log."""
        registry = self.rules.registry
        entry = registry.entry_on(site, self.today(site)) if registry else None
        if registry is not None and entry is None:
            raise LogUnusableError(
                f"{site} is in the log but in no version of the registry: put it back. To end a site, give a further "
                "version of the registry without it."
            )
        return entry

    def new_keeper(self, site: str) -> Keeper:
        """A keeper that knows nothing yet but what people settled."""
        intake = Intake(self.vocabulary, self.rules.registry, self.rules.key, settlements_of(self.actions, site))
        return Keeper(SiteState(site, intake, self.entry(site), self.on_fault))

    # What people decided

    def remember(self, action: act.Action) -> bool:
        """Know of a decision that was kept; whether all sites are now judged by other versions of the policy."""
        self.actions.append(action)
        self._stamp = max(self._stamp, instant(action.at))
        if isinstance(action, act.CloseCase):
            case = (action.site, action.treatment_id, action.kind)
            self.closed[case] = max(instant(action.at), self.closed.get(case, 0))
        return isinstance(action, act.Activate) and self._heed_activations()


NAMES = {"policy": "the policy", "sites": "the site registry"}
_OPTIONS = {"policy": "--policy", "sites": "--sites"}


def _to_be_given(lacking: Lacking) -> str:
    since = f"is in force from {iso(lacking.first_day)}" if lacking.first_day else "is in force"
    return (
        f"version {lacking.version} of {NAMES[lacking.what]} (sha256 {lacking.sha256[:8]}...) was activated, {since}, "
        f"and was not given to this process: nothing is judged without it, and what was answered stays. Start again "
        f"with its file beside the others ({_OPTIONS[lacking.what]} may stand several times)."
    )
