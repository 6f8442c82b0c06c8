"""Replay: what the live service would say, computed in one go from files of messages.

Every line goes to its site's state; when all are in, everyone is judged once. Several processes share whole sites.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor import __version__
from monitor.core.actions import settlements_of, waivers_of
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.days import LAST_DAY, day_of, instant, iso, moment_of
from monitor.core.decision import Decision, one_row_a_course
from monitor.core.decode import Rejection, decode
from monitor.core.gate import CompiledPolicy
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.rates import Rates, RateTable, SiteCounts
from monitor.core.registry import Registry, complete_to
from monitor.core.rows import Rows
from monitor.core.state import Intake, Judgement, SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.files import read_lines
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


class Row(NamedTuple):
    """A decision and the site it is of."""

    site: str
    decision: Decision


class OpenConflict(NamedTuple):
    """An identity in conflict: the bodies that claim it, as (digest, type, outcome, instant of recording)."""

    site: str
    source: str | None
    event_id: str
    bodies: list[tuple[str, str, str | None, int]]


@dataclass(slots=True)
class Share:
    """What one process found of its sites; shares add up."""

    messages: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    tallies: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    decisions: list[Row] = field(default_factory=list)
    listed: list[tuple[str, ...]] = field(default_factory=list)  # (site, what, treatment_id, event_id)
    open_conflicts: list[OpenConflict] = field(default_factory=list)
    table: RateTable | None = None

    def plus(self, other: Share) -> Share:
        table = self.table.plus(other.table) if self.table and other.table else self.table or other.table
        return Share(
             self.messages + other.messages, self.rejected + other.rejected,
            self.tallies + other.tallies, self.unmapped + other.unmapped, self.decisions + other.decisions,
            self.listed + other.listed, self.open_conflicts + other.open_conflicts, table,
        )  # fmt: skip


class Replayer:
    """Takes lines, then judges: the whole replay, or one process's part of it."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.vocabulary = Vocabulary()
        self.share = Share()
        self.states: dict[str, SiteState] = {}

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
        self.share.messages["received"] += 1
        state = self.states.get(decoded.site)
        if state is None:
            state = self.states[decoded.site] = self._state(decoded.site)
        state.load(decoded)

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
        judge = _Judge(self.question, self.vocabulary, as_of)
        counts = []
        for site, state in sorted(self.states.items()):
            found: list[Decision] = []
            entry = self.question.registry.entry_on(site, as_of) if self.question.registry else None
            state.judge_by(judge.of(site), entry=entry)
            state.settle(as_of, found.extend)
            share.decisions += [Row(site, decision) for decision in one_row_a_course(found)]
            counts.append(self._close(state, as_of))
        share.table = Rates(judge.contributions).table(counts, as_of)
        return share

    def _close(self, state: SiteState, as_of: int) -> SiteCounts:
        """Add up what a judged site comes to beside its rates."""
        cube, share = state.cube, self.share
        if cube is None:
            raise RuntimeError("a site was judged without its cube")
        share.messages.update(state.classes())
        share.tallies.update(cube.tallies)
        share.tallies["conflicts"] += state.conflicts()
        share.listed += [(state.site, *each) for each in state.listed()]
        share.open_conflicts += [OpenConflict(state.site, *each) for each in state.open_conflicts()]
        end = state.observed_end()
        share.tallies["not_observed"] += cube.placed_outside(state.observed_from, end, as_of)
        share.tallies["lost_to_follow_up"] += cube.lost_on(as_of)
        for (kind, concept), times in cube.unmapped.items():
            for system, code in set(self.vocabulary.codings[concept]):
                share.unmapped[kind, system, code] += times
        return SiteCounts(cube, end)


class _Judge:
    """The policies compiled for one process's vocabulary."""

    def __init__(self, question: Question, vocabulary: Vocabulary, as_of: int) -> None:
        self.question = question
        self.policies = tuple(CompiledPolicy(policy, Meaning(policy, vocabulary)) for policy in question.policies)
        rates_policy = policy_in_force(question.policies, as_of)
        meaning = next(each.meaning for each in self.policies if each.policy is rates_policy)
        self.contributions = Contributions(rates_policy, meaning, LevelSets(), Rows())

    def of(self, site: str) -> Judgement:
        return Judgement(self.policies, self.contributions, waivers_of(self.question.known_actions, site))


