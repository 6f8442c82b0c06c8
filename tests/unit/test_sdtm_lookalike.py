"""A study of twenty patients written by hand, with the faults of real files: what becomes of each of its rows."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.core.decode import Decoded, decode
from monitor.sdtm import Accounts, Options, Table, convert, read_table

FOLDER = Path(__file__).parents[1] / "data" / "sdtm-lookalike"
DOMAINS = ("EX", "AE", "LB", "DM")
TODAY = date(2020, 1, 1)
ENCODER = msgspec.json.Encoder(decimal_format="number")

COURSES = {
    "LA-001 PLACEBO": "start 2013-01-02 0, stop 2013-06-30",
    "LA-002 UPADACITINIB": "start 2013-01-10 45, change 2013-02-10 30, stop 2013-05-31",
    "LA-003 UPADACITINIB": "start 2013-02-01 15, change 2013-02-15 30, change 2013-05-01 15, stop 2013-07-31",
    "LA-004 UPADACITINIB": "start 2013-03-01 15, stop 2013-08-31",
    "LA-005 UPADACITINIB": "start 2013-01-05 15, stop 2013-02-28, start 2013-03-15 30, stop 2013-06-30",
    "LA-006 UPADACITINIB": "start 2013-02-01 15, stop 2013-02-10, start 2013-02-12 15, stop 2013-02-28",
    "LA-007 UPADACITINIB": "start 2013-04-01 15, stop 2013-08-10",  # open; DM's RFENDTC ends it
    "LA-008 UPADACITINIB": "start 2013-04-10 15",  # open; DM's RFENDTC is a month
    "LA-009 UPADACITINIB": "start 2013-03-05 15, change 2013-04-05 30, stop 2013-06-05",
    "LA-010 PLACEBO": "start 2013-01-15 0, stop 2013-03-14",
    "LA-010 UPADACITINIB": "start 2013-03-15 15, stop 2013-06-14",
    "LA-011 UPADACITINIB": "start 2013-02-20 7.50 x 2, change 2013-03-20 15, stop 2013-05-20",
    "LA-012 UPADACITINIB": "start 2013-01-01 15, change 2013-02-01 30, change 2013-02-16 15, stop 2013-03-31",
    "LA-013 UPADACITINIB": "start 2013-08-01 15, stop 2013-08-31",
    "LA-014 UPADACITINIB": "start 2013-07-06 15 x 0.5, stop 2013-07-12",
    "LA-015 UPADACITINIB": "start 2013-01-20 15, stop 2013-04-20",
    "LA-016 UPADACITINIB": "start 2013-02-05 15, change 2013-03-06 30, stop 2013-04-05",
    "LA-017 UPADACITINIB": "start 2013-03-01 15.0, stop 2013-05-31",
    "LA-018 UPADACITINIB": "start 2013-05-01 15, stop 2013-05-31",
    "LA-020 UPADACITINIB": "start 2013-02-02 15, stop 2013-04-11",
}
NOT_USED = """\
ex.csv:26 EXSTDTC is a partial date where the day is needed
ex.csv:27 EXENDTC is a partial date where the day is needed
ex.csv:29 EXENDTC lies before EXSTDTC
ex.csv:30 EXDOSU is not mg
ex.csv:31 EXDOSFRQ is no exact number of doses a day that is known (say it with --frequency)
ex.csv:32 EXDOSE is missing
ex.csv:33 EXDOSE is no dose (allowed: a number, 0 or more)
ex.csv:34 EXDOSE is no dose (allowed: a number, 0 or more)
ex.csv:36 EXTRT is missing
ex.csv:37 EXDOSU is missing
ex.csv:43 EXSTDTC is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)
ex.csv:44 EXSTDTC is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)
ex.csv:45 EXSTDTC is missing
ex.csv:46 EXENDTC lies in the future
ex.csv:49 USUBJID is missing
ex.csv:50 the header has 10 cells and this row 4
ex.csv:51 the header has 10 cells and this row 12
ae.csv:13 AEDECOD, AEPTCD and AETERM are missing
ae.csv:20 AESTDTC is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)
ae.csv:21 AESTDTC is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)
ae.csv:22 AESTDTC lies in the future
ae.csv:31 USUBJID is missing
ae.csv:32 the header has 22 cells and this row 1
lb.csv:12 LBDTC is missing
lb.csv:13 LBDTC is a partial date where the day is needed
lb.csv:14 LBSTRESC is no outcome that is known, and neither it nor LBSTRESN is a number
lb.csv:15 LBSTRESU is missing beside a number
lb.csv:16 LBLOINC and LBTESTCD are missing
lb.csv:17 LBDTC is not a date (allowed: YYYY-MM-DD, YYYY-MM, YYYY, with a time or not)
lb.csv:20 USUBJID is missing
dm.csv:9 none of BRTHDTC, AGE with RFSTDTC, SEX, DTHDTC, RFENDTC can be used
dm.csv:12 USUBJID is missing"""
WORDS = {"treatment_started": "start", "treatment_changed": "change", "treatment_stopped": "stop"}


class Study:
    """The look-alike, converted once."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {
            domain: read_table(domain, [str(FOLDER / f"{domain.lower()}.csv")]) for domain in DOMAINS
        }
        self.accounts = Accounts()
        self.messages: list[dict[str, Any]] = list(
            convert(self.tables, Options(site="lookalike"), TODAY, self.accounts)
        )

    def of(self, subject: str, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.messages if one["patient_id"] == subject and one["type"] == kind]


