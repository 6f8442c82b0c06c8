"""`jakwatch import sdtm`: options, outputs and exit codes."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitor.commands.import_ import command

FOLDER = Path(__file__).parents[1] / "data" / "sdtm-lookalike"
FILES = ["--ex", str(FOLDER / "ex.csv"), "--ae", str(FOLDER / "ae.csv")]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["sdtm", *arguments])


def written(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line, parse_float=Decimal) for line in result.stdout.splitlines()]


def test_messages_go_to_standard_output_and_the_rows_to_standard_error() -> None:
    result = run(*FILES)
    assert result.exit_code == 0
    assert len(written(result)) == 76
    assert "AE: 31 rows = 25 used, 6 not used" in result.stderr
    assert "ae.csv:13: AE: not used: AEDECOD, AEPTCD and AETERM are missing" in result.stderr


def test_messages_go_to_the_file_named(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    result = run(*FILES, "-o", str(output))
    assert result.stdout == ""
    assert output.read_bytes() == run(*FILES).stdout_bytes
    assert list(tmp_path.iterdir()) == [output]


def test_the_report_goes_to_the_file_named_and_the_accounts_to_both(tmp_path: Path) -> None:
    report = tmp_path / "rows.txt"
    result = run(*FILES, "--report", str(report))
    assert "not used: EXDOSU is not mg" in report.read_text()
    assert "ex.csv:30:" not in result.stderr
    assert "EX: 49 rows = 32 used, 17 not used" in report.read_text()
    assert "EX: 49 rows = 32 used, 17 not used" in result.stderr


def test_two_imports_are_byte_identical() -> None:
    assert run(*FILES).stdout_bytes == run(*FILES).stdout_bytes


def test_the_site_is_written_into_every_message_and_only_if_named() -> None:
    assert {one["site"] for one in written(run(*FILES, "--site", "trial-1"))} == {"trial-1"}
    assert not any("site" in one for one in written(run(*FILES)))


def test_without_options_drug_and_indication_are_local() -> None:
    start = written(run(*FILES))[0]
    assert start["drug"] == {"codings": [{"system": "local", "code": "PLACEBO"}]}
    assert start["indications"] == [{"codings": [{"system": "local", "code": "UNKNOWN"}]}]


def test_a_mapped_drug_has_the_codes_given_and_an_unmapped_one_its_own() -> None:
    mapped = ["--drug", "UPADACITINIB=atc:L04AF03", "--drug", "UPADACITINIB=rxnorm:2196092"]
    starts = [one for one in written(run(*FILES, *mapped)) if one["type"] == "treatment_started"]
    assert starts[0]["drug"]["codings"] == [{"system": "local", "code": "PLACEBO"}]
    assert starts[1]["drug"]["codings"] == [
        {"system": "atc", "code": "L04AF03"}, {"system": "rxnorm", "code": "2196092"}
    ]  # fmt: skip


def test_each_indication_is_a_concept_of_its_own() -> None:
    start = written(run(*FILES, "--indication", "icd10:L20", "--indication", "icd10:K50"))[0]
    assert [one["codings"][0]["code"] for one in start["indications"]] == ["L20", "K50"]


def test_a_frequency_can_be_given() -> None:
    result = run(*FILES, "--frequency", "qw=0.142857")
    assert Decimal("0.142857") in [one["dose"]["per_day"] for one in written(result) if "dose" in one]
    assert "EX: 49 rows = 33 used, 16 not used" in result.stderr


def test_doses_keep_their_digits() -> None:
    assert b'"amount":7.50,' in run(*FILES).stdout_bytes


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--site", "Lisbon!"], "--site"),
        (["--indication", "L20"], "SYSTEM:CODE"),
        (["--drug", "atc:L04AF03"], "EXTRT=SYSTEM:CODE"),
        (["--drug", "UPADACITINIB=L04AF03"], "SYSTEM:CODE"),
        (["--drug", "ASPIRIN=atc:B01AC06"], "there are: PLACEBO, UPADACITINIB"),
        (["--frequency", "QW=often"], "EXDOSFRQ=N"),
        (["--frequency", "QW=0"], "EXDOSFRQ=N"),
        (["--lb", str(FOLDER / "dm.csv")], "column LBSEQ"),
        (["--lb", "nowhere.csv"], "does not exist"),
        (["-o", str(FOLDER / "ex.csv")], "is one of the files to be read"),
        (["--report", str(FOLDER / "ae.csv")], "is one of the files to be read"),
    ],
)
def test_wrong_use_is_exit_code_2_and_says_what_to_do(arguments: list[str], told: str) -> None:
    result = run(*FILES, *arguments)
    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("needed", ["--ex", "--ae"])
def test_exposure_and_adverse_events_are_needed(needed: str) -> None:
    index = FILES.index(needed)
    result = run(*FILES[:index], *FILES[index + 2 :])
    assert result.exit_code == 2
    assert needed in result.stderr


def test_a_file_that_holds_no_row_is_no_error(tmp_path: Path) -> None:
    empty = tmp_path / "ae.csv"
    empty.write_text("USUBJID,AESEQ,AEDECOD,AESER,AESTDTC\n")
    result = run("--ex", str(FOLDER / "ex.csv"), "--ae", str(empty))
    assert result.exit_code == 0
    assert "AE: 0 rows = 0 used, 0 not used" in result.stderr


def test_an_output_in_a_folder_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    result = run(*FILES, "-o", str(tmp_path / "no" / "out.jsonl"))
    assert result.exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_the_help_shows_an_example() -> None:
    assert "Example: jakwatch import sdtm" in run("--help").stdout
