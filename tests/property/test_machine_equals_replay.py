"""The stream equals the batch: whatever happens to a machine on the way, it ends where a replay of the same lines ends.

The reference is `replay_lines`, which knows no log, no batches, no days that pass and no restarts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.days import iso
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument
from monitor.view import View
from tests.data.one_machine import SITE, OneMachine, as_text
from tests.property.conftest import policy_document, sites_document
from tests.property.histories import COURSES, histories

BEGIN = datetime(2025, 2, 1, 10, tzinfo=UTC)
INFECTIONS = ("hepatitis_b", "hepatitis_c", "tuberculosis", "hiv")


def registry_of(*documents: dict[str, Any]) -> Registry:
    return Registry(tuple(RegistryDocument.model_validate(document) for document in documents))


def policy_of(
    variant: str = "as it stands", version: int = 1, effective_from: date = date(2024, 1, 1)
) -> PolicyDocument:
    document = policy_document(variant)
    document["policy"] |= {"version": version, "effective_from": effective_from}
    return PolicyDocument.model_validate(document)


def later_registry() -> dict[str, Any]:
    """Another version of the registry: the feed may be silent longer, results come later, zeros lead nowhere."""
    document = sites_document(restamps=False)
    document["registry"] |= {"version": 2, "effective_from": date(2025, 12, 1)}
    site = document["sites"][SITE]
    site["go_live"] = date(2025, 6, 1)
    site["feeds"]["adverse_event"]["silent_after_days"] = 40
    site["feeds"]["screening"]["results_after_hours"] = 100
    return document


ONE = (policy_of(),)
REGISTERED = registry_of(sites_document(restamps=False))
WORLDS: dict[str, tuple[tuple[PolicyDocument, ...], Registry | None]] = {
    "no registry": (ONE, None),
    "registered": (ONE, REGISTERED),
    "restamping": (ONE, registry_of(sites_document(restamps=True))),
    "two policies": ((*ONE, policy_of("flags that block", 2, date(2025, 11, 15))), REGISTERED),
    "three policies": (
        (*ONE, policy_of("flags that block", 2, date(2025, 2, 20)), policy_of("as it stands", 3, date(2025, 5, 10))),
        REGISTERED,
    ),
    "two registries": (ONE, registry_of(sites_document(restamps=False), later_registry())),
}


class Step(NamedTuple):
    """Something that happens to a life; printed where a test fails."""

    name: str
    given: tuple[Any, ...] = ()

    def __call__(self, life: OneMachine) -> None:
        getattr(life, self.name)(*self.given)


GARBAGE = (b"", b"[]", b'{"type":"patient_visit"}', b"\xff", b"{")

quiet_steps: st.SearchStrategy[Step] = st.one_of(
    st.just(Step("reopen")),
    st.sampled_from((0.3, 1, 1, 2, 10, 40, 90)).map(lambda days: Step("pass_days", (days,))),
    st.just(Step("tick")),
    st.just(Step("equals_replay")),
)
decisions: st.SearchStrategy[Step] = st.one_of(
    st.builds(
        lambda *given: Step("waive", given),
        st.sampled_from(INFECTIONS),
        st.sampled_from(COURSES),
        st.sampled_from((None, 0, 3, 50)),
    ),
    st.builds(
        lambda infection, days: Step("waive", (infection, None, days)),
        st.sampled_from(INFECTIONS),
        st.sampled_from((0, 3, 50)),
    ),
    st.integers(0, 20).map(lambda pick: Step("settle", (pick,))),
)
weeks: st.SearchStrategy[Step] = st.sampled_from((9, 19, 80)).map(lambda days: Step("pass_days", (days,)))
activations: st.SearchStrategy[Step] = st.sampled_from((1, 2)).map(lambda place: Step("activate", (place,)))
erasures: st.SearchStrategy[Step] = st.integers(0, 20).map(lambda pick: Step("erase_some", (pick,)))


@st.composite
def lives(draw: st.DrawFn, others: st.SearchStrategy[Step]) -> list[Step]:
    """The lines of a history and some garbage in batches, some drafted in vain first, with other steps in between."""
    lines = draw(histories())
    lines += draw(st.lists(st.sampled_from(GARBAGE), max_size=2))
    steps: list[Step] = []
    at = 0
    while at < len(lines):
        size = draw(st.integers(1, 12))
        batch, at = lines[at : at + size], at + size
        steps += draw(st.lists(others, max_size=2))
        if draw(st.booleans()):
            steps.append(Step("draft", (batch,)))
        steps.append(Step("take", (batch,)))
    return [*steps, *draw(st.lists(others, max_size=3))]


def lived(world: str, steps: Iterable[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = OneMachine(Path(folder), *WORLDS[world], BEGIN)
        for step in steps:
            step(life)
        life.equals_replay()
        life.reopen()
        life.equals_replay()
        life.machine.log.close()


@pytest.mark.parametrize("world", WORLDS)
@given(steps=lives(quiet_steps))
def test_batches_restarts_and_days_come_to_what_a_replay_comes_to(world: str, steps: list[Step]) -> None:
    later = range(1, len(WORLDS[world][0]))
    lived(world, [*(Step("activate", (place,)) for place in later), *steps])


@pytest.mark.parametrize("world", ["two policies", "three policies"])
@given(steps=lives(quiet_steps))
def test_policies_that_nobody_activates_change_nothing(world: str, steps: list[Step]) -> None:
    lived(world, steps)


@given(steps=lives(st.one_of(quiet_steps, weeks, activations)))
def test_with_activations_it_comes_to_what_a_replay_by_the_active_policies_comes_to(steps: list[Step]) -> None:
    lived("three policies", steps)


@pytest.mark.parametrize("world", ["no registry", "registered", "restamping"])
@given(steps=lives(st.one_of(quiet_steps, decisions, erasures)))
def test_with_erasures_it_comes_to_what_a_replay_of_the_others_comes_to(world: str, steps: list[Step]) -> None:
    lived(world, steps)


@pytest.mark.parametrize("world", ["no registry", "registered"])
@given(steps=lives(st.one_of(quiet_steps, decisions)))
def test_with_what_people_decide_it_comes_to_what_a_replay_comes_to(world: str, steps: list[Step]) -> None:
    lived(world, steps)


@given(lines=histories(), back=st.integers(0, 400))
def test_an_earlier_day_is_what_a_replay_as_of_that_day_is(lines: list[bytes], back: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = OneMachine(Path(folder), ONE, REGISTERED, BEGIN)
        life.pass_days(470)
        life.take(lines)
        day = life.machine.today(SITE) - back
        assert as_text(View(life.machine).result(day)) == as_text(life.replayed(day)), iso(day)
        life.machine.log.close()
