"""The careful way from bytes to a message: every rejection is decided here, in the contract's order.

It reads the text with `schemas.jsontext`, which hides nothing, and has the same compiled validation judge the same
value written anew; numbers that a double would round are then put back as the text gives them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Any

from pydantic import ValidationError

from schemas.inbound import INBOUND, InboundMessage, Retraction, inbound
from schemas.jsontext import NotJsonError, Twice, Unusable, read
from schemas.parts import HIGHEST_SCHEMA
from schemas.retraction import retracted, retraction_of
from schemas.rules import Rejection, first_error, path_text, shown

Path = tuple[str | int, ...]


def read_message(raw: bytes) -> InboundMessage | Retraction | Rejection:
    """The message of any bytes, or why they are none."""
    value = read_object(raw, "type", INBOUND)
    return value if isinstance(value, Rejection) else _validated(value)


def read_object(raw: bytes, kind_field: str, kinds: Collection[str]) -> dict[str, Any] | Rejection:
    """The JSON object of any bytes if it names one of the `kinds` and hides nothing; else why not."""
    try:
        value = read(raw)
    except NotJsonError as error:
        return Rejection("not_json", "", str(error))
    if not isinstance(value, dict):
        return Rejection("invalid", "", "must be an object")
    return _refusal(value, kind_field, kinds) or value


def _refusal(value: dict[str, Any], kind_field: str, kinds: Collection[str]) -> Rejection | None:
    if _is_newer(value.get("schema")):
        return Rejection("newer_schema", "schema", f"must be at most {HIGHEST_SCHEMA}; replay it after an upgrade")
    kind = value.get(kind_field)
    if not isinstance(kind, str):
        return Rejection("invalid", kind_field, "must be text" if kind_field in value else "is required")
    if kind not in kinds:
        return Rejection("unknown_type", kind_field, f"must be one of {', '.join(kinds)}")
    for path, rule in _hidden(value, ()):
        return Rejection("invalid", path_text(path), rule)
    return None


def _is_newer(schema: Any) -> bool:
    if isinstance(schema, Decimal):
        return _is_whole(schema) and schema > HIGHEST_SCHEMA
    return type(schema) is int and schema > HIGHEST_SCHEMA


def _is_whole(number: Decimal) -> bool:
    return number.as_tuple().exponent == 0  # numbers come in normal form


def _hidden(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    """What a parser would have hidden: duplicate keys, and numbers that are none. Extensions are named as a whole."""
    if isinstance(value, Unusable):
        yield path, "must be a number that a double can hold"
    elif isinstance(value, dict):
        if isinstance(value, Twice):
            yield _below(path, value.key), "must stand only once"
        for key, inner in value.items():
            yield from _hidden(inner, _below(path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _hidden(inner, _below(path, index))


def _below(path: Path, part: str | int) -> Path:
    return path if path[:1] == ("extensions",) else (*path, shown(part) if isinstance(part, str) else part)


def _validated(value: dict[str, Any]) -> InboundMessage | Retraction | Rejection:
    extensions = value.get("extensions")
    outer = {**value, "extensions": {}} if isinstance(extensions, dict) else value
    text = as_json(outer)
    try:
        message = _judged(text, value.get("status") == "entered_in_error")
    except ValidationError as error:
        return Rejection("invalid", *first_error(error, skip=1))
    if isinstance(extensions, dict):
        message = message.model_copy(update={"extensions": extensions})
    return message if isinstance(message, Retraction) else _exactly(message, value)


def as_json(value: dict[str, Any]) -> str:
    """The text of what was read, whole numbers as integers and all others as the double nearest to them."""
    return json.dumps(value, default=_number)


def _number(number: Any) -> int | float:
    return int(number) if _is_whole(number) else float(number)


def _judged(text: str, is_retraction: bool) -> InboundMessage | Retraction:
    return retraction_of(retracted.validate_json(text)) if is_retraction else inbound.validate_json(text)


def _exactly(message: InboundMessage, value: dict[str, Any]) -> InboundMessage:
    """The message with its decimals as the text has them."""
    for name, numbers in (("dose", ("amount", "per_day")), ("quantity", ("value",))):
        part = getattr(message, name, None)
        if part is not None:
            exact = {number: Decimal(value[name][number]) for number in numbers}
            message = message.model_copy(update={name: part.model_copy(update=exact)})
    return message
