"""The small things messages are made of: days, instants, exact numbers, identifiers, coded concepts.

They are strict, and strict inside pydantic's compiled core rather than in Python validators, because every
message of every replay passes here: a Python validator on each date costs a tenth of the whole validation.

Two traps of the library are closed. Its strict date takes `"1700006400"` for a day and its strict datetime takes
`2026-05-01T10:00Z`, so text is first held against a pattern. Its decimal takes JSON text and rounds through a
double, so text is refused here, and `monitor.core.decode` takes numbers that a double may not hold from the text.
"""

from __future__ import annotations

import datetime as dt
import decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, core_schema

_BY_FOUR = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP = f"(?:[0-9]{{2}}{_BY_FOUR}|{_BY_FOUR}00)"
_MONTH_AND_DAY = (
    "(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31"  # of any year
)
_YEAR = "(?:[0-9]{3}[1-9]|[0-9]{2}[1-9][0-9]|[0-9][1-9][0-9]{2}|[1-9][0-9]{3})"  # 0001 to 9999
DAY_PATTERN = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
PARTIAL_PATTERN = f"^(?:{_YEAR}(?:-(?:(?:0[1-9]|1[0-2])|{_MONTH_AND_DAY}))?|{_LEAP}-02-29)$"
# The years 1000 to 8999: beyond them an instant moved to another zone may leave the calendar.
INSTANT_PATTERN = (
    "^[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$"
)
SHA256_PATTERN = "^[0-9a-f]{64}$"
MAX_BYTES = 65_536  # of a message, or of what a person decided
RESERVED_SITE = "canary"  # of checks of the service
SITE_PATTERN = "^[a-z0-9][a-z0-9-]{0,39}$"
PRINTABLE_PATTERN = r"^[ [^\p{C}\p{Z}]]*$"  # what str.isprintable() says

PATTERN_MEANING = {
    DAY_PATTERN: "must be a date YYYY-MM-DD",
    PARTIAL_PATTERN: "must be a date that exists, YYYY-MM-DD, YYYY-MM or YYYY",
    INSTANT_PATTERN: "must be an instant YYYY-MM-DDThh:mm:ss with an offset (Z or +hh:mm)",
    SITE_PATTERN: "must be 1 to 40 of a-z, 0-9 and -, not starting with -",
    SHA256_PATTERN: "must be 64 of 0-9 and a-f",
    PRINTABLE_PATTERN: "must be printable characters",
}


_LARGEST = 2**1024 - 2**970 - 1  # the largest integer whose double is finite


