"""What an SQLite file must do besides what every log does: be ours, be whole, and say when there is no room."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from monitor.log import LogFullError, LogUnusableError
from monitor.log.sqlite import SqliteLog
from tests.data.transactions import ORDER, batch, content, rejected
from tests.integration.live import PROJECT


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.sqlite"


@pytest.fixture
def used(path: Path) -> Path:
    """A log that was used and closed."""
    log = SqliteLog(path)
    for number in range(50):
        log.append(batch(number=number, facts=[b"fact" * 100] * 10, answers={ORDER: b"%d" % number}))
    log.close()
    return path


def refusal(path: Path) -> str:
    with pytest.raises(LogUnusableError) as refused:
        content(SqliteLog(path))
    return str(refused.value)


def test_a_file_that_is_no_database_is_refused_with_what_to_do(path: Path) -> None:
    path.write_bytes(b"event_id;patient_id\n" * 500)
    assert "log.sqlite cannot be used as a log" in refusal(path)
    assert "--data" in refusal(path)
    assert path.read_bytes() == b"event_id;patient_id\n" * 500


def test_the_database_of_another_program_is_refused_and_left_as_it_is(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE customers (name TEXT)")
    other.close()
    before = path.read_bytes()
    assert "another program" in refusal(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_log(path: Path) -> None:
    path.mkdir()
    assert "cannot be used as a log" in refusal(path)


@pytest.mark.parametrize("version", ["2", "0", "new", ""])
def test_another_version_is_refused_with_what_to_do(used: Path, version: str) -> None:
    log = SqliteLog(used)
    log.note("version", version)
    log.close()
    assert f"has version {version} of the log, this program writes 1" in refusal(used)
    assert "Use the version of jakwatch that wrote it" in refusal(used)


@pytest.mark.parametrize("place", [0, 100, 4096, 8192, 20_000])
def test_a_damaged_file_is_refused_or_says_the_same(used: Path, place: int) -> None:
    """Never half of it: what SQLite does not notice is nothing that was asked for."""
    log = SqliteLog(used)
    before = content(log)
    log.close()
    damaged = bytearray(used.read_bytes())
    damaged[place : place + 4000] = b"\xa5" * 4000
    used.write_bytes(damaged)
    try:
        log = SqliteLog(used)
        after = content(log)
        log.close()
    except LogUnusableError as refused:
        assert "Put back the copy you trust" in str(refused)  # noqa: PT017  either of the two is right
    else:
        assert after == before


@pytest.mark.parametrize("kept", [0, 50, 5000])
def test_a_file_that_was_cut_is_new_or_refused(used: Path, kept: int) -> None:
    used.write_bytes(used.read_bytes()[:kept])
    if kept == 0:
        log = SqliteLog(used)
        assert log.sites() == []
        log.close()
    else:
        assert "log.sqlite" in refusal(used)


def test_a_start_that_died_before_its_first_transaction_is_no_hindrance(path: Path) -> None:
    path.touch()
    log = SqliteLog(path)
    log.append(batch(facts=[b"one"]))
    assert list(log.facts("lisbon")) == [b"one"]
    log.close()


def allow_pages(log: SqliteLog, pages: int) -> None:
    """What a full disk does, done to the file: it cannot grow beyond so many pages."""
    log._db.execute(f"PRAGMA max_page_count = {pages}")  # noqa: SLF001  a seam that only this test would use


def test_without_room_nothing_is_kept_and_it_goes_on_when_there_is(path: Path) -> None:
    log = SqliteLog(path)
    log.append(batch(facts=[b"one"], answers={ORDER: b"hold"}, position={"a.jsonl": 1}))
    before = content(log)
    allow_pages(log, 1)
    large = batch(number=2, facts=[b"x" * 5000] * 20, answers={ORDER: b"lapsed"}, position={"a.jsonl": 2})
    for _ in range(2):
        with pytest.raises(LogFullError, match="cannot be written"):
            log.append(large)
        assert content(log) == before
    with pytest.raises(LogFullError):
        log.add_action("a1", b"x" * 10_000)
    assert list(log.actions()) == []
    allow_pages(log, 10_000)
    log.append(large)
    assert log.position("lisbon") == {"a.jsonl": 2}
    log.close()
    log = SqliteLog(path)
    assert len(list(log.facts("lisbon"))) == 21
    log.close()


def test_a_new_log_without_room_says_so_and_is_made_when_there_is(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OPEN_IT, str(path)], cwd=PROJECT, capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY)),
    )  # fmt: skip
    assert done.stdout.startswith(("LogFullError", "LogUnusableError")), done.stderr
    log = SqliteLog(path)
    assert log.sites() == []
    log.close()


OPEN_IT = """
import sys
from pathlib import Path
from monitor.log import LogFullError, LogUnusableError
from monitor.log.sqlite import SqliteLog
try:
    SqliteLog(Path(sys.argv[1]))
