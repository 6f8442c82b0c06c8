"""The single machine: every site's keeper over one log, what people decided, and the days as they pass.

It belongs to one thread; `monitor.writer` is that thread. Nothing is told to anybody before the log has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

import msgspec

from monitor.core.actions import settlements_of, waivers_of
from monitor.core.pseudonyms import pseudonymiser
from monitor.erasing import KEEP_REJECTED_DAYS, Going, patients_named, what_goes
from monitor.keeper import Draft, Keeper, Origin, Receipt
from monitor.log import LogFullError, LogUnusableError
from monitor.log.sqlite import Erasure, SqliteLog
from monitor.records import Answer, Course, read_answer
from monitor.rulebook import check_id_rules, check_key, check_versions
from monitor.shown import ShownSites
from monitor.sites import ActionRefusedError, Rules
from schemas import actions as act

log = logging.getLogger("jakwatch")

_US_A_DAY, _US_A_MINUTE = 86_400_000_000, 60_000_000
_SCRUB_AGAIN_US = 10 * _US_A_MINUTE  # it copies the whole log
COURSES_A_STEP = 200  # judged at once beside the messages, so that an order never waits long for it


class Machine(ShownSites):
    """All sites of one log, which it alone writes."""

    rejected_gone_within_days = KEEP_REJECTED_DAYS + 1  # the last day is whole

    def __init__(
        self, log: SqliteLog, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]
    ) -> None:
        self.log = log
        self._days: dict[str, int] = {}  # site -> the day it was last judged on
        self._due: dict[str, list[str]] = {}  # site -> courses still to be judged anew
        self._doubted: set[str] = set()  # sites whose memory may differ from the log
        self._scrubbed = 0  # when it was last tried
        known = log.meta("pseudonym_key")
        mark = check_key(known, rules.key, str(log.path))
        if known is None:
            log.note("pseudonym_key", mark)
        super().__init__(rules, clock, on_fault)

    def open(self, told: Callable[[str, int], None] = lambda _site, _facts: None) -> None:
        """Load every site from the log; `told` hears of each site and its facts when it is done."""
        for record in self.log.actions():
            action = act.decode_action(record)
            if not isinstance(action, act.ActionEnvelope):
                raise LogUnusableError(f"{self.log.path} holds an action this version cannot read.")
            self.remember(action)
        if (lacking := self.lacking()) is not None:
            raise LogUnusableError(lacking)
        registered = self.rules.registry.names if self.rules.registry else ()
        sites = self.log.sites()
        received = max((self.log.tally(site).last_received or 0 for site in sites), default=0)
        known = self.log.meta("versions") if sites else None
        versions = check_versions(known, received, self.rules.policies, self.rules.registry, self.today_everywhere())
        self._stamp = max(self._stamp, received)
        for site in sorted({*sites, *registered}):
            keeper = self._load(site)
            told(site, keeper.tally.received)
        self.log.note("versions", versions)  # late: what is refused was never in force
        self._forget_rejected()  # whoever stops every evening sees no midnight

    # Time

    def tick(self) -> bool:
        """Do a step of what the passing of time calls for; whether more is left to do."""
        if (lacking := self.lacking()) is not None:
            self._rest(lacking)
            return False
        self._look_after_the_log()
        self.judge_by_the_day()
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
        if self.log.has_traces and self.now() - self._scrubbed > _SCRUB_AGAIN_US:
            with self._later_if_full():
                self._scrub()
        if self.count_later():
            return False
        return self.count() or any(keeper.state.unheld for keeper in self.keepers.values())

    def _rest(self, lacking: str) -> None:
        """Judge nothing; what was answered stays."""
        if self.trouble != lacking:
            log.error("%s", lacking)
        self.trouble = lacking

    def judge_anew(self) -> None:
        """Orders at once, the rest step by step."""
        for site, keeper in self.keepers.items():
            keeper.state.judge_by(self.judging.of(self.policy, self.actions, site))
            keeper.state.defer()
            self._due[site] = keeper.courses()
        self.changes += 1

    def _begin_day(self, site: str, keeper: Keeper, today: int) -> None:
        self._due[site] = keeper.courses()
        registry = self.rules.registry
        if registry is not None and registry.entry_on(site, today) != keeper.state.entry:
            self._doubted.add(site)
        self.changes += 1
        self._forget_rejected()  # last: there may be no room

    def _forget_rejected(self) -> None:
        self.log.forget_rejected(self.now() - KEEP_REJECTED_DAYS * _US_A_DAY)

    # What comes in

    def take(self, site: str, messages: Sequence[bytes], origin: Origin) -> list[Receipt]:
        """Take in a batch: durable when this returns. Raises LogFullError, NotJudgingError, UnknownSiteError."""
        self.must_judge()
        if not self.log.is_there():
            raise LogFullError("the file of the log is gone")
        keeper = self.keeper(site)
        draft = keeper.draft(messages, origin, self.now(), self.today(site))
        outcomes = keeper.outcomes(draft)
        self._commit(keeper, draft)
        self.keep_counting(keeper, len(messages))
        return [Receipt(each, self._answer_to(site, each.course, draft)) for each in outcomes]

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

    def forget_position(self, site: str, channel: str) -> None:
        """What was read through a channel is gone, so its name may come again and mean something else."""
        self.log.forget_position(site, channel)
        if site in self.keepers:  # one that is registered no longer may have read a file
            self.keepers[site].position.pop(channel, None)

    def _load(self, site: str) -> Keeper:
        self.must_judge()
        today, keeper = self.today(site), self.new_keeper(site)
        self._check_id_rules(site)
        judgement = self.judging.of(self.policy, self.actions, site)
        mended = keeper.load(self.log, judgement, self.now(), today)
        self.keepers[site], self._days[site] = keeper, today
        self.changes += 1  # rules may have changed where no answer did
        self._due[site] = keeper.courses()  # until the log has what was mended
        self._doubted.discard(site)
        self._commit(keeper, mended)
        del self._due[site]
        return keeper

    def _check_id_rules(self, site: str) -> None:
        known = self.log.meta(f"id_rules {site}")
        rules = check_id_rules(known, site, self.rules.registry, self.log.tally(site).last_recorded)
        if rules != known:
            self.log.note(f"id_rules {site}", rules)

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

    def action_records(self) -> Iterable[bytes]:
        return self.log.actions()

    def enact(self, action: act.Action) -> act.Action:
        if (said := self.said_before(action)) is not None:
            return said
        action = self.checked(action)
        if isinstance(action, act.Erase):
            return self._erase(action)
        self.log.add_action(action.action_id, _written(action))
        self.changes += 1
        if self.remember(action):
            self.judge_anew()
        try:
            self._take_effect(action)
        except LogFullError:
            log.error("what somebody decided is kept; it takes effect when there is room for what it changes")
        return action

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

    # Erasing

    def erasing(self, action: act.Erase) -> act.Erase:
        self.must_judge()
        return super().erasing(action)

    def _erase(self, action: act.Erase) -> act.Erase:
        """Remove what is held of a patient. What is left of it in gaps of the file is scrubbed, if need be later."""
        site = action.site
        keeper = self.keeper(site)
        going = what_goes(lambda: self.log.numbered_facts(site), action.pseudonym)
        rejected = self._rejected_of(site, action.pseudonym)
        if not going.facts and not rejected:
            raise ActionRefusedError(
                f"nothing is held of a patient with this pseudonym at {site}; `jakwatch pseudonym` tells that of a "
                "patient whose identifier is known"
            )
        self.log.erase(_erasure(action, keeper, going, rejected))
        self._doubted.add(site)
        self.remember(action)
        self.changes += 1
        with self._later_if_full():
            self._load(site)
            self._scrub()
        return action

    @contextmanager
    def _later_if_full(self) -> Iterator[None]:
        try:
            yield
        except LogFullError as full:
            log.error("%s. What was erased is out of the log; its bytes are not yet out of the file", full)

    def _rejected_of(self, site: str, pseudonym: str) -> list[int]:
        pseudonyms = pseudonymiser(site, self.rules.key, self.rules.registry)
        return [
            number
            for number, raw in self.log.numbered_rejections(site)
            if any(pseudonym in pseudonyms(patient_id) for patient_id in patients_named(raw))
        ]

    def _scrub(self) -> None:
        self._scrubbed = self.now()
        self.log.scrub()


def _erasure(action: act.Erase, keeper: Keeper, going: Going[int], rejected: list[int]) -> Erasure:
    """The facts no longer count as arrived; repetitions of them do, as numbers that nobody can be told from."""
    old, gone = keeper.tally, len(going.facts)
    tally = msgspec.structs.replace(old, received=old.received - gone, taken=old.taken - gone)
    return Erasure(action.site, tally, action.action_id, _written(action), going.facts, going.treatment_ids, rejected)


def _written(action: act.Action) -> bytes:
    return action.model_dump_json(by_alias=True, exclude_none=True).encode()
