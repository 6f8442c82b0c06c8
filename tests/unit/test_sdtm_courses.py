"""EX rows become courses: first doses, changes, stops, and what is done where rows overlap or have no end."""

from datetime import date
from typing import Any

import pytest

from monitor.sdtm import Accounts, Options, Table, convert
from monitor.sdtm.tables import Row

TODAY = date(2020, 1, 1)
Rows = list[tuple[str, str, str]]
"""(first day, last day or nothing, dose in mg)"""
DAY_OF = {
    "treatment_started": ("start", "started_on"),
    "treatment_changed": ("change", "changed_on"),
    "treatment_stopped": ("stop", "last_dose_on"),
    "patient_contact": ("contact", "seen_on"),
}


def ex(number: int, first: str, last: str, dose: str, **cells: str) -> Row:
    said = {"USUBJID": "S1", "EXSEQ": str(number), "EXTRT": "DRUG", "EXDOSE": dose, "EXDOSU": "mg", "EXDOSFRQ": "QD"}
    said |= {"EXSTDTC": first, "EXENDTC": last, **cells}
    return Row("EX", "ex.csv", number + 1, {name: text for name, text in said.items() if text}, f"{first}{last}{dose}")


def messages(rows: list[Row], accounts: Accounts | None = None, **dm: str) -> list[dict[str, Any]]:
    tables = {"EX": Table("EX", rows)}
    if dm:
        tables["DM"] = Table("DM", [Row("DM", "dm.csv", 2, {"USUBJID": "S1", **dm}, "content")])
    found = convert(tables, Options(), TODAY, accounts or Accounts())
    return [message for message in found if message["type"] != "patient_profile"]


def told(rows: Rows, **dm: str) -> list[str]:
    """The messages of one course, a word and a day each, with the dose where one is said."""
    return [_told(one) for one in messages([ex(number, *row) for number, row in enumerate(rows, 1)], None, **dm)]


def _told(one: dict[str, Any]) -> str:
    word, day = DAY_OF[one["type"]]
    return f"{word} {one[day]}" + (f" {one['dose']['amount']}" if "dose" in one else "")


def test_one_row_is_a_start_and_a_stop() -> None:
    assert told([("2013-01-01", "2013-03-31", "15")]) == ["start 2013-01-01 15", "stop 2013-03-31"]


def test_a_later_row_with_another_dose_is_a_change_on_its_first_day() -> None:
    rows = [("2013-01-01", "2013-01-31", "45"), ("2013-02-01", "2013-03-31", "30")]
    assert told(rows) == ["start 2013-01-01 45", "change 2013-02-01 30", "stop 2013-03-31"]


def test_a_later_row_with_the_same_dose_changes_nothing_and_is_a_contact() -> None:
    rows = [("2013-01-01", "2013-01-31", "15"), ("2013-02-01", "2013-03-31", "15.0")]
    assert told(rows) == ["start 2013-01-01 15", "contact 2013-02-01", "stop 2013-03-31"]


def test_a_gap_stops_and_restarts_the_same_course() -> None:
    rows = [("2013-01-01", "2013-01-31", "15"), ("2013-02-02", "2013-03-31", "15")]
    assert told(rows) == ["start 2013-01-01 15", "stop 2013-01-31", "start 2013-02-02 15", "stop 2013-03-31"]


def test_all_episodes_bear_one_treatment_id_and_ids_of_their_own() -> None:
    found = messages([ex(1, "2013-01-01", "2013-01-31", "15"), ex(2, "2013-03-01", "2013-03-31", "15")])
    assert len({one["treatment_id"] for one in found}) == 1
    assert len({one["event_id"] for one in found}) == 4


def test_a_placebo_of_0_mg_is_a_dose() -> None:
    assert told([("2013-01-01", "2013-03-31", "0")]) == ["start 2013-01-01 0", "stop 2013-03-31"]


def test_the_order_of_the_rows_in_the_file_does_not_matter() -> None:
    rows = [ex(2, "2013-02-01", "2013-03-31", "30"), ex(1, "2013-01-01", "2013-01-31", "45")]
    assert messages(rows) == messages(rows[::-1])


def test_an_open_last_end_is_a_course_without_a_stop() -> None:
    assert told([("2013-01-01", "", "15")]) == ["start 2013-01-01 15"]


def test_an_open_last_end_ends_with_the_reference_end_of_the_subject() -> None:
    assert told([("2013-01-01", "", "15")], RFENDTC="2013-04-15") == ["start 2013-01-01 15", "stop 2013-04-15"]


def test_a_reference_end_before_the_open_row_ends_nothing() -> None:
    assert told([("2013-01-01", "", "15")], RFENDTC="2012-12-31") == ["start 2013-01-01 15"]


def test_a_reference_end_does_not_move_an_end_that_is_given() -> None:
    rows = [("2013-01-01", "2013-03-31", "15")]
    assert told(rows, RFENDTC="2013-04-15") == ["start 2013-01-01 15", "stop 2013-03-31"]


def test_a_stop_from_the_reference_end_is_not_recorded_before_it() -> None:
    stop = messages([ex(1, "2013-01-01", "", "15")], RFENDTC="2013-04-15")[-1]
    assert stop["recorded_at"] == "2013-04-15T12:00:00Z"


