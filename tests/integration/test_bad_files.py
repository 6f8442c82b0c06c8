"""Files and options that cannot be used end the replay with 2 and a word on what to do; an empty one is no mistake."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from monitor.cli import main
from tests.data.good_history import good_lines
from tests.data.valid_lines import VALID
from tests.integration.desk import Desk, only_rejected

GOOD = good_lines()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_empty_file_has_no_day_and_no_rate(desk: Desk) -> None:
    result = json.loads(desk.printed(desk.file("m.jsonl", b"")))
    _has_nothing(result, {})


def test_a_file_without_a_valid_message_has_no_day_and_no_rate(desk: Desk) -> None:
    result = json.loads(desk.printed(desk.lines([b"{}", b"hello", b"[]"])))
    _has_nothing(result, {"invalid": 2, "not_json": 1})


def _has_nothing(result: dict[str, Any], rejected: dict[str, int]) -> None:
    assert (result["as_of"], result["complete_to"]) == (None, None)
    assert result["messages"] == only_rejected(rejected)
    assert result["rates"]
    assert {row["rate_per_100_patient_years"] for row in result["rates"]} == {None}
    assert {row["person_days"] for row in result["rates"]} == {0}
    assert not any(
        result[name]
        for name in ("decisions", "unplaced", "unmapped", "signals", "imputed", "waiting", "conflicts", "unassessable")
    )


def test_nothing_taken_is_printed_alike_by_three_jobs_and_on_a_given_day(desk: Desk) -> None:
    path = desk.lines([b"{}"])
    assert desk.printed(path, "--jobs", "3") == desk.printed(path)
    result = json.loads(desk.printed(path, "--as-of", "2025-03-01"))
    assert (result["as_of"], result["complete_to"]) == ("2025-03-01", "2025-01-30")
    assert desk.printed(path, "--as-of", "2025-03-01", "--jobs", "3") == desk.printed(path, "--as-of", "2025-03-01")


@pytest.mark.parametrize("form", ["json", "csv", "table"])
def test_nothing_taken_can_be_printed_in_every_format(desk: Desk, form: str) -> None:
    printed = desk.printed(desk.file("m.jsonl", b""), "--format", form)
    assert printed
    assert b"None" not in printed


def _truncated() -> bytes:
    return gzip.compress(b"\n".join(GOOD))[:-500]


def _damaged() -> bytes:
    packed = bytearray(gzip.compress(b"\n".join(GOOD)))
    packed[2_000:2_100] = bytes(100)
    return bytes(packed)


def _with_a_wrong_sum() -> bytes:
    return gzip.compress(b"\n".join(GOOD))[:-8] + bytes(8)


@pytest.mark.parametrize("jobs", ["1", "3"])
@pytest.mark.parametrize(
    "content",
    [_truncated(), _damaged(), _with_a_wrong_sum(), b"", VALID["prevention"], gzip.compress(b"{}\n") + b"more"],
    ids=["truncated", "damaged", "wrong sum", "nothing", "not packed", "something behind"],
)
def test_a_packed_file_that_cannot_be_read_whole_gives_no_result(desk: Desk, content: bytes, jobs: str) -> None:
    path = desk.file("m.jsonl.gz", content)
    _is_refused(desk.replay(desk.lines(GOOD[:50]), path, "--jobs", jobs), path)


@pytest.mark.parametrize("jobs", ["1", "3"])
@pytest.mark.parametrize("name", ["folder", "folder.gz", "missing.jsonl", "missing.jsonl.gz", "no/such/folder.jsonl"])
def test_a_path_that_is_no_file_gives_no_result(desk: Desk, name: str, jobs: str) -> None:
    (desk.folder / "folder").mkdir()
    (desk.folder / "folder.gz").mkdir()
    path = desk.folder / name
    _is_refused(desk.replay(desk.lines(GOOD[:50]), path, "--jobs", jobs), path)


def _is_refused(result: Result, path: Path) -> None:
    """Wrong use, told by the file's name and what may be given; and nothing that could pass for a result."""
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert f"{path}: cannot be read (" in result.stderr
    assert "give a JSONL file, a .gz of one, or -" in result.stderr
    assert "bug" not in result.stderr


@pytest.mark.parametrize(
    ("option", "content"),
    [
        ("--policy", b"\x00"), ("--policy", b""), ("--policy", b"policy: [1"), ("--policy", VALID["prevention"]),
        ("--sites", b"sites: {}"), ("--sites", VALID["prevention"]), ("--policy", None), ("--sites", None),
        ("--actions", b"{}"), ("--actions", VALID["prevention"]), ("--actions", b"\xff"), ("--actions", None),
    ],
)  # fmt: skip
def test_a_wrong_document_is_wrong_use_and_is_named(desk: Desk, option: str, content: bytes | None) -> None:
    path = desk.folder / "wrong.yaml" if content is None else desk.file("wrong.yaml", content)
    result = CliRunner().invoke(main, ["replay", str(desk.lines(GOOD[:5])), option, str(path)])
    assert (result.exit_code, result.stdout) == (2, ""), result.stderr
    assert str(path) in result.stderr
    assert "bug" not in result.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--as-of", "2025-02-30"), ("--as-of", "20250301"), ("--as-of", "2025-W10-1"), ("--as-of", "yesterday"),
        ("--as-of", "0001-01-01"), ("--as-of", "9999-12-31"), ("--known-at", "2025-03-01"), ("--known-at", "now"),
        ("--known-at", "2025-03-01T10:00:00"), ("--site", "Lisbon"), ("--site", ""), ("--site", "lis bon"),
        ("--jobs", "0"), ("--jobs", "many"), ("--format", "xml"), ("--rows", "messages"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_wrong_use_and_is_named(desk: Desk, option: str, value: str) -> None:
    result = desk.replay(desk.lines(GOOD[:5]), option, value)
    assert (result.exit_code, result.stdout) == (2, "")
    assert option in result.stderr
