"""The policy: what codes mean, what a screening must show, which events and patients are counted, and who says so.

A policy is a document that a safety officer reads, signs and compares; this is its shape, with the names of the YAML
keys (`class`, `if`, `with` and `except` end in an underscore here). A document that was built is sound: every name it
uses is declared, every code list is there, no code means two drugs or two tests.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from monitor.core.policy_checks import BrokenReferenceError, broken_references
from monitor.core.policy_values import (
    Code,
    Codes,
    Count,
    Day,
    Days,
    Name,
    Names,
    NotNegative,
    Number,
    Numbers,
    Part,
    Positive,
    Text,
    Truth,
    Version,
    kind_of,
    plain,
)

Infection = Literal["hiv", "hepatitis_b", "hepatitis_c", "tuberculosis"]
Outcome = Literal["positive", "negative", "indeterminate"]
Flag = Literal["dose_above_label", "two_of_one_class", "differs_from_order"]
SourceKind = Literal["label", "publication", "guideline", "regulator", "terminology", "local", "unconfirmed"]
Codings = tuple[tuple[str, str], ...]
"""(system, code) pairs; a code may end in `*`."""


class Head(Part):
    name: Name
    version: Version
    effective_from: Day
    region: Text | None = None
    prepared_by: Text | None = None
    approved_by: Text | None = None
    approved_on: Day | None = None


class Source(Part):
    kind: SourceKind
    cite: Text


class SourcedDays(Part):
    days: Days
    source: Name


class Induction(Part):
    mg: Positive
    first_days: Count


class DoseLimit(Part):
    """The highest daily dose in some indications; without a source, or with an unconfirmed one, it judges nothing."""

    indications: Annotated[Names, Field(min_length=1)]
    usual: Positive
    from_age_65: Positive | None = None
    induction: Induction | None = None
    source: Name | None = None


class Drug(Part):
    codes: Annotated[Codes, Field(min_length=1)]
    class_: Annotated[Name, Field(alias="class")]
    tail_days: SourcedDays
    new_start_after_pause_days: SourcedDays
    highest_daily_mg: tuple[DoseLimit, ...] = ()
    source: Name | None = None


class Cutoff(Part):
    unit: Text
    positive_from: NotNegative
    source: Name | None = None


class Test(Part):
    __test__ = False  # pytest would collect it by its name

    codes: Annotated[Codes, Field(min_length=1)]
    number: Cutoff | None = None
    not_older_than: Name | None = None
    source: Name | None = None


class OneOf(Part):
    one_of: Annotated[tuple[Name, ...], Field(min_length=1)]


class Row(Part):
    if_: Annotated[dict[Name, Outcome], Field(alias="if", min_length=1)]
    finding: Literal["excluded", "positive", "indeterminate", "missing"]
    treated_after_days: Days | None = None
    ask_for: Names = ()
    then_repeat: dict[Name, Count] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _only_a_positive_is_treated(self) -> Self:
        if self.treated_after_days is not None and self.finding != "positive":
            raise ValueError("treated_after_days: only a row with `finding: positive` may have it")
        return self


def _apart(value: object) -> object:
    """`valid_days` carries its source among the tests; the model keeps the two apart."""
    if not isinstance(value, dict) or not isinstance(value.get("valid_days"), dict):
        return value
    days = dict(value["valid_days"])
    source = {"valid_days_source": days.pop("source")} if "source" in days else {}
    return {key: part for key, part in value.items() if key != "valid_days_source"} | {"valid_days": days} | source


class Screening(Part):
    """One infection's table: the first row that fits is the finding."""

    if_not_good: Literal["hold", "warn"]
    required: Annotated[
        tuple[
            Annotated[Annotated[Name, Tag("text")] | Annotated[OneOf, Tag("other")], Discriminator(kind_of)],
            ...,
        ],
        Field(min_length=1),
    ]
    valid_days: dict[Name, Days]
    rows: Annotated[tuple[Row, ...], Field(min_length=1)]
    source: Name
    valid_days_source: Name | None = None

    _source_apart = model_validator(mode="before")(_apart)

    @property
    def required_groups(self) -> tuple[tuple[str, ...], ...]:
        """Per required line the tests of which one must speak."""
        return tuple((line,) if isinstance(line, str) else line.one_of for line in self.required)

    @property
    def tests(self) -> tuple[str, ...]:
        """Every test that can decide in the table, sorted."""
        required = {test for group in self.required_groups for test in group}
        return tuple(sorted(required | {test for row in self.rows for test in row.if_}))

    def first_row(self, says: Mapping[str, str | None]) -> Row | None:
        """The first row that fits what the tests say; a test it does not name may be anything.

        What is shown for signature and what judges both ask here.
        """
        return next((row for row in self.rows if all(says.get(test) == want for test, want in row.if_.items())), None)


class Flags(Part):
    two_of_one_class: tuple[Name, ...]
    dose_above_label: Annotated[
        Annotated[Literal["all"], Tag("text")] | Annotated[tuple[Name, ...], Tag("other")], Discriminator(kind_of)
    ]
    blocking: tuple[Flag, ...] = ()
    source: Name | None = None


ForEver = Literal["for_ever"]
TailDays = Annotated[Annotated[ForEver, Tag("text")] | Annotated[Days, Tag("other")], Discriminator(kind_of)]


