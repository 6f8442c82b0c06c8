"""Decoding never raises, and its short way says what its careful way says, on any bytes."""

from __future__ import annotations

import json
import random
import re
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from monitor.core.decode import Decoded, Rejection, decode, decode_carefully
from schemas.inbound import inbound
from schemas.proof import nothing_is_hidden
from tests.data.valid_lines import VALID, Registry

_days = st.dates(min_value=datetime(1930, 1, 1).date(), max_value=datetime(2026, 5, 1).date()).map(str)  # noqa: DTZ001
_partial = st.tuples(_days, st.sampled_from((4, 7, 10))).map(
    lambda day_and_length: day_and_length[0][: day_and_length[1]]
)
_instants = st.tuples(
    st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2026, 5, 1)),  # noqa: DTZ001
    st.sampled_from(("Z", "z", "+00:00", "-11:30", "+14:00", "+01:00")),
).map(lambda parts: parts[0].isoformat() + parts[1])
_ids = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=30)
_texts = st.text(st.characters(codec="utf-8"), max_size=12)
_numbers = st.one_of(
    st.integers(0, 500), st.decimals("0.001", "500", places=3).map(float), st.sampled_from((15.0, 0.5))
)
_positive = _numbers.filter(lambda number: number > 0)
_coding = st.fixed_dictionaries({"system": st.sampled_from(("atc", "loinc", "local")), "code": _ids})
_concept = st.fixed_dictionaries(
    {"codings": st.lists(_coding, min_size=1, max_size=3)}, optional={"text": st.none() | _texts}
)
_dose = st.fixed_dictionaries({"amount": _numbers, "unit": st.just("mg"), "per_day": _positive})
_condition = st.fixed_dictionaries(
    {"concept": _concept}, optional={"since": st.none() | _partial, "until": st.none() | _partial}
)
_quantity = st.fixed_dictionaries(
    {"value": _numbers | st.integers(-5, 5), "unit": _ids},
    optional={"comparator": st.sampled_from((None, "<", ">", "<=", ">="))},
)
_concepts = st.lists(_concept, min_size=1, max_size=2)
_envelope: dict[str, Any] = {"event_id": _ids, "recorded_at": st.just("2026-05-02T12:00:00+02:00"), "patient_id": _ids}
_may: dict[str, Any] = {
    "schema": st.just(1),
    "source": st.none() | st.just("lab"),
    "version": st.none() | st.integers(0, 2**63 - 1),
    "status": st.just("final"),
    "site": st.none() | st.just("lisbon"),
}
_BODIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "treatment_ordered": (
        {"treatment_id": _ids, "drug": _concept, "indications": _concepts, "dose": _dose},
        {"planned_start_on": _days},
    ),
    "treatment_cancelled": ({"treatment_id": _ids, "cancelled_on": _days}, {}),
    "treatment_started": (
        {"treatment_id": _ids, "drug": _concept, "indications": _concepts, "dose": _dose, "started_on": _days},
        {"started_at": _instants, "order_id": _ids},
    ),
    "treatment_changed": ({"treatment_id": _ids, "changed_on": _days}, {"dose": _dose, "indications": _concepts}),
    "treatment_stopped": ({"treatment_id": _ids, "last_dose_on": _days}, {"reason": st.just("other")}),
    "screening_result": (
        {"test": _concept, "collected_on": _days, "resulted_at": _instants, "outcome": st.just("negative")},
        {},
    ),
    "prevention": ({"infection": st.just("hiv"), "started_on": _days}, {"ended_on": _days}),
    "adverse_event": (
        {"term": _concept, "seriousness": st.lists(st.sampled_from(("death", "disability")), max_size=2)},
        {
            "onset_on": _partial,
            "grade": st.integers(1, 5),
            "outcome": st.just("recovered"),
            "ended_on": _partial,
            "action_taken": st.just("none"),
            "suspect_treatment_ids": st.lists(_ids, max_size=2),
            "relatedness": st.just("possible"),
        },
    ),
    "patient_profile": (
        {},
        {
            "birth_year": st.integers(1900, 2026),
            "sex": st.just("other"),
            "conditions": st.lists(_condition, max_size=2),
            "died_on": _days,
        },
    ),
    "patient_contact": ({"seen_on": _days}, {"days_supplied": st.integers(0, 90)}),
    "feed_status": ({"feed": st.just("treatment"), "complete_through": _days}, {}),
    "patient_merged": ({"merged_patient_id": _ids}, {}),
}


def _or_null(optional: dict[str, Any]) -> dict[str, Any]:
    return {name: st.none() | strategy for name, strategy in optional.items()}