except (LogFullError, LogUnusableError) as error:
    print(type(error).__name__, error)
"""

DIE_WITHIN = """
import os, sys
from pathlib import Path
from monitor.log import Transaction
from monitor.log.sqlite import SqliteLog
from monitor.records import Tally
log = SqliteLog(Path(sys.argv[1]))
def facts():
    yield from [b"y" * 3000] * 2000
    os._exit(9)
log.append(Transaction("lisbon", Tally(1), facts=[b"whole"], answers={("t1", "order"): b"whole"}))
class Facts(list):
    def __iter__(self): return facts()
log.append(Transaction("lisbon", Tally(2), answers={("t1", "order"): b"half"}, facts=Facts()))
"""


def test_a_process_that_dies_within_a_transaction_leaves_the_whole_ones(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", DIE_WITHIN, str(path)], cwd=PROJECT, check=False)
    assert done.returncode == 9
    log = SqliteLog(path)
    assert list(log.facts("lisbon")) == [b"whole"]
    assert dict(log.answers("lisbon")) == {ORDER: b"whole"}
    assert log.tally("lisbon").received == 1
    log.close()


def test_each_transaction_waits_for_the_disk(path: Path) -> None:
    """What was acknowledged survives a power cut: FULL is 2; in write-ahead mode less would not wait."""
    log = SqliteLog(path)
    assert log._db.execute("PRAGMA synchronous").fetchone() == (2,)  # noqa: SLF001  no test can pull the plug
    assert log._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)  # noqa: SLF001
    log.close()


def test_actions_come_back_in_the_order_in_which_they_were_decided(path: Path) -> None:
    log = SqliteLog(path)
    for name in ("b", "a", "c"):
        log.add_action(name, name.encode())
    log.close()
    log = SqliteLog(path)
    assert list(log.actions()) == [b"b", b"a", b"c"]
    log.close()


def test_the_bytes_of_what_was_rejected_are_forgotten_in_time_and_nothing_else(path: Path) -> None:
    log = SqliteLog(path)
    log.append(batch(number=10, facts=[b"one"], rejections=[rejected(1), rejected(2)]))
    log.append(batch(number=20, rejections=[rejected(3)]))
    assert log.forget_rejected(before=20) == 2
    assert list(log.rejections("lisbon", "a.jsonl")) == [rejected(3)]
    assert list(log.facts("lisbon")) == [b"one"]
    assert log.tally("lisbon").received == 20
    log.close()


def test_a_position_that_is_forgotten_leaves_the_others(path: Path) -> None:
    log = SqliteLog(path)
    log.append(batch(position={"a.jsonl": 1, "b.jsonl": 2}))
    log.forget_position("lisbon", "a.jsonl")
    assert log.position("lisbon") == {"b.jsonl": 2}
    log.close()


def test_errors_of_the_log_hold_no_value_that_was_to_be_written(path: Path) -> None:
    log = SqliteLog(path)
    allow_pages(log, 1)
    with pytest.raises(LogFullError) as full:
        log.append(batch(facts=[b"patient 4711" * 1000], answers={("patient-4711", "order"): b"patient 4711"}))
    assert "4711" not in str(full.value)
    log.close()
