"""A record of the log gives back the fact that was judged, and names nobody."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import records
from monitor.core import facts as f
from monitor.core.canonical import canonical_body
from monitor.core.decision import Decision
from monitor.core.decode import Decoded, decode
from monitor.core.facts import FactWriter, pack
from monitor.core.given import Intake
from monitor.core.screening import Finding
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from schemas.outbound import Answer as PublishedAnswer
from schemas.outbound import Fact as PublishedFact
from tests.data.valid_lines import VALID
from tests.property.histories import histories

RECEIVED = 1_767_225_600_000_001
NAMES = ("Ângela Zürich-007", "Merged Person 42")


def kept(raw: bytes) -> tuple[f.AnyFact, bytes, f.AnyFact, Vocabulary]:
    """The fact of a message, its record, and the fact that is read from that."""
    vocabulary = Vocabulary()
    state = SiteState("lisbon", Intake(vocabulary))
    decoded = decode(raw, "lisbon")
    assert isinstance(decoded, Decoded), decoded
    patient, fact = state.admit(decoded)
    record = records.fact_record("lisbon", raw, patient, fact.other if isinstance(fact, f.Merged) else None, RECEIVED)
    again = FactWriter(vocabulary, bytes.fromhex).fact(records.read_fact(record))
    return fact, record, again, vocabulary


def is_lossless(raw: bytes) -> bool:
    fact, _, again, vocabulary = kept(raw)
    same_body = canonical_body(fact, vocabulary) == canonical_body(again, vocabulary)
    return pack(fact) == pack(again) and same_body


@given(lines=histories())
def test_a_fact_read_from_its_record_is_the_fact_that_was_judged(lines: list[bytes]) -> None:
    for line in lines:
        if isinstance(decode(line, "lisbon"), Decoded):
            assert is_lossless(line)


@pytest.mark.parametrize("kind", VALID)
def test_each_type_of_message_is_kept_without_loss(kind: str) -> None:
    assert is_lossless(json.dumps(json.loads(VALID[kind]) | {"site": "lisbon"}).encode())


@pytest.mark.parametrize("kind", VALID)
def test_each_type_of_retraction_is_kept_without_loss(kind: str) -> None:
    message = json.loads(VALID[kind]) | {"site": "lisbon", "status": "entered_in_error"}
    envelope = {
        key: message[key] for key in ("type", "event_id", "recorded_at", "patient_id", "status") if key in message
    }
    for each in (message, envelope):
        assert is_lossless(json.dumps(each).encode())


QUANTITY = (
    b'{"type":"screening_result","event_id":"e","recorded_at":"2026-05-01T10:00:00.123456+01:00","patient_id":"p",'
    b'"test":{"codings":[{"system":"loinc","code":"42595-9"}],"text":"\\u00fc \\ud83d\\ude00 \xc3\xbc"},'
    b'"collected_on":"2026-04-30","resulted_at":"2026-04-30T23:59:59.9+01:00",'
    b'"quantity":{"value":%s,"unit":"IU/mL"}, "extensions" : {"a" : [1e2, 1.0, -0, 1E-7, "\\u0061"], "b":{"n":%s}}}'
)
NUMBERS = (b"15.10", b"1e-7", b"1e30", b"1" + b"0" * 30, b"0.1", b"1.0", b"1E+2", b"0.30000000000000004", b"5e-324",
           b"123456789012345678901234567890.5")  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_keeps_every_digit_it_was_sent_with(number: bytes) -> None:
    fact, record, again, _ = kept(QUANTITY % (number, number))
    assert pack(fact) == pack(again)
    assert b'"value":%s,' % number in record
    assert b'"n":%s}' % number in record
    assert is_lossless(QUANTITY % (number, number))


@given(number=st.decimals(0, 10**20, allow_nan=False, allow_infinity=False))
def test_any_number_is_kept_without_loss(number: Any) -> None:
    text = str(number).encode()
    assert is_lossless(QUANTITY % (text, text))


@pytest.mark.parametrize("key", ["patient_id", "patient\\u005fid", "\\u0070atient_id"])
def test_an_identifier_is_left_out_however_its_key_is_written(key: str) -> None:
    raw = VALID["patient_contact"].replace(b'"patient_id"', f'"{key}"'.encode())
    raw = json.dumps({**json.loads(raw), "patient_id": NAMES[0], "site": "lisbon"}).encode()
    raw = raw.replace(b'"patient_id"', f'"{key}"'.encode())
    _, record, _, _ = kept(raw)
    assert is_lossless(raw)
    assert names_nobody(record)


@pytest.mark.parametrize("status", ["final", "entered_in_error"])
@pytest.mark.parametrize("kind", VALID)
def test_no_identifier_stands_in_a_record(kind: str, status: str) -> None:
    message = json.loads(VALID[kind]) | {"site": "lisbon", "status": status}
    if "patient_id" in message:
        message["patient_id"] = NAMES[0]
    if "merged_patient_id" in message:
        message["merged_patient_id"] = NAMES[1]
    for ascii_only in (True, False):
        assert names_nobody(kept(json.dumps(message, ensure_ascii=ascii_only).encode())[1])


def names_nobody(record: bytes) -> bool:
    fields = json.loads(record)
    text = json.dumps(fields, ensure_ascii=False)
    return (
        not any(name in text for name in NAMES) and not {"patient_id", "merged_patient_id"} & fields["message"].keys()
    )


def test_what_the_hospital_keeps_for_itself_is_left_as_it_is() -> None:
    own = {"patient_id": NAMES[0], "deep": [{"merged_patient_id": NAMES[1]}]}
    raw = json.dumps(json.loads(VALID["patient_contact"]) | {"site": "lisbon", "extensions": own}).encode()
    fact, record, again, _ = kept(raw)
    assert json.loads(record)["message"]["extensions"] == own
    assert pack(fact) == pack(again)


@pytest.mark.parametrize("kind", VALID)
def test_a_record_is_what_the_published_model_of_a_fact_says(kind: str) -> None:
    record = kept(json.dumps(json.loads(VALID[kind]) | {"site": "lisbon"}).encode())[1]
    assert PublishedFact.model_validate_json(record).site == "lisbon"


def test_a_record_of_a_later_version_is_refused_in_words() -> None:
    record = kept(json.dumps(json.loads(VALID["patient_contact"]) | {"site": "lisbon"}).encode())[1]
    with pytest.raises(ValueError, match="written by a later version"):
        records.read_fact(record.replace(b'"schema":1', b'"schema":2', 1))


@given(cut=st.integers(0, 400), put=st.binary(max_size=3))
def test_a_damaged_record_is_refused_or_says_the_same(cut: int, put: bytes) -> None:
    """It never is another patient's: what a record says of its patient is 32 digits or nothing."""
    record = kept(json.dumps(json.loads(VALID["patient_contact"]) | {"site": "lisbon"}).encode())[1]
    damaged = record[:cut] + put
    if damaged != record:
        with pytest.raises((ValueError, msgspec.MsgspecError)):
            records.read_fact(damaged)


