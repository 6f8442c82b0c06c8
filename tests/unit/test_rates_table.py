"""The csv of each list of a result, and what a hospital's own names may do to a terminal: nothing."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from monitor import report
from monitor.cli import main
from monitor.policyfile import load_policies
from monitor.replay import Question, replay_lines
from tests.data.good_history import LAST, good_lines

POLICY = Path(__file__).parents[1] / "golden" / "policy.yaml"
LISTS = tuple(report.COLUMNS)


def replayed(*lines: bytes) -> dict[str, Any]:
    return replay_lines(lines, Question(load_policies([POLICY]), as_of=LAST.toordinal()))


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return replayed(*good_lines())


def read(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("name", LISTS)
def test_the_csv_of_a_list_has_a_row_for_each_of_its_entries_under_the_names_of_the_json(
    result: dict[str, Any], name: str
) -> None:
    rows = read(report.as_csv(result, name))
    assert len(rows) == len(result[name]) > 0
    assert tuple(rows[0]) == tuple(result[name][0]) == tuple(report.COLUMNS[name])


def test_the_csv_of_rates_holds_the_numbers_of_the_json_to_the_last_digit(result: dict[str, Any]) -> None:
    for printed, row in zip(read(report.as_csv(result)), result["rates"], strict=True):
        assert {key: _plain(value) for key, value in row.items()} == printed


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def test_the_csv_of_decisions_says_each_finding_reason_and_flag(result: dict[str, Any]) -> None:
    for printed, row in zip(read(report.as_csv(result, "decisions")), result["decisions"], strict=True):
        found = dict(pair.split(":") for pair in printed["findings"].split("; ") if pair)
        assert found == {infection: each["finding"] for infection, each in row["findings"].items()}
        assert [each for each in printed["reasons"].split("; ") if each] == row["reasons"]
        assert [each for each in printed["flags"].split("; ") if each] == row["flags"]


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_still_has_its_header(name: str) -> None:
    printed = report.as_csv({name: []}, name)
    assert printed == ",".join(report.COLUMNS[name]) + "\n"


@pytest.mark.parametrize("name", LISTS)
def test_the_command_prints_the_csv_of_the_list_that_is_asked_for(
    result: dict[str, Any], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "messages.jsonl"
    path.write_bytes(b"\n".join(good_lines()))
    options = ["--policy", str(POLICY), "--as-of", LAST.isoformat(), "--format", "csv", "--rows", name]
    printed = CliRunner().invoke(main, ["replay", str(path), *options]).stdout
    assert printed == report.as_csv(result, name)


def test_names_with_commas_quotes_and_line_ends_come_back_from_the_csv(result: dict[str, Any]) -> None:
    odd = 't,"1"\nnext'
    rows = read(report.as_csv({"decisions": [result["decisions"][0] | {"treatment_id": odd}]}, "decisions"))
    assert [row["treatment_id"] for row in rows] == [odd]


@pytest.mark.parametrize(
    "name", ["\x1b[31mred", "\x07bell", "a\rb", "a\nb", "\u202eturned", "[bold]x[/bold]", "[/]", ":warning:", "\x9b2J"]
)
def test_no_name_of_a_hospital_moves_the_cursor_or_is_taken_for_a_command(name: str) -> None:
    order = json.loads(next(line for line in good_lines() if b'"treatment_ordered"' in line))
    unmapped = {"codings": [{"system": f"local{name}", "code": f"code{name}"}]}
    held = {**order, "treatment_id": f"t{name}", "drug": unmapped}
    text = report.table(replayed(json.dumps(held).encode()))
    shown = "".join(each if each.isprintable() else "\ufffd" for each in name)
    assert f"t{shown}" in text
    assert f"local{shown}:code{shown}" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_the_name_of_a_disease_is_no_picture(result: dict[str, Any]) -> None:
    quiet = [{**row, "cohort": "by_disease:CD:", "events": 0} for row in result["rates"]]
    assert "by_disease:CD:" in report.table({**result, "rates": quiet})