def _message(kind: str) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = _BODIES[kind]
    envelope = {**_envelope, "type": st.just(kind)}
    if kind == "feed_status":
        del envelope["patient_id"]
    return st.fixed_dictionaries({**envelope, **required}, optional={**_may, **_or_null(optional)})


_quantified = _message("screening_result").flatmap(
    lambda m: _quantity.map(lambda q: {**{k: v for k, v in m.items() if k != "outcome"}, "quantity": q})
)
_valid = st.one_of(*map(_message, _BODIES), _quantified)
_layouts: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    ({"separators": (",", ":")}, {}, {"ensure_ascii": False}, {"indent": 1}, {"separators": (" ,", " : ")})
)


@st.composite
def _lines(draw: st.DrawFn) -> bytes:
    """A valid message in some layout."""
    message = draw(_valid)
    names = draw(st.permutations(sorted(message)))
    return json.dumps({name: message[name] for name in names}, **draw(_layouts)).encode()


_TOKENS = (
    b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"0", b"1", b".0", b"e5", b"e400", b"-", b"null",
    b"true", b"NaN", b"\xff", b"\x00", b"\\ud800", b"\\u0022", b"1.0", b"15.00000000000000000001",
    b'"type":"prevention",',
    b'"extensions":{"a":1},', b'"grade":2,', b'"version":1.0,', b'"status":"entered_in_error",', b'"schema":2,',
)  # fmt: skip


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """A line with some bytes cut, doubled or put in."""
    line = draw(_lines())
    for _ in range(draw(st.integers(1, 3))):
        at, end = sorted((draw(st.integers(0, len(line))), draw(st.integers(0, len(line)))))
        put = draw(st.sampled_from(_TOKENS) | st.binary(max_size=3))
        how = draw(st.sampled_from("insert insert cut replace double".split()))
        if how == "insert":
            line = line[:at] + put + line[at:]
        elif how == "cut":
            line = line[:at] + line[min(end, at + 20) :]
        elif how == "replace":
            line = line[:at] + put + line[at + len(put) :]
        else:
            line = line[:end] + line[at:end][:60] + line[end:]
    return line


def _same(line: bytes) -> Decoded | Rejection:
    """Both ways' common answer."""
    short, careful = decode(line, None, Registry()), decode_carefully(line, None, Registry())
    assert short == careful
    return short


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_message_or_a_rejection(line: bytes) -> None:
    assert isinstance(_same(line), Decoded | Rejection)


@settings(max_examples=600, deadline=None)
@given(_mutated())
def test_the_short_way_agrees_with_the_careful_one_on_damaged_messages(line: bytes) -> None:
    assert isinstance(_same(line), Decoded | Rejection)


@settings(max_examples=400, deadline=None)
@given(_lines())
def test_a_valid_message_is_taken_and_equals_what_the_careful_way_reads(line: bytes) -> None:
    short, careful = decode(line, "lisbon", Registry()), decode_carefully(line, "lisbon", Registry())
    assert isinstance(short, Decoded)
    assert short == careful


@settings(max_examples=400, deadline=None)
@given(_valid, st.sampled_from(({"separators": (",", ":")}, {})))
def test_a_plain_message_of_any_shape_takes_the_short_way(message: dict[str, Any], layout: dict[str, Any]) -> None:
    line = json.dumps(message, ensure_ascii=False, **layout).encode()
    assume(b'\\"' not in line)  # an escaped quote is innocent, and read carefully
    assert nothing_is_hidden(line, inbound.validate_json(line))


_FIELD = re.compile(rb'"[a-z_]+" ?: ?(?:"[^"\\]*"|[0-9.]+)')


@settings(max_examples=300, deadline=None)
@given(_lines(), st.randoms(use_true_random=False))
def test_a_field_that_stands_twice_is_never_overlooked(line: bytes, random: random.Random) -> None:
    fields = list(_FIELD.finditer(line))
    twice = random.choice(fields)
    doubled = line[: twice.end()] + b"," + line[twice.start() :]
    result = _same(doubled)
    assert isinstance(result, Rejection)
    assert result.reason == "invalid"
    assert result.rule == "must stand only once"


_digits = st.text("0123456789", min_size=1, max_size=25)


@settings(max_examples=300, deadline=None)
@given(_digits, _digits, st.sampled_from(("", "e0", "E-3", "e2")))
@example("15", "00000000000000000001", "")
@example("0", "1000000000000000055511151231257827", "")
def test_a_number_is_what_its_text_says_however_long(whole: str, fraction: str, exponent: str) -> None:
    text = f"{whole.lstrip('0') or '0'}.{fraction}{exponent}"
    line = VALID["treatment_started"].replace(b'"amount":15', b'"amount":' + text.encode())
    result = _same(line)
    assert isinstance(result, Decoded)
    assert result.message.dose.amount == Decimal(text)  # type: ignore[union-attr]
