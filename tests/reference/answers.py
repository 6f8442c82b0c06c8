"""What the gate needs and what it answers, of orders and starts alike."""

from dataclasses import dataclass
from typing import Any

from . import flags as beside
from . import policy as rules
from . import registry as sites
from .calendar_days import local_day
from .readings import Dose
from .records import Episode, Person
from .screening import Finding, Question, find
from .versions import Fact


@dataclass(frozen=True)
class World:
    """All that the gate needs besides a record."""

    policies: list[rules.Document]
    registry: sites.Registry
    waivers: tuple[dict[str, Any], ...]
    as_of: int


@dataclass(frozen=True)
class Answer:
    decision: str
    findings: dict[str, Finding]
    flags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    valid_until: int | None = None


def held_for_two(decision: str) -> Answer:
    return Answer(decision, {}, reasons=("treatment_of_two_patients",))


def all_findings(person: Person, policy: rules.Document, dose: Dose, world: World) -> dict[str, Finding]:
    return {
        infection: find(Question(person, policy, infection, dose, world.waivers)) for infection in policy["screening"]
    }


def reasons_of(findings: dict[str, Finding], judged: Fact) -> list[str]:
    """Each finding that is not good, a warned one too; and whether order or start itself is in conflict."""
    reasons = [f"{infection}:{found.name}" for infection, found in findings.items() if not found.is_good]
    return reasons + ["conflicting"] * judged.in_conflict


def holds(policy: rules.Document, infection: str, found: Finding) -> bool:
    return not found.is_good and policy["screening"][infection].get("if_not_good", "hold") == "hold"


def is_historical(person: Person, on: int, world: World) -> bool:
    live = sites.go_live(world.registry, person.site)
    return live is not None and on < live


def historical_order(person: Person, order: Fact, first: Episode | None, world: World) -> bool:
    """By its first dose, or planned day, else the day of its recording."""
    planned = beside.planned_day(order)
    on = first.started_on if first else planned if planned is not None else order_day(person, order)
    return is_historical(person, on, world)


def order_day(person: Person, order: Fact) -> int:
    return local_day(order.recorded_at, person.zone)


def order_of(person: Person, episode: Episode) -> Fact | None:
    """The order a start carries out: the one it names, else the one of the same `treatment_id`."""
    return beside.latest_order(person, episode.start.get("order_id") or episode.treatment_id)
