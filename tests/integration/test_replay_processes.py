"""A replay as processes: workers that die, Ctrl-C, a parent that is killed, terminals that speak something else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.data.good_history import good_lines
from tests.data.valid_lines import VALID
from tests.integration.desk import POLICY, PROJECT, Desk, with_

GOOD = good_lines()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _children(process: subprocess.Popen[bytes]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(each) for each in path.read_text(encoding="ascii").split()]


def _started_with_two_workers() -> tuple[subprocess.Popen[bytes], list[int]]:
    """A replay that waits for more of its input, and its workers."""
    command = [sys.executable, "-m", "monitor", "replay", "-", "--jobs", "2", "--policy", str(POLICY)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=PROJECT, start_new_session=True)
    deadline = time.monotonic() + 30
    while len(workers := _children(process)) < 2 and time.monotonic() < deadline:
        os.sched_yield()
    assert len(workers) == 2
    return process, workers


needs_proc = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds the worker processes in /proc")


@needs_proc
@pytest.mark.parametrize("lines", [1, 20_000], ids=["that had nothing to do", "with work on its way"])
def test_a_worker_that_was_killed_gives_no_result_and_says_what_to_do(lines: int) -> None:
    process, workers = _started_with_two_workers()
    os.kill(workers[0], signal.SIGKILL)
    stdout, stderr = process.communicate((VALID["patient_contact"] + b"\n") * lines, timeout=60)
    assert (process.returncode, stdout) == (69, b"")
    assert b"a worker process was ended by signal 9" in stderr
    assert b"fewer --jobs" in stderr


@needs_proc
def test_ctrl_c_ends_all_processes_with_one_line() -> None:
    process, workers = _started_with_two_workers()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it: to all of them
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, b"", b"jakwatch: interrupted\n")
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


@needs_proc
def test_workers_do_not_outlive_a_parent_that_was_killed() -> None:
    process, workers = _started_with_two_workers()
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 30
    while any(_runs(worker) for worker in workers) and time.monotonic() < deadline:
        os.sched_yield()
    assert not any(_runs(worker) for worker in workers)


def _runs(pid: int) -> bool:
    """Whether a process is there and not only waiting to be buried."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def _replayed_in(encoding: str, path: Path, form: str) -> bytes:
    command = [sys.executable, "-m", "monitor", "replay", str(path), "--policy", str(POLICY), "--as-of", "2025-06-10"]
    env = os.environ | {"PYTHONIOENCODING": encoding}
    options = ["--format", form, "--rows", "decisions"]
    result = subprocess.run([*command, *options], capture_output=True, check=False, cwd=PROJECT, env=env)
    assert (result.returncode, result.stderr) == (0, b"")
    return result.stdout


@pytest.mark.parametrize(("encoding", "form"), [("ascii", "json"), ("latin-1", "csv")])
def test_what_programs_read_is_utf8_whatever_the_terminal_speaks(desk: Desk, encoding: str, form: str) -> None:
    path = desk.lines(line.replace(b"case-1-upa", "case-1-üpa-Ω".encode()) for line in GOOD[:23])
    assert "case-1-üpa-Ω" in _replayed_in(encoding, path, form).decode()


def test_a_terminal_that_lacks_a_letter_shows_another_one(desk: Desk) -> None:
    held = with_("treatment_ordered", treatment_id="t-Ω")
    assert b" t-? " in _replayed_in("latin-1", desk.lines([*GOOD[:23], held]), "table")
