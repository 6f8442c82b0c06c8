"""The single machine: every site's keeper over one log, what people decided, and the days as they pass.

It belongs to one thread; `monitor.writer` is that thread. Nothing is told to anybody before the log has it.
"""

from __future__ import annotations

import hmac
import logging
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from monitor.core.actions import settlements_of, waivers_of
from monitor.core.days import instant, local_day, moment_of
from monitor.core.given import Intake
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.registry import Registry, complete_to
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.judging import Judging
from monitor.keeper import Draft, Keeper, Origin, Outcome
from monitor.log import LogFullError, LogUnusableError
from monitor.log.sqlite import SqliteLog
from monitor.records import Answer, Course, instant_text, read_answer
from monitor.rulebook import check_id_rules, check_versions
from schemas import actions as act
from schemas.parts import RESERVED_SITE, SITE_PATTERN

log = logging.getLogger("jakwatch")

KEEP_REJECTED_DAYS = 30
_US_A_DAY, _US_A_MINUTE = 86_400_000_000, 60_000_000
MOST_UNCOUNTED = 20_000  # people; beyond it a batch counts as many as it brings, or a look would wait ever longer
COURSES_A_STEP, PEOPLE_A_STEP = 200, 100
"""What is judged, or counted, at once beside the messages, so that an order never waits long for it."""


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


class Receipt(NamedTuple):
    """What became of a message and, of an order or a start, what is answered now."""

    outcome: Outcome
    answer: Answer | None