def test_an_open_end_before_a_later_row_ends_where_that_one_starts() -> None:
    rows = [("2013-01-01", "", "15"), ("2013-02-01", "2013-03-31", "30")]
    assert told(rows) == ["start 2013-01-01 15", "change 2013-02-01 30", "stop 2013-03-31"]


def test_of_rows_that_overlap_the_later_start_speaks_and_then_the_earlier_again() -> None:
    rows = [("2013-01-01", "2013-03-31", "15"), ("2013-02-01", "2013-02-15", "30")]
    assert told(rows) == [
        "start 2013-01-01 15", "change 2013-02-01 30", "change 2013-02-16 15", "stop 2013-03-31"
    ]  # fmt: skip


def test_a_row_whose_dose_is_overlapped_is_listed() -> None:
    accounts = Accounts()
    messages([ex(1, "2013-01-01", "2013-03-31", "15"), ex(2, "2013-02-01", "2013-02-15", "30")], accounts)
    assert [line for line in accounts.lines() if "overlaps" in line and line.startswith("ex.csv:2: EX: used")]


def test_each_treatment_of_a_subject_is_a_course_of_its_own() -> None:
    rows = [ex(1, "2013-01-01", "2013-01-31", "15"), ex(2, "2013-02-01", "2013-03-31", "15", EXTRT="OTHER")]
    found = messages(rows)
    assert [one["type"] for one in found] == ["treatment_started", "treatment_stopped"] * 2
    assert len({one["treatment_id"] for one in found}) == 2


def test_a_second_import_with_a_later_end_corrects_the_stop() -> None:
    first = messages([ex(1, "2013-01-01", "2013-01-31", "15")])
    second = messages([ex(1, "2013-01-01", "2013-01-31", "15"), ex(2, "2013-02-01", "2013-03-31", "15")])
    stops = [one for one in first + second if one["type"] == "treatment_stopped"]
    assert stops[0]["event_id"] == stops[1]["event_id"]
    assert stops[0]["recorded_at"] < stops[1]["recorded_at"]


def test_a_row_keeps_its_id_when_a_second_import_makes_its_start_a_change() -> None:
    late, early = ex(2, "2013-02-01", "2013-03-31", "30"), ex(1, "2013-01-01", "2013-01-31", "15")
    (start, _), (_, change, _) = messages([late]), messages([early, late])
    assert (start["type"], change["type"]) == ("treatment_started", "treatment_changed")
    assert start["event_id"] == change["event_id"]


@pytest.mark.parametrize(
    ("frequency", "per_day"),
    [("QD", "1"), ("qd", "1"), ("BID", "2"), ("TID", "3"), ("QID", "4"), ("QOD", "0.5"), ("Q12H", "2"), ("", "1")],
)
def test_a_frequency_is_doses_a_day(frequency: str, per_day: str) -> None:
    start = messages([ex(1, "2013-01-01", "", "15", EXDOSFRQ=frequency)])[0]
    assert str(start["dose"]["per_day"]) == per_day


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"EXSTDTC": ""}, "EXSTDTC is missing"),
        ({"EXSTDTC": "2013-01"}, "EXSTDTC is a partial date"),
        ({"EXENDTC": "2013"}, "EXENDTC is a partial date"),
        ({"EXENDTC": "2012-12-31"}, "EXENDTC lies before EXSTDTC"),
        ({"EXENDTC": "2020-01-02"}, "EXENDTC lies in the future"),
        ({"EXDOSE": ""}, "EXDOSE is missing"),
        ({"EXDOSE": "-1"}, "EXDOSE is no dose"),
        ({"EXDOSE": "1e400"}, "EXDOSE is no dose"),
        ({"EXDOSE": "NaN"}, "EXDOSE is no dose"),
        ({"EXDOSU": "ug"}, "EXDOSU is not mg"),
        ({"EXDOSU": ""}, "EXDOSU is missing"),
        ({"EXDOSFRQ": "QW"}, "EXDOSFRQ is no exact number"),
        ({"EXDOSFRQ": "PRN"}, "EXDOSFRQ is no exact number"),
        ({"EXTRT": ""}, "EXTRT is missing"),
        ({"USUBJID": ""}, "USUBJID is missing"),
        ({"USUBJID": "S" * 129}, "USUBJID is no identifier"),
        ({"USUBJID": "S\x00"}, "USUBJID is no identifier"),
    ],
)
def test_a_row_that_is_no_exposure_is_listed_with_its_reason(cells: dict[str, str], reason: str) -> None:
    accounts = Accounts()
    assert messages([ex(1, "2013-01-01", "2013-01-31", "15", **cells)], accounts) == []
    assert (accounts.used["EX"], accounts.unusable["EX"]) == (0, 1)
    assert next(accounts.lines()).startswith(f"ex.csv:2: EX: not used: {reason}")


def test_equal_rows_are_one_fact_and_both_are_accounted_for() -> None:
    accounts = Accounts()
    found = messages([ex(1, "2013-01-01", "2013-01-31", "15"), ex(1, "2013-01-01", "2013-01-31", "15")], accounts)
    assert len(found) == 2
    assert accounts.used["EX"] == 2


@pytest.mark.parametrize("dose", ["15", "7.50", "0.1", "15.000", "100"])
def test_a_dose_keeps_the_digits_it_is_written_with(dose: str) -> None:
    start = messages([ex(1, "2013-01-01", "", dose)])[0]
    assert str(start["dose"]["amount"]) == dose
