"""What people decide takes effect at once, after a restart, and as a replay of it says."""

from __future__ import annotations

import pytest

from monitor.sites import ActionRefusedError
from monitor.view import View
from schemas import actions as act
from tests.data.one_machine import OneMachine
from tests.data.one_patient import COURSE, answered, closing, lines, order, papers, start, violated


def test_a_case_that_is_closed_stays_closed_whatever_else_changes(machine: OneMachine) -> None:
    violated(machine)
    machine.machine.enact(closing(machine))
    for step in (
        lambda: machine.take(lines(*papers()[:2])),
        machine.reopen,
        lambda: machine.pass_days(30),
        machine.tick,
    ):
        step()
        overview = View(machine.machine).overview()
        assert (overview.cases, overview.closed_cases) == ((), 1)
        assert machine.machine.open_cases(answered(machine, "start")) == {}


def test_a_new_violation_of_the_course_opens_it_again(machine: OneMachine) -> None:
    violated(machine)
    machine.machine.enact(closing(machine))
    machine.take(lines(*papers()))
    assert answered(machine, "start").decision == "compliant"
    machine.take(lines(*[paper | {"status": "entered_in_error", "version": 1} for paper in papers()]))
    [case] = View(machine.machine).overview().cases
    assert (case.treatment_id, case.kind) == (COURSE, "violation")


def test_another_first_dose_opens_it_again(machine: OneMachine) -> None:
    violated(machine)
    machine.machine.enact(closing(machine))
    machine.take(lines(start(started_on="2025-05-11") | {"version": 1}))
    assert len(View(machine.machine).overview().cases) == 1


def test_a_case_of_one_kind_is_closed_alone(machine: OneMachine) -> None:
    violated(machine)
    machine.take(lines(order(planned_start_on="2025-05-12")))
    machine.machine.enact(closing(machine, "started_on_hold"))
    assert [case.kind for case in View(machine.machine).overview().cases] == ["violation"]


@pytest.mark.parametrize(("kind", "course"), [("violation", "other"), ("unassessable", COURSE), ("anything", COURSE)])
def test_a_case_that_is_not_there_cannot_be_closed(machine: OneMachine, kind: str, course: str) -> None:
    violated(machine)
    with pytest.raises(ActionRefusedError, match="there is no such case"):
        machine.machine.enact(closing(machine, kind, course))
    assert list(machine.machine.log.actions()) == []


def test_a_case_that_went_cannot_be_closed(machine: OneMachine) -> None:
    violated(machine)
    machine.take(lines(*papers()))
    with pytest.raises(ActionRefusedError, match="there is no such case"):
        machine.machine.enact(closing(machine))


def test_an_action_said_again_counts_once(machine: OneMachine) -> None:
    violated(machine)
    close = closing(machine)
    machine.machine.enact(close)
    machine.machine.enact(close)
    assert len(list(machine.machine.log.actions())) == 1


def test_a_settled_conflict_takes_effect_at_once_and_after_a_restart(machine: OneMachine) -> None:
    rival = papers()[0] | {"outcome": "positive"}
    machine.take(lines(*papers(), order(), rival))
    assert answered(machine).reasons == ("hepatitis_b:conflicting",)
    machine.settle(0)
    assert answered(machine).reasons != ("hepatitis_b:conflicting",)
    machine.equals_replay()
    before = answered(machine)
    machine.reopen()
    assert answered(machine) == before
    machine.equals_replay()


def test_a_conflict_that_is_not_there_cannot_be_settled(machine: OneMachine) -> None:
    machine.take(lines(*papers(), papers()[0] | {"outcome": "positive"}))
    known = {"action": "settle_conflict", "source": "lab", "event_id": "pt-hbsag"}
    for wrong, said in (({"digest": "0" * 64}, "no body"), ({"event_id": "pt-hiv"}, "no such conflict")):
        action = act.SettleConflict.model_validate(machine.signed() | known | {"digest": "0" * 64} | wrong)
        with pytest.raises(ActionRefusedError, match=said):
            machine.machine.enact(action)
    assert list(machine.machine.log.actions()) == []


def test_a_waiver_signed_after_the_first_dose_changes_nothing(machine: OneMachine) -> None:
    machine.take(lines(*papers()[1:], start()))
    before = answered(machine, "start")
    machine.pass_days(1)
    machine.waive("hepatitis_b", COURSE, None)
    assert answered(machine, "start").reasons == before.reasons
    machine.equals_replay()


def test_who_reviewed_a_signal_is_on_record_and_changes_nothing(machine: OneMachine) -> None:
    violated(machine)
    before = View(machine.machine).result()
    signed = machine.signed()
    del signed["site"]
    review = act.ReviewSignal.model_validate(signed | {"action": "review_signal", "cohort": "upa", "aesi": "vte"})
    assert machine.machine.enact(review) == review
    machine.reopen()
    assert machine.actions() == (review,)
    assert View(machine.machine).result() == before
