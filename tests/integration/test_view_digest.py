"""Two replicas at the same offsets show the same; what is decided at one of them is decided at both, in one order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

import pytest

from schemas import actions as act
from tests.data.good_history import good_lines
from tests.data.history_on_kafka import Owner
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.views import WITHIN, Viewed, World

SITE = "lisbon"
WHO = {"by": "A. Person", "role": "safety officer", "reason": "as minuted"}


@cache
def lines() -> list[bytes]:
    return [line for line in good_lines() if json.loads(line)["site"] == SITE]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A broker of our own: what people decide holds for all who read it."""
    folder = tmp_path_factory.mktemp("digest")
    broker = Broker(folder / "kafka")
    broker.start()
    yield World(broker, folder)
    broker.kill()


@pytest.fixture(scope="module")
def owner(world: World) -> Iterator[Owner]:
    with world.owner(SITE) as found:
        yield found


@pytest.fixture(scope="module")
def early(world: World, owner: Owner) -> Iterator[Viewed]:
    """A replica that has followed from the first message on."""
    with world.view("early") as running:
        running.until_read()
        for first in range(0, len(lines()), 50):
            owner.give(lines()[first : first + 50])
        running.until_read(owner)
        yield running


@pytest.fixture(scope="module")
def late(world: World, owner: Owner, early: Viewed) -> Iterator[Viewed]:  # noqa: ARG001  it began later
    """One that was started when all was written."""
    with world.view("late") as running:
        running.until_read(owner)
        yield running


def offsets(overview: dict[str, Any]) -> list[Any]:
    names = ("site", "facts_offset", "answers_offset")
    sites = [[each[name] for name in names] for each in overview["replica"]["sites"]]
    return [*sites, overview["replica"]["actions_offset"], overview["today"]]


def at_one_point(early: Viewed, late: Viewed) -> tuple[dict[str, Any], dict[str, Any]]:
    """What both show, once they have read as far."""
    seen = (early.overview, late.overview)

    def same() -> bool:
        nonlocal seen
        seen = (early.overview, late.overview)
        return offsets(seen[0]) == offsets(seen[1])

    until(same, "both have read as far", WITHIN)
    return seen


def check_same(early: Viewed, late: Viewed) -> None:
    one, other = at_one_point(early, late)
    assert one["digest"] is not None
    assert one["digest"] == other["digest"]
    assert [each["sha256"] for each in one["replica"]["sites"]] == [
        each["sha256"] for each in other["replica"]["sites"]
    ]


def test_replicas_that_began_at_different_times_show_the_same_digest(owner: Owner, early: Viewed, late: Viewed) -> None:
    check_same(early, late)
    before = early.overview["digest"]
    owner.give(lines()[:1])  # a repetition
    until(lambda: early.overview["digest"] != before, "the digest is another", WITHIN)
    check_same(early, late)


def test_scrapes_of_replicas_show_the_same_digest(early: Viewed, late: Viewed) -> None:
    at_one_point(early, late)
    scrapes = [view.get("metrics")[1] for view in (early, late)]
    one, other = ([line for line in text.splitlines() if "jakwatch_site_digest{" in line] for text in scrapes)
    assert one
    assert one == other


# What people decide


def a_case(view: Viewed) -> dict[str, Any]:
    return dict(view.overview["cases"][0])


def closing(case: dict[str, Any], **more: str) -> dict[str, str]:
    named = {"action": "close_case", **{name: case[name] for name in ("site", "treatment_id", "kind")}}
    return named | WHO | more


def test_a_case_closed_at_one_replica_is_closed_at_the_other(early: Viewed, late: Viewed) -> None:
    case, closed = a_case(early), early.overview["closed_cases"]
    status, said = early.act(**closing(case, action_id="closed-once"))
    assert (status, said["action_id"], said["by"]) == (200, "closed-once", WHO["by"])
    assert early.overview["closed_cases"] == closed + 1  # at once: it was heard before it was answered
    until(lambda: late.overview["closed_cases"] == closed + 1, "the other has heard it", WITHIN)
    assert case not in late.overview["cases"]
    check_same(early, late)
    assert early.ask("v1/actions")[1] == late.ask("v1/actions")[1]


