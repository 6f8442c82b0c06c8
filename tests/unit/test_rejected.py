"""What `jakwatch rejected` makes of records and options; no Kafka is asked."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from monitor.commands.rejected import command
from monitor.kafka.rejected import REPLAYED_FROM, Choice, Entry, Origin, origins

INBOUND = "jakwatch.v1.in.lisbon"


def entry(reason: str = "invalid", rejected_at: str = "2026-06-30T12:00:00.000000Z", offset: int = 7) -> Entry:
    return Entry(Origin(INBOUND, offset), reason, "", "", rejected_at, 10, (), 0)


def test_where_a_message_was_before_stands_in_its_headers_earliest_first():
    headers = [
        ("trace", b"x"),
        (REPLAYED_FROM, b"jakwatch.v1.in.lisbon/3/0123456789abcdef"),
        (REPLAYED_FROM, b"jakwatch.v1.in.lisbon/90/0123456789abcdef"),
    ]
    assert origins(headers) == (Origin(INBOUND, 3, "0123456789abcdef"), Origin(INBOUND, 90, "0123456789abcdef"))


@pytest.mark.parametrize(
    "value", [b"", b"/", b"/3", b"topic/", b"topic/-3", b"topic/x", b"\xff/\xff", b"topic/3/0123", None]
)
def test_a_header_of_somebody_else_says_nothing(value):
    assert origins([(REPLAYED_FROM, value)]) == ()


@pytest.mark.parametrize(
    ("choice", "is_meant"),
    [
        (Choice(), True),
        (Choice(frozenset(["invalid", "not_json"])), True),
        (Choice(frozenset(["not_json"])), False),
        (Choice(since="2026-06-30T12:00:00.000000Z"), True),
        (Choice(since="2026-06-30T12:00:00.000001Z"), False),
        (Choice(offsets=frozenset([7])), True),
        (Choice(offsets=frozenset([8])), False),
    ],
)
def test_what_is_meant_fulfils_all_that_is_asked(choice, is_meant):
    assert choice.has(entry()) is is_meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["list", "--broker", "b:1"], "Missing option '--site'"),
        (["list", "--site", "Lisbon!", "--broker", "b:1"], "allowed are 1 to 40 of a-z"),
        (["list", "--site", "lisbon", "--broker", "b:1", "--reason", "bad"], "'bad' is not one of 'too_large'"),
        (["list", "--site", "lisbon", "--broker", "b:1", "--since", "yesterday"], "must be an instant"),
        (["list", "--site", "lisbon", "--broker", "b:1", "--since", "2026-06-30T12:00"], "must be an instant"),
        (["list", "--site", "lisbon", "--broker", "b:1", "--limit", "0"], "--limit"),
        (["show", "--site", "lisbon", "--broker", "b:1"], "Missing option '--offset'"),
        (["show", "--site", "lisbon", "--broker", "b:1", "--offset", "-1"], "--offset"),
        (["replay", "--site", "lisbon", "--broker", "b:1", "--since", "0000-01-01"], "must be an instant"),
    ],
)
def test_wrong_use_is_said_before_kafka_is_asked(words, said):
    done = CliRunner().invoke(command, words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr
