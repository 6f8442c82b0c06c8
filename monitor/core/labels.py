"""Whether a daily dose is above what the label allows: only if no indication of the patient allows it on that day."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import msgspec

from monitor.core.meaning import Meaning
from monitor.core.person import OLDER_FROM, Person
from monitor.core.policy import PolicyDocument

if TYPE_CHECKING:
    from monitor.core.gate import CompiledPolicy


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


def limits_of(policy: PolicyDocument, meaning: Meaning, drug: str) -> tuple[Limit, ...]:
    """The limits of a drug, ready to be asked for every day."""
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


def dose_above_label(
    policy: CompiledPolicy,
    drug: str,
    person: Person,
    indications: tuple[int, ...],
    daily_mg: Fraction,
    day: int,
    first_dose: int,
) -> bool:
    """`indications` are the course's, as concepts; the conditions that hold on the day count beside them.

    A limit without a source does not judge: a drug with no other, or a patient for whom no other speaks, has no flag.
    A patient with none of the table's diseases is above it.
    """
    limits = policy.limits[drug]
    if not any(limit.judged for limit in limits):
        return False
    diseases = policy.meaning.diseases(indications) | person.diseases_on(day)
    mine = [limit for limit in limits if limit.diseases & diseases]
    judged = [limit for limit in mine if limit.judged]
    if mine and not judged:
        return False
    age = person.age_on(day)
    return all(daily_mg > limit.highest(age, day - first_dose) for limit in judged)
