"""What one code means in a policy, in words, by the same lookup that judges messages."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.commands.policy_text import aesi_text
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument, code_matches
from monitor.core.policy_checks import code_lists
from monitor.core.vocabulary import Vocabulary
from schemas.parts import Coding, Concept


def systems_of(policy: PolicyDocument, code: str) -> list[str]:
    """The code systems in which a policy knows a code written without one: as such, else as one of a family."""
    pairs = [pair for _, codes in code_lists(policy) for pair in policy.codings(codes)]
    exact = {system for system, pattern in pairs if pattern == code}  # L04AF03 is a drug, not below ICD-10's L04*
    return sorted(exact or {system for system, pattern in pairs if code_matches(pattern, code)})


def explained(policy: PolicyDocument, system: str, code: str) -> Iterator[str]:
    """What a code is as drug, test, disease and adverse event; and where the policy has it from."""
    vocabulary = Vocabulary()
    concept = vocabulary.concept(Concept(codings=(Coding(system=system, code=code),), text=None))
    meaning = Meaning(policy, vocabulary)
    said = [*_drug(meaning, concept), *_test(meaning, concept, system, code), *_disease(meaning, concept)]
    said += _term(meaning, concept)
    yield f"{system}:{code}"
    yield from said or _unmapped()


def _unmapped() -> Iterator[str]:
    yield "  unmapped: the policy does not know it. It is kept, counted and listed; one that maps it later places it."
    yield "  Of a drug: its order is held (unmapped_drug). Of a test: evidence of nothing."
    yield "  Of an adverse event: it counts only where all events count. Of a condition: no cohort sees it."


def _drug(meaning: Meaning, concept: int) -> Iterator[str]:
    name = meaning.drug[concept].value
    if name is not None:
        yield f"  drug: {name} (class {meaning.policy.drugs[name].class_})"
    if meaning.drug[concept].conflict:
        yield "  drug: conflict, it means more than one; an order of it is held"


def _test(meaning: Meaning, concept: int, system: str, code: str) -> Iterator[str]:
    policy = meaning.policy
    if any(system == known and code_matches(pattern, code) for known, pattern in policy.codings(policy.never_evidence)):
        yield "  never evidence: not a result of any test, whatever it says"
        return
    name = meaning.test[concept].value
    if name is not None:
        tables = [infection for infection, table in policy.screening.items() if name in table.valid_days]
        yield f"  test: {name}, " + (f"read for {', '.join(tables)}" if tables else "in no screening table")


def _disease(meaning: Meaning, concept: int) -> Iterator[str]:
    for name in meaning.names(meaning.disease[concept].value or 0):
        groups = [group for group, members in meaning.policy.disease_groups.items() if name in members]
        yield f"  disease or condition: {name}" + (f" (in {', '.join(groups)})" if groups else "")


def _term(meaning: Meaning, concept: int) -> Iterator[str]:
    found = meaning.term[concept]
    if found.unmapped or found.value is None:
        return
    names = [meaning.aesi_names[at] for at in sorted(found.value)]
    listed = [name for name in names if meaning.policy.aesis[name].codes != "any"]
    if not listed:
        yield "  adverse event of no interest of its own: counts only where all events count"
    for name in listed:
        yield f"  adverse event: {name} ({aesi_text(meaning.policy.aesis[name])})"
    others = [name for name in names if name not in listed]
    if others:
        yield f"  and, as every adverse event that meets their other criteria: {', '.join(others)}"