@pytest.fixture(scope="module")
def study() -> Study:
    return Study()


def _courses(messages: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    drugs = {one["treatment_id"]: one["drug"]["codings"][0]["code"] for one in messages if "drug" in one}
    for treatment, drug in drugs.items():
        of = [one for one in messages if one.get("treatment_id") == treatment]
        yield f"{of[0]['patient_id']} {drug}", ", ".join(map(_told, of))


def _told(one: dict[str, Any]) -> str:
    day = next(one[name] for name in ("started_on", "changed_on", "last_dose_on") if name in one)
    dose = one.get("dose")
    times = f" x {dose['per_day']}" if dose and dose["per_day"] != 1 else ""
    return f"{WORDS[one['type']]} {day}" + (f" {dose['amount']}{times}" if dose else "")


def test_the_courses_are_those_read_from_the_rows_by_hand(study: Study) -> None:
    assert dict(_courses(study.messages)) == COURSES


def test_each_row_that_cannot_be_used_is_listed_with_its_reason(study: Study) -> None:
    listed = [line.replace(f"{FOLDER}/", "") for line in study.accounts.lines() if ": not used: " in line]
    short = [f"{line.split(': ')[0]} {line.split(': not used: ')[1]}" for line in listed]
    assert "\n".join(short) == NOT_USED


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_row_is_accounted_for(study: Study, domain: str) -> None:
    text = (FOLDER / f"{domain.lower()}.csv").read_text()
    records = [line for line in text.splitlines()[1:] if line]
    assert study.accounts.used[domain] + study.accounts.unusable[domain] == len(records)
    assert f"{domain}: {len(records)} rows = " in "\n".join(study.accounts.summary())


def test_every_message_is_valid_under_the_contract(study: Study) -> None:
    answers = [decode(ENCODER.encode(message)) for message in study.messages]
    assert [answer for answer in answers if not isinstance(answer, Decoded)] == []
    assert len(answers) == 98


def test_no_two_messages_share_an_identity(study: Study) -> None:
    assert len({message["event_id"] for message in study.messages}) == len(study.messages)


def test_the_report_names_no_subject_and_no_value(study: Study) -> None:
    report = "\n".join([*study.accounts.lines(), *study.accounts.summary()])
    values = ("LA-0", "31/01/2013", "fifteen", "SEE COMMENT", "yesterday", "MARIA", "STOPPED A WHILE", "maybe")
    assert [value for value in values if value in report] == []


def test_ids_that_are_shown_to_people_name_no_subject(study: Study) -> None:
    shown = [message[name] for message in study.messages for name in ("event_id", "treatment_id") if name in message]
    assert [value for value in shown if "LA-0" in value or len(value) > 128] == []


def test_a_reported_term_is_never_a_code(study: Study) -> None:
    assert not any("MARIA" in str(message["term"]["codings"]) for message in study.messages if "term" in message)


def test_a_death_comes_with_the_day_it_happened(study: Study) -> None:
    (event,) = study.of("LA-020", "adverse_event")
    (profile,) = study.of("LA-020", "patient_profile")
    assert (event["outcome"], event["seriousness"]) == ("fatal", ["death", "hospitalisation"])
    assert profile["died_on"] == "2013-04-28"


def test_an_event_of_a_subject_without_exposure_is_kept(study: Study) -> None:
    assert len(study.of("LA-019", "adverse_event")) == 1


def test_an_event_without_any_date_is_recorded_on_the_latest_day_of_its_subject(study: Study) -> None:
    undated = [one for one in study.of("LA-005", "adverse_event") if "onset_on" not in one]
    assert [one["recorded_at"] for one in undated] == ["2013-06-30T12:00:00Z"]


def test_two_results_of_one_sequence_number_are_both_there(study: Study) -> None:
    assert [one["outcome"] for one in study.of("LA-003", "screening_result")] == ["negative", "positive"]


def test_the_order_of_the_rows_changes_no_message(study: Study) -> None:
    turned = {domain: Table(domain, table.rows[::-1]) for domain, table in study.tables.items()}
    again = convert(turned, Options(site="lookalike"), TODAY, Accounts())
    assert sorted(map(ENCODER.encode, again)) == sorted(map(ENCODER.encode, study.messages))
