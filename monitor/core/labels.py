"""Whether a daily dose is above what the label allows: only if no indication of the patient allows it on that day."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from monitor.core.person import Person
from monitor.core.policy import DoseLimit

if TYPE_CHECKING:
    from monitor.core.gate import PolicyInForce


def dose_above_label(
    policy: PolicyInForce,
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
    limits = policy.policy.drugs[drug].highest_daily_mg
    if not any(policy.policy.is_judged(limit) for limit in limits):
        return False
    diseases = policy.meaning.diseases(indications) | person.diseases_on(day)
    mine = [limit for limit in limits if policy.meaning.mask(limit.indications) & diseases]
    judged = [limit for limit in mine if policy.policy.is_judged(limit)]
    if mine and not judged:
        return False
    age = person.age_on(day)
    return all(daily_mg > _highest(limit, age, day - first_dose) for limit in judged)


def _highest(limit: DoseLimit, age: int | None, days_since_first: int) -> Fraction:
    if limit.induction is not None and days_since_first < limit.induction.first_days:
        return Fraction(limit.induction.mg)
    if limit.from_age_65 is not None and age is not None and age >= 65:
        return Fraction(limit.from_age_65)
    return Fraction(limit.usual)
