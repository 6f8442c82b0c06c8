"""A machine whose log is full does nothing by halves, and makes up for it when there is room."""

from __future__ import annotations

from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest

from monitor.core.registry import Registry, RegistryDocument
from monitor.keeper import Origin
from monitor.log import LogFullError
from monitor.machine import Machine
from monitor.view import View
from tests.data.one_machine import SITE, OneMachine
from tests.data.one_patient import (
    COURSE,
    EVENING,
    POLICY,
    REGISTRY,
    answered,
    closing,
    lines,
    order,
    papers,
    start,
    violated,
)  # fmt: skip
from tests.data.tight_log import PLENTY, TightLog, leave_room


def test_without_room_nothing_is_done_by_halves_and_it_goes_on_when_there_is(tight: OneMachine) -> None:
    tight.take(lines(*papers(), order()))
    before = View(tight.machine).result()
    leave_room(tight, 0)
    for _ in range(2):
        with pytest.raises(LogFullError):
            tight.machine.take(SITE, lines(start()), Origin("http", [0]))
        assert tight.machine.trouble is not None
        assert View(tight.machine).result() == before
        assert tight.answer(COURSE, "start") is None
    leave_room(tight, PLENTY)
    tight.take(lines(start()))
    assert tight.machine.trouble is None
    tight.equals_replay()


def tick_in_vain(machine: OneMachine) -> None:
    with pytest.raises(LogFullError):
        machine.tick()


@pytest.mark.parametrize("room", range(6))
def test_what_a_midnight_without_room_could_not_say_is_said_when_there_is(tight: OneMachine, room: int) -> None:
    patients = [f"p{number}" for number in range(450)]
    tight.take(lines(*[order(patient) for patient in patients]))
    tight.pass_days(70)
    leave_room(tight, room)
    if room < 4:  # what was rejected is forgotten of two sites, and the courses are judged in three steps
        tick_in_vain(tight)
        tick_in_vain(tight)
    leave_room(tight, PLENTY)
    tight.equals_replay()
    assert {answered(tight, course=f"{patient}-upa").decision for patient in patients} == {"lapsed"}


@pytest.mark.parametrize("room", range(5))
def test_a_registry_version_that_began_without_room_is_in_force_when_there_is(tmp_path: Path, room: int) -> None:
    assert REGISTRY is not None
    document = REGISTRY.versions[0].model_dump(by_alias=True)
    document["registry"] |= {"version": 2, "effective_from": date(2025, 5, 13)}
    document["sites"][SITE]["feeds"]["screening"]["results_after_hours"] = 240
    registry = Registry((REGISTRY.versions[0], RegistryDocument.model_validate(document)))
    tight = OneMachine(tmp_path, POLICY, registry, EVENING, TightLog)
    tight.take(lines(start()))
    tight.pass_days(7)
    leave_room(tight, room)
    with suppress(LogFullError):
        tight.tick()
    leave_room(tight, PLENTY)
    tight.equals_replay()
    assert answered(tight, "start").decision == "awaiting_evidence"
    tight.machine.log.close()


def test_a_start_without_room_is_an_error_and_the_next_one_makes_up_for_it(tight: OneMachine) -> None:
    tight.take(lines(*papers(), order()))
    tight.pass_days(40)
    leave_room(tight, 0)
    again = Machine(tight.machine.log, tight.rules, lambda: tight.now, lambda _: None)
    with pytest.raises(LogFullError):
        again.open()
    tight.reopen()
    assert answered(tight).decision == "hold"


def test_a_waiver_that_had_no_room_for_its_effect_takes_effect_when_there_is(tight: OneMachine) -> None:
    """The action is on file, its answers are not: told again by nobody, it must not be forgotten."""
    tight.take(lines(*papers()[:3], *papers()[4:], order()))
    leave_room(tight, 1)
    tight.waive("hiv", COURSE, None)  # whoever decided it is not told to decide again
    assert len(list(tight.machine.log.actions())) == 1
    assert answered(tight).decision == "hold"
    tick_in_vain(tight)
    leave_room(tight, PLENTY)
    tight.equals_replay()
    assert answered(tight).decision == "screening_complete"


@pytest.mark.parametrize("pick", [0, 1])
def test_a_conflict_that_had_no_room_for_its_effect_is_settled_when_there_is(tight: OneMachine, pick: int) -> None:
    tight.take(lines(*papers(), order(), papers()[0] | {"outcome": "positive"}))
    leave_room(tight, 1)
    tight.settle(pick)
    for room in (0, PLENTY):
        leave_room(tight, room)
        with suppress(LogFullError):
            tight.take(lines(start("somebody")))
    tight.equals_replay()
    assert answered(tight).reasons != ("hepatitis_b:conflicting",)


def test_an_action_without_room_is_not_half_decided(tight: OneMachine) -> None:
    violated(tight)
    leave_room(tight, 0)
    with pytest.raises(LogFullError):
        tight.machine.enact(closing(tight))
    assert len(View(tight.machine).overview().cases) == 1
    leave_room(tight, PLENTY)
    tight.machine.enact(closing(tight))
    assert View(tight.machine).overview().cases == ()


def test_readiness_comes_back_by_itself(tight: OneMachine) -> None:
    leave_room(tight, 0)
    with pytest.raises(LogFullError):
        tight.take(lines(start()))
    tick_in_vain(tight)
    assert tight.machine.trouble is not None
    leave_room(tight, PLENTY)
    tight.tick()
    assert tight.machine.trouble is None
