"""What stands beside a decision: dose above label, two drugs of a class at once, a start unlike its order."""

import re
from collections.abc import Iterable
from typing import Any

from . import policy as rules
from .calendar_days import first_day, year_of
from .records import Episode, Person, diseases_on
from .versions import Fact


def flagged_drugs(policy: rules.Document) -> Any:
    return (policy.get("flags") or {}).get("dose_above_label") or []


def blocking(policy: rules.Document, flags: Iterable[str]) -> bool:
    return bool(set(flags) & set(rules.as_list((policy.get("flags") or {}).get("blocking"))))


def above_label(
    person: Person,
    policy: rules.Document,
    drug: str,
    dose: dict[str, Any],
    diseases: frozenset[str],
    on: int,
    first: int,
) -> bool:
    """Does no indication of the patient allow this dose on this day? Rows without a source are not judged."""
    wanted = flagged_drugs(policy)
    rows = policy["drugs"][drug].get("highest_daily_mg") or []
    if (wanted != "all" and drug not in wanted) or not rows:
        return False
    hit = [row for row in rows if diseases & rules.diseases_named(policy, row["indications"])]
    judged = [row for row in hit if row.get("source")]
    if (hit and not judged) or not any(row.get("source") for row in rows):
        return False
    return not any(rules.daily_mg(dose) <= highest_mg(person, row, on, first) for row in judged)


def highest_mg(person: Person, row: dict[str, Any], on: int, first: int) -> Any:
    """The row's limit on a day: the usual one, that from an age on, or in the days of induction the higher."""
    limit = rules.exact(row["usual"])
    age = person.age(year_of(on))
    for key in sorted((key for key in row if re.fullmatch("from_age_[0-9]+", key)), key=lambda key: int(key[9:])):
        if age is not None and age >= int(key[9:]):
            limit = rules.exact(row[key])
    induction = row.get("induction")
    if induction and on - first < induction["first_days"]:
        limit = max(limit, rules.exact(induction["mg"]))
    return limit


def episode_above_label(person: Person, policy: rules.Document, drug: str, episode: Episode, as_of: int) -> bool:
    """On any exposed day up to `as_of`?"""
    first = episode.started_on
    return any(
        above_label(person, policy, drug, episode.state(on)[0], diseases_on(person, policy, episode, on), on, first)
        for on in range(first, as_of + 1)
        if person.is_exposed(policy, episode, on)
    )


def order_above_label(person: Person, policy: rules.Document, drug: str, order: Fact, on: int) -> bool:
    named = rules.diseases_of_all(policy, order["indications"])
    return above_label(person, policy, drug, order["dose"], named | diseases_on(person, policy, None, on), on, on)


def two_of_one_class(person: Person, policy: rules.Document, drug: str, on: int, own: Iterable[str]) -> bool:
    """Does another drug of the class run on, beyond this day, which its last dose is not?"""
    kind = policy["drugs"][drug].get("class")
    if kind not in rules.as_list((policy.get("flags") or {}).get("two_of_one_class")):
        return False
    return any(
        other is not None and other != drug and policy["drugs"][other].get("class") == kind
        for episode in person.episodes
        if episode.treatment_id not in own and runs(episode, on) and episode.last_dose_on != on
        for other in [episode.drug(policy)]
    )


def runs(episode: Episode, on: int) -> bool:
    """Between first and last dose, also of a patient who was not seen for long: the drug was never reported stopped."""
    return (
        episode.started_on <= on and (episode.last_dose_on is None or on <= episode.last_dose_on) and not episode.void
    )


def differs(policy: rules.Document, order: Fact, episode: Episode) -> bool:
    """Drug, daily dose or set of diseases of the first day are not those of the order."""
    first = episode.started_on
    return (
        rules.drug_of(policy, order["drug"]) != episode.drug(policy)
        or rules.daily_mg(order["dose"]) != rules.daily_mg(episode.state(first)[0])
        or rules.diseases_of_all(policy, order["indications"]) != episode.indicated(policy, first)
    )


def latest_order(person: Person, treatment_id: str) -> Fact | None:
    orders = [fact for fact in person.of_type("treatment_ordered") if fact["treatment_id"] == treatment_id]
    return max(orders, key=lambda fact: fact.order, default=None)


def planned_day(order: Fact) -> int | None:
    return first_day(order["planned_start_on"]) if order.get("planned_start_on") else None
