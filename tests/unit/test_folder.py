"""The watched folder: each line of each file once, whatever happens in between."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.folder import Folder
from monitor.log import LogFullError, Transaction
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.policyfile import load_policies, load_registry
from monitor.replay import Question, replay_lines
from monitor.sites import Rules
from monitor.view import View
from monitor.writer import Writer

GOLDEN = Path(__file__).parents[1] / "golden"
POLICY = load_policies([GOLDEN / "policy.yaml"])
REGISTRY = load_registry([GOLDEN / "sites.yaml"])
KEY = b"jakwatch replay"
NOW = datetime(2025, 5, 20, 18, tzinfo=UTC)
LOOK, WITHIN = 0.1, 20.0  # seconds


def seen(number: int, site: str = "lisbon") -> bytes:
    message = {
        "type": "patient_contact", "site": site, "event_id": f"e{number}", "recorded_at": "2025-05-12T10:00:00Z",
        "patient_id": f"patient-4711-{number}", "seen_on": "2025-05-12",
    }  # fmt: skip
    return json.dumps(message).encode()


BAD = b'{"type": "patient_contact", "patient_id": "patient-4711"}'


class Dying(SqliteLog):
    """A log under which the process dies, or the disk fills, at the transaction with a number."""

    fatal = -1
    full = False
    count = 0

    def append(self, transaction: Transaction) -> None:
        self.count += 1
        if self.full:
            raise LogFullError("the log cannot be written: database or disk is full")
        if self.count == self.fatal:
            raise DiedError
        super().append(transaction)

    def forget_position(self, site: str, channel: str) -> None:
        if self.fatal == 0:
            raise DiedError
        super().forget_position(site, channel)


class DiedError(BaseException):
    """What a process that is killed does next: nothing."""


class Ward:
    """A folder and a machine; `watching` watches until something holds."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "inbox"
        self.path = folder / "log.sqlite"
        self.machine = self._machine()

    def _machine(self) -> Machine:
        machine = Machine(Dying(self.path), Rules(POLICY, REGISTRY, KEY), lambda: NOW, lambda _: None)
        machine.open()
        return machine

    def restart(self) -> None:
        self.machine.log.close()
        self.machine = self._machine()

    @property
    def log(self) -> Dying:
        assert isinstance(self.machine.log, Dying)
        return self.machine.log

    def put(self, name: str, *lines: bytes, end: bytes = b"\n", site: str = "lisbon") -> Path:
        path = self.root / site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = b"".join(line + end for line in lines)
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    def done(self, site: str = "lisbon") -> dict[str, bytes]:
        folder = self.root / site / "done"
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir())} if folder.exists() else {}

    def waiting(self) -> list[str]:
        return sorted(path.name for path in self.root.glob("*/*") if path.is_file())

    def counts(self) -> dict[str, Any]:
        found: dict[str, Any] = View(self.machine).result()["messages"]
        return found

    def watch(self, until: Callable[[], object] | None = None) -> None:
        """Watch until something holds, or nothing is left to be read."""
        asyncio.run(self._watch(until or (lambda: not self.waiting())))

    async def _watch(self, until: Callable[[], object]) -> None:
        async with self._watching() as watching:
            async with asyncio.timeout(WITHIN):
                while not until() and not watching.done():
                    await asyncio.wait([watching], timeout=0.02)
            if watching.done():
                watching.result()

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[asyncio.Task[None]]:
        writer = Writer(self.machine)
        writer.start()
        task = asyncio.create_task(Folder(self.root, writer, LOOK).watch())
        try:
            yield task
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, DiedError):
                await task
            await asyncio.to_thread(writer.stop)


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.machine.log.close()


def told(content: bytes) -> list[tuple[int, str]]:
    """The lines that a report names, and why."""
    return [(each["line"], each["reason"]) for each in map(json.loads, content.splitlines())]


