"""Replay: what the live service would say, computed in one go from files of messages.

Every line goes to its site's state; when all are in, everyone is judged once. Several processes share whole sites.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from monitor import __version__
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions, Rows
from monitor.core.days import day_of, instant, iso, moment_of
from monitor.core.decode import Rejection, decode
from monitor.core.gate import Decision, PolicyInForce
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.rates import Rates, RateTable, SiteCounts
from monitor.core.registry import Registry
from monitor.core.screening import Waiver
from monitor.core.state import Intake, Judgement, Settlement, SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.files import read_lines
from schemas import actions as act

FAR_FUTURE = instant(moment_of(0).replace(year=9999))
DEFAULT_KEY = b"jakwatch replay"


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


@dataclass(slots=True)
class Share:
    """What one process found of its sites; shares add up."""

    sites: set[str] = field(default_factory=set)
    messages: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    tallies: Counter[str] = field(default_factory=Counter)
    unmapped: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    decisions: list[Row] = field(default_factory=list)
    table: RateTable | None = None

    def plus(self, other: Share) -> Share:
        table = self.table.plus(other.table) if self.table and other.table else self.table or other.table
        return Share(
            self.sites | other.sites, self.messages + other.messages, self.rejected + other.rejected,
            self.tallies + other.tallies, self.unmapped + other.unmapped, self.decisions + other.decisions, table,
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
        settlements = tuple(
            Settlement(action.source, action.event_id, action.digest, instant(action.at))
            for action in question.known_actions
            if isinstance(action, act.SettleConflict) and action.site == site
        )
        entry = question.registry.entry(site, FAR_FUTURE) if question.registry else None
        return SiteState(site, Intake(self.vocabulary, question.registry, question.key, settlements), entry)

    def last_day(self) -> int | None:
        """The latest day on which anything taken in was recorded."""
        days = [day for state in self.states.values() if (day := state.last_recorded_day()) is not None]
        return max(days, default=None)

    def judge(self, as_of: int, on_person: Callable[[], None] = lambda: None) -> Share:
        """Judge everyone as of a day."""
        share = self.share
        judge = _Judge(self.question, self.vocabulary, as_of)
        counts = []
        for site, state in sorted(self.states.items()):
            found: list[Decision] = []
            state.judge_by(judge.of(site))

            def note(decisions: list[Decision], found: list[Decision] = found) -> None:
                found.extend(decisions)
                on_person()

            state.settle(as_of, note)
            share.sites.add(site)
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
        self.policies = tuple(PolicyInForce(policy, Meaning(policy, vocabulary)) for policy in question.policies)
        rates_policy = policy_in_force(question.policies, as_of)
        meaning = next(each.meaning for each in self.policies if each.policy is rates_policy)
        self.contributions = Contributions(rates_policy, meaning, LevelSets(), Rows())

    def of(self, site: str) -> Judgement:
        waivers = tuple(
            Waiver(
                action.action_id, action.infection, action.treatment_id,
                action.ends_on.toordinal() if action.ends_on else None, instant(action.at),
            )
            for action in self.question.known_actions
            if isinstance(action, act.SignWaiver) and action.site == site
        )  # fmt: skip
        return Judgement(self.policies, self.contributions, waivers)


def policy_in_force(policies: Sequence[PolicyDocument], day: int) -> PolicyDocument:
    """The policy of a day; before the first the first."""
    begun = [policy for policy in policies if policy.policy.effective_from.toordinal() <= day]
    return begun[-1] if begun else policies[0]


def one_row_a_course(decisions: Iterable[Decision]) -> Iterator[Decision]:
    """One row a course and kind: of two patients who claim it the worse, historical only if it is for both."""
    rows: dict[tuple[str, str], Decision] = {}
    for decision in decisions:
        key = (decision.treatment_id, decision.kind)
        known = rows.get(key)
        if known is None:
            rows[key] = decision
        else:
            worse = max(known, decision, key=lambda each: (each.rank, repr(each)))
            rows[key] = msgspec.structs.replace(worse, historical=known.historical and decision.historical)
    return iter(rows.values())


def quiet_memory() -> None:
    """Let Python look for cycles rarely: records hold none, and a look costs their number."""
    gc.set_threshold(200_000, 50, 1_000)


def replay_lines(lines: Iterable[bytes], question: Question) -> dict[str, Any]:
    """The result object of contract section 4 for these lines, in this process."""
    replayer = Replayer(question)
    for raw in lines:
        replayer.take(raw)
    as_of = question.as_of if question.as_of is not None else replayer.last_day()
    share = Share() if as_of is None else replayer.judge(as_of)
    return result_of(question, replayer.share if as_of is None else share, as_of)


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
    tallies = share.tallies
    head = policy.policy
    return {
        "as_of": None if as_of is None else iso(as_of),
        "complete_to": None if as_of is None else iso(complete_to(question.registry, policy, as_of)),
        "program": f"jakwatch {__version__}",
        "policy": {"name": head.name, "version": head.version, "sha256": policy.sha256},
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
    }


UNPLACED = ("no_onset_date", "no_course", "before_first_dose", "not_at_risk", "not_observed")
TALLIES = ("imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable")
CLASSES = ("received", "accepted", "duplicate", "superseded", "conflicting")


def _messages(share: Share) -> dict[str, Any]:
    return {name: share.messages[name] for name in CLASSES} | {"rejected": dict(sorted(share.rejected.items()))}


def _course(row: Row) -> tuple[str, str, str]:
    return row.site, row.decision.treatment_id, row.decision.kind


def complete_to(registry: Registry | None, policy: PolicyDocument, as_of: int) -> int:
    """The day up to which reports are taken as complete: the earliest of the registered sites."""
    lag = policy.counting.complete_after_days
    feeds = [site.feeds.get("adverse_event") for site in registry.at(as_of).sites.values()] if registry else []
    lags = [lag if feed is None or feed.complete_after_days is None else feed.complete_after_days for feed in feeds]
    return as_of - max(lags, default=lag)


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