DECISION = Decision(
    "t1", "start", "violation", {"hiv": Finding("missing", ("e1",), ("hiv_ag_ab",), ("documented_late",))},
    ("dose_above_label",), ("hiv:missing",), None, False, 7, 739_000,
)  # fmt: skip


def test_an_answer_read_from_its_record_is_written_alike() -> None:
    """By its bytes a keeper knows, also after a restart, whether the site would be told anything new."""
    answer = records.answer_of("lisbon", DECISION, {"violation": "2026-01-01T00:00:00.000001Z"}, RECEIVED, 0)
    written = records.write_answer(answer)
    assert records.write_answer(records.read_answer(written)) == written


def test_an_answer_is_what_the_published_model_says() -> None:
    for answer in (
        records.answer_of("lisbon", DECISION, {"violation": "2026-01-01T00:00:00.000001Z"}, RECEIVED, 0),
        records.withdrawn("lisbon", ("t1", "order"), RECEIVED),
    ):
        PublishedAnswer.model_validate_json(records.write_answer(answer))


@given(one=st.integers(0, 4 * 10**15), other=st.integers(0, 4 * 10**15))
def test_instants_sort_as_their_texts_do(one: int, other: int) -> None:
    assert (records.instant_text(one) < records.instant_text(other)) == (one < other)
