"""A process that lacks what is in force judges nothing, and a log keeps what it was judged by.

The patient is that of `one_patient`, the machine stands on the evening of 12 May 2025 in Lisbon.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from monitor.keeper import Origin
from monitor.log import LogUnusableError
from monitor.sites import NotJudgingError
from monitor.view import View
from tests.data.one_machine import SITE, OneMachine
from tests.data.one_patient import COURSE, EVENING, REGISTRY, answered, closing, lines, order, papers, start
from tests.data.versions import (
    FIRST,
    POLICIES,
    SECOND,
    TOMORROW,
    activation,
    given,
    policy_of,
    two_registries,
)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    made = OneMachine(tmp_path, POLICIES, REGISTRY, EVENING)
    yield made
    made.machine.log.close()


# A process without what is in force


@pytest.fixture
def without_second(machine: OneMachine) -> OneMachine:
    """A process that was not given what is in force from tomorrow on; a start and an order are on file."""
    machine.take(lines(start(), *papers("other"), order("other", planned_start_on="2025-05-30")))
    machine.activate(1)
    return given(machine, FIRST)


def test_without_an_activated_policy_a_process_judges_up_to_its_first_day(without_second: OneMachine) -> None:
    one = without_second
    assert one.machine.lacking() is None
    one.take(lines(start("third")))
    one.now = datetime(2025, 5, 12, 22, 59, 59, 999999, tzinfo=UTC)
    assert one.machine.lacking() is None
    one.now += timedelta(microseconds=1)
    assert one.machine.lacking() is not None


def test_from_that_day_on_nothing_is_judged_and_what_was_answered_stays(without_second: OneMachine) -> None:
    one = without_second
    one.pass_days(40)  # the order's papers are too old by now, the start waited long enough
    before = dict(one.machine.log.answers(SITE))
    assert one.machine.tick() is False
    with pytest.raises(NotJudgingError, match="version 2 of the policy") as stopped:
        one.machine.take(SITE, lines(start("third")), Origin("http", [0]))
    assert SECOND.sha256[:8] in str(stopped.value)
    assert "--policy" in str(stopped.value)
    assert one.machine.trouble == View(one.machine).overview().trouble == str(stopped.value)
    assert dict(one.machine.log.answers(SITE)) == before
    assert [answer.decision for answer in one.machine.answers(SITE, COURSE)] == ["awaiting_evidence"]


def test_nor_is_anything_decided_that_would_have_to_be_judged(without_second: OneMachine) -> None:
    one = without_second
    one.pass_days(3)
    one.machine.tick()
    kept = list(one.machine.log.actions())
    with pytest.raises(NotJudgingError):
        one.waive("hiv", COURSE, None)
    with pytest.raises(NotJudgingError):
        one.erase("pt")
    assert list(one.machine.log.actions()) == kept


def test_a_case_can_be_closed_all_the_same(machine: OneMachine) -> None:
    machine.now -= timedelta(5)
    machine.activate(1)
    machine.take(lines(start(started_on="2025-05-01")))
    given(machine, FIRST)
    machine.pass_days(6)
    machine.machine.tick()
    assert machine.machine.trouble is not None
    machine.machine.enact(closing(machine))
    assert View(machine.machine).overview().cases == ()


def test_it_does_not_start_without_it_and_with_it_goes_on(without_second: OneMachine) -> None:
    one = without_second
    one.pass_days(40)
    one.machine.tick()
    with pytest.raises(LogUnusableError, match="version 2 of the policy"):
        one.reopen()
    given(one, FIRST, SECOND)
    assert one.machine.trouble is None
    one.take(lines(start("third", started_on="2025-05-13")))
    assert answered(one, "start", "third-upa").policy_version == 2
    one.equals_replay()


def test_the_same_version_that_says_something_else_is_not_it(machine: OneMachine) -> None:
    machine.activate(1)
    given(machine, FIRST, policy_of(2, TOMORROW, approved_by="somebody else"))
    machine.pass_days(1)
    machine.machine.tick()
    assert SECOND.sha256[:8] in (machine.machine.trouble or "")


def test_an_activation_that_does_not_say_its_day_stops_who_lacks_it_at_once(machine: OneMachine) -> None:
    action = activation(machine, version=9)
    machine.machine.log.add_action(action.action_id, action.model_dump_json(by_alias=True, exclude_none=True).encode())
    with pytest.raises(LogUnusableError, match="version 9 of the policy"):
        machine.reopen()


def test_without_an_activated_registry_nothing_is_judged_either(tmp_path: Path) -> None:
    registry = two_registries()
    one = OneMachine(tmp_path, POLICIES, registry, EVENING)
    one.machine.enact(activation(one, what="sites", sha256=registry.versions[1].sha256))
    given(one, FIRST)
    one.take(lines(start()))
    one.pass_days(1)
    one.machine.tick()
    assert "version 2 of the site registry" in (one.machine.trouble or "")
    assert "--sites" in (one.machine.trouble or "")
    one.machine.log.close()


# What a log may be opened with


def test_what_was_never_activated_may_be_changed_or_left_out_also_after_its_day(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.pass_days(3)
    machine.reopen()
    before = answered(machine, "start")
    given(machine, FIRST, policy_of(2, TOMORROW, approved_by="somebody else"))
    given(machine, FIRST)
    given(machine, FIRST, policy_of(4, date(2025, 3, 1)))
    assert answered(machine, "start") == before
    machine.equals_replay()


def test_what_was_in_force_is_neither_changed_nor_left_out(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.activate(1)
    machine.pass_days(1)
    machine.reopen()
    for policies in ((FIRST,), (FIRST, policy_of(2, TOMORROW, approved_by="somebody else")), (SECOND,)):
        with pytest.raises(LogUnusableError):
            given(machine, *policies)
    given(machine, FIRST, SECOND)


@pytest.mark.parametrize("begins", [date(2023, 1, 1), date(2025, 12, 1)])
def test_no_version_begins_before_the_first_that_judged(tmp_path: Path, begins: date) -> None:
    """The first judges by itself, and also what lies before it: another first would judge all of that anew."""
    first = policy_of(1, date(2026, 1, 1))
    one = OneMachine(tmp_path, (first,), None, EVENING)
    one.take(lines(start()))
    with pytest.raises(LogUnusableError, match="begins before the first"):
        given(one, policy_of(2, begins), first, registry=None)
    with pytest.raises(LogUnusableError, match="says something else"):
        given(one, policy_of(1, date(2026, 1, 1), approved_by="somebody"), registry=None)
    given(one, first, policy_of(3, date(2026, 2, 1)), registry=None)
    one.machine.log.close()
