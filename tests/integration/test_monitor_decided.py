"""What people decide takes effect at the workers, and what a log was judged by cannot be changed underneath it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from monitor.core.policy import PolicyDocument
from monitor.demo.build import Message
from monitor.demo.cases import ATOPIC_DERMATITIS, prescribed, screened, told
from monitor.kafka.names import topic
from monitor.log import LogUnreachableError, LogUnusableError
from monitor.rulebook import check_key
from monitor.sites import Rules
from schemas import actions as act
from tests.data.versions import policy_of
from tests.integration.broker import Broker
from tests.integration.lone_worker import LoneWorker, lines_of, publish, read_topics
from tests.integration.stream_world import World, world

TODAY = datetime.now(UTC).date()
DAY_2 = TODAY + timedelta(3)  # of the second version
FIRST, SECOND = policy_of(1, date(2024, 1, 1)), policy_of(2, DAY_2)
START, ORDER = ("pt-upa", "start"), ("pt-upa", "order")


@pytest.fixture(scope="module")
def hospitals(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(broker.servers, tmp_path_factory.mktemp("decided"), 12) as made:
        yield made


def given(of: World, *policies: PolicyDocument) -> Rules:
    return replace(of.rules, policies=policies)


@pytest.fixture
def lone(hospitals: World, site: str) -> Iterator[LoneWorker]:
    """Given two versions, of which the first is in force."""
    with LoneWorker(hospitals.servers, given(hospitals, FIRST, SECOND)) as made:
        made.take_over(site)
        yield made


def told_today(patient: str, kind: str, name: str, **body: Any) -> Message:
    """Recorded yesterday afternoon, whatever it says."""
    return told(kind, patient, name, str(TODAY - timedelta(1)), **prescribed(patient, (ATOPIC_DERMATITIS,), 15), **body)


def of_papers(patient: str = "pt") -> list[Message]:
    """Clean papers of last week."""
    return screened(patient, str(TODAY - timedelta(9)), str(TODAY - timedelta(7)))


def planned(day: date, patient: str = "pt") -> Message:
    return told_today(patient, "treatment_ordered", "order", planned_start_on=str(day))


def started(day: date, patient: str = "pt") -> Message:
    return told_today(patient, "treatment_started", "start", started_on=str(day))


def answers(of: World, site: str) -> dict[tuple[str, str], dict[str, Any]]:
    """What the site is told of each course, as the topic has it."""
    name = topic("out", site)
    found = {each.key: json.loads(each.value) for each in read_topics(of.servers, [name])[name] if each.value}
    return {(each["treatment_id"], each["kind"]): each for each in found.values()}


def activate(lone: LoneWorker, policy: PolicyDocument = SECOND, **said: Any) -> act.Action:
    what = {"what": "policy", "version": policy.policy.version, "sha256": policy.sha256}
    return lone.decide("activate", **({"effective_from": policy.policy.effective_from} | what | said))


# Conflicts and waivers


def test_a_settled_conflict_changes_the_answer_at_once_and_for_later_owners(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    *clean, last = of_papers()
    lone.give(site, *clean, last | {"version": 1}, last | {"version": 1, "outcome": "positive"}, planned(TODAY))
    assert answers(hospitals, site)[ORDER]["decision"] == "hold"
    [(source, event_id, bodies)] = lone.owned(site).keeper.state.open_conflicts()
    [negative] = [digest for digest, _, outcome, _ in bodies if outcome == "negative"]
    said = {"site": site, "source": source, "event_id": event_id, "digest": negative}
    action = lone.decide("settle_conflict", **said)
    assert answers(hospitals, site)[ORDER]["decision"] == "screening_complete"
    check_later_owner_agrees(hospitals, lone, site, action)


def check_later_owner_agrees(of: World, lone: LoneWorker, site: str, *decided: act.Action) -> None:
    """Who takes the site over has no answer to change."""
    held, said = lone.holds(site), answers(of, site)
    with LoneWorker(of.servers, lone.worker.given, decided=decided) as later:
        later.ahead = lone.ahead
        later.take_over(site)
        later.tick()
        assert later.holds(site) | {"log": None} == held | {"log": None}
    assert answers(of, site) == said


def test_a_waiver_changes_the_answer_at_once_and_for_later_owners(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    lone.give(site, *(each for each in of_papers() if not each["event_id"].endswith("hiv")), planned(TODAY))
    before = answers(hospitals, site)[ORDER]
    assert (before["decision"], before["findings"]["hiv"]["finding"]) == ("hold", "missing")
    ends_on = TODAY + timedelta(10)
    action = lone.decide("sign_waiver", site=site, infection="hiv", treatment_id="pt-upa", ends_on=ends_on)
    after = answers(hospitals, site)[ORDER]
    assert (after["decision"], after["findings"]["hiv"]["finding"]) == ("screening_complete", "waived")
    check_later_owner_agrees(hospitals, lone, site, action)
    lone.take_over(site)
    lone.pass_days(11)
    assert answers(hospitals, site)[ORDER]["decision"] == "hold"


def test_what_is_decided_at_one_site_changes_nothing_at_another(
    lone: LoneWorker, site: str, unused: Iterator[str]
) -> None:
    lone.give(site, planned(TODAY))
    before = lone.holds(site)
    lone.decide("sign_waiver", site=next(unused), infection="hiv", ends_on=TODAY + timedelta(10))
    assert lone.holds(site) == before


# Activating a version of the policy


def judged_by(of: World, site: str) -> dict[str, set[int]]:
    """By which versions order and start of each course were answered."""
    found: dict[str, set[int]] = {}
    for (treatment_id, _), answer in answers(of, site).items():
        found.setdefault(treatment_id, set()).add(answer["policy_version"])
    return found


def test_an_activated_version_judges_what_is_ordered_and_started_from_its_day_on_and_nothing_before(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    that_day = {"recorded_at": f"{DAY_2}T23:00:00Z"}
    lone.give(site, planned(DAY_2 + timedelta(9), "first"), started(TODAY, "first"))
    action = activate(lone)
    lone.pass_days(3.9)
    lone.give(site, planned(DAY_2, "second") | that_day, started(DAY_2, "second") | that_day)
    assert judged_by(hospitals, site) == {"first-upa": {1}, "second-upa": {2}}
    check_later_owner_agrees(hospitals, lone, site, action)


def test_a_version_that_nobody_activated_or_too_late_judges_nothing(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    that_day = {"recorded_at": f"{DAY_2}T23:00:00Z"}
    lone.pass_days(3.9)
    lone.give(site, planned(DAY_2, "before") | that_day)
    activate(lone)
    lone.give(site, planned(DAY_2, "after") | that_day)
    assert judged_by(hospitals, site) == {"before-upa": {1}, "after-upa": {1}}


# What a worker was not given


@pytest.fixture
def without(hospitals: World, site: str) -> Iterator[LoneWorker]:
    """A worker that was given the first version alone."""
    with LoneWorker(hospitals.servers, given(hospitals, FIRST)) as made:
        made.take_over(site)
        yield made


def test_a_worker_without_the_activated_version_stops_on_its_day_and_what_was_answered_stays(
    hospitals: World, without: LoneWorker, site: str
) -> None:
    without.give(site, planned(DAY_2))
    activate(without)
    without.pass_days(1)
    assert without.worker.lacking() is None
    before = answers(hospitals, site)
    without.pass_days(80)  # the order lapsed long ago
    assert f"sha256 {SECOND.sha256[:8]}" in (without.worker.lacking() or "")
    publish(hospitals.servers, site, lines_of(site, started(TODAY)))
    with pytest.raises(LogUnreachableError, match="version 2 of the policy"):
        without.read_on(site)
    with pytest.raises(LogUnreachableError, match="version 2 of the policy"):
        without.take_over(site)
    assert answers(hospitals, site) == before
    with LoneWorker(hospitals.servers, given(hospitals, FIRST, SECOND), decided=without.worker.actions) as other:
        other.ahead = without.ahead
        other.take_over(site)
        other.read_on(site)
        other.tick()
    assert answers(hospitals, site)[START]["decision"] == "violation"


# What a log was judged by


def refused(of: World, site: str, rules: Rules) -> str:
    """Why a worker with these must end."""
    with LoneWorker(of.servers, rules) as other:
        with pytest.raises(LogUnusableError) as why:
            other.take_over(site)
        assert other.unusable == [str(why.value)]
        return str(why.value)


def test_a_version_that_judged_and_says_something_else_now_is_refused(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    lone.give(site, started(TODAY))
    changed = policy_of(1, date(2024, 1, 1), approved_by="somebody else")
    said = refused(hospitals, site, given(hospitals, changed, SECOND))
    assert "version 1 of the policy was in force here and says something else now" in said
    assert FIRST.sha256[:8] in said
    assert changed.sha256[:8] in said
    before = lone.holds(site)
    lone.let_go(site)
    lone.take_over(site)
    assert lone.holds(site) == before


def test_a_version_that_judged_and_is_not_given_is_refused(hospitals: World, lone: LoneWorker, site: str) -> None:
    lone.give(site, started(TODAY))
    other = policy_of(7, date(2024, 6, 1))
    assert "version 1 of the policy was in force here and is not given" in refused(
        hospitals, site, given(hospitals, other)
    )


def test_another_key_of_pseudonyms_is_refused_by_both_fingerprints(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    lone.give(site, started(TODAY))
    other = replace(hospitals.rules, key=b"\x18" * 32)
    said = refused(hospitals, site, other)
    assert check_key(None, hospitals.rules.key, "") in said
    assert check_key(None, other.key, "") in said
    assert "Put the right key file back" in said
