"""A policy document as plain questions: what a code means, which diseases a name covers, how long a tail is."""

import math
from collections.abc import Iterable
from decimal import Context, Decimal
from typing import Any

from .calendar_days import day

Document = dict[str, Any]
Concept = dict[str, Any]
FOR_EVER = math.inf
MOST_DIGITS = 200_000
NEVER_EVIDENCE = "never evidence"


def in_force(policies: list[Document], on: int | None) -> Document:
    """The version in force on a day; before the first version, the first."""
    ordered = sorted(policies, key=lambda policy: (day(header(policy)["effective_from"]), header(policy)["version"]))
    begun = [policy for policy in ordered if on is not None and day(header(policy)["effective_from"]) <= on]
    return begun[-1] if begun else ordered[0]


def header(policy: Document) -> dict[str, Any]:
    found: dict[str, Any] = policy["policy"]
    return found


def as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def exact(number: Any) -> Decimal:
    """A number as it is written: 0.1 is a tenth."""
    return Decimal(str(number))


def days_in(value: Any) -> Any:
    """`30` or `for_ever`, or `{days: 30, source: ...}`; None if nothing is said."""
    return value["days"] if isinstance(value, dict) else value


# What a code means


def holds_code(policy: Document, listed: Iterable[str], system: str, code: str) -> bool:
    """Is the code one of `system:code`, `system:prefix*` or those of a `file:`?"""
    return any(
        system == known_system and (code.startswith(known[:-1]) if known.endswith("*") else code == known)
        for known_system, known in pairs(policy, listed)
    )


def pairs(policy: Document, listed: Iterable[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for item in listed:
        system, code = item.split(":", 1)
        rows = policy["_files"][code] if system == "file" else [(system, code)]
        found += [(row[0], row[1]) for row in rows]
    return found


def things(policy: Document, meanings: dict[str, list[str]], concept: Concept) -> list[frozenset[str]]:
    """For each coding that the policy knows, the things it maps to."""
    found = [
        frozenset(name for name, listed in meanings.items() if holds_code(policy, listed, one["system"], one["code"]))
        for one in concept["codings"]
    ]
    return [known for known in found if known]


def drug_meanings(policy: Document) -> dict[str, list[str]]:
    return {name: drug["codes"] for name, drug in policy["drugs"].items()}


def test_meanings(policy: Document) -> dict[str, list[str]]:
    found = {name: test["codes"] for name, test in policy["tests"].items()}
    return found | {NEVER_EVIDENCE: policy.get("never_evidence") or []}


def disease_meanings(policy: Document) -> dict[str, list[str]]:
    found: dict[str, list[str]] = policy["diseases"]
    return found


def drug_of(policy: Document, concept: Concept) -> str | None:
    return the_one(things(policy, drug_meanings(policy), concept))


def test_of(policy: Document, concept: Concept) -> str | None:
    found = the_one(things(policy, test_meanings(policy), concept))
    return None if found == NEVER_EVIDENCE else found


def the_one(known: list[frozenset[str]]) -> str | None:
    every = frozenset().union(*known)
    return next(iter(every)) if len(every) == 1 else None


def drug_codings_disagree(policy: Document, concept: Concept) -> bool:
    return disagree_on_one(things(policy, drug_meanings(policy), concept))


def disagree_on_one(known: list[frozenset[str]]) -> bool:
    """For drugs and tests, which are one thing only."""
    return len(frozenset().union(*known)) > 1


def diseases_of(policy: Document, concept: Concept) -> frozenset[str]:
    """The diseases of a concept: none if its codings say different ones."""
    known = set(things(policy, disease_meanings(policy), concept))
    return next(iter(known)) if len(known) == 1 else frozenset()


def diseases_of_all(policy: Document, concepts: list[Concept]) -> frozenset[str]:
    return frozenset().union(*(diseases_of(policy, concept) for concept in concepts))


def disease_codings_disagree(policy: Document, concept: Concept) -> bool:
    return len(set(things(policy, disease_meanings(policy), concept))) > 1


def diseases_named(policy: Document, names: Any) -> frozenset[str]:
    """A disease, a group of them, or a list of either, as the set of diseases."""
    groups = policy.get("disease_groups") or {}
    return frozenset(disease for name in as_list(names) for disease in groups.get(name, [name]))


def holds_from_course_start(policy: Document, disease: str) -> bool:
    return disease in diseases_named(policy, policy.get("undated_from_course_start"))


# Adverse events


def term_matches(policy: Document, listed: Any, concept: Concept) -> bool:
    if listed == "any":
        return True
    return any(holds_code(policy, as_list(listed), one["system"], one["code"]) for one in concept["codings"])


def knows_term(policy: Document, concept: Concept) -> bool:
    """Does a code list, or the list of terms of no interest, have one of its codings?"""
    lists = [policy.get("terms_of_no_interest") or []]
    for aesi in policy["aesis"].values():
        lists += [as_list(aesi.get(key)) for key in ("codes", "except") if aesi.get(key) != "any"]
    return any(term_matches(policy, listed, concept) for listed in lists)


def tail_days(policy: Document, drug: str, aesi: str) -> float:
    """Days after the last dose in which an AE of this class still counts."""
    own = (policy["aesis"][aesi].get("tail_days") or {}).get(drug)
    found = days_in(own if own is not None else policy["drugs"][drug]["tail_days"])
    return FOR_EVER if found == "for_ever" else int(found or 0)


# Doses


def daily_mg(dose: dict[str, Any]) -> Decimal:
    """The product with all its digits: no line is long enough for more of them."""
    return Context(prec=MOST_DIGITS).multiply(dose["amount"], dose["per_day"])


def dose_text(mg: Decimal) -> str:
    """`15`, `2.5`: a daily dose without needless zeros."""
    text = f"{mg:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