def test_the_page_closes_a_case(early: Viewed, late: Viewed) -> None:
    case = a_case(late)
    form = closing(case)
    del form["action"]
    body = "&".join(f"{name}={value.replace(' ', '+')}" for name, value in form.items()).encode()
    status, page = late.ask("cases/close", body, {"Content-Type": "application/x-www-form-urlencoded"})
    assert (status, b"The case is closed." in page) == (200, True)
    until(lambda: case not in early.overview["cases"], "the other has heard it", WITHIN)


def test_said_again_at_another_replica_it_counts_once_and_other_words_are_refused(
    world: World, early: Viewed, late: Viewed
) -> None:
    case = a_case(early)
    first = early.act(**closing(case, action_id="said-twice"))
    at_one_point(early, late)
    assert late.act(**closing(case, action_id="said-twice")) == first
    status, refused = late.act(**closing(case, action_id="said-twice", reason="another one"))
    assert (status, refused["error"]) == (409, "this action_id names another decision")
    assert [key for key, _ in world.decided()].count(b"said-twice") == 1


def test_of_two_decisions_under_one_id_at_the_same_moment_one_stands_everywhere_and_after_compaction(
    world: World, early: Viewed, late: Viewed
) -> None:
    for number in range(5):
        case, name = a_case(early), f"race-{number}"
        with ThreadPoolExecutor(2) as both:
            asked = [
                both.submit(view.act, **closing(case, action_id=name, reason=reason))
                for view, reason in ((early, "the one"), (late, "the other"))
            ]
        answers = [each.result() for each in asked]
        assert sorted(status for status, _ in answers) == [200, 409], answers
        stands = next(said["reason"] for status, said in answers if status == 200)
        at_one_point(early, late)
        records = [value for key, value in world.decided() if key == name.encode()]
        assert json.loads(records[-1])["reason"] == stands
        for view in (early, late):
            kept = [json.loads(line) for line in view.ask("v1/actions")[1].splitlines()]
            assert [each["reason"] for each in kept if each["action_id"] == name] == [stands]
    check_same(early, late)


def test_a_settled_conflict_and_a_waiver_count_at_both_as_replay_counts_them(
    world: World, owner: Owner, early: Viewed, late: Viewed
) -> None:
    conflict = early.overview["result"]["open_conflicts"][0]
    whose = {name: conflict[name] for name in ("site", "source", "event_id") if conflict[name] is not None}
    said = {"action": "settle_conflict", "digest": conflict["bodies"][0]["digest"], **whose, **WHO}
    assert late.act(**said)[0] == 200
    waiver = {"action": "sign_waiver", "site": SITE, "infection": "hiv", "ends_on": "2099-01-01", **WHO}
    assert early.act(**waiver)[0] == 200
    at_one_point(early, late)
    known = [act.decode_action(line) for line in early.ask("v1/actions")[1].splitlines()]
    actions = [each for each in known if isinstance(each, act.ActionEnvelope)]
    assert len(actions) == len(known)
    found = [view.ask("v1/result")[1].decode() for view in (early, late)]
    as_of = date.fromisoformat(json.loads(found[0])["as_of"]).toordinal()
    assert found[0] == found[1]
    assert json.loads(found[0]) == json.loads(world.replayed([owner], as_of, actions))
    check_same(early, late)


def test_what_cannot_be_decided_is_refused_and_leaves_nothing(world: World, early: Viewed) -> None:
    before = len(world.decided())
    nowhere = {"action": "close_case", "site": SITE, "treatment_id": "none", "kind": "violation", **WHO}
    assert early.act(**nowhere)[0] == 409
    assert early.act(**(nowhere | {"site": "atlantis"}))[0] == 404
    assert early.act(**(nowhere | {"at": datetime.now(UTC).isoformat()}))[0] == 422
    assert len(world.decided()) == before
