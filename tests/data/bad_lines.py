"""Lines that are no message, each with the one reason for which it must be rejected."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.data.boundaries import boundary_lines
from tests.data.valid_lines import BODIES, VALID, changed, compact


class BadLine(NamedTuple):
    name: str
    line: bytes
    reason: str
    path: str = ""
    channel: str | None = None


_STOP, _START, _RESULT, _EVENT = (
    VALID[kind] for kind in ("treatment_stopped", "treatment_started", "screening_result", "adverse_event")
)


def _without(kind: str, field: str) -> bytes:
    message = json.loads(VALID[kind])
    del message[field]
    return compact(message)


def _put(line: bytes, old: bytes, new: bytes) -> bytes:
    """The line with its one `old` replaced."""
    if line.count(old) != 1:
        raise ValueError(f"{old!r} does not stand exactly once")
    return line.replace(old, new)


def _not_json() -> Iterator[tuple[str, bytes]]:  # noqa: PLR0915  a list, of which each entry is a line
    yield "empty", b""
    yield "white space", b"  \t "
    yield "a word", b"hello"
    yield "csv", b"treatment_started;e-1;p-1"
    yield "xml", b"<message/>"
    yield "a NUL", b"\x00"
    yield "a NUL at the end", _STOP + b"\x00"
    yield "a NUL within a text", _put(_STOP, b'"e-1"', b'"e\x00-1"')
    yield "a tab within a text", _put(_STOP, b'"e-1"', b'"e\t-1"')
    yield "a line end within a text", _put(_STOP, b'"e-1"', b'"e\n-1"')
    yield "cut in the middle", _START[: len(_START) // 2]
    yield "cut before the last bracket", _START[:-1]
    yield "two messages on a line", _STOP + _STOP
    yield "something behind", _STOP + b" x"
    yield "single quotes", _STOP.replace(b'"', b"'")
    yield "names without quotes", _put(_STOP, b'"reason"', b"reason")
    yield "a comment", _STOP + b" // stopped"
    yield "a comma too many", _STOP[:-1] + b",}"
    yield "a comma missing", _put(_STOP, b',"reason"', b' "reason"')
    yield "a colon missing", _put(_STOP, b'"version":2', b'"version" 2')
    yield "a leading zero", _put(_STOP, b'"version":2', b'"version":02')
    yield "a plus sign", _put(_STOP, b'"version":2', b'"version":+2')
    yield "a point without digits", _put(_START, b'"amount":15', b'"amount":15.')
    yield "a point first", _put(_START, b'"amount":15', b'"amount":.5')
    yield "a hexadecimal number", _put(_STOP, b'"version":2', b'"version":0x2')
    yield "True", _put(_STOP, b'"version":2', b'"version":True')
    yield "None", _put(_STOP, b'"version":2', b'"version":None')
    yield "NaN", _put(_START, b'"amount":15', b'"amount":NaN')
    yield "Infinity", _put(_START, b'"amount":15', b'"amount":Infinity')
    yield "-Infinity", _put(_RESULT, b'"value":10', b'"value":-Infinity')
    yield "NaN in the extensions", _STOP[:-1] + b',"extensions":{"a":[NaN]}}'
    yield "NaN alone", b"NaN"
    yield "a byte order mark", b"\xef\xbb\xbf" + _STOP
    yield "UTF-16", _STOP.decode().encode("utf-16")
    yield "UTF-16 without a mark", _STOP.decode().encode("utf-16-le")
    yield "UTF-32", _STOP.decode().encode("utf-32")
    yield "Latin-1", _put(_EVENT, b"shingles", "gürtelrose".encode("latin-1"))
    yield "an invalid byte", _put(_STOP, b"remission", b"\xff")
    yield "an overlong encoding", _put(_STOP, b"remission", b"\xc0\xaf")
    yield "an encoded surrogate", _put(_EVENT, b"shingles", b"\xed\xa0\x80")
    yield "a character cut in half", _put(_EVENT, b"shingles", "ü".encode()[:1])
    yield "a lone high surrogate", _put(_EVENT, b"shingles", rb"a\ud800")
    yield "a lone low surrogate", _put(_EVENT, b"shingles", rb"\uDC00a")
    yield "two high surrogates", _put(_EVENT, b"shingles", rb"\ud83d\ud83d")
    yield "a surrogate in a name", _STOP[:-1] + rb',"\udead":1}'
    yield "a surrogate in the extensions", _STOP[:-1] + rb',"extensions":{"a":"\udfff"}}'
    yield "a surrogate behind a backslash", _put(_EVENT, b"shingles", rb"\\\ud800")
    yield "an unknown escape", _put(_EVENT, b"shingles", rb"\x41")
    yield "an escape cut short", _put(_EVENT, b"shingles", rb"\u00")
    yield "65 deep", b"[" * 65 + b"]" * 65
    yield "65 deep in the extensions", _STOP[:-1] + b',"extensions":{"a":' + b"[" * 63 + b"]" * 63 + b"}}"
    yield "objects 65 deep", b'{"a":' * 65 + b"1" + b"}" * 65
    yield "a nesting bomb of lists", b"[" * 65_536
    yield "a nesting bomb of objects", b'{"a":' * 13_000
    yield "a closed nesting bomb", b"[" * 32_000 + b"]" * 32_000
    yield "65 deep behind brackets in a text", b'["]]]]",' + b"[" * 64 + b"]" * 64 + b"]"


def _too_large() -> Iterator[tuple[str, bytes]]:
    yield "one byte too many", _STOP + b" " * (65_537 - len(_STOP))
    yield "10 MB of one text", _put(_EVENT, b"shingles", b"x" * 10_000_000)
    yield "10 MB of brackets", b"[" * 10_000_000
    yield "too large and not UTF-8", b"\xff" * 65_537
    yield "too large and of a newer schema", b'{"schema":2}' + b" " * 65_536


def _newer() -> Iterator[tuple[str, bytes]]:
    yield "schema 2", changed("treatment_stopped", "schema", 2)
    yield "schema 2.0", _put(_STOP, b'"schema":1', b'"schema":2.0')
    yield "schema 2e0", _put(_STOP, b'"schema":1', b'"schema":2e0')
    yield "schema 2 and nothing else", b'{"schema":2}'
    yield "schema 2 and an unknown type", b'{"schema":2,"type":"vaccination"}'
    yield "schema 2 and a field twice", b'{"schema":2,"a":1,"a":2}'
    yield "schema of twenty digits", b'{"schema":99999999999999999999}'


def _unknown_type() -> Iterator[tuple[str, bytes]]:
    yield "an unknown type", changed("treatment_stopped", "type", "treatment_paused")
    yield "an empty type", b'{"type":""}'
    yield "a type in capitals", changed("treatment_stopped", "type", "TREATMENT_STOPPED")
    yield "a type with a space", changed("treatment_stopped", "type", "treatment_stopped ")
    yield "an unknown type and a field twice", b'{"type":"x","a":1,"a":2}'
    yield "an unknown type and schema 0", b'{"type":"x","schema":0}'


def _invalid_shapes() -> Iterator[tuple[str, bytes, str]]:
    for name, line in (
        ("a list", b"[]"), ("a number", b"1"), ("null", b"null"), ("a text", b'"treatment_stopped"'), ("true", b"true"),
        ("a list of messages", b"[" + _STOP + b"]"), ("64 deep", b"[" * 64 + b"]" * 64),
        ("a number of 400 digits", b"1" * 400), ("an escaped pair", rb'"\ud83d\ude00"'),
    ):  # fmt: skip
        yield name, line, ""
    yield "an empty object", b"{}", "type"
    yield "no type", _without("treatment_stopped", "type"), "type"
    yield "type null", changed("treatment_stopped", "type", None), "type"
    yield "type a number", changed("treatment_stopped", "type", 1), "type"
    yield "type a list", changed("treatment_stopped", "type", ["treatment_stopped"]), "type"
    for value in (0, -1, "1", None, True, 1.5, [1]):
        yield f"schema {value!r}", changed("treatment_stopped", "schema", value), "schema"
    yield "schema beyond a double", _put(_STOP, b'"schema":1', b'"schema":1e400'), "schema"


def _invalid_twice() -> Iterator[tuple[str, bytes, str]]:
    yield "type twice", _STOP[:-1] + b',"type":"treatment_stopped"}', "type"
    yield "event_id twice", _STOP[:-1] + b',"event_id":"e-2"}', "event_id"
    yield "event_id twice, the same", _STOP[:-1] + b',"event_id":"e-1"}', "event_id"
    yield "event_id twice, once escaped", _STOP[:-1] + rb',"\u0065vent_id":"e-2"}', "event_id"
    yield "event_id twice, a space before the colon", _STOP[:-1] + b',"event_id" :"e-2"}', "event_id"
    yield "version twice", _STOP[:-1] + b',"version":3}', "version"
    yield "reason twice, once null", _STOP[:-1] + b',"reason":null}', "reason"
    yield "drug twice", _START[:-1] + b',"drug":{"codings":[{"system":"atc","code":"L04AF02"}]}}', "drug"
    yield "dose twice", _START[:-1] + b',"dose":{"amount":30,"unit":"mg","per_day":1}}', "dose"
    yield "an amount twice", _put(_START, b'"amount":15', b'"amount":30,"amount":15'), "dose.amount"
    yield "per_day twice", _put(_START, b'"per_day":1', b'"per_day":2,"per_day":1'), "dose.per_day"
    yield "a code twice", _put(_START, b'"code":"L04AF03"', b'"code":"x","code":"L04AF03"'), "drug.codings[0].code"
    yield (
        "a code of a later entry twice",
        _put(_START, b'"code":"K50.9"', b'"code":"K50.9","code":"x"'),
        "indications[1].codings[0].code",
    )
    yield "a text twice", _put(_EVENT, b'"text":"shingles"', b'"text":"","text":"shingles"'), "term.text"
    yield "a unit twice", _put(_RESULT, b'"unit":"IU/mL"', b'"unit":"x","unit":"IU/mL"'), "quantity.unit"
    yield "a value twice", _put(_RESULT, b'"value":10', b'"value":1,"value":10'), "quantity.value"
    yield "seriousness twice", _put(_EVENT, b'"seriousness"', b'"seriousness":[],"seriousness"'), "seriousness"
    yield (
        "a since twice",
        _put(VALID["patient_profile"], b'"since":"2004"', b'"since":"2003","since":"2004"'),
        "conditions[0].since",
    )
    yield "extensions twice", _STOP[:-1] + b',"extensions":{},"extensions":{}}', "extensions"
    yield "twice in the extensions", _STOP[:-1] + b',"extensions":{"a":{"b":1,"b":1}}}', "extensions"
    yield "twice, hidden by an escaped quote", _put(_EVENT, b"shingles", rb"\"")[:-1] + b',"grade":2}', "grade"


def _invalid_numbers() -> Iterator[tuple[str, bytes, str]]:
    yield "version -1", changed("treatment_stopped", "version", -1), "version"
    yield "version 2**63", changed("treatment_stopped", "version", 2**63), "version"
    yield "version 1.5", changed("treatment_stopped", "version", 1.5), "version"
    yield "version true", changed("treatment_stopped", "version", True), "version"
    yield "version as text", changed("treatment_stopped", "version", "2"), "version"
    yield "version beyond a double", _put(_STOP, b'"version":2', b'"version":1e400'), "version"
    yield "version of 400 digits", _put(_STOP, b'"version":2', b'"version":' + b"9" * 400), "version"
    yield "version of 5,000 digits", _put(_STOP, b'"version":2', b'"version":' + b"9" * 5000), "version"
    yield "an amount beyond a double", _put(_START, b'"amount":15', b'"amount":1e400'), "dose.amount"
    yield "an amount of 400 digits", _put(_START, b'"amount":15', b'"amount":' + b"9" * 400), "dose.amount"
    yield "an amount below a double", _put(_START, b'"amount":15', b'"amount":1e-400'), "dose.amount"
    yield "an amount of a strange exponent", _put(_START, b'"amount":15', b'"amount":1e-' + b"9" * 30), "dose.amount"
    yield "an amount below zero", changed("treatment_started", "dose.amount", -0.5), "dose.amount"
    yield "an amount as text", changed("treatment_started", "dose.amount", "15"), "dose.amount"
    yield "an amount true", changed("treatment_started", "dose.amount", True), "dose.amount"
    yield "an amount null", changed("treatment_started", "dose.amount", None), "dose.amount"
    yield "per_day 0", changed("treatment_started", "dose.per_day", 0), "dose.per_day"
    yield "per_day 0.0", changed("treatment_started", "dose.per_day", 0.0), "dose.per_day"
    yield "per_day below zero", changed("treatment_started", "dose.per_day", -1), "dose.per_day"
    yield "a value as text", changed("screening_result", "quantity.value", "10"), "quantity.value"
    yield "a number in the extensions", _STOP[:-1] + b',"extensions":{"a":[1e400]}}', "extensions"
    for grade in (0, 6, 2.5, "3", True):
        yield f"grade {grade!r}", changed("adverse_event", "grade", grade), "grade"
    yield "birth_year 0", changed("patient_profile", "birth_year", 0), "birth_year"
    yield "birth_year as text", changed("patient_profile", "birth_year", "1990"), "birth_year"
    yield "days_supplied -1", changed("patient_contact", "days_supplied", -1), "days_supplied"
    yield "days_supplied 1e9", _put(VALID["patient_contact"], b":28", b":1e9"), "days_supplied"


def _invalid_days() -> Iterator[tuple[str, bytes, str]]:
    for day in (
        "2026-02-30", "2026-04-31", "2025-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-01-00", "0000-01-01",
        "2026-4-30", "26-04-30", "20260430", "2026/04/30", "30.04.2026", "04/30/2026", "2026-04", "2026", "2026-W18-4",
        "2026-120", "2026-04-30T00:00:00", "2026-04-30Z", " 2026-04-30", "2026-04-30 ", "", "1777507200", "today",
        "٢٠٢٦-٠٤-٣٠", "2026-04-30\n", "+2026-04-30", "2026\u201004\u201030", 20260430, 1777507200,
        None, True, ["2026-04-30"],
    ):  # fmt: skip
        yield f"the day {day!r}", changed("treatment_stopped", "last_dose_on", day), "last_dose_on"
    for day in ("2026-02-30", "2023-02-29", "2026-13", "0000", "2026-", "2026-4", "26", "2026-04-3", "", 2026, "1e3"):
        yield f"the partial day {day!r}", changed("adverse_event", "onset_on", day), "onset_on"
    yield (
        "a partial day of a condition",
        changed("patient_profile", "conditions.0.since", "2004-2"),
        "conditions[0].since",
    )
    for moment in (
        "2026-04-30T10:00:00", "2026-04-30T10:00Z", "2026-04-30T10Z", "2026-04-30T24:00:00Z", "2026-04-30T23:60:00Z",
        "2026-04-30T23:59:60Z", "2026-04-30T10:00:00+0100", "2026-04-30T10:00:00+01", "2026-04-30T10:00:00+24:00",
        "2026-04-30T10:00:00+01:60", "2026-04-30T10:00:00.Z", "2026-04-30T10:00:00,5Z", "2026-04-30_10:00:00Z",
        "2026-04-30T10:00:00 Z", "2026-04-30T10:00:00UTC", "2026-04-30T10:00:00[Europe/Lisbon]", "2026-02-30T10:00:00Z",
        "2026-04-30", "20260430T100000Z", "2026-04-30T10:00:00\u221201:00", "1777507200", 1777507200, 1777507200.5,
        None, "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "",
    ):  # fmt: skip
        yield f"recorded_at {moment!r}", changed("treatment_stopped", "recorded_at", moment), "recorded_at"
    yield "started_at without offset", changed("treatment_started", "started_at", "2026-04-30T08:30:00"), "started_at"
    yield "resulted_at a day", changed("screening_result", "resulted_at", "2026-04-29"), "resulted_at"


def _invalid_texts() -> Iterator[tuple[str, bytes, str]]:
    long = "x" * 129
    wrong: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
        ("treatment_stopped", "event_id", ("", long, 1, None, True, ["e"], "e\n1", "e\u00001", "e\u00a01", "e\u200b1")),
        ("treatment_stopped", "patient_id", ("", long, 1, None, {"id": 1})),
        ("treatment_stopped", "treatment_id", ("", long, 1, None)),
        ("treatment_started", "order_id", ("", long, 1)),
        ("patient_merged", "merged_patient_id", ("", long, 1, None)),
        ("treatment_stopped", "source", ("", "x" * 41, 1)),
        ("treatment_stopped", "status", ("", "Final", "draft", None, 1)),
        ("treatment_stopped", "reason", ("", "unknown", "Remission", 1, ["remission"])),
        ("treatment_stopped", "site", ("", "Lisbon", "-lisbon", "lis_bon", "x" * 41, "lisbon ", 1)),
        ("treatment_stopped", "extensions", ([], "x", 1, True)),
        ("prevention", "infection", ("", "tb", None, ["hiv"])),
        ("adverse_event", "seriousness", ("", None, {}, "death", ["fatal"], [None], [["death"]])),
        ("adverse_event", "suspect_treatment_ids", ("t-1", [""], [1], [None], {})),
        ("adverse_event", "outcome", ("death", 1)),
        ("adverse_event", "action_taken", ("stopped", 1)),
        ("adverse_event", "relatedness", ("certain", 1)),
        ("feed_status", "feed", ("lab", None)),
        ("patient_profile", "sex", ("f", 1)),
    )
    for kind, field, values in wrong:
        for value in values:
            shown = "too long" if value == long else repr(value)
            below = "[0]" if isinstance(value, list) and len(value) == 1 and field in _LISTS else ""
            yield f"{field} {shown}", changed(kind, field, value), field + below


_LISTS = ("seriousness", "suspect_treatment_ids")


def _invalid_parts() -> Iterator[tuple[str, bytes, str]]:
    for drug in ("L04AF03", 1, None, True):
        yield f"drug {drug!r}", changed("treatment_started", "drug", drug), "drug"
    yield "a concept without codings", changed("treatment_started", "drug", {"text": "x"}), "drug.codings"
    yield "no coding", changed("treatment_started", "drug.codings", []), "drug.codings"
    yield "codings an object", changed("treatment_started", "drug.codings", {}), "drug.codings"
    yield "a coding a text", changed("treatment_started", "drug.codings.0", "atc:L04AF03"), "drug.codings[0]"
    yield "a coding with a display", changed("adverse_event", "term.codings.0.display", "x"), "term.codings[0].display"
    yield "a system empty", changed("treatment_started", "drug.codings.0.system", ""), "drug.codings[0].system"
    yield "a code empty", changed("treatment_started", "drug.codings.0.code", ""), "drug.codings[0].code"
    yield "a code a number", changed("treatment_started", "drug.codings.0.code", 1), "drug.codings[0].code"
    yield "a text a number", changed("adverse_event", "term.text", 1), "term.text"
    yield "no indication", changed("treatment_started", "indications", []), "indications"
    yield "an indication not in a list", changed("treatment_started", "indications", {"codings": []}), "indications"
    yield "an indication null", changed("treatment_started", "indications", [None]), "indications[0]"
    yield "a dose a number", changed("treatment_started", "dose", 15), "dose"
    yield "a dose empty", changed("treatment_started", "dose", {}), "dose.amount"
    yield "a dose in g", changed("treatment_started", "dose.unit", "g"), "dose.unit"
    yield "a dose in MG", changed("treatment_started", "dose.unit", "MG"), "dose.unit"
    yield "a dose with a route", changed("treatment_started", "dose.route", "oral"), "dose.route"
    yield "a comparator", changed("screening_result", "quantity.comparator", "="), "quantity.comparator"
    yield "a quantity without unit", changed("screening_result", "quantity", {"value": 1}), "quantity.unit"
    yield "a unit empty", changed("screening_result", "quantity.unit", ""), "quantity.unit"
    yield "outcome and quantity", changed("screening_result", "outcome", "negative"), ""
    yield "neither outcome nor quantity", _without("screening_result", "quantity"), ""
    yield "a quantity null", changed("screening_result", "quantity", None), ""
    yield (
        "a condition without concept",
        changed("patient_profile", "conditions.0", {"since": "2004"}),
        "conditions[0].concept",
    )
    yield "conditions an object", changed("patient_profile", "conditions", {}), "conditions"


def _invalid_fields() -> Iterator[tuple[str, bytes, str]]:
    for kind, body in BODIES.items():
        for field in ("event_id", "recorded_at", *body):
            if kind == "patient_profile" or field in _OPTIONAL:
                continue
            yield f"{kind} without {field}", _without(kind, field), field
    for kind in BODIES:
        yield f"{kind} with a field unknown", changed(kind, "colour", "red"), "colour"
    yield "no patient", _without("adverse_event", "patient_id"), "patient_id"
    yield "a feed of a patient", changed("feed_status", "patient_id", "p-1"), "patient_id"
    yield "a misspelt field", _put(_EVENT, b'"onset_on"', b'"onset"'), "onset"
    yield "a field of another type", changed("treatment_stopped", "started_on", "2026-04-30"), "started_on"
    yield "a field in capitals", changed("treatment_stopped", "EVENT_ID", "e"), "EVENT_ID"
    yield "a field with an empty name", changed("treatment_stopped", "", 1), "an unknown field"
    yield "a field with a strange name", changed("treatment_stopped", "pa\u0000tient 4711", 1), "an unknown field"
    yield "a field named by a number", changed("treatment_stopped", "x4711", 1), "an unknown field"
    yield "a field with a long name", changed("treatment_stopped", "x" * 41, 1), "an unknown field"
    yield "a retraction with a field unknown", changed("treatment_stopped", "colour", 1)[:-1] + _RETRACTED, "colour"
    yield "a retraction with a wrong body", _put(_STOP, b"2026-04-30", b"2026-04-31")[:-1] + _RETRACTED, "last_dose_on"
    yield (
        "a retraction without patient",
        b'{"type":"prevention","event_id":"e","recorded_at":"2026-05-01T12:00:00Z"'
        + (b',"site":"lisbon"' + _RETRACTED),
        "patient_id",
    )
    yield "an id that trimming empties", changed("treatment_stopped", "patient_id", " \u00a0"), "patient_id"
    yield "a merged id that trimming empties", changed("patient_merged", "merged_patient_id", "  "), "merged_patient_id"
    yield "no site", _without("treatment_stopped", "site"), "site"


_OPTIONAL = frozenset(
    "planned_start_on started_at order_id dose reason quantity ended_on onset_on grade outcome suspect_treatment_ids "
    "relatedness days_supplied".split()
)
_RETRACTED = b',"status":"entered_in_error"}'


def _site_mismatch() -> Iterator[BadLine]:
    unknown = changed("treatment_stopped", "site", "porto")
    yield BadLine("a site that the registry does not know", unknown, "site_mismatch", "site")
    yield BadLine("a channel that the registry does not know", unknown, "site_mismatch", "site", "porto")
    yield BadLine("a site other than the channel's", _STOP, "site_mismatch", "site", "niue")
    yield BadLine("the reserved site", changed("treatment_stopped", "site", "canary"), "site_mismatch", "site")
    ahead = changed("treatment_stopped", "last_dose_on", "2030-01-01")
    yield BadLine("a site mismatch and a day ahead", ahead, "site_mismatch", "site", "niue")


def _ahead() -> Iterator[BadLine]:
    for name, _, line in boundary_lines():
        field = name.split()[0].partition(".")[2].replace(".0.", "[0].")
        yield BadLine(name, line, "in_the_future", field)


BAD_LINES: tuple[BadLine, ...] = (
    *(BadLine(name, line, "too_large") for name, line in _too_large()),
    *(BadLine(name, line, "not_json") for name, line in _not_json()),
    *(BadLine(name, line, "newer_schema", "schema") for name, line in _newer()),
    *(BadLine(name, line, "unknown_type", "type") for name, line in _unknown_type()),
    *(
        BadLine(name, line, "invalid", path)
        for group in (
            _invalid_shapes, _invalid_twice, _invalid_numbers, _invalid_days, _invalid_texts, _invalid_parts,
            _invalid_fields,
        )
        for name, line, path in group()
    ),
    *_site_mismatch(),
    *_ahead(),
)  # fmt: skip
