"""Adverse events: to which AESIs each belongs, on which day it counts, and why it counts nowhere."""

from collections import Counter
from dataclasses import dataclass

from . import policy as rules
from .calendar_days import first_day, is_within, local_day
from .exposure import Observed, at_risk_by_any_drug, counted_episodes
from .records import Person
from .versions import Fact


@dataclass(frozen=True)
class Event:
    """A report (or a death without one), with its day for each AESI it belongs to; no days: no onset."""

    days: dict[str, int]
    first_possible: int | None


def events_of(person: Person, policy: rules.Document) -> list[Event]:
    reports = sorted(person.of_type("adverse_event"), key=lambda fact: (fact.event_id, fact.message.source))
    found = [event_from(person, policy, report) for report in reports]
    if person.died_on is not None and not any(report.get("outcome") == "fatal" for report in reports):
        aesis = [name for name, keys in policy["aesis"].items() if keys.get("also_died_on")]
        if aesis:
            found.append(Event(dict.fromkeys(aesis, person.died_on), person.died_on))
    return found


def event_from(person: Person, policy: rules.Document, report: Fact) -> Event:
    onset = report.get("onset_on")
    if onset is None:
        return Event({}, None)
    aesis = [name for name in policy["aesis"] if belongs(person, policy, name, report)]
    return Event({aesi: onset_day(person, policy, aesi, report, onset) for aesi in aesis}, first_day(onset))


def onset_day(person: Person, policy: rules.Document, aesi: str, report: Fact, onset: str) -> int:
    """Of a partial onset the earliest day at risk that it may mean, not after its recording; else its first day."""
    recorded_on = local_day(report.recorded_at, person.zone)
    possible = first_day(onset)
    while is_within(possible, onset) and possible <= recorded_on:
        if at_risk_by_any_drug(person, policy, aesi, possible):
            return possible
        possible += 1
    return first_day(onset)


# To which AESIs does it belong?


def belongs(person: Person, policy: rules.Document, aesi: str, report: Fact) -> bool:
    """All criteria of the AESI must hold."""
    keys = policy["aesis"][aesi]
    term = report["term"]
    return (
        rules.term_matches(policy, keys.get("codes", "any"), term)
        and not rules.term_matches(policy, keys.get("except") or [], term)
        and ("serious" not in keys or keys["serious"] == is_serious(report))
        and ("outcome" not in keys or report.get("outcome") in rules.as_list(keys["outcome"]))
        and ("action_taken" not in keys or action_fits(person, report, rules.as_list(keys["action_taken"])))
    )


def is_serious(report: Fact) -> bool:
    return bool(report["seriousness"]) or report.get("outcome") == "fatal"


def action_fits(person: Person, report: Fact, wanted: list[str]) -> bool:
    """The action taken; or, of `drug_stopped`, a stop of a suspect course for an adverse event."""
    return report.get("action_taken") in wanted or ("drug_stopped" in wanted and stopped_for_it(person, report))


def stopped_for_it(person: Person, report: Fact) -> bool:
    suspects = report.get("suspect_treatment_ids") or []
    return any(
        stop["treatment_id"] in suspects and stop.get("reason") == "adverse_event"
        for stop in person.of_type("treatment_stopped")
    )


# Which of them count?


def counted_days(person: Person, policy: rules.Document, aesi: str) -> list[int]:
    """The days of the events of an AESI, those within one episode of the last counted one left out."""
    within = policy["counting"].get("one_episode_days") or 0
    counted: list[int] = []
    for on in sorted(event.days[aesi] for event in events_of(person, policy) if aesi in event.days):
        if not counted or within == 0 or on - counted[-1] > within:
            counted.append(on)
    return counted


# What counts nowhere


def unplaced(person: Person, policy: rules.Document, observed: Observed, as_of: int) -> Counter[str]:
    reasons = [reason_unplaced(person, policy, event, observed, as_of) for event in events_of(person, policy)]
    return Counter(reason for reason in reasons if reason)


def reason_unplaced(person: Person, policy: rules.Document, event: Event, observed: Observed, as_of: int) -> str | None:
    if event.first_possible is None:
        return "no_onset_date"
    at_risk = [on for aesi, on in event.days.items() if at_risk_by_any_drug(person, policy, aesi, on)]
    if at_risk:
        unseen = all(not observed.holds(on) and on <= as_of for on in at_risk)
        return "not_observed" if unseen else None
    episodes = counted_episodes(person, policy)
    if not episodes:
        return "no_course"
    if event.first_possible < min(episode.started_on for episode in episodes):
        return "before_first_dose"
    return "not_at_risk"


def imputed(person: Person) -> int:
    """Standing reports with a partial onset."""
    onsets = [report.get("onset_on") for report in person.of_type("adverse_event")]
    return sum(1 for onset in onsets if onset is not None and len(onset) < len("2026-01-31"))
