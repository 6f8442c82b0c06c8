"""From the bytes of one line to a JSON object, or to the reason why not."""

import json
import math
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_BYTES = 65_536
DEEPEST = 64


class Rejected(Exception):
    """Carries one of the contract's reasons as its only argument."""


def without_end_of_line(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")


def is_blank(line: bytes) -> bool:
    return line.strip(b" \t\r\n") == b""


def parse(line: bytes) -> tuple[Any, bool]:
    """The JSON value, its numbers as decimals of the text, and whether it has a duplicate key or too large a number."""
    if len(line) > MOST_BYTES:
        raise Rejected("too_large")
    text = decode_utf8(line)
    if depth(text) > DEEPEST:
        raise Rejected("not_json")
    duplicates: list[str] = []
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: to_dict(pairs, duplicates),
            parse_float=number,
            parse_int=number,
            parse_constant=refuse,
        )
    except ValueError:
        raise Rejected("not_json") from None
    if any(has_surrogate(text) for text in texts_in(value)) or any(has_surrogate(key) for key in duplicates):
        raise Rejected("not_json")
    return value, bool(duplicates) or any(is_beyond_a_double(found) for found in numbers_in(value))


def decode_utf8(line: bytes) -> str:
    try:
        text = line.decode("utf-8", "strict")
    except UnicodeDecodeError:
        raise Rejected("not_json") from None
    if text.startswith("\ufeff"):
        raise Rejected("not_json")
    return text


def depth(text: str) -> int:
    """How deep brackets nest, outside of strings; of text that is no JSON any answer will do."""
    level = deepest = 0
    in_string = escaped = False
    for letter in text:
        if in_string:
            in_string = escaped or letter != '"'
            escaped = letter == "\\" and not escaped
        elif letter == '"':
            in_string = True
        elif letter in "[{":
            level += 1
            deepest = max(deepest, level)
        elif letter in "]}":
            level -= 1
    return deepest


def to_dict(pairs: list[tuple[str, Any]], duplicates: list[str]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    duplicates.extend(key for key in keys if keys.count(key) > 1)
    return dict(pairs)


def number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return Decimal("Infinity")
    return value or Decimal(0)


def refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def is_beyond_a_double(value: Decimal) -> bool:
    """Too large, or so small that a double takes it for zero."""
    return math.isinf(float(value)) or (float(value) == 0 and value != 0)


def has_surrogate(text: str) -> bool:
    return any(0xD800 <= ord(letter) <= 0xDFFF for letter in text)


def texts_in(value: Any) -> list[str]:
    return [found for found in leaves(value) if isinstance(found, str)]


def numbers_in(value: Any) -> list[Decimal]:
    return [found for found in leaves(value) if isinstance(found, Decimal)]


def leaves(value: Any) -> list[Any]:
    """Every key and every value that is neither list nor object, at any depth."""
    if isinstance(value, dict):
        return list(value) + [leaf for inner in value.values() for leaf in leaves(inner)]
    if isinstance(value, list):
        return [leaf for inner in value for leaf in leaves(inner)]
    return [value]
