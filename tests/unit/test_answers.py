"""What an answer must not be read as: evidence that counts later, a dose long given, a case closed by somebody."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from shutil import copyfile

import pytest

from monitor.demo.build import Message
from monitor.demo.cases import told
from monitor.keeper import Keeper
from monitor.log import LogUnusableError
from monitor.log.sqlite import SqliteLog
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
)


def keeper(machine: OneMachine) -> Keeper:
    return machine.machine.keeper(SITE)


def test_an_order_for_a_later_day_bears_that_day_until_it_has_come(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order()))
    assert (answered(machine).decision, answered(machine).dose_on) == ("screening_complete", "2025-05-20")
    machine.pass_days(8)
    machine.tick()
    assert (answered(machine).decision, answered(machine).dose_on) == ("screening_complete", None)


def test_an_order_that_was_started_bears_the_day_of_the_dose_it_was_judged_for(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order(), start()))
    machine.pass_days(3)
    machine.tick()
    assert answered(machine).dose_on == "2025-05-12"


def test_what_turns_out_positive_after_a_case_was_closed_opens_it_again(machine: OneMachine) -> None:
    violated(machine)
    machine.machine.enact(closing(machine))
    assert View(machine.machine).overview().cases == ()
    igra = next(paper for paper in papers() if "igra" in paper["event_id"])
    machine.take(lines(igra | {"outcome": "positive"}))
    [case] = View(machine.machine).overview().cases
    assert case.answer["findings"]["tuberculosis"]["finding"] == "positive"


def test_a_case_that_comes_again_is_open_also_if_the_clock_was_set_back(machine: OneMachine) -> None:
    machine.now += timedelta(hours=5)
    violated(machine)
    machine.machine.enact(closing(machine))
    machine.now -= timedelta(hours=5)
    machine.take(lines(start() | {"status": "entered_in_error", "version": 1}))
    machine.take(lines(start() | {"version": 2}))
    assert len(View(machine.machine).overview().cases) == 1


def named_otherwise(message: Message) -> Message:
    return message | {"treatment_id": "another", "order_id": COURSE}


def test_an_order_waits_for_nobody_once_it_was_started_under_whatever_id(machine: OneMachine) -> None:
    machine.take(lines(order()))
    assert [each["treatment_id"] for each in View(machine.machine).overview().holds] == [COURSE]
    machine.take(lines(named_otherwise(start())))
    assert View(machine.machine).overview().holds == ()


def test_whom_the_gate_fails_on_is_counted_nowhere_until_it_succeeds(
    machine: OneMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.take(lines(*papers(), start()))
    state = keeper(machine).state
    state.on_fault = lambda _: None
    assert state.gate is not None
    broken = {"is": True}
    decide = state.gate.decide

    def failing(record, as_of):  # type: ignore[no-untyped-def]
        if broken["is"]:
            raise ValueError
        return decide(record, as_of)

    monkeypatch.setattr(state.gate, "decide", failing)
    machine.take(lines(told("patient_contact", "pt", "seen", "2025-05-12", seen_on="2025-05-12")))
    assert answered(machine, "start").decision == "unassessable"
    assert View(machine.machine).overview().result["unassessable"] == 1
    broken["is"] = False
    machine.take(lines(told("patient_contact", "pt", "seen-again", "2025-05-12", seen_on="2025-05-12")))
    assert answered(machine, "start").decision == "compliant"
    assert View(machine.machine).overview().result["unassessable"] == 0


def test_a_feed_whose_last_message_is_dated_in_the_future_is_not_taken_for_alive(machine: OneMachine) -> None:
    message = told("patient_contact", "pt", "seen", "2025-05-12", seen_on="2025-05-12")
    machine.take(lines(message, *papers(), start() | {"recorded_at": "2065-01-01T08:00:00Z"}))
    feeds = {each.feed: each for each in View(machine.machine).overview().feeds if each.site == SITE}
    assert (feeds["treatment"].from_the_future, feeds["treatment"].silent) == (True, True)
    assert not feeds["screening"].from_the_future


def test_a_log_without_its_file_is_not_begun_anew_over_what_is_left_of_it(tmp_path: Path) -> None:
    machine = OneMachine(tmp_path, POLICY, REGISTRY, EVENING)
    machine.take(lines(start()))
    left = tmp_path / "left"
    left.mkdir()
    copyfile(tmp_path / "log.sqlite-wal", left / "log.sqlite-wal")
    machine.machine.log.close()
    before = (left / "log.sqlite-wal").read_bytes()
    with pytest.raises(LogUnusableError, match="its -wal is there"):
        SqliteLog(left / "log.sqlite")
    assert (left / "log.sqlite-wal").read_bytes() == before
