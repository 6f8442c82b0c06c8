"""The files of snapshots: what is left aside, what is removed, and that a disk that says no stops nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from monitor.core.decode import Rejection, decode
from monitor.core.given import Intake, Settlement
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.log.kafka import Standing
from monitor.records import Tally
from monitor.stream.snapshot import GROWTH, LEAST_NEW, NUMBERING, Snapshots, mark
from tests.data.one_patient import lines, order, papers, start

NOBODY = mark([])
SOMEBODY = mark([("0f" * 16, 5)])
STANDING = Standing(17, Tally(9, 8, {"invalid": 1}), {"versions": "those"}, {}, 8, (12, b'{"event_id":"last"}'))
DIGEST = 32


def empty(vocabulary: Vocabulary | None = None, settled: tuple[Settlement, ...] = ()) -> SiteState:
    return SiteState("lisbon", Intake(Vocabulary() if vocabulary is None else vocabulary, settlements=settled))


def told(state: SiteState) -> SiteState:
    for line in lines(*papers(), order(), start()):
        decoded = decode(line, "lisbon", None)
        assert not isinstance(decoded, Rejection)
        state.load(decoded)
    return state


def kept(folder: Path, erased: str = NOBODY, key: str = "key") -> Snapshots:
    """A folder in which there is a snapshot of lisbon."""
    snapshots = Snapshots(folder, key)
    snapshot = snapshots.taken(told(empty()), STANDING)
    assert snapshot is not None
    snapshots.keep(snapshot, erased)
    return snapshots


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "snapshots"


def files(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def the_file(folder: Path) -> Path:
    [path] = folder.glob("lisbon.*")
    return path


# What comes back


def test_a_snapshot_comes_back_as_it_was_for_another_process(folder: Path) -> None:
    kept(folder)
    state = empty()
    assert Snapshots(folder, "key").load(state, NOBODY) == STANDING
    assert state.ledger.sheets == told(empty()).ledger.sheets


def test_without_a_folder_there_are_none() -> None:
    snapshots = Snapshots(None, "key")
    assert snapshots.taken(told(empty()), STANDING) is None
    assert snapshots.load(empty(), NOBODY) is None
    assert not snapshots.is_due("lisbon", 10 * LEAST_NEW)


def test_only_its_owner_may_read_it(folder: Path) -> None:
    kept(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {each.stat().st_mode & 0o777 for each in folder.iterdir()} == {0o600}
    assert files(folder) == {f"lisbon.{NOBODY}.snapshot", NUMBERING}


def test_another_is_due_when_a_fifth_is_new_and_not_of_a_few(folder: Path) -> None:
    snapshots = kept(folder)  # of 8 facts
    assert not snapshots.is_due("lisbon", 7 + LEAST_NEW)
    assert snapshots.is_due("lisbon", 8 + LEAST_NEW)
    snapshot = snapshots.taken(told(empty()), replace(STANDING, facts=100 * LEAST_NEW))
    assert snapshot is not None
    snapshots.keep(snapshot, NOBODY)
    assert not snapshots.is_due("lisbon", 120 * LEAST_NEW)
    assert snapshots.is_due("lisbon", 100 * LEAST_NEW * GROWTH // (GROWTH - 1))


def test_a_site_without_facts_has_none(folder: Path) -> None:
    assert Snapshots(folder, "key").taken(empty(), Standing()) is None


# What is left aside


def changed(path: Path, change: Callable[[list[Any]], None]) -> None:
    """Whole and undamaged, but it says something else."""
    content = msgspec.msgpack.decode(path.read_bytes()[DIGEST:])
    change(content)
    encoded = msgspec.msgpack.encode(content)
    path.write_bytes(sha256(encoded).digest() + encoded)


def another_format(content: list[Any]) -> None:
    content[0] += 1


def another_program(content: list[Any]) -> None:
    content[1] = "0.0.0"


def another_shape(content: list[Any]) -> None:
    del content[3:]


@pytest.mark.parametrize("change", [another_format, another_program, another_shape])
def test_what_another_version_wrote_is_left_aside(folder: Path, change: Callable[[list[Any]], None]) -> None:
    kept(folder)
    changed(the_file(folder), change)
    check_is_left_aside(folder)


def check_is_left_aside(folder: Path, state: SiteState | None = None, erased: str = NOBODY, key: str = "key") -> None:
    state = empty() if state is None else state
    assert Snapshots(folder, key).load(state, erased) is None
    assert not state.ledger.identities


def test_wherever_a_bit_fell_over_it_is_left_aside_and_said_so(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept(folder)
    path = the_file(folder)
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        check_is_left_aside(folder)
    assert set(caplog.messages) == {f"{path.name} is damaged: logs are read whole"}


@pytest.mark.parametrize("size", [0, 5, DIGEST, 200])
def test_a_file_that_ends_too_soon_is_left_aside(folder: Path, size: int) -> None:
    kept(folder)
    the_file(folder).write_bytes(the_file(folder).read_bytes()[:size])
    check_is_left_aside(folder)


def test_a_folder_where_a_file_should_be_is_left_aside(folder: Path) -> None:
    kept(folder)
    path = the_file(folder)
    path.unlink()
    path.mkdir()
    check_is_left_aside(folder)


def test_of_another_key_of_pseudonyms_it_is_left_aside(folder: Path) -> None:
    kept(folder)
    check_is_left_aside(folder, key="another")


def test_of_other_settlements_it_is_left_aside(folder: Path) -> None:
    kept(folder)
    check_is_left_aside(folder, empty(settled=(Settlement(None, "e1", "0f", 1, "a1"),)))


def test_of_a_time_before_somebody_was_erased_it_is_left_aside(folder: Path) -> None:
    kept(folder)
    check_is_left_aside(folder, erased=SOMEBODY)


# One numbering of all sites


def test_a_process_that_reads_another_site_first_thaws_all_the_same(folder: Path) -> None:
    kept(folder)
    vocabulary = Vocabulary()
    snapshots = Snapshots(folder, "key")
    snapshots.take_up(vocabulary)
    [other] = lines(start("other", indications=[{"codings": [{"system": "local", "code": "unheard of"}]}]))
    decoded = decode(other, "lisbon", None)
    assert not isinstance(decoded, Rejection)
    empty(vocabulary).load(decoded)
    assert snapshots.load(empty(vocabulary), NOBODY) == STANDING


@pytest.mark.parametrize("numbering", [b"damaged", sha256(b"\x01").digest() + b"\x01"])
def test_without_the_numbering_everything_is_read_and_numbered_anew(folder: Path, numbering: bytes) -> None:
    kept(folder)
    (folder / NUMBERING).write_bytes(numbering)
    vocabulary = Vocabulary()
    Snapshots(folder, "key").take_up(vocabulary)
    assert vocabulary.codings == []
    vocabulary.extend([(("local", "CANARY"),)], [])
    check_is_left_aside(folder, empty(vocabulary))


# What is removed


def test_who_was_erased_is_in_no_file_any_more(folder: Path) -> None:
    snapshots = kept(folder)
    snapshots.forget("lisbon")
    assert files(folder) == {NUMBERING}
    assert snapshots.is_due("lisbon", LEAST_NEW)


def test_a_worker_that_was_away_removes_what_it_wrote_before_somebody_was_erased(folder: Path) -> None:
    snapshots = kept(folder, NOBODY)
    (folder / "lisbon.0.snapshot.new").write_bytes(b"half")
    (folder / "oslo.0.snapshot").write_bytes(b"of a site that others own now")
    snapshots.tidy(lambda site: NOBODY if site == "lisbon" else SOMEBODY)
    assert files(folder) == {f"lisbon.{NOBODY}.snapshot", NUMBERING}
    snapshots.tidy(lambda _: SOMEBODY)
    assert files(folder) == {NUMBERING}


def test_what_cannot_be_removed_is_said_so_by_name(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    snapshots = kept(folder)
    the_file(folder).unlink()
    the_file_that_is_none = folder / f"lisbon.{NOBODY}.snapshot"
    the_file_that_is_none.mkdir()
    snapshots.forget("lisbon")
    [said] = caplog.messages
    assert said.startswith(f"{the_file_that_is_none} cannot be removed")


def test_sets_are_told_apart_whatever_their_order() -> None:
    assert mark([("a", 1), ("b", 2)]) == mark([("b", 2), ("a", 1)])
    assert len({NOBODY, SOMEBODY, mark([("0f" * 16, 6)]), mark([("0f" * 16, 5)] * 2)}) == 4


# A disk that says no


def test_a_disk_that_takes_nothing_is_said_so_and_tried_again_later(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots = kept(folder)
    for each in folder.iterdir():
        each.unlink()
    folder.rmdir()
    snapshot = snapshots.taken(told(empty()), replace(STANDING, facts=9))
    assert snapshot is not None
    snapshots.keep(snapshot, NOBODY)
    assert caplog.messages == ["lisbon: no snapshot was kept (No such file or directory)"]
    assert not snapshots.is_due("lisbon", 10)


def test_a_folder_that_cannot_be_made_is_said_so_and_none_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    snapshots = Snapshots(tmp_path / "file" / "snapshots", "key")
    assert caplog.messages == [f"no snapshots are kept: {tmp_path}/file/snapshots cannot be used (Not a directory)"]
    assert snapshots.taken(told(empty()), STANDING) is None
    assert snapshots.load(empty(), NOBODY) is None
