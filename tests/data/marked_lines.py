"""Messages with a mark wherever a message can bear one, good, spoilt and broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.data.bad_lines import BAD_LINES
from tests.data.valid_lines import VALID, compact

MARK = "Zq7"  # every mark begins so; what follows says where it stood


def marked_concept(name: str, system: str = "icd10", code: str = "L20.9") -> dict[str, Any]:
    return {"codings": [{"system": system, "code": code}], "text": f"{MARK}-text-{name}-Müller"}


def _envelope(name: str) -> dict[str, Any]:
    own = {f"{MARK}-key": {f"{MARK}-inner": [f"{MARK}-value", {"site": f"{MARK}-site"}]}}
    return {"source": f"{MARK}-src-{name}"[:40], "extensions": own, "event_id": f"{MARK}-event-{name}"}


def marked(kind: str, **changes: Any) -> dict[str, Any]:
    """A valid message of a type; allowed marks are those of the caller alone."""
    message: dict[str, Any] = json.loads(VALID[kind]) | _envelope(kind)
    if "patient_id" in message:
        message["patient_id"] = f"{MARK}-patient-Ängström"
    for field in ("drug", "test", "term"):
        if field in message:
            [coding] = message[field]["codings"]
            message[field] = marked_concept(field, **coding)
    if "indications" in message:
        message["indications"] = [marked_concept("indication")]
    if "conditions" in message:
        message["conditions"] = [{"concept": marked_concept("condition"), "since": "2004"}]
    return message | changes


def marked_history() -> list[dict[str, Any]]:
    """All types; the ids that may be shown bear no mark, all others do."""
    stray = f"{MARK}-course"  # of no order and no start
    return [
        marked("treatment_ordered"),
        marked("treatment_started", order_id=f"{MARK}-order"),
        marked("treatment_changed", treatment_id=stray),
        marked("treatment_stopped", treatment_id=stray),
        marked("treatment_cancelled", treatment_id=stray),
        marked("screening_result", event_id="r-1", quantity={"value": 1, "unit": f"{MARK}-unit"}),
        marked("prevention", event_id="p-1"),
        marked("adverse_event", suspect_treatment_ids=[stray, "t-1"]),
        marked("adverse_event", event_id=f"{MARK}-no-onset", onset_on=None),
        marked("patient_profile"),
        marked("patient_contact"),
        marked("feed_status"),
        marked("patient_merged", merged_patient_id=f"{MARK}-merged"),
        marked("patient_contact", event_id=f"{MARK}-twice"),
        marked("patient_contact", event_id=f"{MARK}-twice", days_supplied=1),  # a conflict
        marked("patient_contact", event_id=f"{MARK}-corrected"),
        marked("patient_contact", event_id=f"{MARK}-corrected", days_supplied=2, version=3),
        _retracted(marked("prevention", event_id=f"{MARK}-retracted")),
    ]


def _retracted(message: dict[str, Any]) -> dict[str, Any]:
    return {**message, "status": "entered_in_error"}


HISTORY = [compact(message) for message in marked_history()]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The path of every single value of a message."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from leaves(each, (*path, key))
    if path:
        yield path


def put(message: dict[str, Any], path: tuple[str | int, ...], value: Any) -> bytes:
    copy: Any = json.loads(json.dumps(message))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return compact(copy)


def spoilt_lines() -> list[bytes]:
    """Valid lines with one value replaced by a mark in several shapes, whole lines broken, and the bad lines marked."""
    lines = []
    for kind in VALID:
        message = marked(kind)
        for path in leaves(message):
            if path[-1] not in _MAY_BE_SHOWN and path[0] != "extensions":
                shapes = (f"{MARK}-bad", f"2026-01-01 {MARK}", [f"{MARK}-bad"], {f"{MARK}-4711": f"{MARK}-bad"})
                lines += [put(message, path, shape) for shape in shapes]
        text = compact(message)
        unknown = {f"{MARK}-4711": f"{MARK}-bad", "onset": f"{MARK}-bad"}
        lines += [text[: len(text) * part // 7] for part in range(1, 7)]
        lines += [text + b"}", text + text, text.replace(b'"', b"'"), text.decode().encode("utf-16")]
        lines += [
            compact(message | unknown),
            compact(message | {"schema": 2}),
            compact(message | {"type": f"{MARK}-type"}),
        ]
        lines += [text[:-1] + b',"patient_id":"' + f"{MARK}-again".encode() + b'"}', text + b" " * 70_000]
    return [line.replace(b"\n", b" ") for line in (*lines, *_marked_bad_lines())]


def _marked_bad_lines() -> Iterator[bytes]:
    for bad in BAD_LINES:
        line = bad.line.replace(b"shingles", f"{MARK}-text".encode())
        for name in (b"p-1", b"p-2", b"e-1", b"t-1", b"o-1"):
            line = line.replace(b'"' + name + b'"', b'"' + MARK.encode() + b"-" + name + b'"')
        yield line


_MAY_BE_SHOWN = ("event_id", "treatment_id", "code", "system")  # where a valid message with it is taken

SPOILT = spoilt_lines()
ACTIONS = [
    {
        "action": "sign_waiver", "action_id": "w-1", "at": "2026-04-01T10:00:00Z", "by": f"{MARK}-doctor",
        "role": f"{MARK}-role", "reason": f"{MARK}-reason", "site": "lisbon", "infection": "hiv", "treatment_id": "t-1",
    },
    {
        "action": "close_case", "action_id": f"{MARK}-action", "at": "2026-05-01T10:00:00Z", "by": f"{MARK}-doctor",
        "role": f"{MARK}-role", "reason": f"{MARK}-reason", "site": "lisbon", "treatment_id": f"{MARK}-case",
        "kind": f"{MARK}-kind",
    },
]  # fmt: skip
