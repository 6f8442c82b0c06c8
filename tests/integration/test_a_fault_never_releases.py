"""Law 6: a patient on whom the core raises is held and listed; all others go on as if that patient were not there."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from monitor import report
from monitor.core.batch import Taken
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.days import day_of
from monitor.core.decision import Decision
from monitor.core.gate import CompiledPolicy
from monitor.core.given import Intake, Judgement
from monitor.core.meaning import Meaning
from monitor.core.rates import Rates, SiteCounts
from monitor.core.rows import Rows
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.demo.build import Message
from monitor.demo.cases import SITE, case_one, case_two, told
from monitor.parallel import replay_in_processes
from monitor.policyfile import load_policies, load_registry
from monitor.replay import Question, replay_lines
from tests.data.faulty_policy import FAULT, SAID, faulty
from tests.data.good_history import LAST, SITES, good_lines

GOLDEN = Path(__file__).parents[1] / "golden" / "policy.yaml"
[POLICY] = load_policies([GOLDEN])
FAULTY = faulty(POLICY)
AS_OF = LAST.toordinal()


def as_line(message: Message) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode()


def patient(name: str = "unlucky") -> list[Message]:
    """Case 2 under another name, with an adverse event: one order, one start, all in order."""
    event = told(
        "adverse_event", name, "zoster", "2025-05-20", term={"codings": [{"system": "icd10", "code": "B02.9"}]},
        onset_on="2025-05-19", seriousness=[],
    )  # fmt: skip
    own = json.loads(json.dumps([*case_two(), event]).replace("case-2", name))
    return [{**message, "event_id": message["event_id"].replace("case-2", name)} for message in own]


def struck(place: str, name: str = "unlucky") -> list[Message]:
    """The patient with the code that cannot be looked up in one place of the record."""
    return [_struck(message, place) for message in patient(name)]


def _struck(message: Message, place: str) -> Message:
    kind, field = PLACES[place]
    if message["type"] != kind:
        return message
    if field == "conditions":
        return {**message, "conditions": [*message["conditions"], {"concept": FAULT}]}
    return {**message, field: [*message[field], FAULT] if field == "indications" else FAULT}


PLACES = {
    "the order's drug": ("treatment_ordered", "drug"),
    "the start's drug": ("treatment_started", "drug"),
    "an indication": ("treatment_started", "indications"),
    "a test": ("screening_result", "test"),
    "a condition": ("patient_profile", "conditions"),
    "an adverse event": ("adverse_event", "term"),
}


@pytest.fixture
def question(tmp_path: Path) -> Question:
    sites = tmp_path / "sites.yaml"
    sites.write_text(SITES, encoding="utf-8")
    return Question((FAULTY,), load_registry([sites]), as_of=AS_OF)


# In a replay


@pytest.mark.parametrize("place", PLACES)
def test_who_cannot_be_judged_is_held_and_all_others_have_the_same_numbers(question: Question, place: str) -> None:
    others = replay_lines(good_lines(), question)
    result = replay_lines([*map(as_line, struck(place)), *good_lines()], question)
    own = [row for row in result["decisions"] if row["treatment_id"] == "unlucky-upa"]
    assert [(row["kind"], row["decision"]) for row in own] == [("order", "unassessable"), ("start", "unassessable")]
    assert result["unassessable"] == 1
    assert result["messages"]["accepted"] == others["messages"]["accepted"] + len(patient())
    rest = [row for row in result["decisions"] if row["treatment_id"] != "unlucky-upa"]
    assert _but_for_counts({**result, "decisions": rest}) == _but_for_counts(others)


def _but_for_counts(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "messages": None, "unassessable": None}


def test_the_same_patient_without_the_fault_is_judged_and_counted(question: Question) -> None:
    others = replay_lines(good_lines(), question)
    result = replay_lines([*map(as_line, patient()), *good_lines()], question)
    decisions = {row["kind"]: row["decision"] for row in result["decisions"] if row["treatment_id"] == "unlucky-upa"}
    assert decisions == {"order": "screening_complete", "start": "compliant"}
    assert result["unassessable"] == 0
    assert result["rates"] != others["rates"]


def test_every_order_and_every_start_of_the_patient_is_held(question: Question) -> None:
    second = [
        {**message, "treatment_id": "second", "event_id": f"2-{message['event_id']}"}
        for message in patient()
        if message["type"] in {"treatment_ordered", "treatment_started"}
    ]
    lone = {**second[0], "treatment_id": "only ordered", "event_id": "3"}
    result = replay_lines(map(as_line, [*struck("a test"), *second, lone]), question)
    assert [(row["treatment_id"], row["kind"], row["decision"]) for row in result["decisions"]] == [
        ("only ordered", "order", "unassessable"),
        ("second", "order", "unassessable"),
        ("second", "start", "unassessable"),
        ("unlucky-upa", "order", "unassessable"),
        ("unlucky-upa", "start", "unassessable"),
    ]
    assert result["unassessable"] == 1


def test_what_is_merged_with_a_fault_is_held_as_one_person(question: Question) -> None:
    merged = told("patient_merged", "unlucky", "merge", "2025-05-20", merged_patient_id="case-1")
    result = replay_lines(map(as_line, [*case_one(), *struck("a test"), merged]), question)
    assert {row["decision"] for row in result["decisions"]} == {"unassessable"}
    assert {row["treatment_id"] for row in result["decisions"]} == {"case-1-upa", "unlucky-upa"}
    assert result["unassessable"] == 1


def test_of_two_patients_who_claim_a_course_the_fault_of_one_is_the_row(question: Question) -> None:
    claimed = [{**message, "patient_id": "other", "event_id": f"other-{message['event_id']}"} for message in patient()]
    result = replay_lines(map(as_line, [*struck("a condition"), *claimed]), question)
    assert [(row["kind"], row["decision"]) for row in result["decisions"]] == [
        ("order", "unassessable"), ("start", "unassessable"),
    ]  # fmt: skip


def test_several_patients_with_faults_are_each_counted(question: Question) -> None:
    lines = [as_line(message) for name in ("one", "two", "three") for message in struck("an adverse event", name)]
    result = replay_lines([*lines, *good_lines()], question)
    assert result["unassessable"] == 3
    assert sum(row["decision"] == "unassessable" for row in result["decisions"]) == 6


def test_a_fault_is_the_same_in_several_processes_and_in_any_order(question: Question) -> None:
    lines = [*map(as_line, struck("a test")), *good_lines()]
    result = replay_lines(lines, question)
    assert result == replay_lines(lines[::-1], question)
    assert result == replay_in_processes(lines, question, 3)


def test_a_fault_is_shown_to_the_person_who_reads_the_table_and_says_nothing_of_the_patient(question: Question) -> None:
    result = replay_lines(map(as_line, struck("a test")), question)
    text = report.table(result)
    assert "unlucky-upa  order  unassessable" in text
    assert "unassessable 1" in text
    assert SAID not in text + json.dumps(result)


# In a live site: take, then apply


class Live:
    """One site judged by the faulty policy, and what its cube says."""

    def __init__(self, *messages: Message) -> None:
        vocabulary = Vocabulary()
        meaning = Meaning(FAULTY, vocabulary)
        self.contributions = Contributions(FAULTY, meaning, LevelSets(), Rows())
        self.state = SiteState(SITE, Intake(vocabulary))
        self.state.judge_by(Judgement((CompiledPolicy(FAULTY, meaning),), self.contributions))
        if messages:
            self.comes(messages)

    def takes(self, messages: Iterable[Message]) -> Taken:
        return self.state.take([as_line(message) for message in messages], AS_OF)

    def comes(self, messages: Iterable[Message]) -> dict[tuple[str, str], str]:
        """Take and apply; the decisions told."""
        taken = self.takes(messages)
        self.state.apply(taken)
        return told_of(taken.decisions)

    def rates(self) -> list[dict[str, Any]]:
        assert self.state.cube is not None
        rates = Rates(self.contributions)
        return rates.rows(rates.table([SiteCounts(self.state.cube, self.state.observed_end())], AS_OF))

    def unassessable(self) -> int:
        assert self.state.cube is not None
        return self.state.cube.tallies["unassessable"]


def told_of(decisions: Iterable[Decision]) -> dict[tuple[str, str], str]:
    return {(decision.treatment_id, decision.kind): decision.decision for decision in decisions}


HELD = {("unlucky-upa", "order"): "unassessable", ("unlucky-upa", "start"): "unassessable"}
JUDGED = {("unlucky-upa", "order"): "screening_complete", ("unlucky-upa", "start"): "compliant"}
CASE_ONE = {("case-1-upa", "order"): "screening_complete", ("case-1-upa", "start"): "compliant"}


@pytest.mark.parametrize("place", PLACES)
def test_a_batch_with_a_fault_is_taken_whole_and_holds_that_patient_alone(place: str) -> None:
    live = Live()
    batch = [*struck(place), *case_one()]
    taken = live.takes(batch)
    assert told_of(taken.decisions) == HELD | CASE_ONE
    assert (len(taken.facts), taken.duplicates, taken.rejections) == (len(batch), 0, [])
    live.state.apply(taken)
    assert live.rates() == Live(*case_one()).rates()
    assert live.unassessable() == 1


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_that_comes_later_takes_back_what_had_been_counted_and_released(place: str) -> None:
    live = Live(*case_one())
    alone = live.rates()
    assert live.comes(patient()) == JUDGED
    assert live.rates() != alone
    assert live.comes(_corrected(struck(place))) == HELD
    assert live.rates() == alone
    assert live.unassessable() == 1


@pytest.mark.parametrize("place", sorted(PLACES.keys() - {"a test"}))  # earlier versions of results are looked at too
def test_a_correction_that_removes_the_cause_lets_the_patient_be_judged_again(place: str) -> None:
    live, sound = Live(*case_one()), Live(*case_one(), *_corrected(patient()))
    assert live.comes(struck(place)) == HELD
    assert live.comes(_corrected(patient())) == JUDGED
    assert live.rates() == sound.rates()
    assert live.unassessable() == 0


def _corrected(messages: list[Message]) -> list[Message]:
    """The same messages as later versions of themselves."""
    return [{**message, "version": 1} for message in messages]


def test_what_was_taken_and_not_applied_leaves_the_site_as_it_was() -> None:
    live = Live(*case_one(), *patient())
    before = live.rates()
    assert told_of(live.takes(_corrected(struck("a test"))).decisions) == HELD
    assert live.rates() == before
    assert live.unassessable() == 0
    assert live.comes(case_one()) == {}


def test_the_others_go_on_while_one_is_held() -> None:
    live = Live(*struck("an adverse event"))
    assert live.comes(case_one()) == CASE_ONE
    event = told("adverse_event", "case-1", "zoster", "2025-06-01", term=FAULT, onset_on="2025-06-01", seriousness=[])
    held = dict.fromkeys(CASE_ONE, "unassessable")
    assert live.comes([event]) == held
    assert live.unassessable() == 2
    assert live.comes([{**event, "status": "entered_in_error", "recorded_at": "2025-06-02T09:00:00Z"}]) == CASE_ONE
    assert live.unassessable() == 1


def test_a_day_later_the_fault_still_holds() -> None:
    live = Live(*struck("a test"), *case_one())
    found: list[Decision] = []
    live.state.ledger.touch_all()
    live.state.settle(day_of("2025-07-01"), found.extend)
    assert told_of(found) == HELD | CASE_ONE