def quiet_memory() -> None:
    """Let Python look for cycles rarely: records hold none, and a look costs their number."""
    gc.set_threshold(200_000, 50, 1_000)


def replay_lines(lines: Iterable[bytes], question: Question) -> dict[str, Any]:
    """The result object of contract section 4 for these lines, in this process."""
    replayer = Replayer(question)
    for raw in lines:
        replayer.take(raw)
    as_of = question.as_of if question.as_of is not None else replayer.last_day()
    share = replayer.share if as_of is None else replayer.judge(as_of)
    return result_of(question, share, as_of)


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


def result_of(question: Question, share: Share, as_of: int | None) -> dict[str, Any]:
    """The object that `jakwatch replay` prints."""
    day = as_of if as_of is not None else 1
    policy = policy_in_force(question.policies, day)
    registry = question.registry.at(day) if question.registry else None
    contributions = Contributions(policy, Meaning(policy, Vocabulary()), LevelSets(), Rows())
    rates = Rates(contributions)
    tallies, lag = share.tallies, policy.counting.complete_after_days
    head = policy.policy
    return {
        "as_of": None if as_of is None else iso(as_of),
        "complete_to": None if as_of is None else iso(complete_to(question.registry, lag, as_of)),
        "program": f"jakwatch {__version__}",
        "policy": {
            "name": head.name,
            "version": head.version,
            "sha256": policy.sha256,
            "confidence": float(policy.counting.confidence),
        },
        "sites": None if registry is None else {"version": registry.registry.version, "sha256": registry.sha256},
        "messages": _messages(share),
        "decisions": [decision_row(row) for row in sorted(share.decisions, key=_course)],
        "rates": rates.rows(share.table if share.table is not None else rates.table((), day)),
        "unplaced": {reason: tallies[reason] for reason in UNPLACED if tallies[reason]},
        **{name: tallies[name] for name in TALLIES},
        "unmapped": [
            {"kind": kind, "system": system, "code": code, "count": count}
            for (kind, system, code), count in sorted(share.unmapped.items())
            if count
        ],
        "signals": [],
        "listed": [dict(zip(_LISTED, each, strict=True)) for each in sorted(share.listed)],
        "open_conflicts": [conflict_row(each) for each in sorted(share.open_conflicts, key=repr)],
    }


UNPLACED = ("no_onset_date", "no_course", "before_first_dose", "not_at_risk", "not_observed")
TALLIES = ("imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable")
CLASSES = ("received", "accepted", "duplicate", "superseded", "conflicting")


_LISTED = ("site", "what", "treatment_id", "event_id")


def conflict_row(conflict: OpenConflict) -> dict[str, Any]:
    """A conflict as printed: with its digests a person can settle it (action `settle_conflict`)."""
    bodies = [
        {"digest": digest, "type": kind, "outcome": outcome, "recorded_at": moment_of(at).isoformat()}
        for digest, kind, outcome, at in conflict.bodies
    ]
    return {"site": conflict.site, "source": conflict.source, "event_id": conflict.event_id, "bodies": bodies}


def _messages(share: Share) -> dict[str, Any]:
    return {name: share.messages[name] for name in CLASSES} | {"rejected": dict(sorted(share.rejected.items()))}


def _course(row: Row) -> tuple[str, str, str]:
    return row.site, row.decision.treatment_id, row.decision.kind


def decision_row(row: Row) -> dict[str, Any]:
    """A decision as the contract prints it."""
    decision = row.decision
    return {
        "site": row.site,
        "treatment_id": decision.treatment_id,
        "kind": decision.kind,
        "decision": decision.decision,
        "findings": {
            infection: {
                "finding": found.finding,
                "evidence": list(found.evidence),
                "ask_for": list(found.ask_for),
                "marks": list(found.marks),
            }
            for infection, found in sorted(decision.findings.items())
        },
        "flags": list(decision.flags),
        "reasons": list(decision.reasons),
        "valid_until": None if decision.valid_until is None else iso(decision.valid_until),
        "historical": decision.historical,
    }
