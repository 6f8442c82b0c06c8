"""What coded concepts mean under one policy, looked up once per distinct concept.

A coding the policy knows decides; codings it maps to different drugs, tests or diseases are a conflict and the concept
counts as unmapped. Adverse-event terms have no conflict: a term is in every code list one of its codings is in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

import msgspec

from monitor.core.policy import PolicyDocument
from monitor.core.vocabulary import Coding, Codings, Vocabulary

T = TypeVar("T")


class Codes:
    """A list of codes; `co*` stands for everything that begins so."""

    def __init__(self, patterns: Iterable[Coding]) -> None:
        pairs = list(patterns)
        self.exact = {pair for pair in pairs if not pair[1].endswith("*")}
        self.prefixes = [(system, code[:-1]) for system, code in pairs if code.endswith("*")]

    def has(self, coding: Coding) -> bool:
        system, code = coding
        return coding in self.exact or any(s == system and code.startswith(prefix) for s, prefix in self.prefixes)

    def any_of(self, codings: Codings) -> bool:
        return any(self.has(coding) for coding in codings)


class Mapped(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """What a concept is to the policy: a value, nothing it knows (`unmapped`), or two different things."""

    value: T | None
    unmapped: bool = False
    conflict: bool = False


class Lookup(dict[int, T]):
    """A memo from concept index to meaning, asked like a dict; grows with the vocabulary."""

    def __init__(self, vocabulary: Vocabulary, mean: Callable[[Codings], T]) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.mean = mean

    def __missing__(self, concept: int) -> T:
        found = self[concept] = self.mean(self.vocabulary.codings[concept])
        return found


class Meaning:
    """The meaning of every concept under a policy. Drugs and tests are names, sets of diseases bit masks."""

    def __init__(self, policy: PolicyDocument, vocabulary: Vocabulary) -> None:
        self.policy = policy
        self.vocabulary = vocabulary
        self.disease_bit = {name: 1 << at for at, name in enumerate(policy.diseases)}
        self.aesi_names = tuple(policy.aesis)
        self.undated_from_course_start = self.mask(policy.undated_from_course_start)
        self._drugs = {name: Codes(policy.codings(drug.codes)) for name, drug in policy.drugs.items()}
        self._tests = {name: Codes(policy.codings(test.codes)) for name, test in policy.tests.items()}
        self._diseases = {name: Codes(policy.codings(codes)) for name, codes in policy.diseases.items()}
        self._never = Codes(policy.codings(policy.never_evidence))
        self._no_interest = Codes(policy.codings(policy.terms_of_no_interest))
        self._lists = [(_codes(policy, aesi.codes), _codes(policy, aesi.except_)) for aesi in policy.aesis.values()]
        self.drug = Lookup(vocabulary, self._drug)
        self.test = Lookup(vocabulary, self._test)
        self.disease = Lookup(vocabulary, self._disease)
        self.term = Lookup(vocabulary, self._term)

    def mask(self, names: Iterable[str]) -> int:
        """The bits of diseases and disease groups by name."""
        bits = 0
        for name in names:
            for member in self.policy.disease_groups.get(name, (name,)):
                bits |= self.disease_bit[member]
        return bits

    def diseases(self, concepts: Iterable[int]) -> int:
        """The diseases that any of these concepts is, as bits."""
        bits = 0
        for concept in concepts:
            bits |= self.disease[concept].value or 0
        return bits

    def names(self, bits: int) -> list[str]:
        return [name for name, bit in self.disease_bit.items() if bits & bit]

    def _drug(self, codings: Codings) -> Mapped[str]:
        return _single({name for name, codes in self._drugs.items() if codes.any_of(codings)})

    def _test(self, codings: Codings) -> Mapped[str]:
        """A control offered as a result is known, and evidence of nothing; beside a real test it is a conflict."""
        found = {name for name, codes in self._tests.items() if codes.any_of(codings)}
        if self._never.any_of(codings):
            return Mapped(None, conflict=bool(found))
        return _single(found)

    def _disease(self, codings: Codings) -> Mapped[int]:
        found = {self._disease_bits(coding) for coding in codings} - {0}
        return _single(found)

    def _disease_bits(self, coding: Coding) -> int:
        return sum(self.disease_bit[name] for name, codes in self._diseases.items() if codes.has(coding))

    def _term(self, codings: Codings) -> Mapped[frozenset[int]]:
        """The AESIs whose code list has the term, `codes: any` among them."""
        listed = [wanted is not None and wanted.any_of(codings) for wanted, _ in self._lists]
        member = frozenset(
            at
            for at, (wanted, barred) in enumerate(self._lists)
            if (wanted is None or listed[at]) and not (barred is not None and barred.any_of(codings))
        )
        excepted = any(barred is not None and barred.any_of(codings) for _, barred in self._lists)
        return Mapped(member, unmapped=not (any(listed) or excepted or self._no_interest.any_of(codings)))


def _single(found: set[T]) -> Mapped[T]:
    if len(found) > 1:
        return Mapped(None, conflict=True)
    return Mapped(found.pop()) if found else Mapped(None, unmapped=True)


def _codes(policy: PolicyDocument, patterns: tuple[str, ...] | str) -> Codes | None:
    """The code list of an AESI, csv files read in; None for `any` (and for an empty list of exceptions)."""
    return None if isinstance(patterns, str) or not patterns else Codes(policy.codings(patterns))
