"""A version of the policy judges once a person activated it before its first day.

The patient is that of `one_patient`, the machine stands on the evening of 12 May 2025 in Lisbon.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.activation import Lacking, active_policies, lacking_versions, latest_day
from monitor.core.days import instant
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument
from monitor.sites import ActionRefusedError, Dormant
from monitor.view import View
from schemas import actions as act
from tests.data.one_machine import OneMachine
from tests.data.one_patient import EVENING, REGISTRY, answered, lines, of_zones, start
from tests.data.versions import (
    FIRST,
    POLICIES,
    SECOND,
    SOME_HASH,
    THIRD,
    TOMORROW,
    activation,
    two_registries,
)
from tests.property.conftest import policy_document


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    made = OneMachine(tmp_path, POLICIES, REGISTRY, EVENING)
    yield made
    made.machine.log.close()


# What is in force: a pure function


def decided(at: str, policy: PolicyDocument = SECOND, **said: Any) -> act.Activate:
    who = {"action_id": "a1", "by": "A. Person", "role": "safety officer", "reason": "as minuted"}
    what = {"action": "activate", "what": "policy", "version": policy.policy.version, "sha256": policy.sha256}
    return act.Activate.model_validate(who | what | {"at": datetime.fromisoformat(at)} | said)


def test_the_first_version_needs_nobody() -> None:
    assert active_policies(POLICIES, (), REGISTRY) == (FIRST,)


@pytest.mark.parametrize(
    ("zones", "at", "is_in_time"),
    [
        ((), "2025-05-12T23:59:59.999999Z", True),
        ((), "2025-05-13T00:00:00Z", False),
        (("Europe/Lisbon",), "2025-05-12T22:59:59.999999Z", True),  # an hour before UTC it is the next day there
        (("Europe/Lisbon",), "2025-05-12T23:00:00Z", False),
        (("Pacific/Niue",), "2025-05-13T10:59:59Z", True),
        (("Pacific/Niue", "Pacific/Kiritimati"), "2025-05-12T09:59:59Z", True),
        (("Pacific/Niue", "Pacific/Kiritimati"), "2025-05-12T10:00:00Z", False),
    ],
)
def test_an_activation_counts_if_the_day_has_begun_at_no_site(
    zones: tuple[str, ...], at: str, is_in_time: bool
) -> None:
    registry = of_zones(**{f"site-{number}": zone for number, zone in enumerate(zones)}) if zones else None
    found = active_policies(POLICIES, [decided(at)], registry)
    assert found == ((FIRST, SECOND) if is_in_time else (FIRST,))


@pytest.mark.parametrize("said", [{"version": 3}, {"sha256": SOME_HASH}, {"what": "sites"}])
def test_an_activation_of_something_else_activates_nothing(said: dict[str, Any]) -> None:
    assert active_policies(POLICIES, [decided("2025-05-01T12:00:00Z", **said)], REGISTRY) == (FIRST,)


def test_versions_are_activated_each_by_itself_and_judge_in_the_order_of_their_days() -> None:
    early, late = decided("2025-05-01T12:00:00Z", THIRD), decided("2025-05-02T12:00:00Z")
    assert active_policies(POLICIES, [early], REGISTRY) == (FIRST, THIRD)
    assert active_policies(POLICIES, [early, late], REGISTRY) == POLICIES


def test_a_site_that_is_registered_later_changes_nothing_of_what_was_in_time() -> None:
    """In Kiritimati the day had begun, but nobody was there yet."""
    registry = of_zones(lisbon="Europe/Lisbon")
    document = of_zones(kiritimati="Pacific/Kiritimati").versions[0].model_dump(by_alias=True)
    document["registry"] |= {"version": 2, "effective_from": date(2025, 5, 13)}
    further = Registry((*registry.versions, RegistryDocument.model_validate(document)))
    at = datetime(2025, 5, 12, 12, tzinfo=UTC)
    assert latest_day(further, instant(at)) == latest_day(registry, instant(at)) == date(2025, 5, 12).toordinal()
    assert latest_day(further, instant(at + timedelta(1))) == date(2025, 5, 14).toordinal()


def test_what_was_activated_in_time_and_is_not_given_is_lacking() -> None:
    at = "2025-05-12T12:00:00Z"
    day = {"effective_from": TOMORROW}
    lacks = [Lacking("policy", 2, SECOND.sha256, TOMORROW.toordinal())]
    assert lacking_versions((FIRST,), None, [decided(at, **day)]) == lacks
    assert lacking_versions((FIRST, SECOND), None, [decided(at, **day)]) == []
    assert lacking_versions((FIRST,), None, [decided("2025-05-13T12:00:00Z", **day)]) == []
    assert lacking_versions((FIRST, SECOND), None, [decided(at, sha256=SOME_HASH, **day)]) != []
    assert lacking_versions((FIRST,), None, [decided(at)]) == [Lacking("policy", 2, SECOND.sha256, 0)]


# Taking effect


def test_an_activated_policy_judges_from_its_first_day_and_not_before(machine: OneMachine) -> None:
    assert machine.machine.enact(activation(machine)) == machine.machine.actions[-1]
    machine.take(lines(start()))
    assert answered(machine, "start").policy_version == 1
    machine.pass_days(1)
    machine.take(lines(start("other", started_on="2025-05-13")))
    assert answered(machine, "start", "other-upa").policy_version == 2
    assert answered(machine, "start").policy_version == 1
    machine.activated.add(1)
    machine.equals_replay()


def test_a_policy_that_nobody_activated_judges_nothing_and_is_listed(machine: OneMachine) -> None:
    machine.pass_days(60)
    machine.take(lines(start("other", started_on="2025-05-13")))
    assert answered(machine, "start", "other-upa").policy_version == 1
    assert machine.machine.not_activated() == [
        Dormant(2, SECOND.sha256, TOMORROW),
        Dormant(3, THIRD.sha256, date(2025, 6, 1)),
    ]
    assert View(machine.machine).result()["policy"]["version"] == 1
    machine.equals_replay()


def test_what_was_activated_is_listed_no_more(machine: OneMachine) -> None:
    machine.activate(2)
    assert [each.version for each in machine.machine.not_activated()] == [2]


def test_what_lies_ahead_is_judged_anew_at_once(machine: OneMachine) -> None:
    """A clock may run ahead: a start of tomorrow is on file before the policy of tomorrow is activated."""
    machine.take(lines(start("other", started_on="2025-05-13")))
    assert answered(machine, "start", "other-upa").policy_version == 1
    machine.activate(1)
    machine.tick()
    assert answered(machine, "start", "other-upa").policy_version == 2
    machine.equals_replay()


def test_an_order_that_comes_right_after_an_activation_is_judged_by_it(machine: OneMachine) -> None:
    machine.activate(1)
    machine.take(lines(start("other", started_on="2025-05-13")))
    assert answered(machine, "start", "other-upa").policy_version == 2


def test_an_activation_holds_after_a_restart(machine: OneMachine) -> None:
    machine.activate(1)
    machine.pass_days(1)
    machine.reopen()
    machine.take(lines(start("other", started_on="2025-05-13")))
    assert answered(machine, "start", "other-upa").policy_version == 2
    machine.equals_replay()


def test_after_a_restart_the_first_look_is_by_the_policy_that_is_in_force(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.activate(1)
    machine.pass_days(200)
    machine.reopen()
    assert machine.machine.policy.policy is SECOND


def test_rates_go_by_an_activated_policy_only(tmp_path: Path) -> None:
    document = policy_document("as it stands")
    document["policy"] |= {"version": 2, "effective_from": TOMORROW}
    document["cohorts"] = dict(list(document["cohorts"].items())[:1])
    other = PolicyDocument.model_validate(document)
    for place, name in ((None, "without"), (1, "with")):
        (tmp_path / name).mkdir()
        one = OneMachine(tmp_path / name, (FIRST, other), None, EVENING)
        one.take(lines(start()))
        if place:
            one.activate(place)
        one.pass_days(1 + document["counting"]["complete_after_days"])
        one.equals_replay()
        assert View(one.machine).result()["policy"]["version"] == (2 if place else 1)
        one.machine.log.close()


# What is refused


def refusal(machine: OneMachine, action: act.Activate) -> str:
    with pytest.raises(ActionRefusedError) as refused:
        machine.machine.enact(action)
    assert list(machine.machine.log.actions()) == []
    return str(refused.value)


@pytest.mark.parametrize("said", [{"version": 7}, {"sha256": SOME_HASH}])
def test_what_this_process_was_not_given_cannot_be_activated_here(machine: OneMachine, said: dict[str, Any]) -> None:
    why = refusal(machine, activation(machine, **said))
    assert "was not given" in why
    assert f"version 2, sha256 {SECOND.sha256}" in why


def test_a_policy_whose_day_has_begun_cannot_be_activated(machine: OneMachine) -> None:
    machine.now = datetime(2025, 5, 12, 22, 59, 58, tzinfo=UTC)
    action = activation(machine)
    machine.now += timedelta(seconds=1)
    assert "that day has begun" in refusal(machine, action)
    assert "that day has begun" in refusal(machine, activation(machine, FIRST))


def test_a_day_that_has_begun_at_one_site_has_begun(tmp_path: Path) -> None:
    registry = of_zones(lisbon="Europe/Lisbon", kiritimati="Pacific/Kiritimati")
    one = OneMachine(tmp_path, POLICIES, registry, EVENING)
    assert "that day has begun" in refusal(one, activation(one))
    one.machine.log.close()


def test_a_first_day_that_is_not_that_of_the_version_is_refused(machine: OneMachine) -> None:
    assert "begins on 2025-05-13" in refusal(machine, activation(machine, effective_from=date(2025, 5, 14)))


def test_the_first_day_is_filled_in_and_saying_it_again_without_counts_once(machine: OneMachine) -> None:
    action = activation(machine)
    kept = machine.machine.enact(action)
    assert (kept, machine.machine.enact(action)) == (action.model_copy(update={"effective_from": TOMORROW}), kept)
    assert machine.machine.enact(kept) == kept
    assert len(list(machine.machine.log.actions())) == 1
    with pytest.raises(ActionRefusedError, match="names another decision"):
        machine.machine.enact(action.model_copy(update={"effective_from": date(2025, 5, 14)}))


def test_a_version_of_the_registry_is_activated_likewise_and_needs_it_not(tmp_path: Path) -> None:
    one = OneMachine(tmp_path, POLICIES, (registry := two_registries()), EVENING)
    first, second = registry.versions
    sites = {"what": "sites", "version": 2}
    for wrong in ({"sha256": SOME_HASH}, {"version": 1, "sha256": first.sha256}, {"version": 3}):
        refusal(one, activation(one, **({"sha256": second.sha256} | sites | wrong)))
    kept = one.machine.enact(activation(one, sha256=second.sha256, **sites))
    assert isinstance(kept, act.Activate)
    assert kept.effective_from == TOMORROW
    one.equals_replay()
    one.machine.log.close()
