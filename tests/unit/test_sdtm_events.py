"""AE rows become adverse events: seriousness, outcome, onset and term as the contract names them."""

from datetime import date
from typing import Any

import pytest

from monitor.sdtm import Accounts, Options, Table, convert
from monitor.sdtm.tables import Row

TODAY = date(2020, 1, 1)


def ae(number: int = 1, content: str = "content", **cells: str) -> Row:
    said = {"USUBJID": "S1", "AESEQ": str(number), "AEDECOD": "NAUSEA", "AESER": "N"}
    said |= {"AEDTC": "2013-05-20", "AESTDTC": "2013-05-07", **cells}
    return Row("AE", "ae.csv", number + 1, {name: text for name, text in said.items() if text}, content)


def messages(*rows: Row, accounts: Accounts | None = None) -> list[dict[str, Any]]:
    return list(convert({"AE": Table("AE", rows)}, Options(), TODAY, accounts or Accounts()))


def one(**cells: str) -> dict[str, Any]:
    (message,) = messages(ae(1, "content", **cells))
    return message


@pytest.mark.parametrize(
    ("cells", "criteria"),
    [
        ({}, []),
        ({"AESER": "Y"}, ["medically_important"]),
        ({"AESER": "Y", "AESDTH": "Y"}, ["death"]),
        ({"AESER": "Y", "AESLIFE": "Y"}, ["life_threatening"]),
        ({"AESER": "Y", "AESHOSP": "Y"}, ["hospitalisation"]),
        ({"AESER": "Y", "AESDISAB": "Y"}, ["disability"]),
        ({"AESER": "Y", "AESCONG": "Y"}, ["congenital_anomaly"]),
        ({"AESER": "Y", "AESMIE": "Y"}, ["medically_important"]),
        ({"AESER": "Y", "AESDTH": "Y", "AESHOSP": "Y"}, ["death", "hospitalisation"]),
        ({"AESER": "Y", "AESDTH": "N", "AESHOSP": "N"}, ["medically_important"]),
        ({"AESER": "N", "AESHOSP": "Y"}, ["hospitalisation"]),
        ({"AESER": "", "AESHOSP": "Y"}, ["hospitalisation"]),
        ({"AESER": "y", "AESHOSP": "y"}, ["hospitalisation"]),
        ({"AESEV": "SEVERE"}, []),
    ],
)
def test_seriousness_is_its_criteria_and_one_without_any_is_medically_important(
    cells: dict[str, str], criteria: list[str]
) -> None:
    assert one(**cells)["seriousness"] == criteria


def test_severity_in_words_is_no_grade_and_a_toxicity_grade_is() -> None:
    assert "grade" not in one(AESEV="SEVERE")
    assert one(AETOXGR="3")["grade"] == 3


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("FATAL", "fatal"),
        ("RECOVERED/RESOLVED", "recovered"),
        ("RECOVERING/RESOLVING", "recovering"),
        ("NOT RECOVERED/NOT RESOLVED", "not_recovered"),
        ("RECOVERED/RESOLVED WITH SEQUELAE", "recovered_with_sequelae"),
        ("UNKNOWN", "unknown"),
        ("", None),
        ("BETTER", None),
    ],
)
def test_outcomes(text: str, outcome: str | None) -> None:
    assert one(AEOUT=text).get("outcome") == outcome


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("DRUG WITHDRAWN", "drug_stopped"),
        ("DRUG INTERRUPTED", "drug_interrupted"),
        ("DOSE REDUCED", "dose_reduced"),
        ("DOSE NOT CHANGED", "none"),
        ("DOSE INCREASED", None),
        ("NOT APPLICABLE", None),
        ("", None),
    ],
)
def test_actions_taken(text: str, action: str | None) -> None:
    assert one(AEACN=text).get("action_taken") == action


@pytest.mark.parametrize(
    ("text", "relatedness"),
    [("PROBABLE", "related"), ("POSSIBLE", "possible"), ("REMOTE", "unlikely"), ("NONE", "not_related"), ("", None)],
)
def test_relatedness(text: str, relatedness: str | None) -> None:
    assert one(AEREL=text).get("relatedness") == relatedness


@pytest.mark.parametrize("text", ["2013-05-07", "2013-05", "2013"])
def test_a_partial_onset_stays_partial(text: str) -> None:
    assert one(AESTDTC=text)["onset_on"] == text


def test_an_event_without_an_onset_is_written_without_one() -> None:
    assert "onset_on" not in one(AESTDTC="")


@pytest.mark.parametrize("text", ["yesterday", "2913-05-07", "--05-07"])
def test_an_event_whose_onset_cannot_be_read_is_listed(text: str) -> None:
    accounts = Accounts()
    assert messages(ae(AESTDTC=text), accounts=accounts) == []
    assert accounts.unusable["AE"] == 1


def test_an_end_that_cannot_be_read_loses_the_end_and_not_the_event() -> None:
    accounts = Accounts()
    (message,) = messages(ae(AEENDTC="soon"), accounts=accounts)
    assert "ended_on" not in message
    assert next(accounts.lines()).startswith("ae.csv:2: AE: used, but without ended_on: AEENDTC is not a date")


def test_the_coded_term_is_local_and_meddra_where_given() -> None:
    assert one()["term"] == {"codings": [{"system": "local", "code": "NAUSEA"}]}
    assert one(AEPTCD="10028813")["term"]["codings"][1] == {"system": "meddra", "code": "10028813"}


def test_a_reported_term_never_becomes_a_code() -> None:
    term = one(AEDECOD="", AETERM="MARIA FELT SICK")["term"]
    assert term == {"codings": [{"system": "local", "code": "UNCODED"}], "text": "MARIA FELT SICK"}


def test_the_reported_term_is_left_out_where_there_is_a_coded_one() -> None:
    assert "text" not in one(AETERM="MARIA FELT SICK")["term"]


def test_an_event_without_any_term_is_listed() -> None:
    accounts = Accounts()
    assert messages(ae(AEDECOD=""), accounts=accounts) == []
    assert "AEDECOD, AEPTCD and AETERM are missing" in next(accounts.lines())


def test_rows_that_share_a_sequence_number_are_facts_of_their_own() -> None:
    found = messages(ae(1, "one"), ae(1, "two", AEDECOD="RASH"))
    assert len({message["event_id"] for message in found}) == 2


def test_rows_without_a_sequence_number_are_facts_of_their_own() -> None:
    found = messages(ae(1, "one", AESEQ=""), ae(1, "two", AESEQ="", AEDECOD="RASH"))
    assert len({message["event_id"] for message in found}) == 2


def test_equal_rows_are_one_event_and_both_are_accounted_for() -> None:
    accounts = Accounts()
    assert len(messages(ae(), ae(), accounts=accounts)) == 1
    assert accounts.used["AE"] == 2


def test_a_sequence_number_written_as_a_decimal_is_the_same_number() -> None:
    assert one(AESEQ="1.0")["event_id"] == one(AESEQ="1")["event_id"]


def test_ids_that_are_shown_to_people_do_not_hold_the_subject() -> None:
    message = one(USUBJID="MARKED-0815")
    assert message["patient_id"] == "MARKED-0815"
    assert "MARKED" not in message["event_id"]


def test_nothing_of_an_event_lies_after_it_was_recorded() -> None:
    message = one(AEDTC="2013-01-01", AESTDTC="2013-05-07", AEENDTC="2013-05-09")
    assert message["recorded_at"] == "2013-05-09T12:00:00Z"
