"""Whether a daily dose is above what the label allows: only if no indication of the patient allows it on that day."""

from __future__ import annotations

from bisect import bisect_right
from fractions import Fraction

import msgspec

from monitor.core.course import Episode
from monitor.core.meaning import Meaning
from monitor.core.person import OLDER_FROM, Person
from monitor.core.policy import PolicyDocument


class Limit(msgspec.Struct, frozen=True, gc=False):
    """One line of a drug's limits; `diseases` as bits of the policy, doses in mg a day."""

    diseases: int
    judged: bool
    usual: Fraction
    older: Fraction | None
    induction: Fraction | None
    induction_days: int

    @property
    def lowest(self) -> Fraction:
        """What it allows at any age and time."""
        return min(each for each in (self.usual, self.older, self.induction) if each is not None)

    def highest(self, age: int | None, days_since_first: int) -> Fraction:
        """What it allows that long after the first dose."""
        if self.induction is not None and days_since_first < self.induction_days:
            return self.induction
        if self.older is not None and age is not None and age >= OLDER_FROM:
            return self.older
        return self.usual


class Label:
    """What the label of one drug allows, asked for indications of a course (as concepts) and doses by their index."""

    def __init__(self, policy: PolicyDocument, meaning: Meaning, drug: str) -> None:
        flagged = policy.flags.dose_above_label
        self.meaning = meaning
        self.limits = _limits(policy, meaning, drug)
        self.judges = (flagged == "all" or drug in flagged) and any(limit.judged for limit in self.limits)
        self._induction_days = sorted({limit.induction_days for limit in self.limits})
        self._never_above: dict[tuple[tuple[int, ...], int], bool] = {}
        self._above: dict[tuple[int, int, bool, int], bool] = {}

    def is_above(self, person: Person, indications: tuple[int, ...], dose: int, day: int, first_dose: int) -> bool:
        """Whether a dose is above the label on a day; the conditions that hold then count beside the indications.

        A limit without a source does not judge: a drug with no other, or a patient for whom no other speaks, has no
        flag. A patient with none of the table's diseases is above it.
        """
        if self.never_above(indications, dose):
            return False
        diseases = self.meaning.diseases(indications) | person.diseases_on(day)
        age, given = person.age_on(day), day - first_dose
        key = (diseases, dose, age is not None and age >= OLDER_FROM, bisect_right(self._induction_days, given))
        known = self._above.get(key)  # of a country's patients few differ in any of it
        if known is None:
            known = self._above[key] = self._is_above(diseases, dose, age, given)
        return known

    def _is_above(self, diseases: int, dose: int, age: int | None, given: int) -> bool:
        mine = [limit for limit in self.limits if limit.diseases & diseases]
        judged = [limit for limit in mine if limit.judged]
        if mine and not judged:
            return False
        daily_mg = self.meaning.vocabulary.daily_mg[dose]
        return all(daily_mg > limit.highest(age, given) for limit in judged)

    def ever_above(self, person: Person, episode: Episode, as_of: int) -> bool:
        """Whether on any exposed day of an episode through `as_of`; only a state or the person can change it."""
        states = [state for state in episode.states if not self.never_above(state.indications, state.dose)]
        if not states:
            return False
        last = min(as_of, episode.end - 1, person.last_day(self.meaning.policy))
        if any(
            state.first <= last and self.is_above(person, state.indications, state.dose, state.first, episode.first)
            for state in states
        ):
            return True
        turning = person.turning_days().union([episode.first + days for days in self._induction_days])
        return any(
            self.is_above(person, state.indications, state.dose, day, episode.first)
            for state in states
            for day in turning
            if state.first < day < state.end and day <= last
        )

    def never_above(self, indications: tuple[int, ...], dose: int) -> bool:
        """Whether one of the indications allows the dose at any age and time: then nothing else need be looked at.

        More diseases only add limits, and one that allows the dose is enough. So it is asked once per distinct
        treatment, and for nearly all patients that is the answer.
        """
        key = (indications, dose)
        known = self._never_above.get(key)
        if known is None:
            known = self._never_above[key] = not self.judges or self._always_allowed(indications, dose)
        return known

    def _always_allowed(self, indications: tuple[int, ...], dose: int) -> bool:
        diseases, daily_mg = self.meaning.diseases(indications), self.meaning.vocabulary.daily_mg[dose]
        return any(limit.judged and limit.diseases & diseases and daily_mg <= limit.lowest for limit in self.limits)


def _limits(policy: PolicyDocument, meaning: Meaning, drug: str) -> tuple[Limit, ...]:
    return tuple(
        Limit(
            meaning.mask(limit.indications),
            policy.is_judged(limit),
            Fraction(limit.usual),
            None if limit.from_age_65 is None else Fraction(limit.from_age_65),
            None if limit.induction is None else Fraction(limit.induction.mg),
            0 if limit.induction is None else limit.induction.first_days,
        )
        for limit in policy.drugs[drug].highest_daily_mg
    )
