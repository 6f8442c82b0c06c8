"""The kinds of values a policy or a registry may hold: strict, so that nothing is read as something it was not.

YAML has already turned text into numbers, dates and truth values; whatever then has the wrong type is a mistake of the
writer and refused, never converted: `"365"` is no number of days, `1` no truth value.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, StringConstraints
from pydantic_core import PydanticCustomError

from monitor.core.vocabulary import decimal_text


class Part(BaseModel):
    """A frozen piece of a document; a key it does not know is an error, so that a misspelt one cannot vanish."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _exact(value: object) -> Decimal:
    """A written number as the decimal it was written as (a float stands for its shortest text)."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number", "must be a number, without quotes")
    exact = Decimal(str(value))
    if not exact.is_finite():
        raise PydanticCustomError("number", "must be a finite number")
    return exact


def _listed(value: object) -> object:
    """One value where a list is allowed is a list of one."""
    return value if isinstance(value, list | tuple) else (value,)


def kind_of(value: Any) -> str:
    """Which branch of `a word or something else` a value takes, so that only that branch reports its errors."""
    return "text" if isinstance(value, str) else "other"


Number = Annotated[Decimal, BeforeValidator(_exact)]
Positive = Annotated[Number, Field(gt=0)]
NotNegative = Annotated[Number, Field(ge=0)]
Integer = Annotated[int, Strict()]
Days = Annotated[Integer, Field(ge=0, le=36_525)]
"""A number of days, at most a century: a longer one is a slip, and days beyond the calendar cannot be counted."""
Count = Annotated[Integer, Field(ge=1, le=36_525)]
Version = Annotated[Integer, Field(ge=1)]
Truth = Annotated[bool, Strict()]
Day = Annotated[date, Strict()]
Text = Annotated[str, Strict(), StringConstraints(min_length=1, pattern=r"\S")]
NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
Name = Annotated[str, Strict(), StringConstraints(pattern=NAME)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_listed)]
"""One name or a list of names."""
Numbers = Annotated[tuple[NotNegative, ...], BeforeValidator(_listed)]
CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*:[^\s*](?:[^*]*[^\s*])?\*?$"


CODE_LIST = re.compile(r"file:([A-Za-z0-9_-][A-Za-z0-9_.-]*\.csv)\Z")
"""The name of a code list: no folder, so that it stands beside its policy."""


def _no_other_file(code: str) -> str:
    if code.startswith("file:") and not CODE_LIST.match(code):
        raise PydanticCustomError("code", "a code list is a csv file beside the policy, named file:list.csv")
    return code


Code = Annotated[str, Strict(), StringConstraints(pattern=CODE), AfterValidator(_no_other_file)]
"""`system:code`, `system:code*` (everything below it) or `file:list.csv` (a code list beside the policy)."""
Codes = tuple[Code, ...]


def plain(value: object) -> str:
    """A value of a document as JSON holds it in the hash: numbers by their shortest decimal, days as YYYY-MM-DD."""
    if isinstance(value, Decimal):
        return decimal_text(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"a document holds no {type(value).__name__}")
