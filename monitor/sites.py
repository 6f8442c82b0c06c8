"""Every site that a process holds: its keepers, what people decided, the rules, and the days as they pass.

The single machine takes messages in and holds its own log, a worker owns some sites of a log that others read, a
replica only reads. What they have in common is here.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from monitor.core.actions import settlements_of
from monitor.core.activation import Lacking, active_policies, lacking_versions, latest_day
from monitor.core.days import instant, iso, local_day, moment_of
from monitor.core.given import Intake
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.registry import Registry, SiteEntry, complete_to
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.judging import Judging
from monitor.keeper import Keeper
from monitor.log import LogUnusableError
from monitor.records import Answer, instant_text
from schemas import actions as act
from schemas.parts import RESERVED_SITE, SITE_PATTERN

PEOPLE_A_STEP = 100  # counted at once beside the messages, so that an order never waits long for it


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


class Sites(ABC):
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

    def count(self) -> bool:
        """Bring the counts a step closer to what was taken in; whether more is left to do."""
        return any(keeper.state.count(PEOPLE_A_STEP) for keeper in self.keepers.values())

    @abstractmethod
    def keeper(self, site: str) -> Keeper:
        """The keeper of a site. Raises UnknownSiteError."""

    @abstractmethod
    def answers(self, site: str, treatment_id: str) -> list[Answer]:
        """The standing answers of a course: of its order, of its start."""

    # What people decided

    @abstractmethod
    def action_records(self) -> Iterable[bytes]:
        """All that people decided, as it was kept."""

    @abstractmethod
    def enact(self, action: act.Action) -> act.Action:
        """Keep what a person decided, let it take effect, and return it as it was kept.

        Raises ActionRefusedError, NotJudgingError, UnknownSiteError, LogFullError.
        """

    def said_before(self, action: act.Action) -> act.Action | None:
        """A decision as it was kept, if it was said before, as after a lost answer. Raises ActionRefusedError."""
        for known in self.actions:
            if known.action_id == action.action_id:
                if _as_said(known, action) != action:
                    raise ActionRefusedError("this action_id names another decision")
                return known
        return None

    def closing(self, action: act.CloseCase) -> act.CloseCase:
        """The action, if there is such a case; later than its beginning, also where the clock was set back."""
        answer = self.keeper(action.site).open.get((action.treatment_id, "start"))
        cases = self.open_cases(answer) if answer else {}
        if action.kind not in cases:
            those = f"; open cases of this course: {', '.join(sorted(cases))}" if cases else ""
            raise ActionRefusedError(f"there is no such case that is open{those}")
        return action.model_copy(update={"at": max(action.at, datetime.fromisoformat(cases[action.kind]))})

    def open_cases(self, answer: Answer) -> dict[str, str]:
        """The kinds of case an answer is, and since when, but for those that somebody closed since."""
        closed = {kind: self.closed.get((answer.site, answer.treatment_id, kind)) for kind in answer.cases}
        return {kind: since for kind, since in answer.cases.items() if not _is_closed(closed[kind], since)}

    def settling(self, action: act.SettleConflict) -> act.SettleConflict:
        """The action, if there is such a conflict; later than all that it settles, also where a clock runs ahead."""
        for source, event_id, bodies in self.keeper(action.site).state.open_conflicts():
            if (source, event_id) == (action.source, action.event_id):
                if action.digest in {digest for digest, *_ in bodies}:
                    latest = max(recorded for *_, recorded in bodies)
                    return action.model_copy(update={"at": max(action.at, moment_of(latest))})
                raise ActionRefusedError("no body of this conflict has that digest; reload the page and choose again")
        raise ActionRefusedError("there is no such conflict, or somebody has settled it")

    def activating(self, action: act.Activate) -> act.Activate:
        """The action with the first day of what it activates, if that was given and the day has begun nowhere."""
        known = self._given(action.what)
        first_day = known.get((action.version, action.sha256))
        name = f"version {action.version} of {_NAMES[action.what]}"
        if first_day is None:
            those = "; ".join(f"version {version}, sha256 {sha256}" for version, sha256 in sorted(known)) or "none"
            raise ActionRefusedError(f"this process was not given {name} with that hash; it was given: {those}")
        if action.effective_from not in (None, first_day):
            raise ActionRefusedError(f"{name} begins on {first_day}, not on {action.effective_from}")
        if latest_day(self.given.registry, max(instant(action.at), instant(self.clock()))) >= first_day.toordinal():
            raise ActionRefusedError(
                f"{name} begins on {first_day}, and that day has begun: it would judge anew what was answered. "
                "Give a further version that begins later, and activate that before its day"
            )
        return action.model_copy(update={"effective_from": first_day})

    def _given(self, what: str) -> dict[tuple[int, str], date]:
        """(version, hash) -> first day of all versions given."""
        registry = self.given.registry
        if what == "policy":
            return {(one.policy.version, one.sha256): one.policy.effective_from for one in self.given.policies}
        versions = registry.versions if registry else ()
        return {(one.registry.version, one.sha256): one.registry.effective_from for one in versions}

    def remember(self, action: act.Action) -> bool:
        """Know of a decision that was kept; whether all sites are now judged by other versions of the policy."""
        self.actions.append(action)
        self._stamp = max(self._stamp, instant(action.at))
        if isinstance(action, act.CloseCase):
            case = (action.site, action.treatment_id, action.kind)
            self.closed[case] = max(instant(action.at), self.closed.get(case, 0))
        return isinstance(action, act.Activate) and self._heed_activations()


def _is_closed(closed: int | None, since: str) -> bool:
    return closed is not None and instant_text(closed) >= since


_NAMES = {"policy": "the policy", "sites": "the site registry"}
_OPTIONS = {"policy": "--policy", "sites": "--sites"}
_FILLED_IN = ("effective_from", "gone_by")  # by the service, where a person does not say it


def _to_be_given(lacking: Lacking) -> str:
    since = f"is in force from {iso(lacking.first_day)}" if lacking.first_day else "is in force"
    return (
        f"version {lacking.version} of {_NAMES[lacking.what]} (sha256 {lacking.sha256[:8]}...) was activated, {since}, "
        f"and was not given to this process: nothing is judged without it, and what was answered stays. Start again "
        f"with its file beside the others ({_OPTIONS[lacking.what]} may stand several times)."
    )


def _as_said(known: act.Action, again: act.Action) -> act.Action:
    """A decision that was kept as somebody says it who says it again."""
    silent = {name: None for name in _FILLED_IN if getattr(again, name, "") is None}
    return known.model_copy(update={"at": again.at} | silent)
