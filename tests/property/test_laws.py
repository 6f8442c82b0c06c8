"""The laws of the design, on random histories. The reference of law 1 to 5 is a replay of what should be left."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.days import day_of
from monitor.core.facts import AdverseEvent
from monitor.core.gate import CompiledPolicy
from monitor.core.given import Intake, Judgement
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.rates import Rates, SiteCounts
from monitor.core.registry import Registry, RegistryDocument
from monitor.core.rows import Rows
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.replay import Question, replay_lines
from tests.property.conftest import sites_document
from tests.property.histories import DAY0, as_lines, histories, messages, screened_starts

HEPATITIS_C = 2  # the place of its test among the results
AS_OF = day_of("2026-05-22")
CLASSES = ("accepted", "duplicate", "superseded", "conflicting")


def replayed(lines: list[bytes], policy: PolicyDocument, registry: Registry | None = None) -> dict[str, Any]:
    return replay_lines(lines, Question((policy,), registry, as_of=AS_OF))


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    """All that a result says of patients, without the counts of messages."""
    return {key: value for key, value in result.items() if key != "messages"}


def rejected(result: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = result["messages"]["rejected"]
    return found


def state_of(policy: PolicyDocument, registry: Registry | None = None) -> SiteState:
    vocabulary = Vocabulary()
    meaning = Meaning(policy, vocabulary)
    contributions = Contributions(policy, meaning, LevelSets(), Rows())
    entry = registry.entry_on("lisbon", AS_OF) if registry else None
    state = SiteState("lisbon", Intake(vocabulary, registry), entry)
    state.judge_by(Judgement((CompiledPolicy(policy, meaning),), contributions))
    return state


def rates_of(state: SiteState) -> list[dict[str, Any]]:
    assert state.cube is not None
    assert state.contributions is not None
    rates = Rates(state.contributions)
    return rates.rows(rates.table([SiteCounts(state.cube, state.observed_end())], AS_OF))


@given(lines=histories(), more=st.randoms(use_true_random=False))
def test_law_1_order_duplication_and_redelivery_change_nothing(
    policy: PolicyDocument, registry: Registry, lines: list[bytes], more: Any
) -> None:
    shuffled = [*lines, *more.sample(lines, k=min(5, len(lines)))]
    more.shuffle(shuffled)
    assert numbers(replayed(shuffled, policy, registry)) == numbers(replayed(lines, policy, registry))


@given(lines=histories(), size=st.integers(1, 12))
def test_law_1_batches_come_to_what_a_replay_comes_to(policy: PolicyDocument, lines: list[bytes], size: int) -> None:
    state = state_of(policy)
    latest: dict[tuple[str, str], str] = {}
    for at in range(0, len(lines), size):
        taken = state.take(lines[at : at + size], AS_OF)
        state.apply(taken)
        latest |= {(each.treatment_id, each.kind): each.decision for each in taken.decisions}
    whole = replayed(lines, policy)
    assert rates_of(state) == whole["rates"]
    assert {name: state.classes()[name] for name in CLASSES} == {name: whole["messages"][name] for name in CLASSES}
    for row in whole["decisions"]:
        if "treatment_of_two_patients" not in row["reasons"]:  # two people answer for it
            assert latest[row["treatment_id"], row["kind"]] == row["decision"]


@pytest.mark.parametrize("restamps", [False, True])
@given(lines=histories(), size=st.integers(1, 12))
def test_law_1_batches_of_a_registered_site_list_what_a_replay_lists(
    policy: PolicyDocument, restamps: bool, lines: list[bytes], size: int
) -> None:
    registry = Registry((RegistryDocument.model_validate(sites_document(restamps)),))
    state = state_of(policy, registry)
    for at in range(0, len(lines), size):
        state.apply(state.take(lines[at : at + size], AS_OF))
    whole = replayed(lines, policy, registry)
    assert state.cube is not None
    assert rates_of(state) == whole["rates"]
    assert {name: state.cube.tallies[name] for name in ("imputed", "waiting")} == {
        name: whole[name] for name in ("imputed", "waiting")
    }
    outside = state.cube.placed_outside(state.observed_from, state.observed_end(), AS_OF)
    assert outside == whole["unplaced"].get("not_observed", 0)
    assert state.cube.lost_on(AS_OF) == whole["lost_to_follow_up"]


@given(lines=histories())
def test_a_batch_is_applied_once_and_to_the_state_it_was_taken_from(policy: PolicyDocument, lines: list[bytes]) -> None:
    state = state_of(policy)
    one, other = state.take(lines, AS_OF), state.take(lines[:1], AS_OF)
    state.apply(one)
    for late in (one, other):
        with pytest.raises(ValueError, match="take its messages again"):
            state.apply(late)


@given(lines=histories())
def test_law_1_a_batch_that_is_not_applied_leaves_nothing(policy: PolicyDocument, lines: list[bytes]) -> None:
    half = len(lines) // 2
    state, untouched = state_of(policy), state_of(policy)
    for each in (state, untouched):
        each.apply(each.take(lines[:half], AS_OF))
    state.take(lines[half:], AS_OF)
    assert rates_of(state) == rates_of(untouched)
    assert state.classes() == untouched.classes()


@given(lines=histories(), garbage=st.lists(st.binary(max_size=30), max_size=4))
def test_law_2_every_message_is_in_exactly_one_class(
    policy: PolicyDocument, lines: list[bytes], garbage: list[bytes]
) -> None:
    found = replayed([*lines, *garbage], policy)["messages"]
    assert found["received"] == len(lines) + len(garbage)
    assert found["received"] == sum(found[name] for name in CLASSES) + sum(found["rejected"].values())


@given(history=st.lists(messages(), min_size=1, max_size=15), wrong=messages())
def test_law_3_a_retracted_fact_is_as_if_it_had_never_been(
    policy: PolicyDocument, history: list[dict[str, Any]], wrong: dict[str, Any]
) -> None:
    wrong = wrong | {"event_id": "the wrong one", "version": 0, "status": "final"}
    envelope = ("event_id", "source", "patient_id", "site", "type", "recorded_at")
    back = {key: wrong[key] for key in envelope if key in wrong} | {"version": 1, "status": "entered_in_error"}
    with_both = replayed(as_lines([*history, wrong, back]), policy)
    assert numbers(with_both) == numbers(replayed(as_lines(history), policy))


@given(history=st.lists(messages(), min_size=1, max_size=15), wrong=messages(), right=messages())
def test_law_3_a_corrected_fact_is_as_if_it_had_been_right_from_the_start(
    policy: PolicyDocument, history: list[dict[str, Any]], wrong: dict[str, Any], right: dict[str, Any]
) -> None:
    identity = {"event_id": "the wrong one", "status": "final"}
    wrong = {key: value for key, value in wrong.items() if key != "source"} | identity | {"version": 0}
    right = {key: value for key, value in right.items() if key != "source"} | identity | {"version": 1}
    both, corrected = (replayed(as_lines([*history, *more, right]), policy) for more in ([wrong], []))
    if rejected(both) == rejected(corrected) == rejected(replayed(as_lines(history), policy)):  # neither of the two is
        assert numbers(both) == numbers(corrected)


@given(start=screened_starts(), silent_days=st.integers(0, 300))
def test_law_4_no_person_time_after_the_feed_fell_silent(
    policy: PolicyDocument, registry: Registry, start: list[dict[str, Any]], silent_days: int
) -> None:
    last = DAY0 + timedelta(days=silent_days)
    feed = {
        "type": "feed_status", "event_id": "feed", "site": "lisbon", "recorded_at": f"{last}T12:00:00Z",
        "feed": "adverse_event", "complete_through": str(last),
    }  # fmt: skip
    rows = replayed(as_lines([*start, feed]), policy, registry)["rates"]
    observed = range(date(2025, 3, 1).toordinal(), last.toordinal() + 14 + 1)
    most = max((row["person_days"] for row in rows if row["cohort"] == "upa"), default=0)
    assert most <= len(observed)


@given(lines=histories())
def test_law_5_every_standing_adverse_event_counts_or_is_listed(policy: PolicyDocument, lines: list[bytes]) -> None:
    """All drugs of the policy are of one class and have a cohort; a day of death is an event of another AESI."""
    history = [{key: value for key, value in json.loads(line).items() if key != "died_on"} for line in lines]
    state = state_of(policy)
    state.apply(state.take(as_lines(history), AS_OF))
    people = state.ledger.sheets
    standing = sum(isinstance(fact, AdverseEvent) for person in people for fact in state.ledger.facts(person))
    result = replayed(as_lines(history), policy)
    cell = ("jak", "any", "cumulative", "EAER")
    keys = ("cohort", "aesi", "window", "estimator")
    counted = next(row["events"] for row in result["rates"] if tuple(row[key] for key in keys) == cell)
    assert counted + sum(result["unplaced"].values()) == standing


@given(lines=histories())
def test_law_5_every_unmapped_coding_is_listed(policy: PolicyDocument, lines: list[bytes]) -> None:
    """A history of one fact each: no identity comes twice, so every message stands."""
    facts = [json.loads(line) | {"event_id": f"own {at}", "status": "final"} for at, line in enumerate(lines)]
    result = replayed(as_lines(facts), policy)
    assert result["messages"]["accepted"] == len(facts) - sum(result["messages"]["rejected"].values())
    drugs = [fact["drug"]["codings"] for fact in facts if "drug" in fact] if not result["messages"]["rejected"] else []
    unknown = sum(codings == [{"system": "local", "code": "UNKNOWN"}] for codings in drugs)
    listed = [row["count"] for row in result["unmapped"] if row["kind"] == "drug"]
    assert sum(listed) >= unknown


@given(start=screened_starts(), at=st.integers(0, 4), claim=st.sampled_from(("positive", "indeterminate", "negative")))
def test_law_6_a_conflict_never_releases(
    policy: PolicyDocument, start: list[dict[str, Any]], at: int, claim: str
) -> None:
    """Of two bodies that claim one version neither is evidence: no decision gets better by it."""
    result = next(row for row in start if row["event_id"].endswith(str(at)))
    rival = result | {"outcome": claim, "collected_on": str(DAY0)}
    better = {"screening_complete", "compliant"}
    before = {
        (row["treatment_id"], row["kind"]): row["decision"] for row in replayed(as_lines(start), policy)["decisions"]
    }
    after = replayed(as_lines([*start, rival]), policy)
    for row in after["decisions"]:
        if row["decision"] in better:
            assert before[row["treatment_id"], row["kind"]] in better
    if after["conflicts"]:
        blocking = [
            row for row in after["decisions"] if row["kind"] == "start" and at != 2
        ]  # 2: hepatitis C only warns
        assert all(row["decision"] not in better for row in blocking if row["findings"])