def test_a_file_is_read_and_moved_away(ward: Ward) -> None:
    path = ward.put("day.jsonl", seen(1), seen(2))
    content = path.read_bytes()
    ward.watch()
    assert ward.done() == {"day.jsonl": content}
    assert ward.counts()["accepted"] == ward.counts()["received"] == 2


def test_files_of_all_kinds_count_each_line_once(ward: Ward) -> None:
    ward.put("plain.jsonl", seen(1), b"", seen(2), b"  \t", BAD)
    ward.put("packed.jsonl.gz", seen(3), BAD, seen(1))
    ward.put("windows.jsonl", seen(4), seen(5), end=b"\r\n")
    ward.put("empty.jsonl")
    ward.put("last.jsonl", seen(6) + b"\n" + seen(7), end=b"")
    ward.put("elsewhere.jsonl", seen(1, "porto"), site="porto")
    ward.watch()
    whole = [*map(seen, range(1, 8)), seen(1), seen(1, "porto"), BAD, BAD]
    expected = replay_lines(whole, Question(POLICY, REGISTRY, as_of=NOW.toordinal()))
    found = View(ward.machine).result(NOW.toordinal())
    assert json.dumps(found) == json.dumps(expected)
    assert ward.done("porto").keys() == {"elsewhere.jsonl"}


def test_a_report_names_each_bad_line_and_holds_no_value(ward: Ward) -> None:
    misplaced = seen(1, "porto")
    ward.put("day.jsonl", seen(1), BAD, b"", b"\xff", seen(2), misplaced, b"x" * 70_000)
    ward.watch()
    report = ward.done()["day.jsonl.rejected.jsonl"]
    assert told(report) == [(2, "invalid"), (4, "not_json"), (6, "site_mismatch"), (7, "too_large")]
    assert b"4711" not in report
    assert b"porto" not in report


def test_a_file_without_bad_lines_has_no_report(ward: Ward) -> None:
    ward.put("day.jsonl", seen(1))
    ward.watch()
    assert ward.done().keys() == {"day.jsonl"}


def test_another_file_of_the_same_name_is_another_file(ward: Ward) -> None:
    for number in (1, 2, 3):
        ward.put("day.jsonl", seen(number), BAD)
        ward.watch()
    assert ward.counts()["accepted"] == 3
    assert [name for name in ward.done() if "rejected" not in name] == ["2-day.jsonl", "3-day.jsonl", "day.jsonl"]
    assert told(ward.done()["3-day.jsonl.rejected.jsonl"]) == [(2, "invalid")]


def test_the_same_file_again_is_read_again_and_brings_duplicates(ward: Ward) -> None:
    for _ in range(2):
        ward.put("day.jsonl", seen(1), BAD, seen(2))
        ward.watch()
    counts = ward.counts()
    assert (counts["received"], counts["accepted"], counts["duplicate"], counts["rejected"]) == (
        6,
        2,
        2,
        {"invalid": 2},
    )
    for name in ("day.jsonl", "2-day.jsonl"):
        assert told(ward.done()[f"{name}.rejected.jsonl"]) == [(2, "invalid")]


def test_a_file_that_still_grows_is_left_until_it_does_not(ward: Ward) -> None:
    path = ward.put("day.jsonl", seen(0))
    grown = 1

    def grow() -> bool:
        nonlocal grown
        if grown < 100:
            with path.open("ab") as file:
                file.write(seen(grown) + b"\n")
            grown += 1
            assert ward.waiting() == ["day.jsonl"]
            return False
        return not ward.waiting()

    ward.watch(grow)
    assert ward.counts()["accepted"] == 100


def test_what_is_written_under_another_name_is_left_alone(ward: Ward) -> None:
    ward.put("day.jsonl.part", seen(1))
    ward.put(".day.jsonl", seen(2))
    ward.put("read.jsonl", seen(3))
    ward.watch(ward.done)
    assert ward.counts()["received"] == 1
    assert ward.waiting() == [".day.jsonl", "day.jsonl.part"]


