"""What the shape of a policy cannot say by itself: that every name it uses is declared and no code means two things."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from monitor.core.policy import Cohort, PolicyDocument, Screening

INFECTIONS = ("hiv", "hepatitis_b", "hepatitis_c", "tuberculosis")
Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """Where in the document (keys and list positions from the top) and what is wrong there."""

    path: Path
    message: str


class BrokenReferenceError(ValueError):
    """All that is wrong across the parts of one document."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, path))}: {message}" for path, message in problems))
        self.problems = problems


def broken_references(policy: PolicyDocument) -> tuple[Problem, ...]:
    """Every name that is used and not declared, every code that means two things; empty: the document is sound."""
    checks: tuple[Callable[[PolicyDocument], Iterator[Problem]], ...] = (
        _sources, _diseases, _files, _drugs, _tests, _screening, _flags, _cohorts, _references,
    )  # fmt: skip
    found = [problem for check in checks for problem in check(policy)]
    return tuple(found) if _missing_files(policy) else (*found, *_codes_of_two(policy))


def _unknown(what: str, names: Iterable[str], known: Collection[str], path: Path) -> Iterator[Problem]:
    for name in names:
        if name not in known:
            yield Problem(path, f"unknown {what} {name!r}; declared are: {', '.join(sorted(known)) or 'none'}")


def _sources(policy: PolicyDocument) -> Iterator[Problem]:
    for path, source in citations(policy):
        yield from _unknown("source", () if source is None else (source,), policy.sources, path)
    blocks = set(type(policy).model_fields) - {"policy", "sources", "block_sources", "files"}
    yield from _unknown("block", policy.block_sources, blocks, ("block_sources",))


def citations(policy: PolicyDocument) -> Iterator[tuple[Path, str | None]]:
    """Every place of a document that may name a source, with the name if it does."""
    for block, source in policy.block_sources.items():
        yield ("block_sources", block), source
    for name, drug in policy.drugs.items():
        yield ("drugs", name, "source"), drug.source
        yield ("drugs", name, "tail_days", "source"), drug.tail_days.source
        yield ("drugs", name, "new_start_after_pause_days", "source"), drug.new_start_after_pause_days.source
        for at, limit in enumerate(drug.highest_daily_mg):
            yield ("drugs", name, "highest_daily_mg", at, "source"), limit.source
    for name, test in policy.tests.items():
        yield ("tests", name, "source"), test.source
        if test.number is not None:
            yield ("tests", name, "number", "source"), test.number.source
    for infection, table in policy.screening.items():
        yield ("screening", infection, "source"), table.source
        yield ("screening", infection, "valid_days", "source"), table.valid_days_source
    yield ("flags", "source"), policy.flags.source
    yield ("counting", "source"), policy.counting.source
    for name, aesi in policy.aesis.items():
        yield ("aesis", name, "source"), aesi.source
    for at, reference in enumerate(policy.references):
        yield ("references", at, "source"), reference.source


def _diseases(policy: PolicyDocument) -> Iterator[Problem]:
    for group, members in policy.disease_groups.items():
        if group in policy.diseases:
            yield Problem(("disease_groups", group), "a disease has this name; give the group another")
        yield from _unknown("disease", members, policy.diseases, ("disease_groups", group))
    known = {**policy.diseases, **policy.disease_groups}
    yield from _unknown("disease", policy.undated_from_course_start, known, ("undated_from_course_start",))


