"""SDTM dates, and the day on which a row of history counts as recorded."""

from datetime import date

import pytest

from monitor.sdtm.dates import Dates, parse
from monitor.sdtm.tables import Row, UnusableRowError

TODAY = date(2020, 6, 15)


def ae(subject: str = "S1", **cells: str) -> Row:
    return Row("AE", "ae.csv", 2, {"USUBJID": subject, **cells}, "content")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2013", "2013"),
        ("2013-05", "2013-05"),
        ("2013-05-07", "2013-05-07"),
        ("2013-05-07T08:30", "2013-05-07"),
        ("2013-05-07T08:30:00+02:00", "2013-05-07"),
        ("2013---07", "2013"),
        ("2013-05--", "2013-05"),
        ("2013----T08:30", "2013"),
        ("2012-02-29", "2012-02-29"),
    ],
)
def test_a_date_says_what_is_certain_of_it(text: str, said: str) -> None:
    found = parse(text)
    assert found is not None
    assert found.text == said


@pytest.mark.parametrize(
    "text",
    "13 2013-5 2013-13 2013-00 2013-02-30 2013-02-29 20130507 07/05/2013 07MAY2013 --05-07 yesterday 0013-05-07 "
    "2013-05-07/2013-05-09 2013-05-07T8h ٢٠١٣".split(),
)
def test_what_is_no_date_is_none(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2012", date(2012, 1, 1), date(2012, 12, 31)),
        ("2012-02", date(2012, 2, 1), date(2012, 2, 29)),
        ("2012-02-10", date(2012, 2, 10), date(2012, 2, 10)),
    ],
)
def test_a_partial_date_means_its_first_to_its_last_day(text: str, first: date, last: date) -> None:
    found = parse(text)
    assert found is not None
    assert (found.first, found.last) == (first, last)


@pytest.mark.parametrize(
    ("cells", "day"),
    [
        ({"AEDTC": "2013-05-20", "AESTDTC": "2013-05-07"}, date(2013, 5, 20)),
        ({"AEDTC": "2013-05-20", "AEENDTC": "2013-06-01"}, date(2013, 6, 1)),
        ({"AEDTC": "2013-05-20", "AESTDTC": "2013"}, date(2013, 5, 20)),
        ({"AEDTC": "2013-05-20", "AESTDTC": "2013-07"}, date(2013, 7, 1)),
        ({"AESTDTC": "2013-04"}, date(2013, 4, 30)),
        ({"AESTDTC": "2020"}, TODAY),
        ({"AEDTC": "rubbish", "AESTDTC": "2013-05-07"}, date(2013, 5, 7)),
        ({"AEDTC": "2913-05-20", "AESTDTC": "2013-05-07"}, date(2013, 5, 7)),
    ],
)
def test_a_row_is_recorded_on_its_latest_day_that_has_come(cells: dict[str, str], day: date) -> None:
    row = ae(**cells)
    assert Dates([row], TODAY).recorded(row) == day


def test_a_row_without_a_date_is_recorded_on_the_latest_day_of_its_subject() -> None:
    undated = ae()
    others = [ae(AEDTC="2013-01-01"), ae(AEDTC="2013-03-01"), ae("S2", AEDTC="2014-01-01")]
    assert Dates([*others, undated], TODAY).recorded(undated) == date(2013, 3, 1)


def test_a_subject_without_any_date_is_recorded_on_the_latest_day_of_all_files() -> None:
    undated = ae()
    assert Dates([ae("S2", AEDTC="2014-01-01"), undated], TODAY).recorded(undated) == date(2014, 1, 1)


def test_without_any_date_in_any_file_a_row_cannot_be_used() -> None:
    undated = ae()
    with pytest.raises(UnusableRowError, match="neither the row nor another"):
        Dates([undated], TODAY).recorded(undated)


@pytest.mark.parametrize(
    ("text", "reason"), [("rubbish", "is not a date"), ("2020-06-16", "in the future"), ("2013-05", "partial")]
)
def test_the_reason_names_the_column_and_never_the_value(text: str, reason: str) -> None:
    row = ae(AESTDTC=text)
    with pytest.raises(UnusableRowError, match=f"^AESTDTC .*{reason}") as problem:
        Dates([row], TODAY).day(row, "AESTDTC")
    assert text not in str(problem.value)


def test_today_is_no_future() -> None:
    row = ae(AESTDTC="2020-06-15")
    assert Dates([row], TODAY).day(row, "AESTDTC") == TODAY
