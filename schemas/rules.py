"""What a rejection says to the sender: the path of the field and the rule it breaks, never the value.

pydantic's own texts are not passed on: some quote the input, and they speak to programmers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal, NamedTuple, get_args

from pydantic import ValidationError

from schemas.parts import PATTERN_MEANING

Reason = Literal[
    "too_large", "not_json", "newer_schema", "unknown_type", "invalid", "site_mismatch", "in_the_future"
]  # in the order in which they are tested

REASONS: tuple[Reason, ...] = get_args(Reason)


class Rejection(NamedTuple):
    """Why a message was not taken: the path of the field and the rule it breaks. Holds no value of the message."""

    reason: Reason
    path: str
    rule: str


_SHOWABLE = re.compile("[A-Za-z_]{1,40}")
UNKNOWN_FIELD = "an unknown field"

_RULES: dict[str, str | Callable[[dict[str, Any]], str]] = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this type",
    "string_type": "must be text",
    "string_too_short": lambda at: f"must have at least {_count(at['min_length'], 'character')}",
    "string_too_long": lambda at: f"must have at most {_count(at['max_length'], 'character')}",
    "string_pattern_mismatch": lambda at: PATTERN_MEANING.get(at["pattern"], "has not the form required"),
    "literal_error": lambda at: f"must be {at['expected']}",
    "int_type": "must be an integer",
    "number_type": "must be a number",
    "greater_than_equal": lambda at: f"must be at least {at['ge']}",
    "greater_than": lambda at: f"must be more than {at['gt']}",
    "less_than_equal": lambda at: f"must be at most {at['le']}",
    "tuple_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "too_short": lambda at: f"must have at least {_count(at['min_length'], 'entry', 'entries')}",
    "one_result": "needs exactly one of outcome and quantity",
    "unbounded_waiver": "needs treatment_id or ends_on",
    "date_from_datetime_parsing": "must be a date that exists",
    "datetime_from_date_parsing": "must be an instant that exists",
    "datetime_parsing": "must be an instant that exists",
}


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def shown(key: str) -> str:
    """A field name the sender made up: shown if it can hardly be anything but a name."""
    return key if _SHOWABLE.fullmatch(key) else UNKNOWN_FIELD


def path_text(parts: Iterable[str | int]) -> str:
    """`indications[0].codings[1].code`"""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def first_error(error: ValidationError, skip: int) -> tuple[str, str]:
    """Path and rule of one error, an unknown field first: it is most often the misspelt one that is missing.

    `skip` parts of the location (the tag of a union) are no field of the message.
    """
    errors = error.errors(include_url=False, include_input=False)
    chosen = next((each for each in errors if each["type"] == "extra_forbidden"), errors[0])
    *parents, last = chosen["loc"][skip:] or ("",)
    if chosen["type"] == "extra_forbidden":
        last = shown(str(last))
    rule = _RULES.get(chosen["type"], "has not the form required")
    return path_text((*parents, last)), rule if isinstance(rule, str) else rule(chosen.get("ctx", {}))
