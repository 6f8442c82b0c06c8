"""Who is erased is in no byte of the log any more, and everybody else is judged as if that patient had never been.

The patients are those of `one_patient`; the machine stands on the evening of 12 May 2025 in Lisbon.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.days import instant
from monitor.demo.build import Message
from monitor.demo.cases import told
from monitor.erasing import what_goes
from monitor.log import LogFullError
from monitor.log.sqlite import Erasure, SqliteLog
from monitor.records import Tally
from monitor.replay import Question, replay_lines
from monitor.sites import ActionRefusedError, UnknownSiteError
from monitor.view import View
from schemas import actions as act
from tests.data.erasing import NAMES, PSEUDONYM, bad, bytes_of, erasing, fell_ill, merged, traces
from tests.data.one_machine import SITE, OneMachine, as_text
from tests.data.one_patient import COURSE, EVENING, POLICY, REGISTRY, answered, lines, order, papers, start, violated
from tests.data.tight_log import PLENTY, leave_room
from tests.data.transactions import batch

# What goes


def test_no_byte_of_the_patient_is_left_in_the_log(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order(), start(), fell_ill()))
    machine.take(lines(fell_ill(onset_on="2025-05-10", version=1)))
    machine.take(lines(*papers("other"), order("other")))
    assert len(traces(machine, "pt-upa", "pt-start", "pt-order", "pt-zoster", "pt-hbsag", "pt-hiv")) == 6
    machine.erase("pt")
    assert traces(machine, *NAMES) == []
    assert bytes_of(machine).count(PSEUDONYM.encode()) == 1  # in the decision
    assert traces(machine, "other-upa", "other-order") == ["other-upa", "other-order"]
    machine.equals_replay()
    machine.reopen()
    assert traces(machine, *NAMES) == []
    machine.equals_replay()


def test_nor_of_what_moved_in_the_file_before_it_went(tmp_path: Path) -> None:
    """SQLite moves rows from page to page and leaves bytes in the gaps; that deleted rows are overwritten won't do."""
    chance = random.Random(1)  # noqa: S311
    names = [f"T{chance.random():.9f}" for _ in range(2000)]
    log = SqliteLog(tmp_path / "log.sqlite")
    for some in (names, chance.sample(names, 1000)):
        log.append(batch(answers={(name, "order"): f"{name} ".encode() * chance.randint(10, 60) for name in some}))
    gone = chance.sample(names, 300)
    log.erase(Erasure("lisbon", Tally(), "a1", b"{}", treatment_ids=gone))
    log.scrub()
    left = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [name for name in gone if name.encode() in left] == []
    assert all(name.encode() in left for name in {*names}.difference(gone))
    log.close()


def test_everybody_else_keeps_facts_answers_and_cases(machine: OneMachine) -> None:
    machine.take(lines(*papers("other"), order("other"), start("third"), *papers(), order()))
    facts, answers = list(machine.machine.log.facts(SITE)), dict(machine.machine.log.answers(SITE))
    machine.erase("pt")
    assert list(machine.machine.log.facts(SITE)) == [each for each in facts if PSEUDONYM.encode() not in each]
    assert dict(machine.machine.log.answers(SITE)) == {key: it for key, it in answers.items() if key[0] != COURSE}


def test_merges_go_from_either_side(machine: OneMachine) -> None:
    machine.take(lines(start(), start("other"), merged("other", "pt", "one"), merged("pt", "third", "two")))
    machine.erase("pt")
    assert traces(machine, "other-one", "pt-two", PSEUDONYM) == [PSEUDONYM]
    assert machine.machine.keeper(SITE).tally.received == 1
    machine.equals_replay()


def test_a_course_that_another_patient_claims_too_keeps_its_answer_judged_anew(machine: OneMachine) -> None:
    machine.take(lines(*papers("other"), start(), start("other", treatment_id=COURSE)))
    assert "treatment_of_two_patients" in answered(machine, "start").reasons
    machine.erase("pt")
    assert "treatment_of_two_patients" not in answered(machine, "start").reasons
    assert traces(machine, "pt-start") == []
    machine.equals_replay()


