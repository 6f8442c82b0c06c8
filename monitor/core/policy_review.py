"""What a person must look at before signing a policy: what no source backs, and what its tables call excluded.

A policy can be sound and still say something nobody meant. This lists it; whether it is right is for the reader.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from monitor.core.policy import PolicyDocument, Screening
from monitor.core.policy_checks import Path, citations, code_lists

SYSTEMS = frozenset({"atc", "rxnorm", "snomed", "loinc", "meddra", "icd10", "local"})
_WITHOUT_LINES = ("diseases", "disease_groups", "undated_from_course_start", "never_evidence", "several_results",
                  "terms_of_no_interest", "cohorts")  # fmt: skip
_RESULTS = (None, "negative", "positive", "indeterminate")  # None: not on file
_MOST_TESTS = 8  # 4 to the power of 8 combinations are still counted through in a second


class Backing(NamedTuple):
    """A value's place and the source that backs it; None: none is named."""

    path: Path
    source: str | None


def backings(policy: PolicyDocument) -> Iterator[Backing]:
    """Every value of a policy with its source, which is its own or that of its block."""
    for block in _WITHOUT_LINES:
        if getattr(policy, block):
            yield Backing((block,), policy.block_sources.get(block))
    for path, source in citations(policy):
        if path[0] != "block_sources":
            # The block's source is that of its codes: numbers need their own.
            own_only = {"highest_daily_mg", "valid_days", "number"} & {*path}
            yield Backing(path[:-1], source if own_only else source or policy.block_sources.get(str(path[0])))


class Exclusion(NamedTuple):
    """Results that a table calls excluded although one is not negative or a required one is absent."""

    infection: str
    row: int
    results: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]

    def __str__(self) -> str:
        said = ", ".join(f"{test} {result}" for test, result in self.results)
        return said + (f", without {' and '.join(self.absent)}" if self.absent else "")


def doubtful_exclusions(policy: PolicyDocument) -> Iterator[Exclusion]:
    """Each smallest combination of results that a table calls excluded beside one that is not negative.

    Smallest: results that change nothing and are absent or negative are left out.
    """
    for infection, table in policy.screening.items():
        kept: list[Exclusion] = []
        for found in sorted(_doubtful(infection, table), key=lambda one: (len(one.results), one.results)):
            if not any(set(small.results) <= set(found.results) and small.absent == found.absent for small in kept):
                kept.append(found)
        yield from kept


def _doubtful(infection: str, table: Screening) -> Iterator[Exclusion]:
    for results in combinations(table):
        row = table.first_row(results)
        if row is None or row.finding != "excluded":
            continue
        said = tuple((test, result) for test, result in results.items() if result is not None)
        groups = table.required_groups
        absent = tuple(" or ".join(group) for group in groups if all(results[test] is None for test in group))
        if absent or any(result != "negative" for _, result in said):
            yield Exclusion(infection, table.rows.index(row), said, absent)


def combinations(table: Screening) -> Iterator[dict[str, str | None]]:
    """Every combination of results of a table's tests; none where they are too many to look through."""
    tests = table.tests
    for results in product(_RESULTS, repeat=len(tests)) if len(tests) <= _MOST_TESTS else ():
        yield dict(zip(tests, results, strict=True))


class Remark(NamedTuple):
    """A place of a sound policy that may not say what its writer meant."""

    path: Path
    message: str


def remarks(policy: PolicyDocument) -> Iterator[Remark]:
    """What is allowed and yet often a slip: rows never reached, code systems nobody knows, drugs only an AESI names."""
    for infection, table in policy.screening.items():
        yield from _rows_never_reached(infection, table)
    for path, codes in code_lists(policy):
        odd = sorted({system for system, _ in policy.codings(codes)} - SYSTEMS)
        if odd:
            known = ", ".join(sorted(SYSTEMS))
            yield Remark(path, f"code system {', '.join(odd)}: hospitals must send it by this name (usual: {known})")
    for name, aesi in policy.aesis.items():
        for drug in sorted(set(aesi.tail_days) - set(policy.drugs)):
            yield Remark(("aesis", name, "tail_days", drug), "no drug of this policy has this name; it has no effect")


def _rows_never_reached(infection: str, table: Screening) -> Iterator[Remark]:
    if len(table.tests) > _MOST_TESTS:
        yield Remark(("screening", infection), "too many tests for all combinations to be looked through")
        return
    reached = {id(table.first_row(results)) for results in combinations(table)}
    for at, row in enumerate(table.rows):
        if id(row) not in reached:
            yield Remark(("screening", infection, "rows", at), "no combination of results reaches this row")
