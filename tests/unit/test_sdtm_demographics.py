"""DM rows become profiles."""

from datetime import date
from typing import Any

import pytest

from monitor.sdtm import Accounts, Options, Table, convert
from monitor.sdtm.tables import Row

TODAY = date(2020, 1, 1)


def profile(accounts: Accounts | None = None, **cells: str) -> dict[str, Any] | None:
    row = Row("DM", "dm.csv", 2, {"USUBJID": "S1", "RFENDTC": "2013-06-30", **cells}, "content")
    return next(iter(convert({"DM": Table("DM", [row])}, Options(), TODAY, accounts or Accounts())), None)


def said(**cells: str) -> dict[str, Any]:
    found = profile(None, **cells)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("text", "sex"),
    [("F", "female"), ("M", "male"), ("U", "unknown"), ("UNDIFFERENTIATED", "other"), ("m", "male"), ("X", None)],
)
def test_sex(text: str, sex: str | None) -> None:
    assert said(SEX=text).get("sex") == sex


@pytest.mark.parametrize("text", ["1960", "1960-05", "1960-05-07"])
def test_a_birth_year_needs_the_year_only(text: str) -> None:
    assert said(BRTHDTC=text)["birth_year"] == 1960


@pytest.mark.parametrize(
    ("cells", "year"),
    [
        ({"AGE": "71", "AGEU": "YEARS", "RFSTDTC": "2013-02-01"}, 1942),
        ({"AGE": "71", "RFSTDTC": "2013"}, 1942),
        ({"AGE": "71", "AGEU": "MONTHS", "RFSTDTC": "2013-02-01"}, None),
        ({"AGE": "71"}, None),
        ({"AGE": "old", "RFSTDTC": "2013-02-01"}, None),
        ({"AGE": "710", "RFSTDTC": "2013-02-01"}, None),
        ({"AGE": "71", "RFSTDTC": "2013-02-01", "BRTHDTC": "1941"}, 1941),
        ({"AGE": "71", "RFSTDTC": "2013-02-01", "BRTHDTC": "unknown"}, 1942),
    ],
)
def test_without_a_date_of_birth_the_age_at_the_first_day_gives_the_year(
    cells: dict[str, str], year: int | None
) -> None:
    assert said(**cells).get("birth_year") == year


def test_the_date_of_death_is_died_on() -> None:
    message = said(DTHDTC="2013-07-04T10:00")
    assert message["died_on"] == "2013-07-04"
    assert message["recorded_at"] == "2013-07-04T12:00:00Z"


@pytest.mark.parametrize("cells", [{"DTHDTC": "2013-07"}, {"DTHDTC": "?"}, {"DTHFL": "Y"}])
def test_a_death_without_its_day_is_listed(cells: dict[str, str]) -> None:
    accounts = Accounts()
    message = profile(accounts, **cells)
    assert message is not None
    assert "died_on" not in message
    assert next(accounts.lines()).startswith("dm.csv:2: DM: used, but without died_on: ")


def test_a_row_that_says_nothing_of_use_is_listed() -> None:
    accounts = Accounts()
    row = Row("DM", "dm.csv", 2, {"USUBJID": "S1", "DMDTC": "2013-01-01"}, "content")
    assert list(convert({"DM": Table("DM", [row])}, Options(), TODAY, accounts)) == []
    assert accounts.unusable["DM"] == 1
