"""What is wrong in a document of ours, in words for the person who wrote it: file, line, key, what is allowed."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from monitor.core.policy_checks import BrokenReferenceError
from monitor.core.policy_values import CODE, NAME
from schemas.parts import SITE_PATTERN

Path = tuple[str | int, ...]


class Problem(NamedTuple):
    """One thing that is wrong: file, line from 1, key like `drugs.upadacitinib.tail_days`, and what is allowed."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: " + (f"{self.key}: " if self.key else "") + self.message


class PolicyError(ValueError):
    """A policy or registry that cannot be used; the text has one line per problem and says what to do."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        files = " and ".join(sorted({problem.file for problem in self.problems}))
        rows = [str(problem) for problem in self.problems]
        super().__init__("\n".join([*rows, f"Nothing was read. Mend {files} and run it again."]))


def key_of(path: Path) -> str:
    """A path as people write it: `rows[2].if`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def explained(model: type[BaseModel], data: object, error: ValidationError) -> Iterator[tuple[Path, str]]:
    """(place, what is wrong) of everything a model refused in some data."""
    found: list[tuple[Path, str]] = []
    for detail in error.errors(include_url=False):
        cause = detail.get("ctx", {}).get("error")
        if isinstance(cause, BrokenReferenceError):
            found += cause.problems
        else:
            found.append((_place(data, detail["loc"]), _words(model, detail)))
    inner = {path[:end] for path, _ in found for end in range(len(path))}
    empty = _TEXTS["too_short"]
    return (
        each for each in found if not each[1].startswith(empty) or each[0] not in inner
    )  # what was refused left its list empty


def _place(data: object, loc: Path) -> Path:
    """The part of a pydantic location that exists in the data; the rest names branches of a choice."""
    path: list[str | int] = []
    for at, part in enumerate(loc):
        inside = (isinstance(data, dict) and part in data) or (
            isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        )
        if inside:
            data = data[part]  # type: ignore[index]  # just looked
            path.append(part)
        elif at == len(loc) - 1 and isinstance(part, str) and isinstance(data, dict) and part != "[key]":
            path.append(part)  # a key that is missing
    return tuple(path)


_TEXTS = {
    "missing": "is missing; it is required",
    "int_type": "must be a whole number without quotes",
    "bool_type": "must be true or false without quotes",
    "date_type": "must be a day like 2026-12-31, without quotes",
    "string_type": "must be a text",
    "dict_type": "must be a block of `key: value`",
    "model_type": "must be a block of `key: value`",
    "tuple_type": "must be a list like [a, b]",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
}
_PATTERNS = {
    CODE: "a code is system:code, system:code* (all below it) or file:list.csv",
    NAME: "a name has letters, digits, _ . - and begins with a letter or digit (at most 64)",
    SITE_PATTERN: "a site is named by a-z, 0-9 and -, begins with a letter or digit and has at most 40",
}


def _words(model: type[BaseModel], detail: ErrorDetails) -> str:
    kind, context, value = detail["type"], detail.get("ctx", {}), detail["input"]
    match kind:
        case "extra_forbidden":
            words = _unknown_key(str(detail["loc"][-1]), _allowed(model, detail["loc"]))
        case "missing":
            words = _TEXTS[kind]
        case "string_pattern_mismatch":
            words = f"is {_shown(value)}; {_PATTERNS.get(str(context['pattern']), 'that cannot be one')}"
        case "literal_error":
            words = f"is {_shown(value)}; allowed: {context['expected']}"
        case "value_error":
            words = str(context["error"])
        case _:
            rule = _TEXTS.get(kind) or detail["msg"].replace("Input should be", "must be")
            words = rule if value in ([], (), {}, "") else f"{rule}, not {_shown(value)}"
    return words


def _shown(value: object) -> str:
    """A value as an error shows it; documents hold no patient's values."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "empty"}[value]
    if isinstance(value, dict | list | tuple):
        return "a block" if isinstance(value, dict) else "a list"
    return repr(value) if isinstance(value, str) else str(value)


def _unknown_key(key: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(key, allowed, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"is no key of this block; {hint}allowed: {', '.join(allowed)}"


def _allowed(model: type[BaseModel], loc: Path) -> list[str]:
    """The keys of the block that a location ends in, as YAML writes them."""
    inner = _inner(model, loc[:-1])
    hidden = {"files", "valid_days_source"}  # filled by the reader
    return [field.alias or name for name, field in inner.model_fields.items() if name not in hidden] if inner else []


def _inner(annotation: Any, loc: Path) -> type[BaseModel] | None:
    """The model that describes the block at a location, by walking the annotations along it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return annotation
        fields = {field.alias or name: field.annotation for name, field in annotation.model_fields.items()}
        return _inner(fields[str(loc[0])], loc[1:]) if loc[0] in fields else _inner(annotation, loc[1:])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _inner(arguments[0], loc)
    if origin in (typing.Union, types.UnionType):
        return next((found for one in arguments if (found := _inner(one, loc))), None)
    if origin in (dict, tuple) and loc:
        return _inner(arguments[1] if origin is dict else arguments[0], loc[1:])
    return None
