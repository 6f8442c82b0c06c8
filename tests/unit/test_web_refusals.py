"""What a client is told that is not served: about what was asked, and in a person's words on a page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from monitor.sites import ActionRefusedError
from monitor.web.api import as_refusals
from monitor.web.guard import RefusedError
from monitor.web.pages import Pages
from monitor.web.words import moments
from tests.integration.lone_worker import action_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "close_case": ({"site": "lisbon", "treatment_id": "t", "kind": "violation"}, "Look at the course again."),
    "settle_conflict": (
        {"site": "lisbon", "source": None, "event_id": "e", "digest": "0" * 64}, "Look at the conflict again."
    ),
    "activate": (
        {"what": "policy", "version": 2, "sha256": "0" * 64},
        "Look at the versions that this process was given, and at the days on which they begin.",
    ),
    "erase": ({"site": "lisbon", "pseudonym": "0" * 32}, "Look at the site and the pseudonym again."),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_to_do_about_a_decision_that_is_refused_is_about_that_decision(name: str) -> None:
    said, advice = SAID[name]
    with pytest.raises(RefusedError) as refused, as_refusals(action_of(name, NOW, **said)):
        raise ActionRefusedError("why")
    assert (refused.value.status, refused.value.wrong, refused.value.do) == (409, "why", advice)


def test_an_instant_in_a_sentence_is_put_before_people_as_everywhere_else() -> None:
    sentence = "Kafka has not answered since 2026-01-02T03:04:05.678901Z: what is known may be old"
    assert moments(sentence) == "Kafka has not answered since 2026-01-02 03:04:05 UTC: what is known may be old"
    assert moments("since 2026-01-02T03:04:05+02:00") == "since 2026-01-02 01:04:05 UTC"
    assert moments("since 2026-01-02") == "since 2026-01-02"


def test_no_page_of_a_problem_shows_an_instant_as_a_program_writes_it() -> None:
    page = Pages().problem(503, "no answer since 2026-01-02T03:04:05.678901Z", "Wait.")
    assert "T03:04:05" not in page
    assert page.count("no answer since 2026-01-02 03:04:05 UTC") == 2
