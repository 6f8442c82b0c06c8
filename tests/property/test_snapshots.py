"""A site that was frozen and thawed is the site: it holds, judges, counts and goes on as if it had read everything."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.days import day_of
from monitor.core.decision import Decision
from monitor.core.decode import Rejection, decode
from monitor.core.frozen import Frozen, freeze, thaw
from monitor.core.gate import CompiledPolicy
from monitor.core.given import Intake, Judgement, Settlement
from monitor.core.ledger import Ledger
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.rates import Rates, SiteCounts
from monitor.core.registry import Registry, RegistryDocument
from monitor.core.rows import Rows
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from tests.property.conftest import sites_document
from tests.property.histories import histories

AS_OF = day_of("2026-05-22")
TABLES = ("sheets", "identities", "claims", "links", "contests", "classes", "restamps")
OTHER = (("local", "of another process"),)
REGISTRIES = {
    restamps: Registry((RegistryDocument.model_validate(sites_document(restamps)),)) for restamps in (False, True)
}


def state_of(vocabulary: Vocabulary, restamps: bool = False, settled: tuple[Settlement, ...] = ()) -> SiteState:
    registry = REGISTRIES[restamps]
    return SiteState("lisbon", Intake(vocabulary, registry, settlements=settled), registry.entry_on("lisbon", AS_OF))


def told(state: SiteState, lines: list[bytes]) -> SiteState:
    for line in lines:
        decoded = decode(line, "lisbon", state.intake.registry)
        if not isinstance(decoded, Rejection):
            state.load(decoded)
    return state


def through_a_file(frozen: Frozen) -> Frozen:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(frozen), type=Frozen)


def thawed(state: SiteState, vocabulary: Vocabulary | None = None) -> SiteState:
    """The site as another process holds it that was given its frozen ledger."""
    settled = state.intake.settlements
    new = state_of(Vocabulary() if vocabulary is None else vocabulary, state.ledger.restamps, settled)
    assert thaw(through_a_file(freeze(state.ledger)), new.ledger)
    new.signs = replace(state.signs, heard=dict(state.signs.heard))  # those stand in the log's tally
    return new


def tables(ledger: Ledger) -> dict[str, Any]:
    return {name: getattr(ledger, name) for name in TABLES}


def judged(state: SiteState, policy: PolicyDocument) -> dict[str, Any]:
    """All that can be asked of a site."""
    meaning = Meaning(policy, state.intake.vocabulary)
    contributions = Contributions(policy, meaning, LevelSets(), Rows())
    decisions: list[Decision] = []
    state.judge_by(Judgement((CompiledPolicy(policy, meaning),), contributions))
    state.settle(AS_OF, decisions.extend)
    assert state.cube is not None
    rates = Rates(contributions)
    return {
        "decisions": sorted(decisions, key=repr),
        "rates": rates.rows(rates.table([SiteCounts(state.cube, state.observed_end())], AS_OF)),
        "tallies": +state.cube.tallies,
        "lost": state.cube.lost_on(AS_OF),
        "conflicts": sorted(state.open_conflicts(), key=repr),
        "listed": sorted(state.listed(), key=repr),
        "classes": state.classes(),
    }


def settled_for(state: SiteState, pick: int) -> tuple[Settlement, ...]:
    """A person's word on one of the open conflicts, if there is one."""
    found = sorted(state.open_conflicts(), key=repr)
    if not found:
        return ()
    source, event_id, bodies = found[pick % len(found)]
    return (Settlement(source, event_id, bodies[pick % len(bodies)][0], 1 << 60, "a1"),)


# It is the same


@given(lines=histories(), restamps=st.booleans(), pick=st.integers(0, 5))
def test_a_thawed_site_holds_and_judges_what_was_frozen(
    policy: PolicyDocument, lines: list[bytes], restamps: bool, pick: int
) -> None:
    words = settled_for(told(state_of(Vocabulary(), restamps), lines), pick)
    state = told(state_of(Vocabulary(), restamps, words), lines)
    again = thawed(state)
    assert tables(again.ledger) == tables(state.ledger)
    assert judged(again, policy) == judged(state, policy)


