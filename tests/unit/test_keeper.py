"""The keeper of a site: what it was told, what it is told now, and since when something is a case.

The patient is `pt`, the course `pt-upa`: first dose on 12 May 2025 in Lisbon, papers of 17 April; the HIV test lasts 60
days from 14 April, evidence may arrive for two days.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.core.registry import Registry, RegistryDocument
from monitor.demo.build import Message, concept
from monitor.demo.cases import ATOPIC_DERMATITIS, prescribed, screened, told
from monitor.overview import Overview
from monitor.policyfile import load_policies, load_registry
from monitor.records import Answer
from monitor.view import View
from tests.data.one_machine import CLASSES, SITE, OneMachine

GOLDEN = Path(__file__).parents[1] / "golden"
POLICY = load_policies([GOLDEN / "policy.yaml"])
REGISTRY = load_registry([GOLDEN / "sites.yaml"])
COURSE = "pt-upa"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    """A machine on the evening of 20 May 2025, when all that the cases tell has happened."""
    made = OneMachine(tmp_path, POLICY, REGISTRY, datetime(2025, 5, 20, 18, tzinfo=UTC))
    yield made
    made.machine.log.close()


def lines(*messages: Message) -> list[bytes]:
    return [json.dumps(message).encode() for message in messages]


def papers(patient: str = "pt", without: str = "") -> list[Message]:
    found = screened(patient, "2025-04-14", "2025-04-17")
    return [each for each in found if each["event_id"] != f"{patient}-{without}"]


def paper(name: str) -> Message:
    [found] = [each for each in papers() if each["event_id"] == f"pt-{name}"]
    return found


def of_course(kind: str, patient: str, name: str, **fields: Any) -> Message:
    body = prescribed(patient, (ATOPIC_DERMATITIS,), 15)
    return told(kind, patient, name, "2025-05-12", **(body | fields))


def start(patient: str = "pt", day: str = "2025-05-12", **fields: Any) -> Message:
    return of_course("treatment_started", patient, "start", started_on=day, **fields)


def order(patient: str = "pt", day: str = "2025-06-01", **fields: Any) -> Message:
    return of_course("treatment_ordered", patient, "order", planned_start_on=day, **fields)


def back(message: Message, version: int = 9) -> Message:
    """Its retraction."""
    envelope = ("type", "site", "event_id", "source", "recorded_at", "patient_id")
    return {key: message[key] for key in envelope if key in message} | {
        "version": version,
        "status": "entered_in_error",
    }


def answered(machine: OneMachine, kind: str = "start", course: str = COURSE) -> Answer:
    answer = machine.answer(course, kind)
    assert answer is not None
    return answer


def since(machine: OneMachine, case: str = "violation") -> str | None:
    return answered(machine).cases.get(case)


# Answers follow what is known


def test_an_order_is_held_until_its_last_paper_is_there(machine: OneMachine) -> None:
    [receipt] = machine.take(lines(order()))
    assert receipt.answer is not None
    assert receipt.answer.decision == "hold"
    machine.take(lines(*papers(without="hiv")))
    assert answered(machine, "order").reasons == ("hiv:missing",)
    machine.take(lines(paper("hiv")))
    assert answered(machine, "order").decision == "screening_complete"


def test_what_changes_nothing_is_not_answered_again(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    before = answered(machine)
    machine.take(lines(told("patient_contact", "pt", "seen", "2025-05-19", seen_on="2025-05-19")))
    machine.take(lines(start()))
    assert answered(machine) == before


def test_a_start_that_is_taken_back_leaves_withdrawn_and_comes_back_as_it_was(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    machine.take(lines(back(start())))
    assert answered(machine).decision == "withdrawn"
    assert answered(machine).findings == {}
    machine.take(lines(start() | {"version": 10}))
    assert answered(machine).decision == "compliant"
    machine.equals_replay()


def test_a_start_that_a_correction_moves_to_another_course_leaves_withdrawn(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    machine.take(lines(start(treatment_id="other") | {"version": 1}))
    assert answered(machine).decision == "withdrawn"
    assert answered(machine, course="other").decision == "compliant"
    machine.equals_replay()


def test_a_start_that_turns_out_to_be_an_order_leaves_withdrawn(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    machine.take(lines(order() | {"event_id": "pt-start", "version": 1}))
    assert answered(machine).decision == "withdrawn"
    assert answered(machine, "order").decision == "screening_complete"
    machine.equals_replay()


UNKNOWN = {"drug": concept("local:UNKNOWN"), "event_id": "pt-earlier"}


def test_a_start_that_an_earlier_one_of_an_unknown_drug_displaces_leaves_withdrawn(machine: OneMachine) -> None:
    """Nothing was taken back, and yet no start of a known drug stands any more."""
    machine.take(lines(*papers(), start()))
    machine.take(lines(start(day="2025-05-05") | UNKNOWN))
    assert answered(machine).decision == "withdrawn"
    machine.equals_replay()


def test_a_start_that_a_merge_displaces_leaves_withdrawn(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    twin = start("twin", day="2025-05-05", treatment_id=COURSE, drug=concept("local:UNKNOWN"))
    machine.take(lines(twin))
    assert answered(machine).reasons == ("treatment_of_two_patients",)
    merge = told("patient_merged", "pt", "merge", "2025-05-13", merged_patient_id="twin")
    machine.take(lines(merge))
    assert answered(machine).decision == "withdrawn"
    machine.equals_replay()
    machine.take(lines(back(merge)))
    machine.equals_replay()


def test_a_start_that_a_settled_conflict_displaces_leaves_withdrawn(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    contact = told("patient_contact", "pt", "earlier", "2025-05-12", seen_on="2025-05-12")
    machine.take(lines(contact, start(day="2025-05-05") | UNKNOWN))
    for pick in (0, 1, 0):
        machine.settle(pick)
        machine.equals_replay()
        contested = contact | {"seen_on": f"2025-05-0{pick + 1}"}  # another body opens it again
        machine.take(lines(contested))


def test_what_loses_to_another_version_withdraws_no_course_of_somebody_else(machine: OneMachine) -> None:
    contact = told("patient_contact", "twin", "start", "2025-05-12", seen_on="2025-05-12") | {"version": 5}
    machine.take(lines(*papers(), start(), contact))
    machine.take(lines(start("twin", treatment_id=COURSE) | {"version": 1}))
    assert answered(machine).decision == "compliant"
    machine.equals_replay()


def test_historical_courses_get_no_answer(machine: OneMachine) -> None:
    [receipt] = machine.take(lines(start(day="2024-12-31")))
    assert receipt.answer is None
    assert machine.answer(COURSE, "start") is None
    machine.pass_days(3)
    machine.equals_replay()


def test_a_course_that_was_answered_and_becomes_historical_is_still_told_the_truth(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start()))
    machine.take(lines(start(day="2024-12-31") | {"version": 1}))
    assert answered(machine).decision == "violation"
    assert answered(machine).cases == {}
    machine.equals_replay()


# A course that two patients claim


def claimed_by_two(machine: OneMachine) -> None:
    """`shared` by `pt`, with all papers, and a day later by `twin`, with none; both have one of their own."""
    both = (
        start(day="2025-05-10"), start("twin", day="2025-05-11"),
        start(treatment_id="shared", day="2025-05-12") | {"event_id": "pt-shared"},
        start("twin", treatment_id="shared", day="2025-05-13") | {"event_id": "twin-shared"},
    )  # fmt: skip
    machine.take(lines(*papers()))
    for message in both:
        machine.take(lines(message))


def test_of_a_course_of_two_patients_the_worst_is_told(machine: OneMachine) -> None:
    claimed_by_two(machine)
    assert answered(machine, course="shared").decision == "violation"
    assert answered(machine, course="shared").dose_on == "2025-05-13"  # of equals the latest
    machine.equals_replay()


@pytest.mark.parametrize("patient", ["pt", "twin"])
def test_of_a_course_of_two_patients_the_worst_is_told_whoever_the_news_is_of(
    machine: OneMachine, patient: str
) -> None:
    claimed_by_two(machine)
    before = answered(machine, course="shared")
    machine.take(lines(told("patient_contact", patient, "seen", "2025-05-19", seen_on="2025-05-19")))
    assert answered(machine, course="shared") == before
    machine.take(lines(papers("twin")[0]))
    machine.equals_replay()


@pytest.mark.parametrize("course", ["pt-upa", "twin-upa", "shared"])
def test_a_waiver_for_one_course_leaves_a_course_of_two_patients_right(machine: OneMachine, course: str) -> None:
    claimed_by_two(machine)
    before = answered(machine, course="shared")
    machine.waive("hiv", course, None)
    machine.equals_replay()
    assert answered(machine, course="shared") == before


def test_one_claim_taken_back_leaves_the_answer_of_the_other(machine: OneMachine) -> None:
    claimed_by_two(machine)
    twins = start("twin", treatment_id="shared", day="2025-05-13") | {"event_id": "twin-shared"}
    machine.take(lines(back(twins)))
    assert answered(machine, course="shared").decision == "compliant"
    machine.equals_replay()


# Cases


def test_a_case_keeps_its_beginning_while_it_stays_one(machine: OneMachine) -> None:
    machine.take(lines(*papers(without="hiv"), start(), order(day="2025-05-12")))
    first = since(machine)
    assert first is not None
    machine.take(lines(start(dose={"amount": 60, "unit": "mg", "per_day": 1}) | {"version": 1}))
    assert "dose_above_label" in answered(machine).flags
    machine.take(lines(back(paper("igra"))))
    assert "tuberculosis:missing" in answered(machine).reasons
    machine.pass_days(20)
    machine.tick()
    machine.reopen()
    assert since(machine) == first


def test_a_violation_that_went_and_came_again_is_a_new_case(machine: OneMachine) -> None:
    machine.take(lines(*papers(without="hiv"), start()))
    first = since(machine)
    machine.take(lines(paper("hiv")))
    assert since(machine) is None
    machine.take(lines(back(paper("hiv"))))
    again = since(machine)
    assert first is not None
    assert again is not None
    assert again > first


def test_a_course_that_was_withdrawn_and_came_again_is_a_new_case(machine: OneMachine) -> None:
    machine.take(lines(start()))
    first = since(machine)
    machine.take(lines(back(start())))
    assert answered(machine).cases == {}
    machine.reopen()
    machine.take(lines(start() | {"version": 10}))
    again = since(machine)
    assert first is not None
    assert again is not None
    assert again > first


def test_another_first_dose_of_a_course_is_a_new_case(machine: OneMachine) -> None:
    machine.take(lines(start()))
    first = since(machine)
    machine.take(lines(start(day="2025-05-13") | {"version": 1}))
    again = since(machine)
    assert first is not None
    assert again is not None
    assert again > first


def test_each_kind_of_case_has_its_own_beginning(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.take(lines(order(day="2025-05-12")))
    cases = answered(machine).cases
    assert cases.keys() == {"violation", "started_on_hold"}
    assert cases["started_on_hold"] > cases["violation"]


def test_the_open_cases_are_the_same_after_a_restart(machine: OneMachine) -> None:
    recent = start("third", day="2025-05-20") | {"recorded_at": "2025-05-20T16:00:00+01:00"}
    machine.take(lines(start(), order(day="2025-05-12"), order("twin"), recent))
    before = View(machine.machine).overview()
    machine.reopen()
    after = View(machine.machine).overview()
    assert lists(after) == lists(before)
    assert (len(after.cases), len(after.holds), len(after.awaiting)) == (2, 1, 1)  # who was started waits for nobody
    assert after.sites == before.sites


def lists(overview: Overview) -> str:
    """What people work through, as it is printed."""
    cases = [(each.treatment_id, each.kind, each.since, each.answer) for each in overview.cases]
    return json.dumps([cases, overview.holds, overview.awaiting])


# What arrived


def test_every_message_is_counted_in_exactly_one_class_at_every_look(machine: OneMachine) -> None:
    contact = told("patient_contact", "pt", "seen", "2025-05-19", seen_on="2025-05-19")
    history = [
        *papers(), start(), start(), contact, contact | {"seen_on": "2025-05-18"},
        contact | {"version": 2, "seen_on": "2025-05-17"}, contact | {"version": 1}, back(start()), back(start()),
    ]  # fmt: skip
    for number, line in enumerate([*lines(*history), b"", b"[]", b"{", *lines(*history)]):
        machine.take([line])
        counted(machine)
        if number % 5 == 0:
            machine.reopen()
            counted(machine)
    machine.equals_replay()


def counted(machine: OneMachine) -> None:
    [site] = [each for each in View(machine.machine).overview().sites if each.site == SITE]
    assert site.messages["received"] == len(machine.given)
    assert len(machine.given) == sum(site.messages[name] for name in CLASSES) + sum(site.rejected.values())


def test_each_message_is_told_what_became_of_it(machine: OneMachine) -> None:
    contact = told("patient_contact", "pt", "seen", "2025-05-19", seen_on="2025-05-19")
    rival = contact | {"seen_on": "2025-05-18"}
    receipts = machine.take([*lines(contact, contact), b"[]", *lines(start(), rival, order("twin"))])
    outcomes = [each.outcome for each in receipts]
    assert [each.status for each in outcomes] == [
        "accepted",
        "duplicate",
        "rejected",
        "accepted",
        "accepted",
        "accepted",
    ]
    assert outcomes[2].rejection is not None
    assert outcomes[2].rejection.reason == "invalid"
    assert outcomes[4].is_contested
    assert [each.course for each in outcomes] == [None, None, None, (COURSE, "start"), None, ("twin-upa", "order")]
    assert [each.answer.decision if each.answer else None for each in receipts][3:] == ["violation", None, "hold"]


def test_a_draft_that_is_not_kept_changes_nothing(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order()))
    before = View(machine.machine).result()
    machine.draft(lines(start(), back(paper("hiv"))))
    assert View(machine.machine).result() == before
    assert answered(machine, "order").decision == "screening_complete"
    assert machine.answer(COURSE, "start") is None


def test_without_a_registry_nobody_is_historical_and_nothing_is_awaited(tmp_path: Path) -> None:
    machine = OneMachine(tmp_path, POLICY, None, datetime(2025, 5, 12, 18, tzinfo=UTC))
    machine.take(lines(start()))
    assert answered(machine).decision == "violation"
    machine.equals_replay()
    machine.machine.log.close()


def test_a_registry_with_another_beginning_changes_who_is_answered_from_the_next_start_on(tmp_path: Path) -> None:
    machine = OneMachine(tmp_path, POLICY, REGISTRY, datetime(2025, 5, 20, 18, tzinfo=UTC))
    machine.take(lines(start(day="2024-12-31")))
    assert machine.answer(COURSE, "start") is None
    machine.machine.log.close()
    assert REGISTRY is not None
    document = REGISTRY.versions[0].model_dump(by_alias=True)
    document["sites"][SITE]["go_live"] = date(2024, 6, 1)
    document["registry"] |= {"version": 2, "effective_from": date(2025, 5, 20)}
    earlier = Registry((*REGISTRY.versions, RegistryDocument.model_validate(document)))
    again = OneMachine(tmp_path, POLICY, earlier, datetime(2025, 5, 20, 18, tzinfo=UTC))
    assert answered(again).decision == "violation"
    again.machine.log.close()
