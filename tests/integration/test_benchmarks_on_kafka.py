"""The benchmarks of the stream run, and fail on no missed goal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["stream", "latency", "live"])
@pytest.mark.usefixtures("broker")  # which says so where there is no Kafka
def test_a_quick_run_on_a_kafka_of_its_own_prints_what_it_found(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", name, "--quick"],
        capture_output=True, text=True, cwd=PROJECT, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"\n{name}: " in done.stdout
    assert "goals met" in done.stdout