def code_lists(policy: PolicyDocument) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Every list of codes of a document, and where it stands."""
    for disease, codes in policy.diseases.items():
        yield ("diseases", disease), codes
    for name, drug in policy.drugs.items():
        yield ("drugs", name, "codes"), drug.codes
    for name, test in policy.tests.items():
        yield ("tests", name, "codes"), test.codes
    for name, aesi in policy.aesis.items():
        if aesi.codes != "any":
            yield ("aesis", name, "codes"), aesi.codes
        yield ("aesis", name, "except"), aesi.except_
    yield ("never_evidence",), policy.never_evidence
    yield ("terms_of_no_interest",), policy.terms_of_no_interest


def named_files(codes: Iterable[str]) -> list[str]:
    """The csv files a code list names."""
    return [code.removeprefix("file:") for code in codes if code.startswith("file:")]


def _missing_files(policy: PolicyDocument) -> bool:
    return any(name not in policy.files for _, codes in code_lists(policy) for name in named_files(codes))


def _files(policy: PolicyDocument) -> Iterator[Problem]:
    for path, codes in code_lists(policy):
        for name in named_files(codes):
            if name not in policy.files:
                yield Problem(path, f"the code list {name!r} was not read; it must stand beside the policy")


def _drugs(policy: PolicyDocument) -> Iterator[Problem]:
    known = {**policy.diseases, **policy.disease_groups}
    for name, drug in policy.drugs.items():
        for at, limit in enumerate(drug.highest_daily_mg):
            path = ("drugs", name, "highest_daily_mg", at)
            yield from _unknown("disease", limit.indications, known, (*path, "indications"))
        lines = [{one for each in limit.indications for one in policy.members(each)} for limit in drug.highest_daily_mg]
        twice = sorted(
            disease for disease, times in Counter(one for line in lines for one in line).items() if times > 1
        )
        if twice:
            yield Problem(("drugs", name, "highest_daily_mg"), f"more than one line for {', '.join(twice)}; keep one")


def _tests(policy: PolicyDocument) -> Iterator[Problem]:
    for name, test in policy.tests.items():
        if test.not_older_than is not None:
            others = set(policy.tests) - {name}
            yield from _unknown("test", (test.not_older_than,), others, ("tests", name, "not_older_than"))


def _screening(policy: PolicyDocument) -> Iterator[Problem]:
    for infection in INFECTIONS:
        if infection not in policy.screening:
            yield Problem(("screening",), f"no table for {infection}; all of {', '.join(INFECTIONS)} are needed")
    for infection, table in policy.screening.items():
        yield from _table(policy, table, ("screening", infection))


def _table(policy: PolicyDocument, table: Screening, path: Path) -> Iterator[Problem]:
    timed = table.valid_days
    yield from _unknown("test", timed, policy.tests, (*path, "valid_days"))
    for at, group in enumerate(table.required_groups):
        yield from _unknown("test with valid_days in this table", group, timed, (*path, "required", at))
    for at, row in enumerate(table.rows):
        here = (*path, "rows", at)
        yield from _unknown("test with valid_days in this table", row.if_, timed, (*here, "if"))
        yield from _unknown("test", row.ask_for, policy.tests, (*here, "ask_for"))
        yield from _unknown("test", row.then_repeat, policy.tests, (*here, "then_repeat"))


def _flags(policy: PolicyDocument) -> Iterator[Problem]:
    classes = {drug.class_ for drug in policy.drugs.values()}
    yield from _unknown("class", policy.flags.two_of_one_class, classes, ("flags", "two_of_one_class"))
    if policy.flags.dose_above_label != "all":
        yield from _unknown("drug", policy.flags.dose_above_label, policy.drugs, ("flags", "dose_above_label"))


def _cohorts(policy: PolicyDocument) -> Iterator[Problem]:
    for name, cohort in policy.cohorts.items():
        yield from _cohort(policy, cohort, ("cohorts", name))


def _cohort(policy: PolicyDocument, cohort: Cohort, path: Path) -> Iterator[Problem]:
    diseases = {**policy.diseases, **policy.disease_groups}
    classes = {drug.class_ for drug in policy.drugs.values()}
    yield from _unknown("drug", (cohort.drug,) if cohort.drug else (), policy.drugs, (*path, "drug"))
    yield from _unknown("class", (cohort.class_,) if cohort.class_ else (), classes, (*path, "class"))
    for key, names in {
        "disease": cohort.disease, "with": cohort.with_, "without": cohort.without, "ever": cohort.ever,
    }.items():  # fmt: skip
        yield from _unknown("disease", names, diseases, (*path, key))
    for at, one in enumerate(cohort.any_of):
        yield from _cohort(policy, one, (*path, "any_of", at))


def _references(policy: PolicyDocument) -> Iterator[Problem]:
    yield from _compared_twice(policy)
    for at, reference in enumerate(policy.references):
        path: Path = ("references", at)
        yield from _unknown("AESI", (reference.aesi,), policy.aesis, (*path, "aesi"))
        name, _, level = reference.cohort.partition(":")
        yield from _unknown("cohort", (name,), policy.cohorts, (*path, "cohort"))
        if name in policy.cohorts:
            yield from _level(policy, policy.cohorts[name], level, (*path, "cohort"))


def _compared_twice(policy: PolicyDocument) -> Iterator[Problem]:
    """Two published rates for one number: beside it would stand the rate of one and the limits of the other."""
    first: dict[tuple[str, str, str], int] = {}
    for at, one in enumerate(policy.references):
        before = first.setdefault((one.cohort, one.aesi, one.estimator), at)
        if before != at:
            names = f"{one.cohort}, {one.aesi}, {one.estimator}"
            yield Problem(("references", at), f"{names} has references[{before}] already; keep the one to compare with")


def _level(policy: PolicyDocument, cohort: Cohort, level: str, path: Path) -> Iterator[Problem]:
    if bool(level) != bool(cohort.split_by):
        yield Problem(path, "a split cohort is named `cohort:level`, one without split_by has no level")
    elif cohort.split_by == "disease":
        yield from _unknown("disease", (level,), policy.diseases, path)


def _codes_of_two(policy: PolicyDocument) -> Iterator[Problem]:
    drugs = {name: drug.codes for name, drug in policy.drugs.items()}
    yield from _claimed_twice(policy, drugs, "drugs")
    tests = {name: test.codes for name, test in policy.tests.items()}
    yield from _claimed_twice(policy, tests | {"never_evidence": policy.never_evidence}, "tests")


def _claimed_twice(policy: PolicyDocument, lists: dict[str, tuple[str, ...]], block: str) -> Iterator[Problem]:
    """Codes, or families of codes, that two names of a block claim: what such a code means would be a guess."""
    owners: dict[str, str] = {}
    for name, codes in lists.items():
        for system, code in policy.codings(codes):
            owners_here = owners.setdefault(f"{system}:{code}", name)
            if owners_here != name:
                path = (block, name, "codes") if name in getattr(policy, block) else (name,)
                yield Problem(path, f"{system}:{code} belongs to {owners_here!r} already; a code means one thing")
    families = [(code[:-1], name) for code, name in owners.items() if code.endswith("*")]
    for stem, name in families:
        for code, other in owners.items():
            if other != name and code.startswith(stem):
                yield Problem((block,), f"{stem}* of {name!r} takes in {code} of {other!r}; a code means one thing")
