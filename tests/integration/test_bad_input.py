"""Whatever a file holds: each bad line is counted with its reason, and every number of the good ones stays."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from monitor.files import read_lines
from monitor.policyfile import load_policies, load_registry
from monitor.replay import Question, replay_lines
from tests.data.bad_lines import BAD_LINES
from tests.data.good_history import good_lines
from tests.data.valid_lines import VALID, changed, compact
from tests.integration.desk import CLASSES, POLICY, Desk, conserves, only_rejected, with_

GOOD = good_lines()
BAD = [bad for bad in BAD_LINES if bad.channel is None and bad.line.strip() and b"\n" not in bad.line]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def mixed(seed: int = 7) -> list[bytes]:
    """The good lines in their order, the bad ones anywhere among them."""
    lines = list(GOOD)
    chance = random.Random(seed)  # noqa: S311  a shuffle, no secret
    for bad in BAD:
        lines.insert(chance.randrange(len(lines) + 1), bad.line)
    return lines


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    """All of a result but how many lines were received and rejected."""
    kept = {name: count for name, count in result["messages"].items() if name in CLASSES}
    return {**result, "messages": kept}


# The lines


def test_the_good_history_has_something_of_all_kinds(desk: Desk) -> None:
    result = json.loads(desk.printed(desk.lines(GOOD)))
    assert conserves(result["messages"])
    assert all(result["messages"][name] for name in CLASSES)
    assert result["messages"]["rejected"] == {}
    assert {row["decision"] for row in result["decisions"]} >= {"hold", "screening_complete", "compliant", "violation"}
    assert {"imputed", "conflicts", "lost_to_follow_up"} <= {name for name, count in result.items() if count}
    assert sum(row["events"] or 0 for row in result["rates"]) > 0


@pytest.mark.parametrize("reason", sorted({bad.reason for bad in BAD}))
def test_each_bad_line_alone_is_rejected_with_its_reason_and_nothing_is_taken(desk: Desk, reason: str) -> None:
    question = Question(load_policies([POLICY]), load_registry([desk.sites]))
    for bad in BAD:
        if bad.reason == reason:
            result = replay_lines([bad.line], question)
            assert result["messages"] == only_rejected({reason: 1}), bad.name
            assert (result["as_of"], result["decisions"]) == (None, []), bad.name


def test_hundreds_of_bad_lines_change_no_number_of_a_good_history(desk: Desk) -> None:
    alone = json.loads(desk.printed(desk.lines(GOOD)))
    result = json.loads(desk.printed(desk.lines(mixed())))
    assert len(BAD) > 400
    assert result["messages"]["rejected"] == dict(sorted(Counter(bad.reason for bad in BAD).items()))
    assert result["messages"]["received"] == len(GOOD) + len(BAD)
    assert conserves(result["messages"])
    assert numbers(result) == numbers(alone)


def test_bad_lines_count_whatever_was_known_at_the_time(desk: Desk) -> None:
    result = desk.replay(desk.lines(mixed()), "--known-at", "2025-01-31T12:00:00Z")
    messages = json.loads(result.stdout)["messages"]
    assert messages["rejected"] == dict(sorted(Counter(bad.reason for bad in BAD).items()))
    assert 0 < messages["accepted"] < len(GOOD) / 2 + 100
    assert conserves(messages)


# The ways in which the same lines may come

Delivery = Callable[[Desk, list[bytes]], tuple[list[str | Path], bytes | None]]


def _packed(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.file("m.jsonl.gz", gzip.compress(b"".join(line + b"\n" for line in lines), 1))], None


def _packed_in_parts(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    parts = [gzip.compress(b"".join(line + b"\n" for line in part), 1) for part in (lines[:300], lines[300:])]
    return [desk.file("m.jsonl.gz", b"".join(parts))], None


def _standard_input(_: Desk, lines: list[bytes]) -> tuple[list[str | Path], bytes]:
    return ["-"], b"\n".join(lines) + b"\n"


def _windows(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.file("m.jsonl", b"".join(line + b"\r\n" for line in lines))], None


def _no_last_end(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.file("m.jsonl", b"\n".join(lines))], None


def _blank_lines(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.file("m.jsonl", b"\n\r\n \t\n" + b"\n\n".join(lines) + b"\n" + b" " * 70_000)], None


def _several_files(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], bytes]:
    files: list[str | Path] = [desk.lines(lines[::3], "a.jsonl"), "-", *_packed(desk, lines[1::3])[0]]
    return files, b"\n".join(lines[2::3])


def _shuffled(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.lines(random.Random(1).sample(lines, len(lines)))], None  # noqa: S311  a shuffle, no secret


def _backwards(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.lines(lines[::-1])], None


def _three_jobs(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [desk.lines(lines), "--jobs", "3"], None


def _five_jobs_shuffled(desk: Desk, lines: list[bytes]) -> tuple[list[str | Path], None]:
    return [*_shuffled(desk, lines)[0], "--jobs", "5"], None


@pytest.mark.parametrize(
    "deliver",
    [
        _packed, _packed_in_parts, _standard_input, _windows, _no_last_end, _blank_lines, _several_files, _shuffled,
        _backwards, _three_jobs, _five_jobs_shuffled,
    ],
    ids=lambda deliver: deliver.__name__.strip("_"),
)  # fmt: skip
def test_the_result_is_byte_identical_however_the_lines_come(desk: Desk, deliver: Delivery) -> None:
    lines = mixed()
    plain = desk.printed(desk.lines(lines, "plain.jsonl"))
    arguments, given = deliver(desk, lines)
    assert desk.printed(*arguments, given=given) == plain


def test_a_file_given_twice_has_only_duplicates_more(desk: Desk) -> None:
    path = desk.lines(GOOD)
    once, twice = (json.loads(desk.printed(*files)) for files in ((path,), (path, path)))
    assert twice["messages"]["duplicate"] == once["messages"]["duplicate"] + len(GOOD)
    assert conserves(twice["messages"])
    for result in (once, twice):
        del result["messages"]["received"], result["messages"]["duplicate"]
    assert twice == once


def test_lines_that_only_look_like_another_sites_change_nothing_between_one_job_and_three(desk: Desk) -> None:
    told = [
        changed("adverse_event", "extensions", {"site": "madrid", "deep": [{"site": "niue"}]}),
        changed("patient_contact", "event_id", 'e "site":"madrid"'),
        VALID["treatment_started"].replace(b'"site":"lisbon"', rb'"\u0073ite" : "lis\u0062on"'),
        VALID["screening_result"].replace(b'"site":"lisbon"', b'"site"  :\t"lisbon"'),
        b'{"site":"madrid","site":"niue"}', b'{"site":["madrid"]}', b'{"site":"' + b"x" * 70_000,
    ]  # fmt: skip
    path = desk.lines([*told, *GOOD])
    assert desk.printed(path, "--jobs", "3") == desk.printed(path)
    assert json.loads(desk.printed(path))["messages"]["rejected"] == {"invalid": 2, "too_large": 1}


def test_lines_without_a_site_belong_to_the_one_named(desk: Desk) -> None:
    lines = [compact({**json.loads(line), "site": None}) for line in GOOD[:23]]  # the paper's cases, all of lisbon
    named = desk.printed(desk.lines(GOOD[:23], "named.jsonl"))
    path = desk.lines(lines)
    for jobs in ("1", "3"):
        assert desk.printed(path, "--site", "lisbon", "--jobs", jobs) == named
    assert json.loads(desk.printed(path))["messages"] == only_rejected({"invalid": 23})


# Sizes


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("size", [65_536, 65_537, 65_538, 65_539, 65_540])
def test_a_message_may_have_65536_bytes_whatever_ends_its_line(desk: Desk, end: bytes, size: int) -> None:
    line, other = VALID["prevention"], with_("patient_contact", event_id="e-2")
    path = desk.file("m.jsonl", end.join([line + b" " * (size - len(line)), other, line + b" " * (size - len(line))]))
    messages = json.loads(desk.printed(path))["messages"]
    fits = size == 65_536
    assert messages["rejected"] == ({} if fits else {"too_large": 2})
    assert (messages["accepted"], messages["duplicate"]) == ((2, 1) if fits else (1, 0))


def test_a_long_line_that_only_begins_blank_is_no_blank_line(desk: Desk) -> None:
    late = b" " * 70_000 + VALID["prevention"]
    path = desk.lines([late, VALID["patient_contact"], b"\t" * 3_000_000, b" " * 2_000_000 + b"{"])
    messages = json.loads(desk.printed(path))["messages"]
    assert (messages["received"], messages["accepted"], messages["rejected"]) == (3, 1, {"too_large": 2})


def test_memory_does_not_follow_the_length_of_a_line(desk: Desk) -> None:
    with gzip.open(desk.folder / "long.jsonl.gz", "wb", compresslevel=1) as out:
        out.write(VALID["prevention"] + b"\n")
        for _ in range(60):
            out.write(b"x" * 1_000_000)
        out.write(b"\n" + VALID["patient_contact"] + b"\n")
    tracemalloc.start()
    try:
        lengths = [len(line) for _, _, line in read_lines([str(desk.folder / "long.jsonl.gz")])]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert lengths == [len(VALID["prevention"]), 65_537, len(VALID["patient_contact"])]
    assert peak < 10_000_000
