"""Which cohorts a patient-day belongs to: the policy's conditions, evaluated once per distinct situation.

A day is in a *set* of cohort levels (`upa`, `upa_by_dose:15`, ...). Counting days by set instead of by cohort keeps one
patient's contribution small and makes a day of two overlapping courses count once: sets unite.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import msgspec

from monitor.core.meaning import Meaning
from monitor.core.person import Ages
from monitor.core.policy import Cohort, PolicyDocument


class Situation(msgspec.Struct, frozen=True, gc=False):
    """What cohorts can see of a treated day; diseases and history are bits, the age a bracket of the policy's ages."""

    drug: str
    dose: int
    diseases: int
    history: int
    age: int


class LevelSets:
    """Sets of cohort levels as small integers; 0 is the empty set."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sets: list[frozenset[int]] = [frozenset()]
        self._levels: dict[str, int] = {}
        self._index: dict[frozenset[int], int] = {frozenset(): 0}
        self._known: dict[tuple[str, int, int], int] = {}

    def level(self, name: str) -> int:
        if name not in self._levels:
            self._levels[name] = len(self.names)
            self.names.append(name)
        return self._levels[name]

    def of(self, levels: frozenset[int]) -> int:
        found = self._index.get(levels)
        if found is None:
            found = self._index[levels] = len(self.sets)
            self.sets.append(levels)
        return found

    def union(self, one: int, other: int) -> int:
        if one == other or not other:
            return one
        return self._combined("|", one, other) if one else other

    def both(self, one: int, other: int) -> int:
        return one if one == other else self._combined("&", one, other)

    def less(self, one: int, other: int) -> int:
        if not other:
            return one
        return 0 if one == other else self._combined("-", one, other)

    def _combined(self, how: str, one: int, other: int) -> int:
        key = (how, one, other)
        found = self._known.get(key)
        if found is None:
            a, b = self.sets[one], self.sets[other]
            found = self._known[key] = self.of(a | b if how == "|" else a & b if how == "&" else a - b)
        return found


class Cohorts:
    """The cohorts of one policy."""

    def __init__(self, policy: PolicyDocument, meaning: Meaning, sets: LevelSets) -> None:
        self.policy = policy
        self.meaning = meaning
        self.sets = sets
        self.ages = Ages({age for cohort in policy.cohorts.values() for age in _ages(cohort)})
        self.whole = {name for name, cohort in policy.cohorts.items() if cohort.split_by is None}
        self._names_dose = {name for name, cohort in policy.cohorts.items() if _names_dose(cohort)}
        self._known: dict[Situation, tuple[int, int]] = {}
        self.of_treatment: dict[tuple[str, int, tuple[int, ...]], tuple[int, int]] = {}  # drug, dose, indications alone

    def of(self, situation: Situation) -> tuple[int, int]:
        """The set of all levels a day in this situation is in, and of those that name no dose."""
        found = self._known.get(situation)
        if found is None:
            levels = list(self._levels(situation))
            every = self.sets.of(frozenset(level for _, level in levels))
            doseless = self.sets.of(frozenset(level for name, level in levels if name not in self._names_dose))
            found = self._known[situation] = (every, doseless)
        return found

    def _levels(self, situation: Situation) -> Iterator[tuple[str, int]]:
        for name, cohort in self.policy.cohorts.items():
            if self._holds(cohort, situation):
                for level in self._split(name, cohort, situation):
                    yield name, self.sets.level(level)

    def _split(self, name: str, cohort: Cohort, situation: Situation) -> list[str]:
        match cohort.split_by:
            case "daily_mg":
                return [f"{name}:{self.meaning.vocabulary.daily_text[situation.dose]}"]
            case "disease":
                return [f"{name}:{disease}" for disease in self.meaning.names(situation.diseases)]
            case _:
                return [name]

    def _daily(self, situation: Situation) -> Fraction:
        return self.meaning.vocabulary.daily_mg[situation.dose]

    def _holds(self, cohort: Cohort, situation: Situation) -> bool:
        """All keys of the cohort hold."""
        meaning, diseases = self.meaning, situation.diseases
        return (
            cohort.drug in (None, situation.drug)
            and cohort.class_ in (None, self.policy.drugs[situation.drug].class_)
            and (not cohort.disease or bool(meaning.mask(cohort.disease) & diseases))
            and (not cohort.with_ or bool(meaning.mask(cohort.with_) & diseases))
            and not meaning.mask(cohort.without) & diseases
            and (not cohort.ever or bool(meaning.mask(cohort.ever) & (situation.history | diseases)))
            and self._age_holds(cohort, situation.age)
            and (not cohort.daily_mg or self._daily(situation) in {Fraction(dose) for dose in cohort.daily_mg})
            and (not cohort.any_of or any(self._holds(one, situation) for one in cohort.any_of))
        )

    def _age_holds(self, cohort: Cohort, bracket: int) -> bool:
        if cohort.age_from is not None and bracket < self.ages.bracket(cohort.age_from):
            return False
        return cohort.age_below is None or 0 <= bracket < self.ages.bracket(cohort.age_below)


def _ages(cohort: Cohort) -> Iterator[int]:
    yield from (age for age in (cohort.age_from, cohort.age_below) if age is not None)
    for one in cohort.any_of:
        yield from _ages(one)


def _names_dose(cohort: Cohort) -> bool:
    return bool(cohort.daily_mg) or cohort.split_by == "daily_mg" or any(map(_names_dose, cohort.any_of))
