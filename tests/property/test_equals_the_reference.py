"""Every number of the fast core equals that of the reference, which was written from the contract by another hand."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.days import day_of
from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument
from monitor.replay import Question, replay_lines
from tests.property.conftest import VARIANTS, policy_document, sites_document
from tests.property.histories import histories
from tests.reference.replay import replay as reference_replay


def shared(result: dict[str, Any]) -> dict[str, Any]:
    """A result without what names the program, as plain JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(result))
    for ours_alone in ("program", "listed", "open_conflicts"):
        plain.pop(ours_alone, None)
    for document in ("policy", "sites"):
        if plain[document]:
            plain[document] = plain[document]["version"]
    return plain


def equal(lines: list[bytes], variant: str, sites: dict[str, Any] | None, as_of: str | None) -> None:
    document = policy_document(variant)
    policy = PolicyDocument.model_validate(document)
    registry = Registry((RegistryDocument.model_validate(sites),)) if sites else None
    ours = replay_lines(lines, Question((policy,), registry, as_of=None if as_of is None else day_of(as_of)))
    theirs = reference_replay(lines, policies=[document], sites=sites, as_of=as_of)
    assert shared(ours) == shared(theirs)


@pytest.mark.parametrize("variant", VARIANTS)
@given(lines=histories())
def test_replay_equals_the_reference(variant: str, lines: list[bytes]) -> None:
    equal(lines, variant, None, None)


@pytest.mark.parametrize("restamps", [False, True])
@given(lines=histories(), as_of=st.sampled_from((None, "2025-04-01", "2025-12-01", "2026-05-22")))
def test_replay_of_a_registered_site_equals_the_reference(
    restamps: bool, lines: list[bytes], as_of: str | None
) -> None:
    equal(lines, "as it stands", sites_document(restamps), as_of)
