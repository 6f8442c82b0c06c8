"""What the monitor knows at one moment, as pages and metrics show it: plain values, ready to be printed.

Instants are RFC 3339 text in UTC, days are `YYYY-MM-DD`. No value here names a patient.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitor.core.policy import PolicyDocument, Reference
from monitor.core.rates import PoissonLimits, six_digits


@dataclass(frozen=True, slots=True)
class Case:
    """A start that a person must close; `kind` is `violation`, `unassessable` or `started_on_hold`."""

    site: str
    treatment_id: str
    kind: str
    since: str  # instant from which the answer has been a case without interruption
    answer: dict[str, Any]  # the model `schemas.outbound.Answer` as JSON: decision, findings, flags, reasons, ...


@dataclass(frozen=True, slots=True)
class CourseView:
    """What the page of a course shows; answers and closings as JSON."""

    answers: list[dict[str, Any]]
    cases: list[Case]  # open ones
    closings: list[dict[str, Any]]  # what people said when they closed a case of it
    waivers: list[dict[str, Any]] = field(default_factory=list)  # signed for it, or for all courses of its site


@dataclass(frozen=True, slots=True)
class FeedState:
    """One feed of one site, as the registry describes it; without a registry no feed is known."""

    site: str
    feed: str  # treatment, screening, adverse_event
    complete_from: str  # day from which it is complete
    complete_through: str | None  # the latest day a `feed_status` vouched for
    last_heard: str | None  # day of the latest sign of life
    silent_after_days: int
    silent: bool
    from_the_future: bool = False  # what was heard last is dated after today: a clock is wrong, so it proves nothing


@dataclass(frozen=True, slots=True)
class SiteActivity:
    """What a site has sent so far."""

    site: str
    zone: str
    today: str
    last_received: str | None  # instant at which the last message arrived
    messages: dict[str, int]  # received, accepted, duplicate, superseded, conflicting
    rejected: dict[str, int]  # by reason
    patients: int
    answers: dict[tuple[str, str], int]  # (kind, decision) -> courses, those that began before go-live excepted
    last_recorded: str | None = None  # instant at which its newest message was recorded, by its own clock
    unmapped: dict[str, int] = field(default_factory=dict)  # kind of code -> occurrences in standing facts


@dataclass(frozen=True, slots=True)
class ReferenceRate:
    """A published rate per 100 patient-years, as the policy states it."""

    cohort: str
    aesi: str
    estimator: str
    source: str
    rate: float
    lower: float | None  # as published, else exact (Garwood) at the policy's level, where events are known
    upper: float | None


def reference_rates(policy: PolicyDocument) -> tuple[ReferenceRate, ...]:
    """The references of a policy. Of rate and limits what it states goes before what its events come to."""
    limits = PoissonLimits(float(policy.counting.confidence))
    return tuple(_reference_rate(each, limits) for each in policy.references)


def _reference_rate(given: Reference, limits: PoissonLimits) -> ReferenceRate:
    found: list[float | None] = [None, None, None]
    if given.events is not None and given.patient_years is not None:
        lower, upper = limits.of(np.array([given.events]))
        found = [100 * each / float(given.patient_years) for each in (given.events, float(lower[0]), float(upper[0]))]
    stated = (given.rate, given.lower, given.upper)
    numbers = [came if said is None else float(said) for said, came in zip(stated, found, strict=True)]
    rate, low, high = (None if each is None else six_digits(each) for each in numbers)
    if rate is None:
        raise ValueError("a reference has neither a rate nor events")  # its model refuses that
    return ReferenceRate(given.cohort, given.aesi, given.estimator, given.source, rate, low, high)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything a page or a scrape shows, computed at one moment."""

    computed_at: str
    live_since: str  # instant at which this process began to serve
    trouble: str | None  # why nothing can be taken now, as a full disk
    today: str  # the latest day that has begun at every site
    result: dict[str, Any]  # the object of `jakwatch replay` as of the day to which reports are complete; no decisions
    cases: tuple[Case, ...]  # open, oldest first
    closed_cases: int
    holds: tuple[dict[str, Any], ...]  # answers to orders that were not started: on hold, or unassessable; as JSON
    awaiting: tuple[dict[str, Any], ...]  # answers to starts that still wait for evidence
    feeds: tuple[FeedState, ...]
    sites: tuple[SiteActivity, ...]
    approved_by: str | None = None  # who approved the policy in force; None: nobody
    references: tuple[ReferenceRate, ...] = ()  # published rates that the policy in force compares with