def test_files_that_come_and_go_at_any_moment_stop_nobody(ward: Ward) -> None:
    """A sender writes under a name that is looked at, then renames: the look may lie in between."""
    number = 0

    def rename() -> bool:
        nonlocal number
        if number < 300:
            for _ in range(10):
                number += 1
                path = ward.put(f"new-{number}.jsonl", seen(number))
                path.rename(path.with_name(f"day-{number}.jsonl"))
            return False
        return not ward.waiting()

    ward.watch(rename)
    assert ward.counts()["accepted"] == 300


def test_a_site_that_is_not_registered_waits_and_the_others_go_on(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.put("day.jsonl", seen(1), site="nowhere")
    ward.put("day.jsonl", seen(1))
    ward.watch(lambda: ward.done() and caplog.records)
    assert (ward.root / "nowhere" / "day.jsonl").exists()
    assert len([record for record in caplog.records if "nowhere" in record.getMessage()]) == 1


@pytest.mark.parametrize("damage", [slice(0, -8), slice(0, 15), slice(5, None)])
def test_a_damaged_archive_waits_and_is_read_when_it_is_whole(
    ward: Ward, caplog: pytest.LogCaptureFixture, damage: slice
) -> None:
    lines = [seen(number) for number in range(3)]
    path = ward.put("day.jsonl.gz", *lines)
    whole = path.read_bytes()
    path.write_bytes(whole[damage])
    ward.put("other.jsonl", seen(9))
    ward.watch(lambda: ward.done() and caplog.records)
    assert path.exists()
    path.write_bytes(whole)
    ward.watch()
    counts = ward.counts()
    assert counts["accepted"] == 4
    assert counts["rejected"] == {}


@pytest.mark.parametrize("fatal", [1, 2, 3])
def test_killed_between_two_transactions_each_line_counts_once(ward: Ward, fatal: int) -> None:
    lines = [BAD if number % 100 == 7 else seen(number) for number in range(2500)]
    path = ward.put("day.jsonl", *lines)
    ward.log.fatal = ward.log.count + fatal
    with pytest.raises(DiedError):
        ward.watch()
    assert path.exists()
    ward.restart()
    assert ward.counts()["received"] == 1000 * (fatal - 1)
    ward.watch()
    counts = ward.counts()
    assert (counts["received"], counts["accepted"], counts["duplicate"]) == (2500, 2475, 0)
    assert told(ward.done()["day.jsonl.rejected.jsonl"]) == [(n, "invalid") for n in range(8, 2500, 100)]


def test_killed_after_it_was_moved_each_line_counts_once(ward: Ward) -> None:
    ward.put("day.jsonl", seen(1), BAD)
    ward.log.fatal = 0
    with pytest.raises(DiedError):
        ward.watch(lambda: False)
    ward.restart()
    ward.put("next.jsonl", seen(2))
    ward.watch()
    counts = ward.counts()
    assert (counts["received"], counts["accepted"], counts["rejected"]) == (3, 2, {"invalid": 1})
    assert told(ward.done()["day.jsonl.rejected.jsonl"]) == [(2, "invalid")]


def test_without_room_a_file_waits_and_is_read_when_there_is(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.put("day.jsonl", *[seen(number) for number in range(50)])
    ward.log.full = True
    ward.watch(lambda: caplog.records)
    assert ward.waiting() == ["day.jsonl"]
    assert ward.counts()["received"] == 0
    ward.log.full = False
    ward.watch()
    assert ward.counts()["accepted"] == 50


def test_the_log_of_the_process_tells_no_value(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    ward.put("day.jsonl", seen(1), BAD, b"\xff")
    ward.put("cut.jsonl.gz", seen(1)).write_bytes(b"\x1f\x8b4711")
    ward.watch(lambda: ward.done() and caplog.records)
    assert "4711" not in caplog.text
