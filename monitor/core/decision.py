"""A decision of the gate, and which of several is the course's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from monitor.core.facts import AnyFact, Ordered, Started
from monitor.core.screening import Finding

_SEVERITY = {"compliant": 0, "awaiting_evidence": 1, "violation": 2, "unassessable": 3}


RELEASING = frozenset({"screening_complete", "compliant"})
"""The decisions after which nobody asks any further."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What the gate says of one order or start. Days are ordinals; lists are sorted."""

    treatment_id: str
    kind: str  # order or start
    decision: str
    findings: dict[str, Finding] = {}
    flags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    valid_until: int | None = None
    historical: bool = False
    policy_version: int | None = None
    day: int = 0  # of the first dose judged; of equals the latest is the course's row

    @property
    def rank(self) -> tuple[int, int]:
        """The worst first of a course, of equals the latest."""
        return _SEVERITY.get(self.decision, 0), self.day


def one_row_a_course(decisions: Iterable[Decision]) -> list[Decision]:
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
    return list(rows.values())


def unassessable(sheets: Iterable[Iterable[AnyFact]]) -> Iterator[Decision]:
    """A decision for every order and start that the facts of a person name, none of which releases."""
    facts = [fact for sheet in sheets for fact in sheet]
    named = {(fact.treatment_id, "order") for fact in facts if isinstance(fact, Ordered)}
    named |= {(fact.treatment_id, "start") for fact in facts if isinstance(fact, Started)}
    for treatment_id, kind in sorted(named):
        yield Decision(treatment_id, kind, "unassessable")
