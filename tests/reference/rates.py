"""Person-days and events by looping over days, then EAER and EAIR with exact limits."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scipy.stats import chi2

from . import policy as rules
from .cohorts import names_a_dose, rows_on
from .events import counted_days
from .exposure import Observed, counted_episodes, is_at_risk
from .records import Person

Cell = tuple[str, str]
NUMBERS = (
    "events patients_with_event person_days exposed_person_days at_risk_person_days "
    "rate_per_100_patient_years lower upper"
).split()


@dataclass
class Tally:
    """For each person the days that count in a cell (cohort, AESI): exposed, at risk, and the days of its events."""

    rows: set[str] = field(default_factory=set)
    exposed: dict[Cell, dict[int, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    at_risk: dict[Cell, dict[int, set[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    events: dict[Cell, dict[int, list[int]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))


def tally_all(persons: list[Person], policy: rules.Document, observed: dict[str, Observed], as_of: int) -> Tally:
    tally = Tally({name for name, keys in policy["cohorts"].items() if "split_by" not in keys})
    for number, person in enumerate(persons):
        for episode in counted_episodes(person, policy):
            for on in range(episode.started_on, int(min(as_of, person.last_day(policy))) + 1):
                tally_day(tally, number, person, policy, episode, on, observed[person.site])
        tally_events(tally, number, person, policy)
    return tally


def tally_day(
    tally: Tally, number: int, person: Person, policy: rules.Document, episode: Any, on: int, observed: Observed
) -> None:
    """One day of one course: to which cells does it add an exposed day, a day at risk?"""
    is_exposed = person.is_exposed(policy, episode, on)
    at_risk = {
        by_dose: [aesi for aesi in policy["aesis"] if is_at_risk(person, policy, episode, aesi, on, by_dose)]
        for by_dose in (False, True)
    }
    for cohort, keys in policy["cohorts"].items():
        aesis = at_risk[names_a_dose(keys)]
        for row in rows_on(person, policy, cohort, episode, on) if aesis else []:
            tally.rows.add(row)
            for aesi in aesis if observed.holds(on) else []:
                tally.at_risk[row, aesi][number].add(on)
                if is_exposed:
                    tally.exposed[row, aesi][number].add(on)


def tally_events(tally: Tally, number: int, person: Person, policy: rules.Document) -> None:
    """An event counts in a cell if its day is at risk there."""
    for aesi in policy["aesis"]:
        for on in counted_days(person, policy, aesi):
            for row in tally.rows:
                if on in tally.at_risk[row, aesi][number]:
                    tally.events[row, aesi][number].append(on)


# Rows


def rate_rows(tally: Tally, policy: rules.Document, persons: int, as_of: int) -> list[dict[str, Any]]:
    """Every cohort x AESI x window x estimator; cumulative first, then by length."""
    return [
        rate_row(tally, policy, (cohort, aesi), window, estimator, persons, as_of)
        for cohort in sorted(tally.rows)
        for aesi in sorted(policy["aesis"])
        for window in [None, *sorted(policy["counting"].get("windows") or [])]
        for estimator in ("EAER", "EAIR")
    ]


def rate_row(
    tally: Tally, policy: rules.Document, cell: Cell, window: int | None, estimator: str, persons: int, as_of: int
) -> dict[str, Any]:
    by_exposure = policy["counting"].get("denominator", "at_risk") == "exposure"
    first_counted = 0 if window is None else as_of - window + 1
    if estimator == "EAIR" and by_exposure and window is not None:
        numbers = dict.fromkeys(NUMBERS)
    elif estimator == "EAIR":
        parts = [first_event_part(tally, cell, one, first_counted, by_exposure) for one in range(persons)]
        numbers = total(parts, policy)
    else:
        parts = [all_events_part(tally, cell, one, first_counted, by_exposure) for one in range(persons)]
        numbers = total(parts, policy)
        if window is not None:
            numbers["patients_with_event"] = None
    key = {"cohort": cell[0], "aesi": cell[1], "window": "cumulative" if window is None else window}
    return key | {"estimator": estimator} | numbers


@dataclass(frozen=True)
class Part:
    """What one person adds to a row."""

    events: int
    patients: int
    person_days: int
    exposed: int
    at_risk: int


def all_events_part(tally: Tally, cell: Cell, person: int, first: int, by_exposure: bool) -> Part:
    events = since(tally.events[cell][person], first)
    exposed, at_risk = since(tally.exposed[cell][person], first), since(tally.at_risk[cell][person], first)
    return Part(len(events), int(bool(events)), len(exposed if by_exposure else at_risk), len(exposed), len(at_risk))


def first_event_part(tally: Tally, cell: Cell, person: int, first: int, by_exposure: bool) -> Part:
    """Nothing counts after the day of the first event; nothing at all if that came before the window."""
    first_event = min(tally.events[cell][person], default=None)
    if first_event is not None and first_event < first:
        return Part(0, 0, 0, 0, 0)
    exposed, at_risk = since(tally.exposed[cell][person], first), since(tally.at_risk[cell][person], first)
    if first_event is not None:
        exposed = [on for on in exposed if on <= first_event]
        at_risk = [on for on in at_risk if on <= first_event]
    has_event = int(first_event is not None)
    person_days = exposed if by_exposure and not has_event else at_risk
    return Part(has_event, has_event, len(person_days), len(exposed), len(at_risk))


def since(days: Iterable[int], first: int) -> list[int]:
    return [on for on in days if on >= first]


def total(parts: list[Part], policy: rules.Document) -> dict[str, Any]:
    events = sum(part.events for part in parts)
    person_days = sum(part.person_days for part in parts)
    rate, lower, upper = rate_with_limits(events, person_days, policy["counting"]["confidence"])
    return {
        "events": events,
        "patients_with_event": sum(part.patients for part in parts),
        "person_days": person_days,
        "exposed_person_days": sum(part.exposed for part in parts),
        "at_risk_person_days": sum(part.at_risk for part in parts),
        "rate_per_100_patient_years": rate,
        "lower": lower,
        "upper": upper,
    }


def rate_with_limits(
    events: int, person_days: int, confidence: float
) -> tuple[float | None, float | None, float | None]:
    """Events per 100 patient-years of 365.25 days with Garwood's exact limits; no person-time: nothing to say."""
    if person_days == 0:
        return None, None, None
    per_100_years = 36_525 / person_days
    tail = (1 - confidence) / 2
    lower = chi2.ppf(tail, 2 * events) / 2 if events else 0.0
    upper = chi2.ppf(1 - tail, 2 * events + 2) / 2
    return (
        rounded(events * per_100_years),
        rounded(float(lower) * per_100_years),
        rounded(float(upper) * per_100_years),
    )


def rounded(value: float) -> float:
    return float(f"{value:.6g}")
