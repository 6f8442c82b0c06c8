"""JSON as the contract reads it: stricter than any parser at hand about what two readers could take for two things.

`read` is the slow and certain reader behind every rejection. It refuses what the contract calls `not_json`, and keeps
what a parser would hide, duplicate keys and numbers that no double can hold, as marked values for the caller to judge.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any

DEEPEST = 64
_SHORT = 300  # fewer digits than any integer beyond a double has
_OPENING = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[{]|[\]}]', re.DOTALL)
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)


class NotJsonError(Exception):
    """The bytes are not one JSON value; the text says why, and quotes nothing of them."""


class Unusable:
    """Stands for a number that is none: beyond, or without being zero below, what a double holds."""


class Twice(dict[str, Any]):
    """An object in which a key stands more than once."""

    key: str = ""


def read(raw: bytes) -> Any:
    """The value of a JSON text: integers as int, other numbers as exact Decimals in normal form.

    Raises NotJsonError for what is not UTF-8 or not JSON, for a byte order mark, NaN, infinity, a lone surrogate, and
    nesting deeper than 64.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotJsonError("must be UTF-8") from None
    if text.startswith("\ufeff"):
        raise NotJsonError("must not begin with a byte order mark")
    if _too_deep(raw):
        raise NotJsonError(f"must not be nested deeper than {DEEPEST}")
    try:
        value = _DECODER.decode(text)
    except ValueError:
        raise NotJsonError("must be one complete JSON value") from None
    if any(escape[1] for escape in _ESCAPE.finditer(text)):
        raise NotJsonError("must not contain half of a surrogate pair")
    return value


def _too_deep(raw: bytes) -> bool:
    """Whether brackets nest too deep; looked at before parsing, which would recurse."""
    if raw.count(b"[") + raw.count(b"{") <= DEEPEST:
        return False
    depth = 0
    for token in _OPENING.finditer(raw):
        first = token[0][:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > DEEPEST:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    twice = Twice(found)
    keys = [key for key, _ in pairs]
    twice.key = next(key for key in keys if keys.count(key) > 1)
    return twice


def _integer(text: str) -> int | Unusable:
    if len(text) > _SHORT and math.isinf(float(text)):  # also spares int() the thousands of digits it refuses
        return Unusable()
    return int(text)


def _fraction(text: str) -> Decimal | Unusable:
    double = float(text)
    if double == 0:
        return Unusable() if re.search("[1-9]", re.split("[eE]", text)[0]) else Decimal(0)
    return Unusable() if math.isinf(double) else in_normal_form(Decimal(text))


def in_normal_form(number: Decimal) -> Decimal:
    """The same number without exponent and trailing zeros, so that equal numbers are written alike."""
    plain = format(number, "f")
    return Decimal(plain.rstrip("0").rstrip(".") if "." in plain else plain)


def _constant(_: str) -> Any:
    raise NotJsonError("must not contain NaN or Infinity")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_fraction, parse_constant=_constant
)
