"""What must be true of a site's topics: at any moment, and compared with a replay once it is quiet."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from monitor.core.days import instant, local_day
from monitor.kafka.names import ACTIONS, topic
from monitor.records import Course
from monitor.replay import Question, replay_lines
from monitor.sites import Rules
from schemas import actions as act
from tests.data.one_machine import told
from tests.integration.stream_topics import Seen, Watch

LARGEST_KEPT = 2 << 20  # bytes of a rejected message: more than any inbound topic takes


# What the topics say


def facts_of(watch: Watch, site: str) -> list[Seen]:
    """The facts themselves; other records of their topic have keys that are no JSON objects."""
    return [each for each in watch.seen[topic("facts", site)] if each.key is not None and each.key[:1] == b"{"]


def positions_of(watch: Watch, site: str) -> list[dict[str, Any]]:
    """Every position that was ever kept, in order: `topic`, `offset`, `tally`."""
    return [json.loads(each.value or b"") for each in watch.seen[topic("facts", site)] if each.key == b"position"]


def position_of(watch: Watch, site: str) -> dict[str, Any] | None:
    return next(reversed(positions_of(watch, site)), None)


def answers_of(watch: Watch, site: str) -> dict[Course, dict[str, Any]]:
    """The standing answer of each course."""
    found = {}
    for each in watch.seen[topic("out", site)]:
        key = json.loads(each.key or b"")
        if each.value is None:  # of somebody erased, or the record of a day
            found.pop((key["treatment_id"], key["kind"]), None)
        else:
            found[key["treatment_id"], key["kind"]] = json.loads(each.value)
    return found


def rejected_of(watch: Watch, site: str) -> dict[int, Seen]:
    """What was rejected, by its offset in the inbound topic. Raises AssertionError where one is rejected twice."""
    origins = [(json.loads(each.key or b""), each) for each in watch.seen[topic("rejected", site)]]
    assert {origin["topic"] for origin, _ in origins} <= {topic("in", site)}
    found = {origin["offset"]: each for origin, each in origins}
    assert len(found) == len(origins), f"something of {site} was rejected twice"
    return found


def actions_of(watch: Watch) -> tuple[act.Action, ...]:
    """What people decided, as `replay --actions` is given it."""
    found = [act.decode_action(each.value) for each in watch.seen[ACTIONS] if each.value is not None]
    return tuple(each for each in found if isinstance(each, act.ActionEnvelope))  # type: ignore[misc]


# What must be true at any moment


def check_site(watch: Watch, site: str) -> None:
    """Every message that was taken in is kept once, and what is said of a course only gets newer.

    The facts must have been read before the other topics.
    """
    keys = Counter(each.key for each in facts_of(watch, site))
    assert [key for key, times in keys.items() if times > 1] == [], f"a fact of {site} is kept twice"
    positions = positions_of(watch, site)
    assert [each["offset"] for each in positions] == sorted(each["offset"] for each in positions)
    for each in positions:
        _conserves(each["tally"])
    if positions:
        _is_what_arrived(watch, site, positions[-1])
    _answers_get_newer(watch.seen[topic("out", site)])


def _conserves(tally: dict[str, Any]) -> None:
    assert tally["received"] == tally["taken"] + sum(tally["rejected"].values())


def _is_what_arrived(watch: Watch, site: str, position: dict[str, Any]) -> None:
    """Up to a position, each committed message was counted once, and each that was rejected lies there as it came."""
    inbound = {each.offset: each for each in watch.seen[topic("in", site)] if each.offset < position["offset"]}
    tally = position["tally"]
    assert tally["received"] == len(inbound), f"{site}: {tally['received']} were counted, {len(inbound)} came"
    rejected = {at: each for at, each in rejected_of(watch, site).items() if at < position["offset"]}
    reasons = Counter(dict(each.headers)["reason"].decode() for each in rejected.values())
    assert reasons == {reason: times for reason, times in tally["rejected"].items() if times}
    for at, each in rejected.items():
        assert each.value == (inbound[at].value or b"")[:LARGEST_KEPT]
    assert len(facts_of(watch, site)) <= watch_taken(watch, site)


def watch_taken(watch: Watch, site: str) -> int:
    position = position_of(watch, site)
    return int(position["tally"]["taken"]) if position else 0


def _answers_get_newer(records: Sequence[Seen]) -> None:
    last: dict[bytes | None, str] = {}
    for each in (each for each in records if each.value is not None):
        at = json.loads(each.value or b"")["decided_at"]
        assert last.get(each.key, "") <= at, "an older answer stands behind a newer one"
        last[each.key] = at


# What must be true once it is quiet


class Replays:
    """Replays of all that was published, as of different days."""

    def __init__(self, watch: Watch, rules: Rules, sites: Sequence[str]) -> None:
        self.lines = [each.value or b"" for site in sites for each in watch.seen[topic("in", site)]]
        self._actions = tuple(each for each in actions_of(watch) if getattr(each, "site", None) in (None, *sites))
        self._rules = rules
        self._known: dict[int, dict[str, Any]] = {}

    def of(self, day: int) -> dict[str, Any]:
        if day not in self._known:
            rules = self._rules
            question = Question(rules.policies, rules.registry, self._actions, as_of=day, key=rules.key)
            self._known[day] = replay_lines(self.lines, question)
        return self._known[day]


def check_answers(watch: Watch, rules: Rules, site: str, replays: Replays) -> None:
    """Every row that is not historical is answered in its words; whatever has no row is withdrawn."""
    now = instant(datetime.now(UTC))
    entry = rules.registry.entry(site, now) if rules.registry else None
    rows = replays.of(local_day(now, entry.zone if entry else None))["decisions"]
    check_answers_are(answers_of(watch, site), [row for row in rows if row["site"] == site])
    check_decided_after_its_facts(watch, site)


def check_answers_are(answers: dict[Course, dict[str, Any]], rows: Iterable[dict[str, Any]]) -> None:
    standing = {(row["treatment_id"], row["kind"]): row for row in rows}
    unanswered = {course for course, row in standing.items() if not row["historical"]} - answers.keys()
    assert not unanswered, f"{len(unanswered)} courses were never answered"
    for course, answer in answers.items():
        row = standing.get(course)
        if row is None:
            assert answer["decision"] == "withdrawn", f"{course} has no row and is not withdrawn"
        else:
            assert told(answer) == told(row)


def check_decided_after_its_facts(watch: Watch, site: str) -> None:
    """No answer is older than what its evidence says, of which the first copy counts."""
    known = dict(_first_received(facts_of(watch, site)))
    for answer in answers_of(watch, site).values():
        named = {event_id for found in answer["findings"].values() for event_id in found["evidence"]}
        assert all(known[event_id] <= answer["decided_at"] for event_id in named if event_id in known)


def _first_received(facts: Iterable[Seen]) -> Iterator[tuple[str, str]]:
    """event_id -> when the highest of its versions was received first."""
    found: dict[str, tuple[int, str]] = {}
    for each in facts:
        record = json.loads(each.value or b"")
        event_id, version = record["message"]["event_id"], record["message"].get("version", 0)
        highest, at = found.get(event_id, (-1, ""))
        if version > highest or (version == highest and record["received_at"] < at):
            found[event_id] = version, record["received_at"]
    return ((event_id, at) for event_id, (_, at) in found.items())
