"""Every site that a process holds: its keepers, what people decided, the rules, and the days as they pass.

The single machine takes messages in and holds its own log, a worker owns some sites of a log that others read, a
replica only reads. What they have in common is here.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from monitor.core.actions import settlements_of
from monitor.core.days import instant, local_day, moment_of
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


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process is given to judge by."""

    policies: tuple[PolicyDocument, ...]
    registry: Registry | None
    key: bytes  # of the pseudonyms


class Sites(ABC):
    """All sites of one process. `clock` tells the time, `on_fault` is told where the core failed on somebody."""

    def __init__(self, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]) -> None:
        self.rules = rules
        self.clock = clock
        self.on_fault = on_fault
        self.vocabulary = Vocabulary()
        self.judging = Judging(rules.policies, self.vocabulary)
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

        Raises ActionRefusedError, UnknownSiteError, LogFullError.
        """

    def said_before(self, action: act.Action) -> act.Action | None:
        """A decision as it was kept, if it was said before, as after a lost answer. Raises ActionRefusedError."""
        for known in self.actions:
            if known.action_id == action.action_id:
                if known.model_copy(update={"at": action.at}) != action:
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

    def remember(self, action: act.Action) -> None:
        self.actions.append(action)
        self._stamp = max(self._stamp, instant(action.at))
        if isinstance(action, act.CloseCase):
            case = (action.site, action.treatment_id, action.kind)
            self.closed[case] = max(instant(action.at), self.closed.get(case, 0))


def _is_closed(closed: int | None, since: str) -> bool:
    return closed is not None and instant_text(closed) >= since
