"""Plain questions about one day: exposed by this course? at risk for this AESI? does the site observe it?"""

from dataclasses import dataclass

from . import policy as rules
from . import registry as sites
from .calendar_days import day, first_day, local_day
from .messages import Message
from .records import Episode, Person
from .versions import Fact


@dataclass(frozen=True)
class Observed:
    """The days of a site that count, both ends included; None where there is no limit."""

    first: int | None
    last: int | None

    def holds(self, on: int) -> bool:
        return (self.first is None or self.first <= on) and (self.last is None or on <= self.last)


NO_DAY = Observed(1, 0)


def observed_days(site: str, messages: list[Message], facts: list[Fact], registry: sites.Registry) -> Observed:
    """From the feed's registered day through its latest sign of life and the silence it may keep."""
    if registry is None:
        return Observed(None, None)
    feed = sites.feed(registry, site, "adverse_event")
    zone = sites.zone(registry, site)
    signs = [
        local_day(message.recorded_at, zone)
        for message in messages
        if message.site == site and message.type == "adverse_event"
    ]
    signs += [
        first_day(fact["complete_through"])
        for fact in facts
        if fact.message.site == site and fact.type == "feed_status" and fact["feed"] == "adverse_event"
    ]
    if feed is None or not signs:
        return NO_DAY
    return Observed(day(feed["from"]), max(signs) + feed.get("silent_after_days", 0))


def counted_episodes(person: Person, policy: rules.Document) -> list[Episode]:
    """Courses of known drugs that belong to this person alone."""
    key = ("counted", id(policy))
    if key not in person.remembered:
        person.remembered[key] = [
            episode for episode in person.episodes if not episode.of_two_patients and episode.drug(policy) is not None
        ]
    found: list[Episode] = person.remembered[key]
    return found


def is_at_risk(
    person: Person, policy: rules.Document, episode: Episode, aesi: str, on: int, tail_ends_when_retaken: bool = False
) -> bool:
    """Exposed by this course on this day, or in its tail after a reported last dose."""
    if person.is_exposed(policy, episode, on):
        return True
    last = episode.last_dose_on
    drug = episode.drug(policy)
    if drug is None or episode.void or last is None or on <= last or on > person.last_day(policy):
        return False
    if on - last > rules.tail_days(policy, drug, aesi):
        return False
    return not (tail_ends_when_retaken and was_retaken(person, policy, episode, drug, on))


def was_retaken(person: Person, policy: rules.Document, episode: Episode, drug: str, on: int) -> bool:
    """Was the drug taken again, by any course, on some day after this last dose and up to this day?"""
    assert episode.last_dose_on is not None
    return any(takes(person, policy, drug, then) for then in range(episode.last_dose_on + 1, on + 1))


def takes(person: Person, policy: rules.Document, drug: str, on: int) -> bool:
    key = ("takes", id(policy), drug, on)
    if key not in person.remembered:
        person.remembered[key] = any(
            person.is_exposed(policy, episode, on) and episode.drug(policy) == drug
            for episode in counted_episodes(person, policy)
        )
    return bool(person.remembered[key])


def at_risk_by_any_drug(person: Person, policy: rules.Document, aesi: str, on: int) -> bool:
    return any(is_at_risk(person, policy, one, aesi, on) for one in counted_episodes(person, policy))
