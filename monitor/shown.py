"""Sites that are shown to people, and of which people decide: what the single machine and a replica have in common.

A worker has neither pages nor anybody to ask it; it is `Sites` alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from datetime import date, datetime

from monitor.core.activation import latest_day
from monitor.core.days import instant, moment_of
from monitor.keeper import Keeper
from monitor.records import Answer, instant_text
from monitor.sites import NAMES, ActionRefusedError, Rules, Sites
from schemas import actions as act

PEOPLE_A_STEP = 100  # counted at once beside the messages, so that an order never waits long for it
_MOST_UNCOUNTED = 20_000  # people; beyond it a batch counts as many as it brings, or a look would wait ever longer
_US_A_MINUTE = 60_000_000
_FILLED_IN = ("effective_from", "gone_by")  # by the service, where a person does not say it


class ShownSites(Sites, ABC):
    """All sites of a process that answers people."""

    rejected_gone_within_days: int  # what was rejected by the day of a decision; how soon depends on the kind of log

    def __init__(self, rules: Rules, clock: Callable[[], datetime], on_fault: Callable[[Exception], None]) -> None:
        super().__init__(rules, clock, on_fault)
        self._noticed = 0  # of the changes
        self._counted = 0  # when everybody was last counted, or nearly

    # Counts

    def count(self) -> bool:
        """Bring the counts a step closer to what was taken in; whether more is left to do."""
        return any(keeper.state.count(PEOPLE_A_STEP) for keeper in self.keepers.values())

    def count_later(self) -> bool:
        """Whether much comes in: then nobody is counted who is touched again a moment later. At most for a minute."""
        if self.changes != self._noticed and self.now() - self._counted < _US_A_MINUTE:
            self._noticed = self.changes
            return True
        self._counted = self.now()
        return False

    def keep_counting(self, keeper: Keeper, came: int) -> None:
        """Count some of a site to which so many messages came, where too many wait."""
        if keeper.state.uncounted > _MOST_UNCOUNTED:
            keeper.state.count(2 * came)

    def judge_by_the_day(self) -> None:
        """Judge anew where the day with which the rates end is one of another version."""
        if self.count_by_the_day():
            self.judge_anew()

    @abstractmethod
    def judge_anew(self) -> None:
        """Judge all sites by other versions; whoever looks counts first.

        All at once, or between two sites the rates would mix the versions.
        """

    # What was answered

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

    def checked(self, action: act.Action) -> act.Action:
        """What somebody wants to decide, as it is to be kept.

        Raises ActionRefusedError, NotJudgingError, UnknownSiteError; and NotKnownError where the site is still read.
        """
        match action:
            case act.CloseCase():
                return self.closing(action)
            case act.SettleConflict():
                self.must_judge()
                return self.settling(action)
            case act.SignWaiver():
                self.must_judge()
                self.known(action.site)
            case act.Activate():
                return self.activating(action)
            case act.Erase():
                return self.erasing(action)
        return action

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
        name = f"version {action.version} of {NAMES[action.what]}"
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

    def erasing(self, action: act.Erase) -> act.Erase:
        """The action with the day on which also what was rejected is gone."""
        self.known(action.site)
        day = latest_day(self.given.registry, instant(action.at)) + self.rejected_gone_within_days
        return action.model_copy(update={"gone_by": date.fromordinal(day)})

    def _given(self, what: str) -> dict[tuple[int, str], date]:
        """(version, hash) -> first day of all versions given."""
        registry = self.given.registry
        if what == "policy":
            return {(one.policy.version, one.sha256): one.policy.effective_from for one in self.given.policies}
        versions = registry.versions if registry else ()
        return {(one.registry.version, one.sha256): one.registry.effective_from for one in versions}


def _is_closed(closed: int | None, since: str) -> bool:
    return closed is not None and instant_text(closed) >= since


def _as_said(known: act.Action, again: act.Action) -> act.Action:
    """A decision that was kept as somebody says it who says it again."""
    silent = {name: None for name in _FILLED_IN if getattr(again, name, "") is None}
    return known.model_copy(update={"at": again.at} | silent)
