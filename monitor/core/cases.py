"""Which answers are cases: starts that stay on a list until a person closes them."""

from __future__ import annotations

from monitor.core.decision import Decision

CASE_KINDS = ("violation", "unassessable", "started_on_hold")


def cases_of(decision: Decision) -> tuple[str, ...]:
    """The kinds of case a decision is; orders and what began before go-live are none."""
    if decision.kind != "start" or decision.historical:
        return ()
    kinds = {decision.decision, *decision.reasons}
    return tuple(kind for kind in CASE_KINDS if kind in kinds)
