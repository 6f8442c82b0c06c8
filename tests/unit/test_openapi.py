"""The OpenAPI document: well-formed, closed, and true to the models that judge what is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from monitor.web.connections import MOST_LINES, Limits
from monitor.web.openapi import document
from schemas.actions import decode_action
from schemas.rules import REASONS, Rejection
from tests.data.bad_lines import BAD_LINES
from tests.data.valid_lines import VALID

DOCUMENT = document()
METHODS = ("get", "post", "put", "delete", "patch")
WAIVER = {"action": "sign_waiver", "site": "a", "infection": "hiv", "by": "a", "role": "b", "reason": "c"}
CLOSE = {
    "action": "close_case",
    "site": "a",
    "treatment_id": "t",
    "kind": "violation",
    "by": "a",
    "role": "b",
    "reason": "c",
}
SETTLE = {
    "action": "settle_conflict",
    "site": "a",
    "event_id": "e",
    "digest": "d",
    "by": "a",
    "role": "b",
    "reason": "c",
}


def fits(name: str, value: Any) -> bool:
    """Whether a value is what the document calls by a name."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(value))


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        yield from ((path, method, item[method]) for method in METHODS if method in item)


def refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (inner for key, inner in value.items() if key == "$ref")
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def test_every_reference_leads_somewhere_and_every_schema_is_referred_to() -> None:
    named = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(refs(DOCUMENT)) == named


def test_every_schema_is_one() -> None:
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_the_document_is_the_same_each_time_and_plain_json() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == document()


@pytest.mark.parametrize(
    ("path", "method", "operation"), list(operations()), ids=lambda part: part if isinstance(part, str) else ""
)
def test_each_operation_says_what_it_is_for_and_how_it_may_end(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert all(answer["description"] and answer["content"] for answer in operation["responses"].values())
    if not path.startswith("/v1/"):
        assert operation["security"] == []
        return
    assert {"200", "401", "403", "421", "503"} <= set(operation["responses"])
    assert ("requestBody" in operation) is (method == "post")
    if method == "post":
        assert {"400", "408", "413", "415", "422"} <= set(operation["responses"])
    if "{site}" in path:
        assert "404" in operation["responses"]
        assert [each["name"] for each in DOCUMENT["paths"][path]["parameters"]] == ["site"]


def test_the_document_says_that_no_answer_means_not_complete() -> None:
    said = "No answer, an answer past its `valid_until`, or one whose `schema` you do not know means: not complete."
    assert said in DOCUMENT["info"]["description"]
    assert said in DOCUMENT["paths"]["/v1/sites/{site}/messages"]["post"]["description"]
    assert said in DOCUMENT["paths"]["/v1/sites/{site}/answers"]["get"]["description"]


def test_the_document_names_the_limits() -> None:
    too_much = DOCUMENT["paths"]["/v1/sites/{site}/messages"]["post"]["responses"]["413"]["description"]
    assert f"{Limits().body_bytes >> 20} MiB" in too_much
    assert f"{MOST_LINES:,} lines" in too_much


@pytest.mark.parametrize("kind", sorted(VALID))
def test_a_valid_message_fits_and_its_retraction_too(kind: str) -> None:
    message = json.loads(VALID[kind])
    assert fits("Message", message)
    assert fits("Message", message | {"status": "entered_in_error"})
    assert not fits("Message", message | {"stray": 1})
    envelope = ("type", "event_id", "recorded_at", "patient_id")
    assert fits(
        "Message", {name: message[name] for name in envelope if name in message} | {"status": "entered_in_error"}
    )


def test_what_is_rejected_for_its_shape_does_not_fit() -> None:
    shapes = [bad for bad in BAD_LINES if bad.reason in ("unknown_type", "newer_schema") and b"twice" not in bad.line]
    judged = [(bad.name, json.loads(bad.line)) for bad in shapes if "twice" not in bad.name]
    assert len(judged) > 10
    assert [name for name, value in judged if fits("Message", value)] == []


@pytest.mark.parametrize(
    "stated",
    [
        CLOSE, SETTLE, WAIVER | {"treatment_id": "t"}, WAIVER | {"ends_on": "2027-01-31"}, CLOSE | {"action_id": "a-1"},
        SETTLE | {"source": "lab", "schema": 1}, WAIVER | {"treatment_id": "t", "ends_on": None},
        WAIVER, WAIVER | {"treatment_id": None, "ends_on": None}, CLOSE | {"at": "2026-01-01T00:00:00Z"},
        CLOSE | {"schema": 2}, CLOSE | {"stray": 1}, CLOSE | {"by": ""}, CLOSE | {"site": "A"}, CLOSE | {"kind": 1},
        CLOSE | {"action": "erase"}, {**SETTLE, "digest": None}, WAIVER | {"ends_on": "2027-1-1"}, {}, [], None,
    ],
    ids=json.dumps,
)  # fmt: skip
def test_an_action_fits_if_and_only_if_it_is_taken(stated: Any) -> None:
    body = DOCUMENT["paths"]["/v1/actions"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = body | {"components": DOCUMENT["components"]}
    fitting = bool(jsonschema.Draft202012Validator(schema).is_valid(stated))
    assert fitting is is_taken(stated)


def is_taken(stated: Any) -> bool:
    """As the interface does it: time and id are its own, unless an id is stated."""
    if not isinstance(stated, dict) or "at" in stated:
        return False
    whole = {"action_id": "made", "at": "2026-01-01T00:00:00Z"} | stated
    action = decode_action(json.dumps(whole).encode())
    return not isinstance(action, Rejection) and action.action in ("close_case", "settle_conflict", "sign_waiver")  # type: ignore[union-attr]


def test_an_outcome_is_what_is_answered() -> None:
    assert fits("Outcome", {"status": "accepted"})
    assert fits("Outcome", {"status": "duplicate", "conflict": True})
    assert not fits("Outcome", {"status": "taken"})
    for reason in REASONS:
        assert fits("Outcome", {"status": "rejected", "reason": reason, "path": "", "rule": "is required"})
    assert not fits("Outcome", {"status": "rejected", "reason": "ugly"})