class Message(BaseModel):
    """Base of all models: frozen, nothing unknown, nothing coerced, no input shown in errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


def _text(pattern: str) -> CoreSchema:
    return core_schema.str_schema(strict=True, pattern=pattern)


class _Pinned:
    """An annotation that gives a type its compiled schema and its JSON Schema."""

    def __init__(self, core: CoreSchema, **json_schema: Any) -> None:
        self.core, self.json_schema = core, json_schema

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return self.core

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return dict(self.json_schema)


_DATE = core_schema.json_or_python_schema(
    core_schema.chain_schema([_text(DAY_PATTERN), core_schema.date_schema(strict=False)]),
    core_schema.date_schema(strict=True),
)
_INSTANT = core_schema.json_or_python_schema(
    core_schema.chain_schema(
        [_text(INSTANT_PATTERN), core_schema.datetime_schema(strict=False, tz_constraint="aware")]
    ),
    core_schema.datetime_schema(strict=True, tz_constraint="aware"),
)


def _exact(**limits: Any) -> CoreSchema:
    """A JSON number, never JSON text, as a Decimal: without a point in the text, without one in the Decimal.

    A number with a point goes through a double; `schemas.proof` knows when that is not enough.
    """
    number = core_schema.union_schema(
        [
            core_schema.int_schema(strict=True, ge=-_LARGEST, le=_LARGEST),
            core_schema.float_schema(strict=True, allow_inf_nan=False),
        ],
        mode="left_to_right",
        custom_error_type="number_type",
        custom_error_message="must be a number",
    )
    value = core_schema.decimal_schema(strict=False, allow_inf_nan=False, **limits)
    return core_schema.json_or_python_schema(
        core_schema.chain_schema([number, value]), core_schema.decimal_schema(strict=True, **limits)
    )


Day = Annotated[dt.date, _Pinned(_DATE, type="string", format="date", pattern=DAY_PATTERN)]
Instant = Annotated[dt.datetime, _Pinned(_INSTANT, type="string", format="date-time", pattern=INSTANT_PATTERN)]
PartialDay = Annotated[str, Field(pattern=PARTIAL_PATTERN)]
NotNegative = Annotated[decimal.Decimal, _Pinned(_exact(ge=decimal.Decimal(0)), type="number", minimum=0)]
Positive = Annotated[decimal.Decimal, _Pinned(_exact(gt=decimal.Decimal(0)), type="number", exclusiveMinimum=0)]
Number = Annotated[decimal.Decimal, _Pinned(_exact(), type="number")]
LARGEST_WHOLE = 2**63 - 1
WholeNumber = Annotated[int, Field(ge=0, le=LARGEST_WHOLE)]
EventId = Annotated[
    str,
    Field(min_length=1, max_length=128, pattern=PRINTABLE_PATTERN),
    WithJsonSchema(  # other validators know no Unicode categories: theirs is the next best
        {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
    ),
]
Identifier = Annotated[str, Field(min_length=1, max_length=128)]
Source = Annotated[str, Field(min_length=1, max_length=40)]
NotEmpty = Annotated[str, Field(min_length=1)]
SiteName = Annotated[str, Field(pattern=SITE_PATTERN)]
Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
HIGHEST_SCHEMA = 1
SchemaNumber = Annotated[int, Field(ge=1, le=HIGHEST_SCHEMA)]
Infection = Literal["tuberculosis", "hepatitis_b", "hepatitis_c", "hiv"]


class Happened:
    """Marks a field that says something happened: it may not lie more than a day after `recorded_at`."""


def happened_type(field: FieldInfo) -> Any:
    """The type of a field marked as having happened, optional or not; None where it is not marked."""
    if Happened in field.metadata:
        return field.annotation
    marked = (get_args(each) for each in get_args(field.annotation))
    return next((kind for kind, *marks in filter(None, marked) if Happened in marks), None)


HappenedOn = Annotated[Day, Happened]
HappenedAt = Annotated[Instant, Happened]
HappenedPartly = Annotated[PartialDay, Happened]
HappenedInYear = Annotated[int, Field(ge=1, le=9999), Happened]


class Coding(Message):
    """One code of one code system."""

    system: NotEmpty = Field(
        description="`atc`, `rxnorm`, `snomed`, `loinc`, `meddra`, `icd10`, `local` or another code system"
    )
    code: NotEmpty = Field(description="the code there")


class Concept(Message):
    """A coded concept: one known coding suffices, codings that mean different things are a listed conflict."""

    codings: Annotated[tuple[Coding, ...], Field(min_length=1)] = Field(description="at least one")
    text: str | None = Field(None, description="as written; may identify someone, so it is never shown or logged")


class Dose(Message):
    """A dose; the daily dose is `amount` x `per_day`."""

    amount: NotNegative = Field(description="of one dose")
    unit: Literal["mg"] = Field(description="of `amount`")
    per_day: Positive = Field(description="doses a day; a fraction is allowed")


class Quantity(Message):
    """A measured value."""

    value: Number = Field(description="the number")
    unit: NotEmpty = Field(description="its unit, as the policy names it")
    comparator: Literal["<", ">", "<=", ">="] | None = Field(None, description="where the value is a limit")


class Condition(Message):
    """A disease or a piece of history, with its days where they are known."""

    concept: Concept = Field(description="which")
    since: HappenedPartly | None = Field(None, description="first day, or the month or year")
    until: PartialDay | None = Field(None, description="last day, or the month or year; may lie ahead, as expiry may")
