"""Which answers are cases: starts that stay on a list until a person closes them; and when one is another case."""

from __future__ import annotations

from collections.abc import Collection

from monitor.core.decision import Decision

CASE_KINDS = ("violation", "unassessable", "started_on_hold")


def cases_of(decision: Decision) -> tuple[str, ...]:
    """The kinds of case a decision is; orders and what began before go-live are none."""
    if decision.kind != "start" or decision.historical:
        return ()
    kinds = {decision.decision, *decision.reasons}
    return tuple(kind for kind in CASE_KINDS if kind in kinds)


def is_same_case(decision: Decision, day: int, positive: Collection[str]) -> bool:
    """Whether a case goes on of which the dose of a `day` was judged and some infections were known to be positive.

    Another first dose is another case, and so is what turned out positive since: whoever closed the case did not know.
    """
    return decision.day == day and positive_in(decision) <= set(positive)


def positive_in(decision: Decision) -> set[str]:
    """The infections that a decision found to be positive."""
    return {infection for infection, found in decision.findings.items() if found.finding == "positive"}
