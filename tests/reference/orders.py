"""The answer to an order, and until when it holds."""

from datetime import date

from . import flags as beside
from . import policy as rules
from .answers import Answer, World, all_findings, held_for_two, holds, order_day, order_of, reasons_of
from .calendar_days import first_day
from .readings import Dose
from .records import Episode, Person, treatment_ids
from .versions import Fact

DAYS_LOOKED_AHEAD = 40
DAYS_TO_THE_NEXT_AGE = 366


def first_start_of(person: Person, order: Fact) -> Episode | None:
    """The earliest start that carries the order out."""
    own = [one for one in person.episodes if (one.start.get("order_id") or one.treatment_id) == order["treatment_id"]]
    return min(own, key=lambda one: (one.started_on, one.treatment_id), default=None)


def answer_order(person: Person, order: Fact, start: Episode | None, world: World) -> Answer:
    """With a start, as of the day of that start, for good; without, as of today, and until when it holds."""
    if start is not None:
        dose = Dose(start.started_on, start.start.get("started_at"), treatment_id=order["treatment_id"])
        return judge_order(person, order, dose, start.started_on, world)
    answer = judge_order(person, order, supposed_dose(order, world.as_of, world), world.as_of, world)
    if answer.decision not in ("screening_complete", "hold") or "treatment_of_two_patients" in answer.reasons:
        return answer
    until = last_day_it_holds(person, order, answer.decision, world)
    return Answer(answer.decision, answer.findings, answer.flags, answer.reasons, until)


def supposed_dose(order: Fact, today: int, world: World) -> Dose:
    """The dose as if given on the later of the planned day and today; what came after `as_of` does not count."""
    on = max(today, beside.planned_day(order) or today)
    return Dose(on, known_until=world.as_of, treatment_id=order["treatment_id"])


def judge_order(person: Person, order: Fact, dose: Dose, today: int, world: World) -> Answer:
    policy = rules.in_force(world.policies, order_day(person, order))
    drug = rules.drug_of(policy, order["drug"])
    if is_cancelled(person, order["treatment_id"]):
        return Answer("cancelled", {})
    if order["treatment_id"] in person.of_two_patients:
        return held_for_two("hold")
    if drug is None:
        disagree = rules.drug_codings_disagree(policy, order["drug"])
        return Answer("hold", {}, reasons=("conflicting_codings" if disagree else "unmapped_drug",))
    if has_lapsed(policy, order, today):
        return Answer("lapsed", {})
    findings = all_findings(person, policy, dose, world)
    flags = order_flags(person, policy, drug, order, dose.on)
    held = (
        order.in_conflict
        or beside.blocking(policy, flags)
        or any(holds(policy, name, found) for name, found in findings.items())
    )
    decision = "hold" if held else "screening_complete"
    return Answer(decision, findings, flags, tuple(reasons_of(findings, order)))


def is_cancelled(person: Person, treatment_id: str) -> bool:
    return treatment_id in treatment_ids(person, "treatment_cancelled")


def has_lapsed(policy: rules.Document, order: Fact, today: int) -> bool:
    planned = beside.planned_day(order)
    longest = policy["counting"].get("order_lapses_after_days")
    return planned is not None and longest is not None and today > planned + longest


def order_flags(person: Person, policy: rules.Document, drug: str, order: Fact, on: int) -> tuple[str, ...]:
    own = {one.treatment_id for one in person.episodes if order_of(person, one) is order} | {order["treatment_id"]}
    found = {
        "dose_above_label": beside.order_above_label(person, policy, drug, order, on),
        "two_of_one_class": beside.two_of_one_class(person, policy, drug, on, own),
    }
    return tuple(name for name, is_true in found.items() if is_true)


def last_day_it_holds(person: Person, order: Fact, decision: str, world: World) -> int | None:
    """Ask again for each later day, until the answer is another one; None if no day that matters changes it."""
    settled_until = max(world.as_of, beside.planned_day(order) or 0)  # up to the planned day the dose stays the same
    for today in range(settled_until + 1, horizon(person, order, world) + 1):
        if judge_order(person, order, supposed_dose(order, today, world), today, world).decision != decision:
            return today - 1
    return None


def horizon(person: Person, order: Fact, world: World) -> int:
    """A day after which time alone changes nothing any more: every date of the record and every span has passed."""
    policy = rules.in_force(world.policies, order_day(person, order))
    tables = policy["screening"].values()
    spans = [days for table in tables for days in (table.get("valid_days") or {}).values() if isinstance(days, int)]
    spans += [row.get("treated_after_days") or 0 for table in tables for row in table["rows"]]
    spans.append(policy["counting"].get("order_lapses_after_days") or 0)
    if (policy.get("flags") or {}).get("blocking"):
        spans += [policy["counting"]["lost_after_silent_days"], DAYS_TO_THE_NEXT_AGE]
    ends = [first_day(str(waiver["ends_on"])) for waiver in world.waivers if waiver.get("ends_on")]
    dates = [world.as_of, beside.planned_day(order) or 0, *ends]
    dates += [first_day(fact["started_on"]) for fact in person.of_type("prevention")]
    return min(max(dates) + max(spans) + DAYS_LOOKED_AHEAD, date.max.toordinal())
