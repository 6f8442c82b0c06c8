"""`replay`, as the contract tells it: lines, policies, sites and actions in, one object out. Slow and obvious."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from . import events as reports
from . import policy as rules
from . import registry as sites
from .answers import World
from .calendar_days import day, instant, iso, local_day
from .exposure import observed_days
from .gate import decisions
from .lines import Rejected, is_blank, without_end_of_line
from .messages import Message, decode
from .rates import rate_rows, tally_all
from .records import Person, build_persons
from .unmapped import disagreeing_concepts, unmapped_rows
from .versions import Fact, Verdict, judge_all


def replay(
    lines: list[bytes],
    *,
    policies: list[dict[str, Any]],
    sites: dict[str, Any] | None = None,
    actions: Sequence[dict[str, Any]] = (),
    site: str | None = None,
    as_of: str | None = None,
    known_at: str | None = None,
) -> dict[str, Any]:
    """The object of the contract's section 4, without `program` and hashes; lists sorted, rates to 6 digits."""
    registry = sites
    messages, rejected = read(lines, site, registry)
    messages = [one for one in messages if is_known_at(one.recorded_at, known_at)]
    taken = [action for action in actions if is_known_at(instant(action["at"]), known_at)]
    verdicts = judge_all(messages, registry, taken)
    facts = [verdict.fact for verdict in verdicts if verdict.fact]
    persons = build_persons(verdicts, registry)
    today = day(as_of) if as_of else latest_day(messages, registry)
    policy = rules.in_force(policies, today)
    return (
        {
            "as_of": None if today is None else iso(today),
            "complete_to": None if today is None else iso(complete_to(today, policy, registry)),
            "policy": {"name": rules.header(policy)["name"], "version": rules.header(policy)["version"]},
            "sites": named(registry),
            "messages": counts(messages, verdicts, rejected),
        }
        | at_a_day(persons, messages, facts, policies, registry, taken, today)
        | {
            "imputed": sum(reports.imputed(person) for person in persons),
            "waiting": sum(waiting(person, persons) for person in persons),
            "conflicts": sum(bool(one.clashing) for one in verdicts) + disagreeing_concepts(facts, policy),
            "unassessable": 0,
            "unmapped": unmapped_rows(facts, policy),
            "signals": [],
        }
    )


# In


def read(lines: list[bytes], site: str | None, registry: sites.Registry) -> tuple[list[Message], Counter[str]]:
    messages: list[Message] = []
    rejected: Counter[str] = Counter()
    for line in (without_end_of_line(line) for line in lines if not is_blank(line)):
        try:
            messages.append(decode(line, site, registry))
        except Rejected as reason:
            rejected[reason.args[0]] += 1
    return messages, rejected


def is_known_at(moment: Any, known_at: str | None) -> bool:
    return known_at is None or bool(moment <= instant(known_at))


def latest_day(messages: list[Message], registry: sites.Registry) -> int | None:
    return max((local_day(one.recorded_at, sites.zone(registry, one.site)) for one in messages), default=None)


# Out


def counts(messages: list[Message], verdicts: list[Verdict], rejected: Counter[str]) -> dict[str, Any]:
    classes = sum((verdict.classes for verdict in verdicts), Counter[str]())
    return {
        "received": len(messages) + rejected.total(),
        "accepted": classes["accepted"],
        "duplicate": classes["duplicate"],
        "superseded": classes["superseded"],
        "conflicting": classes["conflicting"],
        "rejected": dict(sorted(rejected.items())),
    }


def named(registry: sites.Registry) -> dict[str, Any] | None:
    if registry is None:
        return None
    return {"name": registry["registry"]["name"], "version": registry["registry"]["version"]}


def complete_to(today: int, policy: rules.Document, registry: sites.Registry) -> int:
    """`as_of` less the policy's lag or the site's own, the earliest of the sites."""
    usual = policy["counting"].get("complete_after_days") or 0
    lags = [
        (sites.feed(registry, site, "adverse_event") or {}).get("complete_after_days", usual)
        for site in (registry or {"sites": {}})["sites"]
    ]
    return max(today - max(lags, default=usual), 1)


def at_a_day(
    persons: list[Person],
    messages: list[Message],
    facts: list[Fact],
    policies: list[rules.Document],
    registry: sites.Registry,
    actions: list[dict[str, Any]],
    today: int | None,
) -> dict[str, Any]:
    """All that depends on `as_of`; without any message there is no day, and nothing to say of it."""
    policy = rules.in_force(policies, today)
    as_of = 0 if today is None else today
    at_sites = {person.site for person in persons}
    observed = {site: observed_days(site, messages, facts, registry) for site in at_sites}
    waivers = tuple(action for action in actions if action["action"] == "sign_waiver")
    tally = tally_all(persons, policy, observed, as_of)
    lost = sum(reports_lost(person, policy, as_of) for person in persons)
    unplaced = sum(
        (reports.unplaced(person, policy, observed[person.site], as_of) for person in persons), Counter[str]()
    )
    return {
        "decisions": decisions(persons, World(policies, registry, waivers, as_of)),
        "rates": rate_rows(tally, policy, len(persons), as_of),
        "unplaced": dict(sorted(unplaced.items())),
        "lost_to_follow_up": lost,
    }


def reports_lost(person: Person, policy: rules.Document, as_of: int) -> bool:
    """Silent for longer than the grace, with a course of a known drug open, not known to have died by then."""
    if person.last_contact is None or (person.died_on is not None and person.died_on <= as_of):
        return False
    is_open = any(one.is_open and one.drug(policy) is not None for one in person.episodes)
    return is_open and person.last_contact + policy["counting"]["lost_after_silent_days"] < as_of


def waiting(person: Person, persons: list[Person]) -> int:
    """Stops and changes of courses without a start, whoever's."""
    started = {
        fact["treatment_id"]
        for other in persons
        if other.site == person.site
        for fact in other.of_type("treatment_started")
    }
    late = person.of_type("treatment_changed", "treatment_stopped")
    return sum(1 for fact in late if fact["treatment_id"] not in started)
