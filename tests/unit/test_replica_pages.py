"""The pages of a replica say how far it has read and what it does not know; a single machine's say nothing of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from monitor.stream.standing import ReplicaOverview, ReplicaStanding, SiteStanding
from monitor.web.openapi import document
from monitor.web.pages import Choice, Pages, warnings_of
from monitor.web.standing import spell
from tests.data.shown_overview import overview_of
from tests.unit.page_reader import Element
from tests.unit.page_stage import course, shown

SITE = SiteStanding(
    site="lisbon", state="read", trouble=None, facts_offset=1_234, answers_offset=56, inbound_offset=789,
    inbound_end=790, written_at="2026-01-02T03:00:00.000000Z", behind_seconds=0.0, waiting_seconds=2.0, has_owner=True,
    versions_not_given=(), answers_differing=0, sha256="ab" * 32,
)  # fmt: skip
STANDING = ReplicaStanding((SITE,), 3, 4, 0, None, ())
DIGEST = "cd" * 32


def standing(*sites: SiteStanding, **changed: Any) -> ReplicaStanding:
    return dataclasses.replace(STANDING, sites=sites or (SITE,), **changed)


def of_site(**changed: Any) -> ReplicaStanding:
    return standing(dataclasses.replace(SITE, **changed))


def replica(replayed: dict[str, Any], found: ReplicaStanding = STANDING, **changed: Any) -> ReplicaOverview:
    plain = overview_of(replayed)
    fields = {each.name: getattr(plain, each.name) for each in dataclasses.fields(plain)}
    return ReplicaOverview(**(fields | {"digest": DIGEST, "replica": found} | changed))


@pytest.fixture
def quiet(replayed: dict[str, Any]) -> set[str]:
    """What the page of a replica that knows everything warns of."""
    return set(warnings_of(replica(replayed)))


def said(replayed: dict[str, Any], quiet: set[str], found: ReplicaStanding, **changed: Any) -> str:
    """What a replica that stands so warns of beside that."""
    return "\n".join(each for each in warnings_of(replica(replayed, found, **changed)) if each not in quiet)


def test_a_replica_that_knows_everything_warns_of_nothing_more_than_a_single_machine(
    replayed: dict[str, Any], quiet: set[str]
) -> None:
    assert quiet == set(warnings_of(overview_of(replayed)))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"state": "reading", "sha256": None}, "Not read yet, and in no list or count: lisbon"),
        ({"state": "unseen"}, "lisbon: no topics of it can be seen"),
        ({"state": "unreadable", "trouble": "the log of lisbon cannot be read."}, "the log of lisbon cannot be read."),
        ({"behind_seconds": 61.0}, "lisbon: this replica is behind"),
        ({"waiting_seconds": 7_300.0}, "the oldest message has been waiting for 2 hours"),
        ({"waiting_seconds": 31.0, "has_owner": False}, "lisbon: nobody takes in its messages"),
        ({"versions_not_given": (7,)}, "answered by a version of the policy that this replica was not given (7)"),
        ({"answers_differing": 1_200}, "1,200 answers are not what the rules of this replica say"),
    ],
)
def test_what_is_not_known_of_a_site_is_said(
    replayed: dict[str, Any], quiet: set[str], changed: dict[str, Any], words: str
) -> None:
    assert words in said(replayed, quiet, of_site(**changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"behind_seconds": 60.0}, {"waiting_seconds": 60.0}, {"behind_seconds": None}, {"waiting_seconds": None},
        {"has_owner": None}, {"inbound_end": None}, {"answers_differing": None}, {"written_at": None},
    ],
)  # fmt: skip
def test_what_is_on_its_way_or_may_not_be_asked_is_no_warning(
    pages: Pages, replayed: dict[str, Any], quiet: set[str], changed: dict[str, Any]
) -> None:
    assert said(replayed, quiet, of_site(**changed)) == ""
    assert shown(pages, replica(replayed, of_site(**changed))).one(id="replica")


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"not_activated": (2, 3)}, "version 2, 3 of the policy"), ({"actions_unreadable": 1}, "1 records of what")],
)
def test_what_holds_of_all_sites_is_said(
    replayed: dict[str, Any], quiet: set[str], changed: dict[str, Any], words: str
) -> None:
    assert words in said(replayed, quiet, standing(**changed))


def test_a_replica_never_says_that_hospitals_send_again(replayed: dict[str, Any], quiet: set[str]) -> None:
    found = said(replayed, quiet, STANDING, trouble="Kafka has not answered since 2026-01-02T03:00:00Z")
    assert found == (
        "What is shown is not all, or not as it is now: Kafka has not answered since 2026-01-02T03:00:00Z."
    )


def test_the_page_shows_how_far_each_site_was_read_and_the_digest_in_full(
    pages: Pages, replayed: dict[str, Any]
) -> None:
    page = shown(pages, replica(replayed))
    assert DIGEST in page.one(id="live-digest").text
    [row] = [each for each in page.all("tr") if "1,234 and 56" in each.text]
    for each in ("lisbon", "read", "789 of 790", "2026-01-02 03:00:00 UTC", "2 seconds", "abababab"):
        assert each in row.text


def test_while_a_site_is_read_the_page_shows_no_rates_and_says_why(pages: Pages, replayed: dict[str, Any]) -> None:
    part = replica(replayed | {"rates": []}, of_site(state="reading", sha256=None), digest=None)
    page = shown(pages, part)
    assert "of a part of them the rates are other numbers" in page.one(id="live-rates").text
    assert "No digest until all sites are read" in page.one(id="live-digest").text


def test_the_page_of_a_course_bears_the_digest_too(pages: Pages, replayed: dict[str, Any]) -> None:
    assert DIGEST in course(pages, replica(replayed), "lisbon", "t", []).one(id="live-digest").text


def test_a_single_machine_says_nothing_of_replicas(pages: Pages, replayed: dict[str, Any]) -> None:
    page: Element = shown(pages, overview_of(replayed))
    assert "replica" not in page.text
    assert page.one(id="live-digest").text == ""


def test_a_choice_of_rates_is_possible_while_there_are_none(replayed: dict[str, Any]) -> None:
    assert Choice.from_query({}, replayed | {"rates": []}).cohort == ""


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "an unknown time"), (0.4, "0 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7_200, "2 hours"),
     (172_800, "2 days")],
)  # fmt: skip
def test_a_time_is_said_as_people_say_it(seconds: float | None, words: str) -> None:
    assert spell(seconds) == words


def test_the_interface_of_a_replica_names_no_way_for_messages_in() -> None:
    paths = document(takes_messages=False)["paths"]
    assert set(document()["paths"]) - set(paths) == {"/v1/sites/{site}/messages"}
