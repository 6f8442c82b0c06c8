"""The benchmarks run, judge by medians, fail on no missed goal, and measure what they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import limits, rates
from benchmarks.__main__ import BENCHMARKS
from benchmarks.hospital import Process, default_policy
from benchmarks.lives import LAST_DAY, Lives
from benchmarks.table import Goal, Report, Row, number, rendered, verdict
from monitor.core.decode import Decoded, decode

PROJECT = Path(__file__).resolve().parents[2]


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        capture_output=True, text=True, encoding="utf-8", cwd=PROJECT, timeout=300, check=False,
    )  # fmt: skip


# The command


ON_KAFKA = ("stream", "latency", "live")  # tests/integration/test_benchmarks_on_kafka.py


def test_a_quick_run_prints_every_benchmark_in_one_table_and_never_fails_on_a_goal() -> None:
    names = [name for name in BENCHMARKS if name not in ON_KAFKA]
    done = bench("--quick", *names)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in BENCHMARKS] == names
    assert "cores" in lines[0]
    assert "goals met" in done.stdout
    assert "repetition 1 of 1" in done.stderr


def test_an_unknown_benchmark_is_refused_with_the_names_there_are() -> None:
    done = bench("speed")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("speed", *BENCHMARKS))


def test_fewer_than_three_repetitions_are_refused() -> None:
    done = bench("--repetitions", "2", "limits")
    assert done.returncode == 2
    assert "at least 3" in done.stderr


# The table


def row(values: Sequence[float], ratios: Sequence[float], goal: Goal | None) -> Row:
    return Row("what", "s", values, ratios, goal)


def test_a_goal_is_judged_by_the_median_of_the_ratios() -> None:
    goal = Goal("at least 2 x", at_least=2.0)
    assert row([1.0], [0.1, 2.0, 9.0], goal).verdict == "met"
    assert row([9.0], [0.1, 1.9, 9.0], goal).verdict == "NOT MET"


def test_a_goal_of_a_row_without_ratio_is_judged_by_the_median_value() -> None:
    goal = Goal("at most 4", at_most=4.0)
    assert row([3.0, 4.0, 90.0], (), goal).verdict == "met"
    assert row([3.0, 4.1, 90.0], (), goal).verdict == "NOT MET"


def test_a_missed_goal_is_named_and_counted() -> None:
    rows = [row([1.0], (), Goal("", at_most=2.0)), row([3.0], (), Goal("", at_most=2.0)), row([9.0], (), None)]
    assert verdict([Report("speed: of light", rows)]) == "1 of 2 goals met\ngoal not met: speed: what\n"


def test_the_columns_of_all_reports_stand_below_each_other() -> None:
    text = rendered([Report("one", [row([1.0], (), None)]), Report("two", [row([123456.0], [1.0], None)], ["a note"])])
    first, second = (line for line in text.splitlines() if "what  " in line and " s" in line)
    assert first.index("1 s") + 2 == second.index("123,456 s") + 8
    assert "  (a note)" in text.splitlines()


@pytest.mark.parametrize(("value", "shown"), [(0.123456, "0.123"), (12.34, "12.3"), (1234567.8, "1,234,568")])
def test_numbers_have_three_digits_or_are_whole(value: float, shown: str) -> None:
    assert number(value) == shown


# What is measured


def test_all_messages_of_single_patients_are_valid_and_of_one_identity_each() -> None:
    lives = Lives()
    lines = [line for patient in range(50) for line in (*lives.usual(patient), lives.more(patient))]
    lines += [*lives.short(50), lives.more(50), *lives.long(51, 1_000), lives.more(51)]
    decoded = [decode(line) for line in lines]
    assert all(isinstance(each, Decoded) for each in decoded)
    assert len({each.message.event_id for each in decoded if isinstance(each, Decoded)}) == len(lines)


def test_lives_are_as_long_as_asked() -> None:
    lives = Lives()
    assert len(lives.short(1)) == 3
    assert [len(lives.long(1, facts)) for facts in (1, 10, 1_000)] == [1, 10, 1_000]
    assert sum(len(lives.usual(patient)) for patient in range(2_000)) / 2_000 == pytest.approx(11.1, abs=0.1)


def test_a_hospital_that_is_warmed_keeps_nothing_of_it() -> None:
    hospital, lives = Process(default_policy()).hospital(), Lives()
    hospital.load(lives.usual(0))
    hospital.settle()
    before = hospital.rows(LAST_DAY)
    hospital.warm(lives.long(1, 40))
    assert hospital.rows(LAST_DAY) == before
    hospital.take_and_apply(lives.long(1, 40))
    assert hospital.rows(LAST_DAY) != before


def test_the_cut_policy_has_three_hundred_cells() -> None:
    hospital = Process(rates.three_hundred_cells()).hospital()
    assert len({(each["cohort"], each["aesi"]) for each in hospital.rows(LAST_DAY)}) == 300


def test_the_peers_give_the_same_limits_as_ours() -> None:
    counts = np.arange(limits.LARGEST)
    (lower, upper), *others = (way(counts) for way in limits.ways().values())
    assert len(others) == 3
    for other_lower, other_upper in others:
        assert other_lower == pytest.approx(lower, rel=1e-9)
        assert other_upper == pytest.approx(upper, rel=1e-9)
