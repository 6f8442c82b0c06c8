"""The OpenAPI document, made from the models of the messages."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from monitor import __version__
from monitor.web.connections import MOST_LINES, Limits
from schemas.actions import Activate, CloseCase, Erase, ReviewSignal, SettleConflict, SignWaiver
from schemas.inbound import INBOUND
from schemas.outbound import Answer
from schemas.parts import SITE_PATTERN
from schemas.retraction import RETRACTED
from schemas.rules import REASONS

_JSON, _NDJSON = "application/json", "application/x-ndjson"
_ACTIONS: tuple[type[BaseModel], ...] = (CloseCase, SettleConflict, SignWaiver, Activate, ReviewSignal, Erase)

_MESSAGES = "/v1/sites/{site}/messages"
_SITE = {
    "name": "site",
    "in": "path",
    "required": True,
    "description": "the publisher; its name in the site registry",
    "schema": {"type": "string", "pattern": SITE_PATTERN},
}
_FAIL_CLOSED = "No answer, an answer past its `valid_until`, or one whose `schema` you do not know means: not complete."


def document(*, takes_messages: bool = True) -> dict[str, Any]:
    """The whole document; `takes_messages`: whether hospitals bring them here."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jakwatch",
            "version": __version__,
            "description": f"Messages in, answers out. {_FAIL_CLOSED}",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: item for path, item in _paths().items() if takes_messages or path != _MESSAGES},
        "components": {"schemas": _schemas(), "securitySchemes": _SECURITY},
        "security": [{}, {"token": []}, {"password": []}],
    }


_SECURITY = {
    "token": {"type": "http", "scheme": "bearer", "description": "needed where the service is not on loopback alone"},
    "password": {"type": "http", "scheme": "basic", "description": "for browsers: any name, the token as password"},
}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: dict[str, Any], kind: str = _JSON) -> dict[str, Any]:
    return {kind: {"schema": schema}}


_ERRORS = {
    "400": "the request cannot be read",
    "401": "a token is needed",
    "403": "this token, or this page, may not do it",
    "404": "the site is not known",
    "408": "the body came too slowly",
    "409": "what is to be decided is not there, or no longer",
    "413": f"more than {Limits().body_bytes >> 20} MiB, or more than {MOST_LINES:,} lines",
    "415": "another content type is needed",
    "421": "this host is not served here",
    "422": "what is asked for cannot be",
    "503": "not now, and nothing was kept: the log is being read, has no room or does not answer, or too much waits",
}


_ALWAYS = ("401", "403", "421", "503")


def _responses(found: dict[str, Any], *errors: str) -> dict[str, Any]:
    told = {code: {"description": _ERRORS[code], "content": _content(_ref("Error"))} for code in (*_ALWAYS, *errors)}
    return {"200": found, **dict(sorted(told.items()))}


def _paths() -> dict[str, Any]:
    return {
        _MESSAGES: {"parameters": [_SITE], "post": _post_messages()},
        "/v1/sites/{site}/answers": {"parameters": [_SITE], "get": _get_answers()},
        "/v1/overview": {"get": _get("What needs somebody, the rates, the state of the feeds", {"type": "object"})},
        "/v1/result": {"get": _get_result()},
        "/v1/actions": {"get": _get_actions(), "post": _post_action()},
        "/healthz": {"get": _get_health("Whether the process does its work at all")},
        "/readyz": {"get": _get_health("Whether messages are taken now, and all is shown as it is")},
    }


def _post_messages() -> dict[str, Any]:
    rejected = {"description": "rejected: which field breaks which rule", "content": _content(_ref("Outcome"))}
    responses = _responses(
        {
            "description": "durable; of many, one outcome per line",
            "content": _content(_ref("Outcome")) | _content({"type": "string"}, _NDJSON),
        },
        "400", "404", "408", "413", "415",
    )  # fmt: skip
    either = {"anyOf": [_ref("Outcome"), _ref("Error")]}
    for code in ("400", "413"):
        responses[code]["content"] = _content(either)
    return {
        "operationId": "postMessages",
        "summary": "One message, or many as NDJSON",
        "description": f"What is answered is on disk. Sent again it changes nothing. {_FAIL_CLOSED}",
        "requestBody": {
            "required": True,
            "content": _content(_ref("Message")) | _content({"type": "string"}, _NDJSON),
        },
        "responses": responses | {"422": rejected},
    }


