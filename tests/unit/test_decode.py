"""What is taken, what is rejected, for which one reason, and that no rejection holds a value of the message."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest

from monitor.core.decode import MAX_BYTES, Decoded, Reason, Rejection, decode, decode_carefully, normalise
from schemas import inbound as msg
from schemas.inbound import inbound
from schemas.jsontext import DEEPEST
from schemas.parts import Coding, Dose
from schemas.proof import nothing_is_hidden
from tests.data.bad_lines import BAD_LINES, BadLine
from tests.data.boundaries import boundary_lines
from tests.data.valid_lines import VALID, Entry, Registry, changed, compact

SITES = Registry()
LISBON, KIRITIMATI, NIUE = SITES.entries.values()
BOUNDARIES = [*boundary_lines()]


def _taken(line: bytes, channel: str | None = None) -> Any:
    result = decode(line, channel, SITES)
    assert isinstance(result, Decoded), result
    assert result == decode_carefully(line, channel, SITES)
    return result.message


def _rejected(line: bytes, channel: str | None = None) -> Rejection:
    result = decode(line, channel, SITES)
    assert isinstance(result, Rejection), result
    return result


@pytest.mark.parametrize("bad", BAD_LINES, ids=[f"{bad.reason}: {bad.name}" for bad in BAD_LINES])
def test_a_bad_line_is_rejected_with_its_reason_and_path(bad: BadLine) -> None:
    result = _rejected(bad.line, bad.channel)
    assert (result.reason, result.path) == (bad.reason, bad.path)
    assert result.rule


def test_the_corpus_of_bad_lines_is_large_and_knows_every_reason() -> None:
    assert len({bad.name for bad in BAD_LINES}) == len(BAD_LINES) > 400
    assert {bad.reason for bad in BAD_LINES} == set(get_args(Reason))


@pytest.mark.parametrize("kind", VALID)
def test_a_valid_message_of_each_type_is_taken(kind: str) -> None:
    message = _taken(VALID[kind])
    assert isinstance(message, msg.INBOUND[kind])
    assert message.model_dump()["type"] == kind


@pytest.mark.parametrize("kind", VALID)
@pytest.mark.parametrize("spaced", [False, True], ids=["compact", "spaced"])
def test_a_plain_message_takes_the_short_way(kind: str, spaced: bool) -> None:
    line = json.dumps(json.loads(VALID[kind])).encode() if spaced else VALID[kind]
    assert nothing_is_hidden(line, inbound.validate_json(line))


@pytest.mark.parametrize(("last", "first"), [each[1:] for each in BOUNDARIES], ids=[each[0] for each in BOUNDARIES])
def test_the_last_moment_that_is_not_the_future_is_taken(last: bytes, first: bytes) -> None:
    assert _taken(last)
    assert _rejected(first).reason == "in_the_future"


def test_a_zone_far_behind_utc_shortens_what_may_be_tomorrow() -> None:
    """Manila lay on the American side of the date line until the end of 1844."""
    manila = Registry()
    manila.entries["manila"] = Entry(ZoneInfo("Asia/Manila"))
    line = {**json.loads(VALID["treatment_stopped"]), "site": "manila", "recorded_at": "1844-12-30T00:30:00+12:00"}
    for day, expected in (("1844-12-29", Decoded), ("1844-12-30", Rejection)):
        assert isinstance(decode(compact({**line, "last_dose_on": day}), None, manila), expected)


def test_a_planned_start_may_lie_ahead() -> None:
    assert _taken(changed("treatment_ordered", "planned_start_on", "9999-12-31")).planned_start_on == date(9999, 12, 31)


def test_without_a_registry_days_count_in_utc_and_every_site_is_known() -> None:
    late = {**json.loads(VALID["treatment_stopped"]), "recorded_at": "2026-05-01T23:30:00-05:00", "site": "porto"}
    for day, expected in (("2026-05-03", Decoded), ("2026-05-04", Rejection)):
        assert isinstance(decode(compact({**late, "last_dose_on": day})), expected)


def test_a_message_becomes_python_values() -> None:
    started = _taken(VALID["treatment_started"])
    assert started.started_on == date(2026, 4, 30)
    assert started.started_at == datetime(2026, 4, 30, 7, 30, tzinfo=UTC)
    assert started.recorded_at.utcoffset() == timedelta(hours=1)
    assert started.drug.codings == (Coding(system="atc", code="L04AF03"),)
    assert [concept.codings[0].code for concept in started.indications] == ["L20.9", "K50.9"]
    assert started.dose == Dose(amount=Decimal(15), unit="mg", per_day=Decimal(1))
    assert (started.version, started.status, started.schema_, started.extensions) == (2, "final", 1, None)


def test_partial_dates_stay_as_they_were_written() -> None:
    for written in ("2026", "2026-04", "2026-04-30", "2024-02-29", "0001-01-01"):
        assert _taken(changed("adverse_event", "onset_on", written)).onset_on == written


@pytest.mark.parametrize(
    "text",
    ["15", "15.0", "2.50", "0.1000000000000000055", "0.1", "1e2", "1.5E+1", "0", "0e99999999999999999999", "1E-7"],
)
def test_an_amount_is_the_exact_decimal_of_its_text(text: str) -> None:
    line = VALID["treatment_started"].replace(b'"amount":15', b'"amount":' + text.encode())
    assert _taken(line).dose.amount == Decimal(0 if text.startswith("0e") else text)


@pytest.mark.parametrize("text", ["2.0", "2e0", "20E-1", "0.2e1"])
def test_a_whole_number_is_an_integer_however_it_is_written(text: str) -> None:
    version = _taken(VALID["treatment_stopped"].replace(b'"version":2', b'"version":' + text.encode())).version
    assert (version, type(version)) == (2, int)


def test_a_version_may_have_all_of_63_bits() -> None:
    assert _taken(changed("treatment_stopped", "version", 2**63 - 1)).version == 2**63 - 1


def test_null_says_no_more_than_a_field_left_out() -> None:
    given = _taken(changed("treatment_stopped", "reason", None))
    line = json.loads(VALID["treatment_stopped"])
    del line["reason"]
    assert given == _taken(compact(line))


def test_nulls_do_not_make_room_for_a_field_that_stands_twice() -> None:
    """The counts that prove a text free of duplicates must not take two nulls for the key and value of one."""
    line = json.loads(VALID["adverse_event"])
    line.update(source=None, outcome=None, relatedness=None)
    for more in (b"event_id", b"source"):
        assert _rejected(compact(line)[:-1] + b',"' + more + b'":"x"}').rule == "must stand only once"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"remission"', rb'"\u0072emission"'),
        (b'"reason"', rb'"re\u0061son"'),
        (b'"e-1"', b'"e-1" '),
        (b'"e-1"', rb'"e\"-1"'),
        (b'"e-1"', '"é-1 日本 \U0001f600"'.encode()),
        (b'"e-1"', rb'"\ud83d\ude00"'),
        (b'"e-1"', rb'"\\ud800"'),
        (b",", b"\t,\r\n"),
    ],
)
def test_a_message_may_be_written_in_any_way_json_allows(old: bytes, new: bytes) -> None:
    assert _taken(VALID["treatment_stopped"].replace(old, new)).reason == "remission"


def test_a_message_may_have_65536_bytes_and_not_one_more() -> None:
    line = VALID["treatment_stopped"].ljust(MAX_BYTES)
    assert _taken(line)
    assert _rejected(line + b" ").reason == "too_large"


def test_extensions_may_nest_as_deep_as_the_whole_message_and_keep_their_numbers() -> None:
    lists = DEEPEST - 2  # below the message and the extensions
    nested = b"[" * lists + b"0.10000000000000000001" + b"]" * lists
    line = VALID["treatment_stopped"][:-1] + b',"extensions":{"a":' + nested + b',"P 4711":1}}'
    extensions = _taken(line).extensions
    inner = extensions["a"]
    for _ in range(lists):
        (inner,) = inner
    assert inner == Decimal("0.10000000000000000001")
    assert extensions["P 4711"] == 1


def _retractions() -> Iterator[tuple[str, bytes]]:
    for kind, line in VALID.items():
        yield f"{kind} with its body", line[:-1] + b',"status":"entered_in_error"}'
        envelope = {name: value for name, value in json.loads(line).items() if name in _ENVELOPE}
        yield f"{kind} without body", compact({**envelope, "status": "entered_in_error"})
        yield f"{kind} of spaced text", json.dumps({**envelope, "status": "entered_in_error"}).encode()


_ENVELOPE = ("schema", "type", "source", "event_id", "version", "recorded_at", "patient_id", "site")


@pytest.mark.parametrize("line", [line for _, line in _retractions()], ids=[name for name, _ in _retractions()])
def test_a_retraction_is_the_same_with_and_without_its_body(line: bytes) -> None:
    retraction = _taken(line)
    assert isinstance(retraction, msg.Retraction)
    assert (retraction.source, retraction.event_id, retraction.version, retraction.site) == ("lab", "e-1", 2, "lisbon")
    assert retraction.patient_id == (None if retraction.type == "feed_status" else "p-1")
    assert retraction.recorded_at == datetime(2026, 5, 1, 11, tzinfo=UTC)


def test_what_a_retraction_denies_may_lie_in_the_future() -> None:
    line = changed("treatment_stopped", "last_dose_on", "2031-01-01")[:-1] + b',"status":"entered_in_error"}'
    assert isinstance(_taken(line), msg.Retraction)


def test_the_site_comes_from_the_channel_or_from_the_line() -> None:
    line = VALID["treatment_stopped"]
    assert decode(line, None, SITES).site == decode(line, "lisbon", SITES).site == "lisbon"  # type: ignore[union-attr]
    without = json.loads(line)
    del without["site"]
    assert decode(compact(without), "niue", SITES).site == "niue"  # type: ignore[union-attr]


@pytest.mark.parametrize("sites", [None, SITES], ids=["without registry", "with registry"])
def test_only_its_own_channel_takes_the_canary(sites: Registry | None) -> None:
    line = changed("treatment_stopped", "site", "canary")
    assert isinstance(decode(line, "canary", sites), Decoded)
    for channel in (None, "lisbon"):
        result = decode(line, channel, sites)
        assert isinstance(result, Rejection)
        assert result.reason == "site_mismatch"


def test_reasons_are_tested_in_the_contracts_order() -> None:
    """Each line bears its own fault and all that come after it."""
    faults: list[tuple[str, dict[str, Any]]] = [
        ("newer_schema", {"schema": 2}),
        ("unknown_type", {"type": "x"}),
        ("invalid", {"reason": "x"}),
        ("site_mismatch", {"site": "porto"}),
        ("in_the_future", {"last_dose_on": "2031-01-01"}),
    ]
    line = json.loads(VALID["treatment_stopped"])
    for reason, fault in reversed(faults):
        line.update(fault)
        assert _rejected(compact(line)).reason == reason
    assert _rejected(compact(line)[:-1]).reason == "not_json"
    assert _rejected(compact(line)[:-1].ljust(MAX_BYTES + 1)).reason == "too_large"


def test_an_unknown_field_is_named_before_the_field_that_is_missing() -> None:
    line = VALID["prevention"].replace(b'"started_on"', b'"startedOn"')
    assert _rejected(line) == Rejection("invalid", "startedOn", "is not a field of this type")


@pytest.mark.parametrize(
    ("entry", "written", "same"),
    [
        (None, " 0042 ", " 0042 "),
        (Entry(LISBON.zone), " 0042 ", " 0042 "),
        (LISBON, "\t 0042\u00a0", "0042"),
        (KIRITIMATI, "0042", "42"),
        (KIRITIMATI, "000", "0"),
        (KIRITIMATI, " 0042", " 0042"),
        (Entry(LISBON.zone, trim=True, strip_zeros=True), " 00 42 ", " 42"),
        (Entry(LISBON.zone, trim=True, strip_zeros=True), " 000 ", "0"),
    ],
)
def test_an_identifier_is_made_equal_by_the_rules_of_its_site(entry: Entry | None, written: str, same: str) -> None:
    assert normalise(written, entry) == same


def test_a_blank_identifier_is_one_where_nothing_is_trimmed() -> None:
    line = compact({**json.loads(VALID["treatment_stopped"]), "patient_id": " ", "site": "niue"})
    assert _taken(line).patient_id == " "


MARK = "Zq7MarkedPatient3xK"


def _marked() -> Iterator[bytes]:
    """Bad lines with a mark wherever a value may stand: in every field, in names, in what is cut or not JSON."""
    for bad in BAD_LINES:
        if len(bad.line) <= MAX_BYTES:
            for old in (b'"p-1"', b'"e-1"', b'"t-1"', b'"lab"', b'"L20.9"', b'"2026-04-30"', b'"IU/mL"', b"2"):
                yield bad.line.replace(old, json.dumps(MARK).encode())
    for kind, line in VALID.items():
        message = json.loads(line)
        for field in message:
            for value in (MARK, [MARK], {MARK: MARK}, {"codings": [{"system": MARK, MARK: 1}]}):
                yield compact({**message, field: value})
        yield compact({**message, MARK: 1, "patient_id": MARK})
        yield changed(kind, "extensions", {MARK: {MARK: [MARK]}})[:-3]


def test_no_rejection_shows_a_value_of_the_message() -> None:
    rejections = [each for line in _marked() for each in [decode(line, None, SITES)] if isinstance(each, Rejection)]
    assert len(rejections) > 3000
    assert not [each for each in rejections if MARK in repr(each)]


def test_decoding_needs_no_deep_stack() -> None:
    bombs = [bad for bad in BAD_LINES if "bomb" in bad.name or "deep" in bad.name]

    def below(frames: int) -> list[str]:
        return below(frames - 1) if frames else [_rejected(bad.line).reason for bad in bombs]

    assert below(sys.getrecursionlimit() // 2) == [bad.reason for bad in bombs]


def test_offsets_do_not_change_what_was_when() -> None:
    """The same instant under each offset is judged the same, in sites on both sides of the date line."""
    moment = datetime(2026, 5, 1, 11, 30, tzinfo=UTC)
    for site in SITES.entries:
        for day in ("2026-05-01", "2026-05-02", "2026-05-03", "2026-05-04"):
            line = {**json.loads(changed("treatment_stopped", "last_dose_on", day)), "site": site}
            stamps = [moment.astimezone(timezone(timedelta(hours=hours))).isoformat() for hours in range(-23, 24)]
            reasons = {type(decode(compact({**line, "recorded_at": stamp}), None, SITES)) for stamp in stamps}
            assert len(reasons) == 1
