"""Writes what is derived from the models: JSON Schema of every type, and the reference page.

python -m schemas.generate            write
python -m schemas.generate --check    compare, exit 1 where something is not current
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from schemas import reference
from schemas.actions import ACTIONS
from schemas.inbound import INBOUND
from schemas.outbound import OUTBOUND
from schemas.parts import HIGHEST_SCHEMA
from schemas.retraction import RETRACTED

HERE = Path(__file__).parent
JSON_SCHEMAS = HERE / "json"
EXAMPLES = HERE / "examples"
REFERENCE = HERE.parent / "docs" / "reference" / "messages.md"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Plain(GenerateJsonSchema):
    """Without a title per field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _definition(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(schema_generator=_Plain, ref_template="#/$defs/{model}")


def _document(direction: str, name: str, body: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": DIALECT, "$id": f"urn:jakwatch:{direction}:{name}:{HIGHEST_SCHEMA}", **body}


def _inbound(name: str) -> dict[str, Any]:
    """A message or, where `status` says so, the retraction of one, whose body may be left out."""
    whole, retracted = _definition(INBOUND[name]), _definition(RETRACTED[name])
    parts = {**whole.pop("$defs", {}), **retracted.pop("$defs", {})}
    is_retraction = {"properties": {"status": {"const": "entered_in_error"}}, "required": ["status"]}
    title, description = whole.pop("title"), whole.pop("description")
    return {
        "title": title,
        "description": description,
        "if": is_retraction,
        "then": {"$ref": "#/$defs/retraction"},
        "else": {"$ref": "#/$defs/message"},
        "$defs": {**parts, "message": whole, "retraction": retracted},
    }


def schema_documents() -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and JSON Schema of every type that goes in or out."""
    for name in INBOUND:
        yield f"in.{name}.json", _document("in", name, _inbound(name))
    for direction, models in (("out", OUTBOUND), ("action", ACTIONS)):
        for name, model in models.items():
            yield f"{direction}.{name}.json", _document(direction, name, _definition(model))


def generated() -> dict[Path, str]:
    """Every generated file and what it holds."""
    files = {JSON_SCHEMAS / name: json.dumps(body, indent=2) + "\n" for name, body in schema_documents()}
    return {**files, REFERENCE: reference.page()}


def stale() -> list[Path]:
    """Files that are not what the models say, and JSON Schemas that no model stands for."""
    files = generated()
    differing = [path for path, text in files.items() if not path.is_file() or path.read_text("utf-8") != text]
    return differing + [path for path in JSON_SCHEMAS.glob("*") if path not in files]


def write() -> None:
    for path, text in generated().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for path in stale():
        path.unlink()


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        old = stale()
        for path in old:
            sys.stderr.write(f"{path.relative_to(HERE.parent)} is not current: run python -m schemas.generate\n")
        return 1 if old else 0
    if arguments:
        sys.stderr.write("usage: python -m schemas.generate [--check]\n")
        return 2
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
