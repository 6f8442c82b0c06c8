"""The small types say what Python says, where both can be asked."""

from __future__ import annotations

import itertools
import unicodedata
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.jsontext import NotJsonError, in_normal_form, read
from schemas.parts import Day, Dose, EventId, Instant, PartialDay
from schemas.rules import UNKNOWN_FIELD, path_text, shown


def _takes(kind: Any, value: object) -> bool:
    try:
        TypeAdapter(kind).validate_python(value)
    except ValidationError:
        return False
    return True


def _is_partial(text: str) -> bool:
    try:
        datetime.strptime((text + "-01-01")[:10], "%Y-%m-%d")  # noqa: DTZ007  a day has no zone
    except ValueError:
        return False
    return True


def test_a_partial_date_is_one_of_the_calendar() -> None:
    years = ("0000", "0001", "0004", "0100", "0400", "1900", "1999", "2000", "2023", "2024", "2100", "2400", "9999")
    days = [f"{month:02}-{day:02}" for month, day in itertools.product(range(14), range(33))]
    texts = [f"{year}-{day}" for year in years for day in days]
    texts += [text[:length] for text in texts[::33] for length in (4, 7)]
    assert [text for text in texts if _takes(PartialDay, text) is not _is_partial(text)] == []


@given(st.text(max_size=6))
def test_no_odd_text_is_a_partial_date(text: str) -> None:
    assert _takes(PartialDay, text) is (len(text) in (4, 7, 10) and text.isascii() and _is_partial(text))


def test_an_event_id_is_printable_in_the_sense_of_python() -> None:
    """Of the characters that both know: each release of Unicode adds some."""
    samples = [chr(code) for code in (*range(0x3000), *range(0xD7F0, 0xD800), *range(0xE000, 0xE010), 0xFEFF, 0x1F600)]
    settled = [sample for sample in samples if sample.isprintable() or _is_settled(sample)]
    assert [hex(ord(each)) for each in settled if _takes(EventId, each) is not each.isprintable()] == []


def _is_settled(character: str) -> bool:
    return unicodedata.category(character) != "Cn"


@pytest.mark.parametrize(
    ("kind", "value"), [(Day, date(2026, 5, 1)), (Instant, datetime.fromisoformat("2026-05-01T10:00:00+01:00"))]
)
def test_python_code_gives_python_values(kind: Any, value: object) -> None:
    assert _takes(kind, value)
    assert not _takes(kind, str(value))


def test_a_dose_is_exact_in_python_too() -> None:
    assert Dose(amount=Decimal("0.1"), unit="mg", per_day=Decimal(1)).amount == Decimal("0.1")
    with pytest.raises(ValidationError):
        Dose(amount=0.1, unit="mg", per_day=Decimal(1))  # type: ignore[arg-type]


@given(st.decimals(allow_nan=False, allow_infinity=False, places=12) | st.integers().map(Decimal))
def test_the_normal_form_is_the_same_number(number: Decimal) -> None:
    normal = in_normal_form(number)
    assert normal == number
    plain = format(number, "f")
    longer = Decimal(plain + "0" if "." in plain else plain + ".0")
    assert in_normal_form(longer).as_tuple() == normal.as_tuple()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1.0", Decimal(1)),
        (b"100", 100),
        (b"1e2", Decimal(100)),
        (b"-0.50", Decimal("-0.5")),
        (b"-0.0", Decimal(0)),
        (b' {"a":[1,null,true,"x"]}\r\n', {"a": [1, None, True, "x"]}),
        (rb'"\ud83d\ude00\\ud800"', "\U0001f600\\ud800"),
    ],
)
def test_json_is_read_with_its_numbers_as_written(text: bytes, value: object) -> None:
    assert read(text) == value


def test_reading_says_why_it_is_no_json_and_quotes_nothing() -> None:
    for text in (b"secret", b'"secret', b"\xffsecret", b"\xef\xbb\xbf1", b"NaN", rb'"secret\ud800"', b"[" * 65):
        with pytest.raises(NotJsonError, match=r"^must ") as caught:
            read(text)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("key", ["P4711", "p-1", "", "a b", "x" * 41, "é", "patient\n"])
def test_a_field_name_that_may_be_a_value_is_not_shown(key: str) -> None:
    assert shown(key) == UNKNOWN_FIELD


def test_a_path_reads_like_the_message() -> None:
    assert path_text(("indications", 0, "codings", 1, "code")) == "indications[0].codings[1].code"
