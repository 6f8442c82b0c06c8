"""LB rows become screening results that never look earlier than they were."""

from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest

from monitor.sdtm import Accounts, Options, Table, convert
from monitor.sdtm.tables import Row

TODAY = date(2020, 1, 1)


def lb(number: int = 1, content: str = "content", **cells: str) -> Row:
    said = {"USUBJID": "S1", "LBSEQ": str(number), "LBTESTCD": "HBSAG", "LBSTRESC": "NEGATIVE", "LBDTC": "2013-05-07"}
    return Row("LB", "lb.csv", number + 1, {name: text for name, text in (said | cells).items() if text}, content)


def messages(*rows: Row, accounts: Accounts | None = None) -> list[dict[str, Any]]:
    return list(convert({"LB": Table("LB", rows)}, Options(), TODAY, accounts or Accounts()))


def one(**cells: str) -> dict[str, Any]:
    (message,) = messages(lb(1, "content", **cells))
    return message


def test_a_test_is_its_loinc_code_and_else_its_local_one() -> None:
    assert one(LBLOINC="5195-3")["test"] == {"codings": [{"system": "loinc", "code": "5195-3"}]}
    assert one()["test"] == {"codings": [{"system": "local", "code": "HBSAG"}]}


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("POSITIVE", "positive"),
        ("Reactive", "positive"),
        ("NEGATIVE", "negative"),
        ("NONREACTIVE", "negative"),
        ("NON-REACTIVE", "negative"),
        ("NOT DETECTED", "negative"),
        ("INDETERMINATE", "indeterminate"),
        ("EQUIVOCAL", "indeterminate"),
    ],
)
def test_outcomes(text: str, outcome: str) -> None:
    assert one(LBSTRESC=text)["outcome"] == outcome


def test_a_test_not_done_is_no_result() -> None:
    assert one(LBSTRESC="", LBSTAT="NOT DONE")["outcome"] == "not_done"


def test_not_done_outranks_a_result_beside_it() -> None:
    assert one(LBSTAT="Not Done")["outcome"] == "not_done"


@pytest.mark.parametrize(
    ("cells", "quantity"),
    [
        ({"LBSTRESC": "120.50", "LBSTRESN": "120.50"}, ("120.50", None)),
        ({"LBSTRESC": "120.5", "LBSTRESN": ""}, ("120.5", None)),
        ({"LBSTRESC": "<10", "LBSTRESN": ""}, ("10", "<")),
        ({"LBSTRESC": ">= 10.0", "LBSTRESN": "10"}, ("10.0", ">=")),
        ({"LBSTRESC": "", "LBSTRESN": "1e-05"}, ("0.00001", None)),
        ({"LBSTRESC": "-2", "LBSTRESN": "-2"}, ("-2", None)),
    ],
)
def test_a_number_keeps_its_digits_and_its_comparator(cells: dict[str, str], quantity: tuple[str, str | None]) -> None:
    found = one(LBSTRESU="IU/mL", **cells)["quantity"]
    assert (format(found["value"], "f"), found.get("comparator")) == quantity
    assert found["unit"] == "IU/mL"


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"LBDTC": ""}, "LBDTC is missing"),
        ({"LBDTC": "2013-05"}, "LBDTC is a partial date"),
        ({"LBDTC": "20130507"}, "LBDTC is not a date"),
        ({"LBTESTCD": ""}, "LBLOINC and LBTESTCD are missing"),
        ({"LBSTRESC": "SEE COMMENT"}, "LBSTRESC is no outcome"),
        ({"LBSTRESC": ""}, "LBSTRESC is no outcome"),
        ({"LBSTRESC": "<"}, "LBSTRESC is no outcome"),
        ({"LBSTRESC": "7", "LBSTRESN": "7"}, "LBSTRESU is missing"),
        ({"USUBJID": ""}, "USUBJID is missing"),
    ],
)
def test_a_row_that_is_no_result_is_listed_with_its_reason(cells: dict[str, str], reason: str) -> None:
    accounts = Accounts()
    assert messages(lb(1, "content", **cells), accounts=accounts) == []
    assert next(accounts.lines()).startswith(f"lb.csv:2: LB: not used: {reason}")


@pytest.mark.parametrize("hours", range(-12, 12))
def test_a_result_is_known_on_the_day_after_collection_in_every_zone(hours: int) -> None:
    resulted = datetime.fromisoformat(one()["resulted_at"])
    assert resulted.astimezone(timezone(timedelta(hours=hours))).date() == date(2013, 5, 8)


def test_a_result_of_the_day_of_the_first_dose_is_not_known_before_it() -> None:
    assert one(LBDTC="2013-05-07T06:00")["resulted_at"] > "2013-05-08T00:00:00Z"


def test_a_result_is_not_in_the_future_of_its_record() -> None:
    message = one()
    recorded, resulted = (datetime.fromisoformat(message[name]) for name in ("recorded_at", "resulted_at"))
    assert resulted - recorded <= timedelta(hours=24)


def test_two_results_under_one_sequence_number_both_speak() -> None:
    found = messages(lb(1, "one"), lb(1, "two", LBSTRESC="POSITIVE"))
    assert len({message["event_id"] for message in found}) == 2
    assert [message["outcome"] for message in found] == ["negative", "positive"]
