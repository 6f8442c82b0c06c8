"""Coded concepts and doses as small integers.

A country's messages use a few thousand distinct codes. Facts hold an index into this table, so that a policy looks up
what a code means once per distinct concept instead of once per message, and a packed fact stays small.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from schemas.parts import Concept, Dose

_EXACTLY = Context(prec=200_000, Emax=MAX_EMAX, Emin=MIN_EMIN)  # digits of two numbers of the longest message

Coding = tuple[str, str]
"""(system, code)"""
Codings = tuple[Coding, ...]


class Vocabulary:
    """The distinct codings and doses met so far; indexes are given in the order of first use and never change."""

    def __init__(self) -> None:
        self.codings: list[Codings] = []
        self.doses: list[tuple[Decimal, Decimal]] = []
        self.daily_mg: list[Fraction] = []
        self.daily_text: list[str] = []  # as rows of cohorts print it
        self._concept_index: dict[Codings, int] = {}
        self._single_index: dict[Coding, int] = {}
        self._dose_index: dict[tuple[Decimal, Decimal], int] = {}

    def concept(self, concept: Concept) -> int:
        """The index of a concept's codings, in the order the message gives them; its text is not part of it."""
        codings = concept.codings
        if len(codings) == 1:  # nearly all: one lookup without building the outer tuple
            only = codings[0]
            known = self._single_index.get((only.system, only.code))
            return self._add(((only.system, only.code),)) if known is None else known
        key = tuple([(coding.system, coding.code) for coding in codings])
        known = self._concept_index.get(key)
        return self._add(key) if known is None else known

    def _add(self, codings: Codings) -> int:
        index = len(self.codings)
        self.codings.append(codings)
        self._concept_index[codings] = index
        if len(codings) == 1:
            self._single_index[codings[0]] = index
        return index

    def dose(self, dose: Dose) -> int:
        """The index of a dose; equal numbers are one dose however they are written."""
        key = (dose.amount, dose.per_day)
        known = self._dose_index.get(key)
        return self._add_dose(key) if known is None else known

    def _add_dose(self, key: tuple[Decimal, Decimal]) -> int:
        index = self._dose_index[key] = len(self.doses)
        self.doses.append(key)
        self.daily_mg.append(Fraction(key[0]) * Fraction(key[1]))
        self.daily_text.append(decimal_text(_EXACTLY.multiply(*key)))
        return index

    def extend(self, codings: Iterable[Codings], doses: Iterable[tuple[Decimal, Decimal]]) -> None:
        """Take over further ones in the order in which another vocabulary met them."""
        for each in codings:
            self._add(each)
        for key in doses:
            self._add_dose(key)


def decimal_text(value: Decimal) -> str:
    """The shortest plain decimal of a number: `15`, `2.5`, never an exponent."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"