class Machine:
    """All sites of one log. `clock` tells the time, `on_fault` is told where the core failed on somebody."""

    def __init__(
        self, log: SqliteLog, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]
    ) -> None:
        self.log = log
        self.rules = rules
        self.clock = clock
        self.on_fault = on_fault
        self.vocabulary = Vocabulary()
        self.judging = Judging(rules.policies, self.vocabulary)
        self.keepers: dict[str, Keeper] = {}
        self.actions: list[act.Action] = []
        self.closed: dict[tuple[str, str, str], int] = {}  # (site, treatment_id, kind of case) -> when it was closed
        self.trouble: str | None = None  # what the log said when it last refused a transaction
        self._stamp = 0  # the latest instant that was given to anything
        self._seen = 0
        self._counted = 0  # when everybody was last counted, or nearly
        self.changes = 0  # grows with everything that may show
        self._days: dict[str, int] = {}  # site -> the day it was last judged on
        self._due: dict[str, list[str]] = {}  # site -> courses still to be judged anew
        self._doubted: set[str] = set()  # sites whose memory may differ from the log
        self._check_key()
        self.policy = self.judging.contributions(self.rates_day())

    def _check_key(self) -> None:
        """Another key would make another patient of each: refused, and the log knows the right one by its mark."""
        mark = hmac.digest(self.rules.key, b"jakwatch: fingerprint of the pseudonym key", "sha256").hex()[:16]
        known = self.log.meta("pseudonym_key")
        if known is None:
            self.log.note("pseudonym_key", mark)
        elif known != mark:
            raise LogUnusableError(
                f"{self.log.path} was written with another pseudonym key (fingerprint {known}, given: {mark}). "
                "Put the right key file back: with another one every patient would count as somebody else."
            )

    def open(self, told: Callable[[str, int], None] = lambda _site, _facts: None) -> None:
        """Load every site from the log; `told` hears of each site and its facts when it is done."""
        for record in self.log.actions():
            action = act.decode_action(record)
            if not isinstance(action, act.ActionEnvelope):
                raise LogUnusableError(f"{self.log.path} holds an action this version cannot read.")
            self._remember(action)
        versions = check_versions(self.log, self.rules.policies, self.rules.registry, self.today_everywhere())
        registered = self.rules.registry.names if self.rules.registry else ()
        sites = self.log.sites()
        self._stamp = max([self._stamp, *(self.log.tally(site).last_received or 0 for site in sites)])
        for site in sorted({*sites, *registered}):
            keeper = self._load(site)
            told(site, keeper.tally.received)
        self.log.note("versions", versions)  # last: what is refused was never in force

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

    def tick(self) -> bool:
        """Do a step of what the passing of time calls for; whether more is left to do."""
        self._look_after_the_log()
        if self.judging.contributions_differ(self.policy, self.rates_day()):
            self._begin_policy()
        for site, keeper in self.keepers.items():
            today = self.today(site)
            if self._days[site] != today:
                self._days[site] = today
                self._begin_day(site, keeper, today)
            if site in self._doubted:
                self._load(site)
                return True
            if keeper.state.unheld:
                self._commit(keeper, keeper.mend(self.now(), today))
                keeper.state.unheld.clear()
                return True
            if due := self._due.get(site):
                self._commit(keeper, keeper.reassess(due[:COURSES_A_STEP], self.now(), today))
                del due[:COURSES_A_STEP]  # only now: what the log has no room for stays due
                return True
        if self.changes != self._seen and self.now() - self._counted < _US_A_MINUTE:
            self._seen = self.changes  # while much comes in nobody is counted who is touched again a moment later
            return False
        self._counted = self.now()
        return self.count() or any(keeper.state.unheld for keeper in self.keepers.values())

    def count(self) -> bool:
        """Bring the counts a step closer to what was taken in; whether more is left to do."""
        return any(keeper.state.count(PEOPLE_A_STEP) for keeper in self.keepers.values())

    def _begin_policy(self) -> None:
        """Judge all sites by another version in one step: between two of them rates would mix both versions."""
        self.policy = self.judging.contributions(self.rates_day())
        for site in list(self.keepers):
            with suppress(LogFullError):  # its answers stay due
                self._load(site)

    def _begin_day(self, site: str, keeper: Keeper, today: int) -> None:
        self._due[site] = keeper.courses()
        registry = self.rules.registry
        if registry is not None and registry.entry_on(site, today) != keeper.state.entry:
            self._doubted.add(site)
        self.changes += 1
        self.log.forget_rejected(self.now() - KEEP_REJECTED_DAYS * _US_A_DAY)  # last: there may be no room

    # What comes in

    def take(self, site: str, messages: Sequence[bytes], origin: Origin) -> list[Receipt]:
        """Take in a batch: durable when this returns. Raises LogFullError, UnknownSiteError."""
        if not self.log.is_there():
            raise LogFullError("the file of the log is gone")
        keeper = self.keeper(site)
        draft = keeper.draft(messages, origin, self.now(), self.today(site))
        self._commit(keeper, draft)
        if keeper.state.uncounted > MOST_UNCOUNTED:
            keeper.state.count(2 * len(messages))
        return [Receipt(each, self._answer_to(site, each.course, draft)) for each in draft.outcomes]

    def _answer_to(self, site: str, course: Course | None, draft: Draft) -> Answer | None:
        if course is None:
            return None
        record = None if course in draft.answers else self.log.answer(site, course)
        return draft.answers.get(course) or (None if record is None else read_answer(record))

    def keeper(self, site: str) -> Keeper:
        """The keeper of a site, a new one for a site that nothing was heard of yet."""
        self.known(site)
        if site not in self.keepers or site in self._doubted:
            self._load(site)
        return self.keepers[site]

    def known(self, site: str) -> None:
        """Raise UnknownSiteError if nobody said that there is such a site."""
        registry = self.rules.registry
        is_known = re.fullmatch(SITE_PATTERN, site) if registry is None else site in registry.names
        if site == RESERVED_SITE or not is_known:
            raise UnknownSiteError(site)

    def forget_position(self, site: str, channel: str) -> None:
        """What was read through a channel is gone, so its name may come again and mean something else."""
        self.log.forget_position(site, channel)
        if site in self.keepers:  # one that is registered no longer may have read a file
            self.keepers[site].position.pop(channel, None)

    def _load(self, site: str) -> Keeper:
        today, registry = self.today(site), self.rules.registry
        entry = registry.entry_on(site, today) if registry else None
        if registry is not None and entry is None:
            raise LogUnusableError(
                f"{site} is in the log but in no version of the registry: put it back. To end a site, give a further "
                "version of the registry without it."
            )
        intake = Intake(self.vocabulary, registry, self.rules.key, settlements_of(self.actions, site))
        keeper = Keeper(SiteState(site, intake, entry, self.on_fault))
        judgement = self.judging.of(self.policy, self.actions, site)
        check_id_rules(self.log, site, registry)
        mended = keeper.load(self.log, judgement, self.now(), today)
        self.keepers[site], self._days[site] = keeper, today
        self.changes += 1  # rules may have changed where no answer did
        self._due[site] = keeper.courses()  # until the log has what was mended
        self._doubted.discard(site)
        self._commit(keeper, mended)
        del self._due[site]
        return keeper

    def _commit(self, keeper: Keeper, draft: Draft) -> None:
        if draft.is_empty:
            return
        try:
            self.log.append(draft.transaction)
        except LogFullError as full:
            if self.trouble is None:
                log.error("%s: nothing is taken in until it can be written", full)
            self.trouble = str(full)
            raise
        self._has_room_again()
        self._doubted.add(keeper.site)
        keeper.keep(draft)
        self._doubted.discard(keeper.site)
        self.changes += 1

    def _look_after_the_log(self) -> None:
        if not self.log.is_there():
            if self.trouble is None:
                log.error("%s is gone or was replaced: nothing is taken in. Stop, put it back, start.", self.log.path)
            self.trouble = "the file of the log is gone"
        elif self.trouble is not None:
            self.log.note("tried_again", str(self.now()))
            self._has_room_again()

    def _has_room_again(self) -> None:
        if self.trouble is not None:
            log.info("the log can be written again")
            self.trouble = None

    # What was answered

    def answers(self, site: str, treatment_id: str) -> list[Answer]:
        """The standing answers of a course: of its order, of its start."""
        found = (self.log.answer(site, (treatment_id, kind)) for kind in ("order", "start"))
        return [read_answer(record) for record in found if record is not None]

    # What people decide

    def enact(self, action: act.Action) -> act.Action:
        """Keep what a person decided, let it take effect, and return it as it was kept.

        Raises ActionRefusedError, UnknownSiteError, LogFullError.
        """
        for known in self.actions:
            if known.action_id == action.action_id:
                if known.model_copy(update={"at": action.at}) != action:
                    raise ActionRefusedError("this action_id names another decision")
                return known  # said again, as after a lost answer
        match action:
            case act.CloseCase():
                action = self._closing(action)
            case act.SettleConflict():
                action = self._settling(action)
            case act.SignWaiver():
                self.known(action.site)
            case _:
                allowed = "close_case, settle_conflict, sign_waiver"
                raise ActionRefusedError(f"{action.action} has no effect on a single machine; allowed: {allowed}")
        self.log.add_action(action.action_id, action.model_dump_json(by_alias=True, exclude_none=True).encode())
        self._remember(action)
        self.changes += 1
        try:
            self._take_effect(action)
        except LogFullError:
            log.error("what somebody decided is kept; it takes effect when there is room for what it changes")
        return action

    def _closing(self, action: act.CloseCase) -> act.CloseCase:
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

    def _settling(self, action: act.SettleConflict) -> act.SettleConflict:
        """The action, if there is such a conflict; later than all that it settles, also where a clock runs ahead."""
        for source, event_id, bodies in self.keeper(action.site).state.open_conflicts():
            if (source, event_id) == (action.source, action.event_id):
                if action.digest in {digest for digest, *_ in bodies}:
                    latest = max(recorded for *_, recorded in bodies)
                    return action.model_copy(update={"at": max(action.at, moment_of(latest))})
                raise ActionRefusedError("no body of this conflict has that digest; reload the page and choose again")
        raise ActionRefusedError("there is no such conflict, or somebody has settled it")

    def _remember(self, action: act.Action) -> None:
        self.actions.append(action)
        self._stamp = max(self._stamp, instant(action.at))
        if isinstance(action, act.CloseCase):
            case = (action.site, action.treatment_id, action.kind)
            self.closed[case] = max(instant(action.at), self.closed.get(case, 0))

    def _take_effect(self, action: act.Action) -> None:
        """Change the answers; should that fail half-way, the site is loaded again before it is next asked."""
        match action:
            case act.SettleConflict():
                keeper = self._doubtful(action.site)
                settlement = settlements_of([action], action.site)[0]
                self._commit(keeper, keeper.settle_conflict(settlement, self.now(), self.today(action.site)))
                self._doubted.discard(action.site)
            case act.SignWaiver():
                keeper = self._doubtful(action.site)
                keeper.state.waive(waivers_of(self.actions, action.site))
                courses = [action.treatment_id] if action.treatment_id else {each for each, _ in keeper.said}
                self._commit(keeper, keeper.reassess(courses, self.now(), self.today(action.site)))
                self._doubted.discard(action.site)

    def _doubtful(self, site: str) -> Keeper:
        keeper = self.keeper(site)
        self._doubted.add(site)
        return keeper


def _is_closed(closed: int | None, since: str) -> bool:
    return closed is not None and instant_text(closed) >= since