def _get_answers() -> dict[str, Any]:
    asked = {
        "name": "treatment_id", "in": "query", "required": True, "description": "the course",
        "schema": {"type": "string", "minLength": 1},
    }  # fmt: skip
    answers = {
        "type": "object",
        "required": ["answers"],
        "properties": {"answers": {"type": "array", "items": _ref("Answer")}},
    }
    return {
        "operationId": "getAnswers",
        "summary": "The standing answers of a course: of its order, of its start",
        "description": f"An empty list means: nothing is known of it. {_FAIL_CLOSED}",
        "parameters": [asked],
        "responses": _responses({"description": "found", "content": _content(answers)}, "404", "422"),
    }


def _get_result() -> dict[str, Any]:
    asked = {
        "name": "as_of", "in": "query", "required": False, "description": "the last day that counts; default: today",
        "schema": {"type": "string", "format": "date", "pattern": "^[1-8][0-9]{3}-[0-9]{2}-[0-9]{2}$"},
    }  # fmt: skip
    found = _get("Decisions and rates of everything, as `jakwatch replay` prints them", {"type": "object"})
    found["parameters"] = [asked]
    found["responses"] = _responses(found["responses"]["200"], "422")
    return found


def _get(summary: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"summary": summary, "responses": _responses({"description": "found", "content": _content(schema)})}


def _get_health(summary: str) -> dict[str, Any]:
    state = {
        "type": "object", "required": ["ok", "trouble"],
        "properties": {"ok": {"type": "boolean"}, "trouble": {"type": ["string", "null"]}},
    }  # fmt: skip
    return {
        "summary": summary,
        "security": [],
        "responses": {
            "200": {"description": "yes", "content": _content(state)},
            "503": {"description": "no, and why", "content": _content(state)},
        },
    }


def _get_actions() -> dict[str, Any]:
    lines = {
        "description": "one a line, for `jakwatch replay --actions`",
        "content": _content({"type": "string"}, _NDJSON),
    }
    return {"summary": "All that people decided", "responses": _responses(lines)}


def _post_action() -> dict[str, Any]:
    body = {"oneOf": [_ref(model.__name__) for model in _ACTIONS], "discriminator": {"propertyName": "action"}}
    return {
        "operationId": "postAction",
        "summary": "What a person decided: close a case, settle a conflict, sign a waiver, activate a policy, ...",
        "requestBody": {"required": True, "content": _content(body)},
        "responses": _responses(
            {"description": "kept, as it stands in the log", "content": _content({"type": "object"})},
            "400", "404", "408", "409", "413", "415", "422",
        ),
    }  # fmt: skip


def _schemas() -> dict[str, Any]:
    models: list[type[BaseModel]] = [*INBOUND.values(), *RETRACTED.values(), Answer, *_ACTIONS]
    _, found = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    named: dict[str, Any] = dict(found["$defs"])
    for model in _ACTIONS:
        named[model.__name__] = _stated(named[model.__name__])
    named["SignWaiver"]["anyOf"] = [_stating("treatment_id"), _stating("ends_on")]
    whole = {"oneOf": [_ref(model.__name__) for model in INBOUND.values()], "discriminator": {"propertyName": "type"}}
    gone = {"oneOf": [_ref(model.__name__) for model in RETRACTED.values()], "discriminator": {"propertyName": "type"}}
    return named | {"Message": {"anyOf": [whole, gone]}, "Outcome": _OUTCOME, "Error": _ERROR}


def _stating(name: str) -> dict[str, Any]:
    """What holds of an object that has the field, and not null in it."""
    return {"required": [name], "properties": {name: {"type": "string"}}}


def _stated(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of what a client states: never `at`, which is set here, and `action_id` only if it likes."""
    properties = {name: each for name, each in schema["properties"].items() if name != "at"}
    required = [name for name in schema["required"] if name not in ("at", "action_id")]
    return {**schema, "properties": properties, "required": required}


_OUTCOME = {
    "type": "object",
    "required": ["status"],
    "properties": {
        "status": {"enum": ["accepted", "duplicate", "rejected"]},
        "reason": {"enum": list(REASONS), "description": "of a rejection"},
        "path": {"type": "string", "description": "the field that breaks the rule"},
        "rule": {"type": "string"},
        "conflict": {"const": True, "description": "it contradicts what is on file under the same version"},
        "unmapped": {
            "type": "array",
            "items": {"enum": ["drug", "test", "term", "indication", "condition"]},
            "description": "the policy knows none of the codes of these: kept and listed, they count as nothing",
        },
        "answer": _ref("Answer"),
    },
}
_ERROR = {
    "type": "object",
    "required": ["error", "do"],
    "properties": {"error": {"type": "string"}, "do": {"type": "string", "description": "what to do next"}},
}
