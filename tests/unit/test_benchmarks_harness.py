"""Repetitions take turns, in processes that share nothing. Imports little: each measured process imports it too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.harness import Case, CaseFailed, Measure, Measurement, Setting, fresh, kept, side_by_side


def counting(log: str, name: str) -> Measure:
    """Measures nothing; writes down who was asked, and how often in this process."""
    asked = 0

    def measure() -> Measurement:
        nonlocal asked
        asked += 1
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(json.dumps([name, asked]) + "\n")
        return {"asked": float(asked)}

    return measure


def failing() -> Measure:
    raise SystemExit(3)


def written(log: Path) -> list[list[object]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def two_cases(log: Path) -> list[Case]:
    return [Case(name, counting, {"log": str(log), "name": name}) for name in ("a", "b")]


def test_cases_take_turns_and_each_repetition_has_a_process_of_its_own(tmp_path: Path) -> None:
    found = fresh(two_cases(tmp_path / "log"), Setting(tmp_path, repetitions=2))
    assert written(tmp_path / "log") == [["a", 1], ["b", 1], ["a", 1], ["b", 1]]
    assert found == {"a": [{"asked": 1.0}] * 2, "b": [{"asked": 1.0}] * 2}


def test_where_preparing_is_long_processes_live_for_all_repetitions_and_still_take_turns(tmp_path: Path) -> None:
    kept(two_cases(tmp_path / "log"), Setting(tmp_path, repetitions=2))
    assert written(tmp_path / "log") == [["a", 1], ["b", 1], ["a", 2], ["b", 2]]


def test_side_by_side_gives_each_repetition_a_process_of_its_own(tmp_path: Path) -> None:
    case = two_cases(tmp_path / "log")[0]
    assert side_by_side(case, Setting(tmp_path), at_once=2) == [{"asked": 1.0}] * 3


def test_a_process_that_ends_early_is_a_failure_with_the_name_of_its_case(tmp_path: Path) -> None:
    with pytest.raises(CaseFailed, match="broken"):
        kept([Case("broken", failing, {})], Setting(tmp_path))
    with pytest.raises(CaseFailed, match="broken"):
        side_by_side(Case("broken", failing, {}), Setting(tmp_path), at_once=3)
