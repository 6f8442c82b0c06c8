"""The reference page of all messages, written from the models so that it cannot say anything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel

from schemas.actions import ACTIONS, ActionEnvelope
from schemas.inbound import INBOUND, Envelope, PatientEnvelope
from schemas.outbound import OUTBOUND, Finding
from schemas.parts import (
    DAY_PATTERN,
    INSTANT_PATTERN,
    LARGEST_WHOLE,
    PARTIAL_PATTERN,
    PATTERN_MEANING,
    Coding,
    Concept,
    Condition,
    Dose,
    Quantity,
    happened_type,
)

_PARTS = (Concept, Coding, Dose, Quantity, Condition, Finding)
_FORMS = {
    DAY_PATTERN: "date `YYYY-MM-DD`",
    PARTIAL_PATTERN: "date `YYYY-MM-DD`, `YYYY-MM` or `YYYY`",
    INSTANT_PATTERN: "instant with offset",
}

_INTRODUCTION = """\
# Messages

<!-- Written by `python -m schemas.generate` from the models in `schemas/`: change those. -->

One JSON object (UTF-8) a message, at most 65,536 bytes; in files one a line. `jakwatch validate FILE` says what would
be rejected and why; `jakwatch schemas export DIR` writes the JSON Schema of every type with examples.

- A field that is not *required* may be left out; `null` says the same of all but `schema` and `status`. Any field not
  listed is a rejection, so that a misspelt one does not vanish, and so is a field that stands twice.
- Numbers are the exact decimals of their text; `1.0` is an integer. A number given as text is rejected.
- † marks what happened: it may not lie more than a day after `recorded_at`, in the site's time zone (instants: more
  than 24 hours; of a partial date the earliest day counts).
- Instants are RFC 3339 with seconds and an offset (`Z` or `+hh:mm`), years 1000 to 8999; digits of a second beyond the
  sixth are dropped.
- A retraction (`status: entered_in_error`) repeats `event_id` and may leave out the body; what it has of it must be
  valid, but may lie in the future.
- A blank line of a file is no message.

A rejection bears the first of these reasons that is true, the path of the field and the rule, never a value:

| reason | when |
|---|---|
| `too_large` | more than 65,536 bytes, without the end of the line |
| `not_json` | not UTF-8, a byte order mark, not one JSON value, `NaN`, `Infinity`, half a surrogate pair, 65 deep |
| `newer_schema` | `schema` is larger than this version knows; can be replayed after an upgrade |
| `unknown_type` | `type` is none of those below |
| `invalid` | no object; a field that is missing, unknown, doubled or ill-typed; a number beyond a double; no site |
| `site_mismatch` | another site than the channel's, a site the registry does not know, or the reserved `canary` |
| `in_the_future` | something happened more than a day after it was recorded |
"""


def page() -> str:
    """The whole page, as Markdown."""
    return "\n".join((_INTRODUCTION, *_inbound(), *_outbound(), *_actions(), *_parts()))


def _inbound() -> Iterator[str]:
    yield "## Messages in\n\nKafka topic `jakwatch.v1.in.<site>`; the key is the sender's affair.\n"
    yield "### Envelope\n\nEvery message.\n"
    yield _table(PatientEnvelope, {}, first=["schema", "type"])
    for name, model in INBOUND.items():
        base = PatientEnvelope if issubclass(model, PatientEnvelope) else Envelope
        note = "" if base is PatientEnvelope else " Bears no `patient_id`."
        yield f"### `{name}`\n\n{_sentence(model)}{note}\n"
        yield _table(model, base.model_fields)


def _outbound() -> Iterator[str]:
    yield "## Messages out\n\nLists are sorted. Every value carries `schema` (1).\n"
    for name, model in OUTBOUND.items():
        yield f"### `{name}`\n\n{_sentence(model)}\n"
        yield _table(model, {"schema_"})


def _actions() -> Iterator[str]:
    yield "## Actions\n\nKafka topic `jakwatch.v1.actions`, and the lines of the file that `replay --actions` takes.\n"
    yield "### Every action\n"
    yield _table(ActionEnvelope, {})
    for name, model in ACTIONS.items():
        yield f"### `{name}`\n\n{_sentence(model)}\n"
        yield _table(model, ActionEnvelope.model_fields)


def _parts() -> Iterator[str]:
    yield "## Parts\n"
    for model in _PARTS:
        yield f"### {model.__name__}\n\n{_sentence(model)}\n"
        yield _table(model, {})


def _sentence(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or "").split())


def _table(model: type[BaseModel], without: Iterable[str], first: Iterable[str] = ()) -> str:
    """The fields of a model as a table, those of `without` and the one that tells the types apart left out."""
    schema = model.model_json_schema(ref_template="{model}")
    rows = []
    for name, field in model.model_fields.items():
        if name in without or (name in ("type", "action") and not first):
            continue
        shown = field.alias or name
        form = _form(schema["properties"][shown])
        mark = " †" if happened_type(field) else ""
        need = "required" if field.is_required() else ""
        rows.append(f"| `{shown}` | {form}{mark} | {need} | {field.description} |")
    if "type" in first:
        rows.insert(1, "| `type` | text | required | one of the types below |")
    return (
        "\n".join(["| field | form | | meaning |", "|---|---|---|---|", *rows, ""])
        if rows
        else "No fields of its own.\n"
    )


def _form(schema: dict[str, Any]) -> str:
    """What a value looks like, in words, from its JSON Schema."""
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    (only,) = options
    if "$ref" in only:
        return f"[{only['$ref']}](#{only['$ref'].lower()})"
    if "enum" in only or "const" in only:
        return " ".join(f"`{value}`" for value in only.get("enum", [only.get("const")]))
    return _FORMS_OF_TYPE[only["type"]](only)


def _text(schema: dict[str, Any]) -> str:
    pattern = schema.get("pattern", "")
    if pattern in _FORMS:
        return _FORMS[pattern]
    if pattern in PATTERN_MEANING:
        return PATTERN_MEANING[pattern].removeprefix("must be ")
    longest = schema.get("maxLength")
    least = schema.get("minLength")
    size = f", {least} to {longest} {'printable ' if pattern else ''}characters" if longest else ""
    return f"text{size}" if longest or not least else "text, not empty"


def _number(schema: dict[str, Any]) -> str:
    least, more, most = (schema.get(key) for key in ("minimum", "exclusiveMinimum", "maximum"))
    if least is not None and least == most:
        return f"`{least}`"
    limits = [
        f"at least {least}" if least is not None else "",
        f"more than {more}" if more is not None else "",
        f"at most {'2^63 - 1' if most == LARGEST_WHOLE else most}" if most is not None else "",
    ]
    said = " and ".join(filter(None, limits))
    return f"{schema['type']}, {said}" if said else str(schema["type"])


def _list(schema: dict[str, Any]) -> str:
    return f"list of {_form(schema['items'])}" + (", at least one" if schema.get("minItems") else "")


def _object(schema: dict[str, Any]) -> str:
    inner = schema.get("additionalProperties")
    return f"object of {_form(inner)}" if isinstance(inner, dict) else "object"


_FORMS_OF_TYPE = {"string": _text, "number": _number, "integer": _number, "array": _list, "object": _object}
