"""Replay: what the live service would say, computed in one go from files of messages, or from what a log holds.

Every line goes to its site's state; when all are in, everyone is judged once. Several processes share whole sites.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor import records
from monitor.core import facts as f
from monitor.core.actions import erasures_of, settlements_of
from monitor.core.batch import Signs
from monitor.core.days import LAST_DAY, day_of, instant
from monitor.core.decision import Decision, one_row_a_course
from monitor.core.decode import AnyMessage, Decoded, Rejection, decode
from monitor.core.given import Intake
from monitor.core.policy import PolicyDocument
from monitor.core.rates import Rates
from monitor.core.registry import Registry
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.files import read_lines
from monitor.judging import Judging
from monitor.log import LogUnusableError
from monitor.records import Tally
from monitor.result import Row, Share, add_site, result_of
from schemas import actions as act

DEFAULT_KEY = b"jakwatch replay"


def _unheard(_: Exception) -> None:
    """Nobody asked to be told of faults; they are counted all the same."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a replay is asked, besides its lines. Days are ordinals, instants microseconds since 1970."""

    policies: tuple[PolicyDocument, ...]
    registry: Registry | None = None
    actions: tuple[act.Action, ...] = ()
    site: str | None = None
    as_of: int | None = None
    known_at: int | None = None
    key: bytes = DEFAULT_KEY
    on_fault: Callable[[Exception], None] = _unheard

    @property
    def known_actions(self) -> tuple[act.Action, ...]:
        """What people had decided by `known_at`."""
        if self.known_at is None:
            return self.actions
        return tuple(action for action in self.actions if instant(action.at) <= self.known_at)


class Replayer:
    """Takes lines, then judges: the whole replay, or one process's part of it."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.vocabulary = Vocabulary()
        self.share = Share()
        self.states: dict[str, SiteState] = {}
        self._erased = erasures_of(question.known_actions)

    def take(self, raw: bytes) -> None:
        """Take in one line."""
        question = self.question
        decoded = decode(raw, None, question.registry, question.site)
        if isinstance(decoded, Rejection):
            self.share.messages["received"] += 1
            self.share.rejected[decoded.reason] += 1
            return
        if question.known_at is not None and instant(decoded.message.recorded_at) > question.known_at:
            return
        state = self.states.get(decoded.site)
        if state is None:
            state = self.states[decoded.site] = self._state(decoded.site)
        if decoded.site in self._erased and self._is_erased(state, decoded):
            return
        self.share.messages["received"] += 1
        state.load(decoded)

    def _is_erased(self, state: SiteState, decoded: Decoded) -> bool:
        """Whether a message went with its patient. That its feed was alive when it came stays."""
        patient, fact = state.admit(decoded)
        named = [patient, fact.other] if isinstance(fact, f.Merged) else [patient]
        until = [self._erased[state.site].get(each.hex(), -1) for each in named]
        if instant(decoded.message.recorded_at) > max(until):
            return False
        state.signs.note(fact)
        state.signs.messages -= 1
        return True

    def restore(self, site: str, facts: Iterable[bytes], tally: Tally) -> None:
        """Take in what a log holds of a site: its facts (`records.fact_record`), and what had arrived."""
        state = self.states[site] = self._state(site)
        for record in facts:
            state.restore(_read(site, record))
        state.signs = Signs(tally.taken, tally.last_recorded, dict(tally.heard))
        self.share.messages["received"] += tally.received
        self.share.rejected.update(tally.rejected)

    def _state(self, site: str) -> SiteState:
        question = self.question
        known_on = LAST_DAY if question.as_of is None else question.as_of
        entry = question.registry.entry_on(site, known_on) if question.registry else None
        settlements = settlements_of(question.known_actions, site)
        intake = Intake(self.vocabulary, question.registry, question.key, settlements)
        return SiteState(site, intake, entry, on_fault=question.on_fault)

    def last_day(self) -> int | None:
        """The latest day on which anything taken in was recorded."""
        days = [day for state in self.states.values() if (day := state.last_recorded_day()) is not None]
        return max(days, default=None)

    def judge(self, as_of: int) -> Share:
        """Judge everyone as of a day."""
        share = self.share
        judging = Judging(self.question.policies, self.vocabulary)
        contributions = judging.contributions(as_of)
        counts = []
        for site, state in sorted(self.states.items()):
            found: list[Decision] = []
            entry = self.question.registry.entry_on(site, as_of) if self.question.registry else None
            state.judge_by(judging.of(contributions, self.question.known_actions, site), entry=entry)
            state.settle(as_of, found.extend)
            share.decisions += [Row(site, decision) for decision in one_row_a_course(found)]
            share.listed += [(site, *each) for each in state.listed()]
            counts.append(add_site(share, state, as_of))
        share.table = Rates(contributions).table(counts, as_of)
        return share

    def result(self) -> dict[str, Any]:
        """The result object of contract section 4 for all that was taken in."""
        question = self.question
        as_of = question.as_of if question.as_of is not None else self.last_day()
        share = self.share if as_of is None else self.judge(as_of)
        return result_of(question.policies, question.registry, share, as_of)


def _read(site: str, record: bytes) -> AnyMessage:
    try:
        return records.read_fact(record)
    except (ValueError, msgspec.MsgspecError) as damage:  # the texts name fields, never a value
        raise LogUnusableError(f"the log of {site} holds what this version cannot read ({damage}).") from None


def quiet_memory() -> None:
    """Let Python look for cycles rarely: records hold none, and a look costs their number."""
    gc.set_threshold(200_000, 50, 1_000)


def replay_lines(lines: Iterable[bytes], question: Question) -> dict[str, Any]:
    """The result object of contract section 4 for these lines, in this process."""
    replayer = Replayer(question)
    for raw in lines:
        replayer.take(raw)
    return replayer.result()


def replay_log(sites: Iterable[tuple[str, Iterable[bytes], Tally]], question: Question) -> dict[str, Any]:
    """The same for what a log holds of each site: (site, facts, what had arrived); nothing is written."""
    replayer = Replayer(question)
    for site, facts, tally in sites:
        replayer.restore(site, facts, tally)
    return replayer.result()


def replay_files(
    paths: Sequence[str],
    *,
    policies: tuple[PolicyDocument, ...],
    registry: Registry | None = None,
    site: str | None = None,
    as_of: str | None = None,
    known_at: int | None = None,
    actions: tuple[act.Action, ...] = (),
) -> dict[str, Any]:
    """`replay_lines` of the lines of files; `as_of` is `YYYY-MM-DD`."""
    question = Question(policies, registry, actions, site, None if as_of is None else day_of(as_of), known_at)
    return replay_lines((raw for _, _, raw in read_lines(paths)), question)