def test_a_case_of_such_a_course_is_open_since_when_it_was(machine: OneMachine) -> None:
    machine.take(lines(start("other", treatment_id=COURSE)))
    since = violated(machine)
    machine.pass_days(1)
    machine.erase("pt")
    assert answered(machine, "start").cases["violation"] == since


def test_evidence_of_a_merged_patient_goes_from_the_answers_that_stand(machine: OneMachine) -> None:
    machine.take(lines(*papers(), order("other"), merged("other", "pt")))
    assert answered(machine, course="other-upa").decision == "screening_complete"
    machine.erase("pt")
    assert answered(machine, course="other-upa").decision == "hold"
    assert traces(machine, *NAMES) == []


def test_what_a_correction_had_moved_from_the_patient_stays_with_whose_it_is(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.take(lines(start("other") | {"event_id": "pt-start", "version": 1}))
    assert answered(machine, "start").decision == "withdrawn"
    machine.erase("pt")
    assert machine.answer(COURSE, "start") is None
    assert answered(machine, "start", "other-upa").decision != "withdrawn"
    machine.equals_replay()


def test_numbers_still_add_up_and_repetitions_stay_as_numbers(machine: OneMachine) -> None:
    machine.take([*lines(start(), start(), start("other")), b"[]"])
    machine.erase("pt")
    messages = View(machine.machine).result()["messages"]
    assert messages == {
        "received": 3, "accepted": 1, "duplicate": 1, "superseded": 0, "conflicting": 0, "rejected": {"invalid": 1},
    }  # fmt: skip
    machine.equals_replay()


def test_that_a_feed_was_alive_stays(machine: OneMachine) -> None:
    """Else days of all others would count no more."""
    machine.take(lines(start("other"), fell_ill()))
    end = machine.machine.keeper(SITE).state.observed_end()
    machine.erase("pt")
    assert machine.machine.keeper(SITE).state.observed_end() == end > 0


def test_what_people_decided_about_the_patient_stays_and_so_does_the_note(machine: OneMachine) -> None:
    since = violated(machine)
    close = {"action": "close_case", "treatment_id": COURSE, "kind": "violation"}
    closed = machine.machine.enact(act.CloseCase.model_validate(machine.signed() | close))
    kept = machine.erase("pt")
    assert since
    assert machine.actions() == (closed, kept)
    machine.reopen()
    assert View(machine.machine).overview().cases == ()


def test_who_is_sent_again_is_taken_in_again(machine: OneMachine) -> None:
    machine.take(lines(start()))
    machine.erase("pt")
    [receipt] = machine.take(lines(start()))
    assert receipt.outcome.status == "accepted"
    assert answered(machine, "start").decision == "awaiting_evidence"
    machine.equals_replay()
    machine.reopen()  # what was erased once is not erased at every start
    assert answered(machine, "start").decision == "awaiting_evidence"
    machine.erase("pt")
    assert machine.answer(COURSE, "start") is None
    machine.equals_replay()


# What is refused, and what is said again


@pytest.mark.parametrize("pseudonym", ["0" * 32, "pt", PSEUDONYM[:-1], PSEUDONYM.upper()])
def test_a_pseudonym_that_nobody_has_is_refused_with_what_to_do(machine: OneMachine, pseudonym: str) -> None:
    machine.take([*lines(start()), bad("other")])
    with pytest.raises(ActionRefusedError, match="jakwatch pseudonym"):
        machine.machine.enact(erasing(machine, pseudonym))
    assert list(machine.machine.log.actions()) == []
    assert machine.machine.keeper(SITE).tally.received == 2


def test_an_unknown_site_is_refused(machine: OneMachine) -> None:
    with pytest.raises(UnknownSiteError):
        machine.machine.enact(erasing(machine, site="nowhere"))


def test_said_again_it_counts_once_and_names_the_same_day(machine: OneMachine) -> None:
    machine.take(lines(start()))
    action = erasing(machine)
    kept = machine.machine.enact(action)
    machine.pass_days(3)
    assert machine.machine.enact(action.model_copy(update={"at": machine.now})) == kept
    assert len(list(machine.machine.log.actions())) == 1


# When something stands in the way


def test_while_somebody_reads_the_bytes_stay_and_go_when_nobody_does(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start(), order("other")))
    reader = SqliteLog(machine.path, read_only=True)
    machine.erase("pt")
    assert machine.answer(COURSE, "start") is None
    assert machine.machine.log.has_traces
    reader.close()
    machine.now += timedelta(minutes=11)
    machine.tick()
    assert not machine.machine.log.has_traces
    assert traces(machine, *NAMES) == []
    machine.equals_replay()