@given(lines=histories(), at=st.integers(0, 40), size=st.integers(1, 12))
def test_a_thawed_site_goes_on_as_if_it_had_read_everything(
    policy: PolicyDocument, lines: list[bytes], at: int, size: int
) -> None:
    state = told(state_of(Vocabulary()), lines[:at])
    again = thawed(state)
    for each in (state, again):
        judged(each, policy)
        for first in range(at, len(lines), size):
            each.apply(each.take(lines[first : first + size], AS_OF))
    assert tables(again.ledger) == tables(state.ledger)
    assert judged(again, policy) == judged(state, policy)


@given(lines=histories())
def test_freezing_changes_nothing_and_says_the_same_twice(lines: list[bytes]) -> None:
    state = told(state_of(Vocabulary()), lines)
    before = tables(through_a_file(freeze(state.ledger)))  # type: ignore[arg-type]
    assert tables(thawed(thawed(state)).ledger) == tables(state.ledger)
    assert tables(through_a_file(freeze(state.ledger))) == before  # type: ignore[arg-type]


# The numbers of codes and doses


@given(lines=histories(), more=histories())
def test_a_process_that_knows_the_first_of_the_codes_thaws_and_goes_on_with_the_same_numbers(
    policy: PolicyDocument, lines: list[bytes], more: list[bytes]
) -> None:
    state = told(state_of(Vocabulary()), lines)
    for share in (0, 2):  # none of them, half of them
        begun = Vocabulary()
        codings, doses = state.ledger.vocabulary.codings, state.ledger.vocabulary.doses
        begun.extend(codings[: len(codings) * share // 4], doses[: len(doses) * share // 4])
        assert judged(told(thawed(state, begun), more), policy) == judged(
            told(state_of(Vocabulary()), [*lines, *more]), policy
        )
        assert begun.codings[: len(codings)] == codings


@given(lines=histories(), more=histories())
def test_a_process_that_knows_further_codes_thaws_as_well(lines: list[bytes], more: list[bytes]) -> None:
    """As one that has read another site meanwhile."""
    state = told(state_of(Vocabulary()), lines)
    frozen = through_a_file(freeze(state.ledger))
    told(state_of(state.ledger.vocabulary), more)
    again = state_of(state.ledger.vocabulary)
    known = list(again.ledger.vocabulary.codings)
    assert thaw(frozen, again.ledger)
    assert again.ledger.vocabulary.codings == known
    assert tables(again.ledger) == tables(state.ledger)


@given(lines=histories(), dose=st.booleans())
def test_a_process_that_numbered_otherwise_thaws_nothing_and_stays_as_it_was(lines: list[bytes], dose: bool) -> None:
    state = told(state_of(Vocabulary()), lines)
    vocabulary, frozen = Vocabulary(), through_a_file(freeze(state.ledger))
    vocabulary.extend([] if dose else [OTHER], [(Decimal("0.125"), Decimal(3))] if dose else [])
    again = state_of(vocabulary)
    if frozen.doses if dose else frozen.codings:
        assert not thaw(frozen, again.ledger)
        assert vocabulary.codings == ([] if dose else [OTHER])
        assert len(vocabulary.doses) == int(dose)
        assert tables(again.ledger) == tables(state_of(Vocabulary()).ledger)
    else:
        assert thaw(frozen, again.ledger)


@given(lines=histories())
def test_a_site_that_is_registered_otherwise_since_thaws_nothing(lines: list[bytes]) -> None:
    """Whether resends bear new stamps changes what stood."""
    state = told(state_of(Vocabulary(), restamps=True), lines)
    other = state_of(Vocabulary(), restamps=False)
    assert not thaw(through_a_file(freeze(state.ledger)), other.ledger)
    assert tables(other.ledger) == tables(state_of(Vocabulary()).ledger)
