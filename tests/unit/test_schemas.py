"""No type without example, no example without type; what ships is what the models say, and other tools agree."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, ValidationError

from monitor.core.decode import Decoded, Reason, Rejection, decode
from schemas import generate, reference
from schemas.actions import ACTIONS, decode_action
from schemas.inbound import INBOUND
from schemas.outbound import OUTBOUND
from schemas.parts import INSTANT_PATTERN, PATTERN_MEANING
from schemas.retraction import RETRACTED
from schemas.rules import first_error

TYPES: dict[str, tuple[str, type[BaseModel]]] = {
    name: (direction, model)
    for direction, models in (("in", INBOUND), ("out", OUTBOUND), ("action", ACTIONS))
    for name, model in models.items()
}
EXAMPLES = sorted(generate.EXAMPLES.glob("*/*.json"))
VALID = [path for path in EXAMPLES if path.name.startswith("valid-")]
INVALID = [path for path in EXAMPLES if path.name.startswith("invalid-")]


def _name(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def _outcome(path: Path) -> object:
    """What becomes of an example: the message, action or value, or a Rejection."""
    direction, model = TYPES[path.parent.name]
    raw = path.read_bytes()
    if direction == "out":
        try:
            return model.model_validate_json(raw)
        except ValidationError as error:
            return Rejection("invalid", *first_error(error, skip=0))
    return decode(raw, "example") if direction == "in" else decode_action(raw)


def _validator(kind: str) -> Any:
    schema = json.loads((generate.JSON_SCHEMAS / f"{TYPES[kind][0]}.{kind}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("kind", TYPES)
def test_each_type_has_an_example_that_is_valid_and_one_that_is_not(kind: str) -> None:
    names = [path.name for path in EXAMPLES if path.parent.name == kind]
    assert {name.partition("-")[0] for name in names} == {"valid", "invalid"}


def test_no_example_is_of_a_type_that_does_not_exist_or_of_a_name_that_says_nothing() -> None:
    assert {path.parent.name for path in EXAMPLES} == set(TYPES)
    assert sorted(VALID + INVALID) == sorted(path for path in generate.EXAMPLES.rglob("*") if path.is_file())
    assert {path.stem.split("-")[1] for path in INVALID} <= set(get_args(Reason))


@pytest.mark.parametrize("path", VALID, ids=map(_name, VALID))
def test_a_valid_example_is_taken(path: Path) -> None:
    outcome = _outcome(path)
    assert not isinstance(outcome, Rejection)
    if isinstance(outcome, Decoded):
        assert outcome.message.type == path.parent.name
        assert outcome.site == "example"


@pytest.mark.parametrize("path", INVALID, ids=map(_name, INVALID))
def test_an_invalid_example_is_rejected_with_the_reason_of_its_name(path: Path) -> None:
    outcome = _outcome(path)
    assert isinstance(outcome, Rejection)
    assert outcome.reason == path.stem.split("-")[1]


@pytest.mark.parametrize("path", VALID, ids=map(_name, VALID))
def test_a_valid_example_passes_the_json_schema(path: Path) -> None:
    assert [error.message for error in _validator(path.parent.name).iter_errors(json.loads(path.read_bytes()))] == []


# What a JSON Schema cannot say: the future, the site, a calendar, a field that stands twice, the text of JSON itself.
UNSAYABLE = ("in_the_future", "site_mismatch", "not_json", "invalid-no-such-day", "invalid-field-twice")


@pytest.mark.parametrize(
    "path", [path for path in INVALID if not path.stem.removeprefix("invalid-").startswith(UNSAYABLE)], ids=_name
)
def test_an_invalid_example_fails_the_json_schema_where_that_can_say_why(path: Path) -> None:
    assert not _validator(path.parent.name).is_valid(json.loads(path.read_bytes()))


def test_json_schemas_and_the_reference_page_are_current() -> None:
    assert generate.stale() == []


def test_a_file_that_is_not_current_is_named_with_what_to_do() -> None:
    command = [sys.executable, "-m", "schemas.generate", "--check"]
    assert subprocess.run(command, check=False, cwd=generate.HERE.parent).returncode == 0
    wrong = subprocess.run([*command, "now"], check=False, cwd=generate.HERE.parent, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "usage" in wrong.stderr


def _models() -> dict[str, type[BaseModel]]:
    """Every model there is, parts and envelopes included."""
    found: dict[str, type[BaseModel]] = {}
    waiting: list[type[BaseModel]] = [BaseModel]
    while waiting:
        for model in waiting.pop().__subclasses__():
            waiting.append(model)
            if model.__module__.startswith("schemas."):
                found[model.__name__] = model
    return found


@pytest.mark.parametrize("model", _models().values(), ids=_models())
def test_every_model_is_frozen_and_strict_and_hides_what_it_was_given(model: type[BaseModel]) -> None:
    config = model.model_config
    kept = (config.get("frozen"), config.get("extra"), config.get("strict"), config.get("hide_input_in_errors"))
    assert kept == (True, "forbid", True, True)


@pytest.mark.parametrize("kind", TYPES)
def test_every_field_says_what_it_means_and_stands_on_the_reference_page(kind: str) -> None:
    _, model = TYPES[kind]
    page = reference.page()
    assert f"### `{kind}`" in page
    for name, field in model.model_fields.items():
        if name not in ("type", "action"):
            assert field.description, name
            assert f"| `{field.alias or name}` |" in page


def test_the_body_of_a_retraction_has_the_fields_of_its_type_and_needs_none() -> None:
    for name, model in INBOUND.items():
        retracted = RETRACTED[name].model_fields
        assert set(retracted) == set(model.model_fields)
        needed = {field for field in retracted if retracted[field].is_required()}
        assert needed <= {"type", "status", "event_id", "recorded_at", "patient_id"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schema": 2}, Rejection("newer_schema", "schema", "must be at most 1; replay it after an upgrade")),
        ({"action": "reopen"}, Rejection("unknown_type", "action", f"must be one of {', '.join(ACTIONS)}")),
        ({"action": None}, Rejection("invalid", "action", "must be text")),
        ({"at": "2026-12-03"}, Rejection("invalid", "at", PATTERN_MEANING[INSTANT_PATTERN])),
        ({"ends_on": None, "treatment_id": None}, Rejection("invalid", "", "needs treatment_id or ends_on")),
    ],
)  # fmt: skip
def test_an_action_is_judged_like_a_message(changes: dict[str, Any], expected: Rejection) -> None:
    action = json.loads((generate.EXAMPLES / "sign_waiver" / "valid-full.json").read_bytes())
    assert decode_action(json.dumps({**action, **changes}).encode()) == expected


@pytest.mark.parametrize("raw", [b"", b"[]", b"\xff", b"{}", b'{"action":1e400}', b"[" * 65_000, b" " * 65_537, b"NaN"])
def test_no_bytes_make_decoding_an_action_raise(raw: bytes) -> None:
    assert isinstance(decode_action(raw), Rejection)