def test_a_process_that_died_before_the_file_was_scrubbed_does_it_at_the_next_start(machine: OneMachine) -> None:
    machine.take(lines(*papers(), start(), order("other")))
    action = erasing(machine)
    log = machine.machine.log
    going = what_goes(lambda: log.numbered_facts(SITE), PSEUDONYM)
    record = action.model_dump_json(by_alias=True, exclude_none=True).encode()
    tally = machine.machine.keeper(SITE).tally
    log.erase(Erasure(SITE, tally, action.action_id, record, going.facts, going.treatment_ids))
    machine.reopen()
    machine.tick()
    assert traces(machine, *NAMES) == []


def test_without_room_nobody_is_erased_by_halves(tight: OneMachine) -> None:
    tight.take(lines(*papers(), start(), order("other")))
    before = View(tight.machine).result()
    leave_room(tight, 0)
    with pytest.raises(LogFullError):
        tight.erase("pt")
    assert tight.actions() == ()
    leave_room(tight, PLENTY)
    assert View(tight.machine).result() == before
    tight.erase("pt")
    assert traces(tight, *NAMES) == []


def test_room_for_the_decision_alone_is_enough_and_the_rest_follows(tight: OneMachine) -> None:
    tight.take(lines(*papers(), order("other"), merged("other", "pt"), start()))
    leave_room(tight, 1)
    tight.erase("pt")
    assert tight.answer(COURSE, "start") is None
    leave_room(tight, PLENTY)
    tight.now += timedelta(minutes=11)
    tight.equals_replay()
    assert traces(tight, *NAMES) == []


# Replay


def test_a_replay_with_the_decision_says_what_one_without_the_patient_says(machine: OneMachine) -> None:
    mine = [
        *papers(),
        start(),
        merged("other", "pt"),
        told("patient_contact", "pt", "late", "2025-05-20", seen_on="2025-05-20"),
    ]
    others = [*papers("other"), start("other"), order("third")]
    machine.now += timedelta(1)
    erased = (erasing(machine),)
    as_of = date(2025, 6, 1).toordinal()

    def replayed(given: list[Message], actions: tuple[act.Action, ...], known_at: int | None = None) -> str:
        question = Question(POLICY, REGISTRY, actions, SITE, as_of, known_at)
        return as_text(replay_lines(lines(*given), question))

    assert replayed([*mine, *others], erased) == replayed([mine[-1], *others], ())  # what is recorded later came later
    assert replayed([*mine, *others], erased) != replayed([*mine, *others], ())
    before = instant(EVENING)
    assert replayed([*mine, *others], erased, before) == replayed([*mine, *others], (), before)


def test_to_a_replay_the_feed_was_alive_when_what_is_erased_came(machine: OneMachine) -> None:
    machine.now += timedelta(1)
    erased = (erasing(machine),)

    def rates(ill: Message, actions: tuple[act.Action, ...]) -> list[dict[str, Any]]:
        question = Question(POLICY, REGISTRY, actions, SITE, date(2025, 5, 13).toordinal())
        found: list[dict[str, Any]] = replay_lines(lines(start("other"), ill), question)["rates"]
        return found

    assert rates(fell_ill(), erased) == rates(fell_ill("nobody"), ())  # who takes nothing is in no rate
    assert any(row["person_days"] for row in rates(fell_ill(), erased))
