"""What sites come to, added up, and the object in which it is printed: contract, section 4.

Replay fills it from files, the single machine from what it holds; so both say the same in the same words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from monitor import __version__
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.days import iso, moment_of
from monitor.core.decision import Decision
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.rates import Rates, RateTable, SiteCounts
from monitor.core.registry import Registry, complete_to
from monitor.core.rows import Rows
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary


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


def add_site(share: Share, state: SiteState, as_of: int) -> SiteCounts:
    """Add up what a judged site comes to, beside its decisions and what is listed; returns the counts of its rates."""
    cube = state.cube
    if cube is None:
        raise RuntimeError("a site was judged without its cube")
    share.messages.update(state.classes())
    share.tallies.update(cube.tallies)
    share.tallies["conflicts"] += state.conflicts()
    share.open_conflicts += [OpenConflict(state.site, *each) for each in state.open_conflicts()]
    end = state.observed_end()
    share.tallies["not_observed"] += cube.placed_outside(state.observed_from, end, as_of)
    share.tallies["lost_to_follow_up"] += cube.lost_on(as_of)
    for (kind, concept), times in cube.unmapped.items():
        for system, code in set(state.intake.vocabulary.codings[concept]):
            share.unmapped[kind, system, code] += times
    return SiteCounts(cube, end)


def result_of(
    policies: Sequence[PolicyDocument],
    registry: Registry | None,
    share: Share,
    as_of: int | None,
    rates: Rates | None = None,
) -> dict[str, Any]:
    """The object that `jakwatch replay` prints; `rates` are those of the policy in force, for whoever has them."""
    day = as_of if as_of is not None else 1
    policy = policy_in_force(policies, day)
    version = registry.at(day) if registry else None
    rates = rates or Rates(Contributions(policy, Meaning(policy, Vocabulary()), LevelSets(), Rows()))
    tallies, lag = share.tallies, policy.counting.complete_after_days
    head = policy.policy
    return {
        "as_of": None if as_of is None else iso(as_of),
        "complete_to": None if as_of is None else iso(complete_to(registry, lag, as_of)),
        "program": f"jakwatch {__version__}",
        "policy": {
            "name": head.name,
            "version": head.version,
            "sha256": policy.sha256,
            "confidence": float(policy.counting.confidence),
        },
        "sites": None if version is None else {"version": version.registry.version, "sha256": version.sha256},
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
