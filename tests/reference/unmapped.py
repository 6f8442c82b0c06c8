"""Concepts that the policy does not know, by coding; and those of which it knows two different things."""

from collections import Counter
from typing import Any

from . import policy as rules
from .versions import Fact

ConceptOfKind = tuple[str, dict[str, Any]]


def concepts_in(fact: Fact) -> list[ConceptOfKind]:
    """Every coded concept of a fact with its kind."""
    found = [(kind, fact[kind]) for kind in ("drug", "test", "term") if fact.get(kind)]
    found += [("indication", concept) for concept in fact.get("indications") or []]
    return found + [("condition", condition["concept"]) for condition in fact.get("conditions") or []]


def is_known(policy: rules.Document, kind: str, concept: dict[str, Any]) -> bool:
    if kind == "term":
        return rules.knows_term(policy, concept)
    return bool(rules.things(policy, meanings(policy, kind), concept))


def meanings(policy: rules.Document, kind: str) -> dict[str, list[str]]:
    if kind == "drug":
        return rules.drug_meanings(policy)
    return rules.test_meanings(policy) if kind == "test" else rules.disease_meanings(policy)


def codings_disagree(policy: rules.Document, kind: str, concept: dict[str, Any]) -> bool:
    if kind == "term":
        return False
    known = rules.things(policy, meanings(policy, kind), concept)
    return rules.disagree_on_one(known) if kind in ("drug", "test") else len(set(known)) > 1


def unmapped_rows(facts: list[Fact], policy: rules.Document) -> list[dict[str, Any]]:
    counts: Counter[tuple[str, str, str]] = Counter()
    for fact in facts:
        for kind, concept in concepts_in(fact):
            if not is_known(policy, kind, concept):
                counts.update({(kind, one["system"], one["code"]) for one in concept["codings"]})
    return [
        {"kind": kind, "system": system, "code": code, "count": counts[kind, system, code]}
        for kind, system, code in sorted(counts)
    ]


def disagreeing_concepts(facts: list[Fact], policy: rules.Document) -> int:
    return sum(codings_disagree(policy, kind, concept) for fact in facts for kind, concept in concepts_in(fact))