class Aesi(Part):
    """A class of adverse events of special interest; all criteria of a row must hold."""

    codes: Annotated[
        Annotated[Literal["any"], Tag("text")] | Annotated[Codes, Field(min_length=1), Tag("other")],
        Discriminator(kind_of),
    ]
    except_: Annotated[Codes, Field(alias="except")] = ()
    serious: Truth | None = None
    outcome: (
        Literal["recovered", "recovering", "not_recovered", "recovered_with_sequelae", "fatal", "unknown"] | None
    ) = None
    action_taken: Literal["none", "dose_reduced", "drug_interrupted", "drug_stopped"] | None = None
    also_died_on: Truth = False
    tail_days: dict[Name, TailDays] = Field(default_factory=dict)
    source: Name | None = None


class Counting(Part):
    lost_after_silent_days: Days
    complete_after_days: Days
    one_episode_days: Days
    partial_onset: Literal["earliest_at_risk"]
    denominator: Literal["at_risk", "exposure"]
    windows: tuple[Count, ...]
    confidence: Annotated[Number, Field(gt=0, lt=1)]
    order_lapses_after_days: Days
    source: Name

    @field_validator("windows")
    @classmethod
    def _each_once(cls, windows: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(windows)) < len(windows):
            raise ValueError("each length may stand once")
        return windows


class Cohort(Part):
    """Patients and days on which all keys hold. A list means any of its names (`without`: none of them)."""

    drug: Name | None = None
    class_: Annotated[Name | None, Field(alias="class")] = None
    disease: Names = ()
    with_: Annotated[Names, Field(alias="with")] = ()
    without: Names = ()
    ever: Names = ()
    age_from: Days | None = None
    age_below: Count | None = None
    daily_mg: Numbers = ()
    any_of: tuple[Cohort, ...] = ()
    split_by: Literal["daily_mg", "disease"] | None = None

    @model_validator(mode="after")
    def _alternatives_say_something(self) -> Self:
        if self.age_from is not None and self.age_below is not None and self.age_from >= self.age_below:
            raise ValueError("age_from must lie below age_below, else nobody is in it")
        if any(not one.model_fields_set or one.split_by for one in self.any_of):
            raise ValueError("any_of: each alternative needs a condition, and none may have split_by")
        return self


class Reference(Part):
    """A published rate; tested against only where it has events, person-years and the same estimator, else drawn."""

    cohort: Annotated[Text, Field(pattern=r"^[^:]+(:[^:]+)?$")]
    aesi: Name
    estimator: Literal["EAER", "EAIR"]
    events: Days | None = None
    patient_years: Positive | None = None
    rate: NotNegative | None = None
    lower: NotNegative | None = None
    upper: NotNegative | None = None
    source: Name

    @model_validator(mode="after")
    def _something_to_compare_with(self) -> Self:
        if (self.events is None) != (self.patient_years is None):
            raise ValueError("events and patient_years stand together or not at all")
        if self.events is None and self.rate is None:
            raise ValueError("give events and patient_years (tested) or rate (drawn only)")
        return self


class PolicyDocument(Part):
    """A whole policy. `files` holds the rows of the csv lists it names, by file name; the reader fills it."""

    policy: Head
    sources: dict[Name, Source]
    diseases: dict[Name, Codes]
    disease_groups: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    undated_from_course_start: tuple[Name, ...] = ()
    drugs: Annotated[dict[Name, Drug], Field(min_length=1)]
    tests: dict[Name, Test]
    never_evidence: tuple[Code, ...] = ()
    several_results: Literal["latest_unless_positive", "latest"]
    screening: dict[Infection, Screening]
    flags: Flags
    aesis: dict[Name, Aesi]
    counting: Counting
    terms_of_no_interest: Codes = ()
    cohorts: dict[Name, Cohort]
    references: tuple[Reference, ...] = ()
    block_sources: dict[Name, Name] = Field(default_factory=dict)
    files: dict[str, Codings] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _all_names_are_declared(self) -> Self:
        if problems := broken_references(self):
            raise BrokenReferenceError(problems)
        return self

    @cached_property
    def sha256(self) -> str:
        """The hash of what the policy says, whatever its comments, layout and order of keys.

        A key left out and one that states its default are the same, so a later release with further keys still
        computes the hash that was signed.
        """
        content = self.model_dump(by_alias=True, exclude_defaults=True)
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=plain)
        return hashlib.sha256(text.encode()).hexdigest()

    def codings(self, codes: Codes) -> Iterator[tuple[str, str]]:
        """The (system, code) pairs of a code list, those of its files included; a code may end in `*`."""
        for code in codes:
            system, _, rest = code.partition(":")
            if system == "file":
                yield from self.files[rest]
            else:
                yield system, rest

    def members(self, name: str) -> tuple[str, ...]:
        """The diseases of a group, or the disease itself."""
        return self.disease_groups.get(name, (name,))

    def is_judged(self, limit: DoseLimit) -> bool:
        """Whether doses are held against a limit: only if a source that is not unconfirmed backs it."""
        return limit.source is not None and self.sources[limit.source].kind != "unconfirmed"


def policy_in_force(policies: Sequence[PolicyDocument], day: int) -> PolicyDocument:
    """The policy of a day among versions sorted by their first; before the first the first."""
    begun = [policy for policy in policies if policy.policy.effective_from.toordinal() <= day]
    return begun[-1] if begun else policies[0]


def code_matches(pattern: str, code: str) -> bool:
    """Whether a code is the one of the pattern or, where that ends in `*`, one below it."""
    return code.startswith(pattern[:-1]) if pattern.endswith("*") else code == pattern


Cohort.model_rebuild()
