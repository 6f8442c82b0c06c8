"""Which lines `jakwatch publish` sends where, how it reads them, and what it notes of them; no Kafka is asked."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.commands.publish import command
from monitor.commands.publish_lines import read_whole_lines
from monitor.files import FileProblem
from monitor.kafka.progress import Progress, ProgressError
from monitor.kafka.publishing import (
    NO_SITE,
    NO_TOPIC,
    RESERVED,
    TOO_LONG,
    Account,
    Line,
    NotSentError,
    Publication,
    named_site,
)
from monitor.kafka.sending import LONGEST

TOPICS = frozenset(["jakwatch.v1.in.lisbon"])


def rehearsal(progress: Progress | None = None, site: str | None = None) -> Publication:
    return Publication(site, TOPICS, None, progress or Progress(None, "cluster", site))


def numbered(*raws: bytes) -> list[Line]:
    return [Line(number, raw) for number, raw in enumerate(raws, 1)]


def noted(path: Path, lines: list[Line], refused: frozenset[int] = frozenset()) -> None:
    """As if these lines had been published, but for those that were refused."""
    progress = Progress(path, "cluster", None)
    reading = progress.reading("day.jsonl")
    due = {line.number for line in lines if reading.is_due(*line)}
    reading.finish(due, set(refused))
    progress.note(reading)
    progress.write()


# Where a line goes


def test_a_line_goes_to_the_site_that_it_names():
    assert named_site(b'{"type":"nothing we know", "site":"lisbon"}') == "lisbon"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"no json", NO_SITE),
        (b"\xff{}", NO_SITE),
        (b"[]", NO_SITE),
        (b"{}", NO_SITE),
        (b'{"site":null}', NO_SITE),
        (b'{"site":"Lisbon"}', NO_SITE),
        (b'{"site":"../lisbon"}', NO_SITE),
        (b'{"site":"lisbon","site":"porto"}', NO_SITE),
        (b'{"site":"canary"}', RESERVED),
    ],
)
def test_a_line_from_which_no_site_can_be_read_goes_nowhere(raw, why):
    with pytest.raises(NotSentError) as refused:
        named_site(raw)
    assert str(refused.value) == why


def test_a_line_that_the_monitor_will_reject_is_sent_all_the_same():
    assert named_site(b'{"site":"lisbon","extra":1,"extra":2}') == "lisbon"


def test_the_site_that_is_given_is_that_of_all_lines():
    publication = rehearsal(site="lisbon")
    publication.publish("day.jsonl", numbered(b"garbage", b'{"site":"porto"}'))
    assert (publication.account.sent, publication.account.refused) == ({"lisbon": 2}, {})


def test_what_goes_nowhere_is_told_by_file_reason_and_range_of_lines():
    publication = rehearsal()
    site = b'{"site":"lisbon"}'
    lines = numbered(site, b"1", b"2", site, b"3", b'{"site":"porto"}', b"x" * (LONGEST + 1))
    publication.publish("day.jsonl", lines)
    assert publication.account.sent == {"lisbon": 2}
    assert publication.account.refused == {
        ("day.jsonl", NO_SITE): [(2, 3), (5, 5)],
        ("day.jsonl", NO_TOPIC): [(6, 6)],
        ("day.jsonl", TOO_LONG): [(7, 7)],
    }


def test_ranges_grow_only_by_the_next_line():
    account = Account()
    for number in (3, 4, 6, 7, 8, 10):
        account.refuse("a", "why", number)
    assert account.refused == {("a", "why"): [(3, 4), (6, 8), (10, 10)]}


# What was noted


def test_only_what_is_behind_the_last_confirmed_line_is_sent_and_what_was_refused(tmp_path):
    lines = numbered(*[b'{"site":"lisbon","n":%d}' % each for each in range(6)])
    noted(tmp_path / "p.json", lines[:4], refused=frozenset([2]))
    publication = rehearsal(Progress(tmp_path / "p.json", "cluster", None))
    publication.publish("day.jsonl", lines)
    assert publication.account.sent == {"lisbon": 3}
    assert publication.account.published_before == {"day.jsonl": 3}


def test_a_line_that_was_refused_stays_noted_until_it_is_confirmed(tmp_path):
    path, lines = tmp_path / "p.json", numbered(b"a", b"b", b"c")
    noted(path, lines, refused=frozenset([2]))
    assert json.loads(path.read_bytes())["files"]["day.jsonl"]["refused"] == [2]
    noted(path, lines, refused=frozenset([2]))
    assert json.loads(path.read_bytes())["files"]["day.jsonl"]["refused"] == [2]
    noted(path, lines)
    kept = json.loads(path.read_bytes())["files"]["day.jsonl"]
    assert (kept["refused"], kept["lines"]) == ([], 3)


@pytest.mark.parametrize("other", [(b"a", b"B", b"c"), (b"a", b"b"), ()])
def test_a_file_that_is_not_the_one_of_which_was_noted_is_refused(tmp_path, other):
    noted(tmp_path / "p.json", numbered(b"a", b"b", b"c"))
    reading = Progress(tmp_path / "p.json", "cluster", None).reading("day.jsonl")
    with pytest.raises(ProgressError, match="its first 3 lines are not those"):
        _read_on(reading, numbered(*other, b"d") if len(other) == 3 else numbered(*other))


def _read_on(reading, lines):
    for line in lines:
        reading.is_due(*line)
    reading.check_end()


def test_nothing_of_a_message_is_noted(tmp_path):
    noted(tmp_path / "p.json", numbered(b'{"patient_id":"SMITH-4711"}'))
    assert b"SMITH" not in (tmp_path / "p.json").read_bytes()


def test_progress_is_told_apart_by_site_and_by_kafka(tmp_path):
    noted(tmp_path / "p.json", numbered(b"a"))
    for cluster, site in (("another", None), ("cluster", "lisbon")):
        with pytest.raises(ProgressError, match="another --site or to another Kafka"):
            Progress(tmp_path / "p.json", cluster, site)


def test_a_folder_that_is_not_there_is_said_before_anything_is_sent(tmp_path):
    with pytest.raises(ProgressError, match="there is no folder"):
        Progress(tmp_path / "nowhere" / "p.json", "cluster", None)


# How lines are read


def test_lines_come_whole_without_their_ends_and_blank_ones_only_count(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"one\r\n\n \t\r\n" + b"x" * 200_000 + b"\nlast\r")
    assert list(read_whole_lines(str(path))) == [(1, b"one"), (4, b"x" * 200_000), (5, b"last\r")]


def test_of_a_line_that_is_too_long_only_its_beginning_is_held(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (3 * LONGEST) + b"\n" + b"y" * LONGEST + b"\r\n" + b"z" * (LONGEST + 1)))
    first, second, third = read_whole_lines(str(path))
    assert (first.number, len(first.raw)) == (1, LONGEST + 1)
    assert second == (2, b"y" * LONGEST)
    assert (third.number, len(third.raw)) == (3, LONGEST + 1)


def test_the_bytes_that_were_read_are_told(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n" * 5_000)
    told: list[int] = []
    assert len(list(read_whole_lines(str(path), told.append))) == 5_000
    assert sum(told) == 15_000


@pytest.mark.parametrize("name", ["missing.jsonl", "cut.jsonl.gz"])
def test_a_file_that_cannot_be_read_is_said_by_name(tmp_path, name):
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}\n" * 1_000)[:-9])
    with pytest.raises(FileProblem, match=name):
        list(read_whole_lines(str(tmp_path / name)))


def test_standard_input_in_memory_is_read_to_its_end(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\nb\n")))
    assert list(read_whole_lines("-")) == [(1, b"a"), (2, b"b")]


# The command


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--broker", "b:1"], "Missing argument 'FILES...'"),
        (["day.jsonl"], "Missing option '--broker'"),
        (["day.jsonl", "--broker", "b:1", "--site", "Lisbon!"], "allowed are 1 to 40 of a-z"),
        (["day.jsonl", "--broker", "b:1", "--patience", "0"], "--patience"),
        (["day.jsonl", "--broker", "b:1", "--resume", "."], "is a directory"),
        (["day.jsonl", "--broker", "b:1", "--broker-user", "u"], "belong together"),
    ],
)
def test_wrong_use_is_said_before_kafka_is_asked(words, said):
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
