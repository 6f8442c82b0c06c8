"""What a screening result says, and whether it was there before the first dose."""

from dataclasses import dataclass
from typing import Any

from . import policy as rules
from .calendar_days import first_day, instant, local_day
from .records import Person
from .versions import Fact

BADNESS = {"negative": 0, "indeterminate": 1, "positive": 2}


@dataclass(frozen=True)
class Dose:
    """A first dose, given or supposed; results after the day `known_until` do not count."""

    on: int
    at: str | None = None
    is_start: bool = False
    known_until: float = rules.FOR_EVER
    treatment_id: str = ""


@dataclass(frozen=True)
class Result:
    fact: Fact
    test: str
    reading: str
    collected_on: int
    resulted_on: int

    @property
    def preference(self) -> tuple[int, int, str, str]:
        """The latest collected speaks, of one day the worst."""
        return (self.collected_on, BADNESS[self.reading], self.fact.event_id, self.fact.message.source)


def reading(policy: rules.Document, message: Any) -> str:
    """The outcome, or the quantity by the policy's cut-off; without a cut-off or in another unit: indeterminate."""
    if message.get("outcome") is not None:
        return str(message["outcome"])
    test = rules.test_of(policy, message["test"])
    number = (policy["tests"][test].get("number") if test else None) or {}
    quantity = message["quantity"]
    if "positive_from" not in number or number.get("unit") != quantity["unit"]:
        return "indeterminate"
    value, cut_off = rules.exact(quantity["value"]), rules.exact(number["positive_from"])
    return by_cut_off(value, quantity.get("comparator"), cut_off)


def by_cut_off(value: Any, comparator: str | None, cut_off: Any) -> str:
    """What the measured value, which may be known by a bound only, is for certain."""
    if comparator is None:
        return "positive" if value >= cut_off else "negative"
    if comparator == "<":
        return "negative" if value <= cut_off else "indeterminate"
    if comparator == "<=":
        return "negative" if value < cut_off else "indeterminate"
    return "positive" if value >= cut_off else "indeterminate"


def results(person: Person, policy: rules.Document) -> tuple[list[Result], list[Result]]:
    """All results of known tests: those that may be evidence, and those in conflict (whatever they say)."""
    key = ("results", id(policy))
    if key not in person.remembered:
        clean = [fact for fact in person.of_type("screening_result") if not fact.in_conflict]
        clashing = [body for body in person.clashing if body.type == "screening_result"]
        read = [as_result(person, policy, fact) for fact in clean]
        person.remembered[key] = (
            [one for one in read if one and one.reading != "not_done"],
            [one for one in (as_result(person, policy, body) for body in clashing) if one],
        )
    found: tuple[list[Result], list[Result]] = person.remembered[key]
    return found


def as_result(person: Person, policy: rules.Document, fact: Fact) -> Result | None:
    test = rules.test_of(policy, fact["test"])
    if test is None:
        return None
    resulted_on = local_day(instant(fact["resulted_at"]), person.zone)
    return Result(fact, test, reading(policy, fact), first_day(fact["collected_on"]), resulted_on)


def is_in_time(result: Result, dose: Dose) -> bool:
    """Resulted on an earlier day, or on the same unless the instant of the dose shows that it came after."""
    if result.resulted_on > min(dose.on, dose.known_until):
        return False
    came_after = dose.at is not None and instant(result.fact["resulted_at"]) > instant(dose.at)
    return result.resulted_on < dose.on or not came_after
