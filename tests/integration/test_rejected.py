"""`jakwatch rejected` on a real Kafka: what was rejected is told without what was sent, and comes in again once."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kafka import KafkaAdminClient, KafkaProducer, TopicPartition

from monitor.core.days import instant
from monitor.demo.hospitals import registry_yaml
from monitor.kafka import wire
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reading import Reader, UnreadableError, committed_end
from monitor.kafka.rejected import REPLAYED_FROM
from monitor.records import Rejected
from tests.integration.broker import Broker
from tests.integration.inbox import WITHIN, arguments, begun, end, jakwatch, new_site, records, values
from tests.integration.live import PROJECT, until

NOON = instant(datetime(2026, 6, 30, 12, tzinfo=UTC))
MANY = 12_000


class Bad(NamedTuple):
    """What came at an offset of the inbound topic and was rejected."""

    offset: int
    raw: bytes
    reason: str = "invalid"
    headers: tuple[tuple[str, bytes], ...] = ()
    hours: int = 0  # after noon


def mended(number: int) -> bytes:
    """A message that is valid today, whatever it was rejected for."""
    return json.dumps({
        "type": "patient_contact", "event_id": f"visit-{number}", "recorded_at": "2026-06-30T12:00:00Z",
        "patient_id": "SMITH-4711", "seen_on": "2026-06-30",
    }).encode()  # fmt: skip


def reject(broker: Broker, site: str, bads: Iterable[Bad]) -> None:
    """As a monitor does: within a transaction, by `wire`."""
    with rejecting(broker, site, bads) as monitor:
        monitor.commit_transaction()


@contextmanager
def rejecting(broker: Broker, site: str, bads: Iterable[Bad]) -> Iterator[KafkaProducer]:
    with closing(KafkaProducer(bootstrap_servers=broker.servers, transactional_id=f"monitor-{site}")) as monitor:
        monitor.init_transactions()
        monitor.begin_transaction()
        for bad in bads:
            why = Rejected(bad.raw, topic("in", site), bad.offset, bad.reason, "seen_on", "must be a date YYYY-MM-DD")
            key, value, headers = wire.rejection(why, NOON + bad.hours * 3_600_000_000, bad.headers)
            monitor.send(topic("rejected", site), value, key=key, headers=list(headers))
        yield monitor


def replayed_from(site: str, sent: bytes, *offsets: int) -> list[tuple[str, bytes]]:
    mark = sha256(sent).hexdigest()[:16]
    return [(REPLAYED_FROM, f"{topic('in', site)}/{offset}/{mark}".encode()) for offset in offsets]


def origins_replayed(broker: Broker, site: str) -> Counter[bytes]:
    """How often each rejection was replayed."""
    return Counter(dict(each.headers)[REPLAYED_FROM] for each in records(broker, topic("in", site)))


def listed(broker: Broker, site: str, *options: str) -> dict[str, Any]:
    done = jakwatch(broker, "rejected", "list", "--site", site, "--format", "json", *options)
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def replay(broker: Broker, site: str, *options: str | Path, code: int = 0) -> str:
    done = jakwatch(broker, "rejected", "replay", "--site", site, *options)
    assert done.returncode == code, done.stderr.decode()
    return done.stdout.decode()


def table(text: str) -> dict[str, dict[str, str]]:
    """Row -> column -> cell of the table at the beginning of a text."""
    head, *rows = text.split("\n\n", maxsplit=1)[0].splitlines()
    names = [name.strip() for name in head.split("  ") if name.strip()][1:]
    return {row.split()[0]: dict(zip(names, row.split()[1:], strict=True)) for row in rows}


# The list


def test_the_list_says_what_was_rejected_and_why_and_nothing_of_what_was_sent(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(7, b'{"patient_id":"SMITH-4711"}', headers=(("trace", b"SMITH-4712"),))])
    done = jakwatch(broker, "rejected", "list", "--site", site)
    assert (done.returncode, done.stderr) == (0, b"")
    text = done.stdout.decode()
    assert f"{site}: 1 message rejected (invalid 1)" in text
    row = text.splitlines()[-1].split()
    assert row[:5] == [topic("in", site), "7", "2026-06-30T12:00:00Z", "invalid", "seen_on"]
    assert row[-1] == "27"
    assert listed(broker, site)["rejected"] == [{
        "topic": topic("in", site), "offset": 7, "reason": "invalid", "path": "seen_on",
        "rule": "must be a date YYYY-MM-DD", "rejected_at": "2026-06-30T12:00:00.000000Z", "bytes": 27,
        "replayed_from": [],
    }]  # fmt: skip
    assert "SMITH" not in text + json.dumps(listed(broker, site))


def test_the_list_is_narrowed_by_reason_time_and_number(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(each, b"x", "not_json" if each % 2 else "invalid", hours=each) for each in range(10)])
    offsets = lambda *options: [each["offset"] for each in listed(broker, site, *options)["rejected"]]  # noqa: E731
    assert offsets() == list(range(10))
    assert offsets("--reason", "not_json") == [1, 3, 5, 7, 9]
    assert offsets("--since", "2026-06-30T20:00:00+00:00") == [8, 9]
    assert offsets("--limit", "2") == [8, 9]
    assert offsets("--since", "2026-07-01") == []
    assert listed(broker, site, "--limit", "2")["by_reason"] == {"not_json": 5, "invalid": 5}


def test_what_a_monitor_never_committed_is_not_listed(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(1, b"x")])
    with rejecting(broker, site, [Bad(2, b"y")]) as monitor:
        monitor.abort_transaction()
    assert [each["offset"] for each in listed(broker, site)["rejected"]] == [1]


def test_a_stranger_in_the_topic_is_told_of_and_hides_nothing(broker):
    site = new_site(broker)
    with closing(KafkaProducer(bootstrap_servers=broker.servers)) as stranger:
        stranger.send(topic("rejected", site), b"SMITH-4711").get(10)
    reject(broker, site, [Bad(1, b"x")])
    done = jakwatch(broker, "rejected", "list", "--site", site, "--format", "json")
    assert json.loads(done.stdout)["total"] == 1
    assert f"{topic('rejected', site)} holds at offset 0 what no monitor of ours wrote" in done.stderr.decode()
    assert b"SMITH" not in done.stderr


# One of them


def test_one_is_shown_without_what_was_sent(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(7, b"SMITH-4711", headers=(("trace", b"SMITH-4712"), ("SMITH-4713", b"")))])
    done = jakwatch(broker, "rejected", "show", "--site", site, "--offset", "7")
    assert (done.returncode, done.stderr) == (0, b"")
    rows = [line.split(maxsplit=1) for line in done.stdout.decode().splitlines()]
    assert ["rule", "must be a date YYYY-MM-DD"] in rows
    assert ["header", "trace, 10 bytes"] in rows
    assert ["header", "(name not shown), 0 bytes"] in rows
    assert b"SMITH" not in done.stdout


def test_what_was_sent_comes_byte_for_byte_when_it_is_asked_for_and_with_a_warning(broker):
    site, raw = new_site(broker), b'\xff\x00{"patient_id":"SMITH"}\r\n'
    reject(broker, site, [Bad(7, raw)])
    done = jakwatch(broker, "rejected", "show", "--site", site, "--offset", "7", "--raw")
    assert (done.returncode, done.stdout) == (0, raw)
    assert "may identify a patient" in done.stderr.decode()


def test_a_terminal_is_not_commanded_by_what_was_sent(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(7, b"\x1b[2Jclear\xff\x07")])
    ours, theirs = pty.openpty()
    words = arguments(broker, "rejected", "show", "--site", site, "--offset", "7", "--raw")
    subprocess.run(words, cwd=PROJECT, stdout=theirs, stderr=subprocess.DEVNULL, timeout=WITHIN, check=True)
    os.close(theirs)
    assert os.read(ours, 1_000).strip() == rb"\x1b[2Jclear\xff\x07"
    os.close(ours)


def test_one_that_is_not_there_is_said(broker):
    done = jakwatch(broker, "rejected", "show", "--site", new_site(broker), "--offset", "7")
    assert (done.returncode, done.stdout) == (2, b"")
    assert "came at offset 7" in done.stderr.decode()


# Bringing it in again


def test_a_rehearsal_says_what_would_be_done_and_does_nothing(broker):
    site = new_site(broker)
    bads = [Bad(1, mended(1)), Bad(2, mended(2), "newer_schema"), Bad(3, b"rubbish", "not_json")]
    reject(broker, site, bads)
    text = replay(broker, site)
    assert table(text) == {
        "not_json": {"to be replayed": "0", "would be rejected again": "1"},
        "newer_schema": {"to be replayed": "1", "would be rejected again": "0"},
        "invalid": {"to be replayed": "1", "would be rejected again": "0"},
    }
    assert "Nothing was published. --yes replays 2 messages." in text
    assert values(broker, site) == []


def test_what_was_mended_comes_in_as_it_was_sent_and_only_once(broker):
    site = new_site(broker)
    theirs = (("trace", b"\x00\xff"), ("empty", b""))
    reject(broker, site, [Bad(3, mended(3), headers=theirs), Bad(5, b"rubbish", "not_json"), Bad(8, mended(8))])
    assert "2 messages replayed." in replay(broker, site, "--yes")
    first, second = records(broker, topic("in", site))
    assert (first.key, first.value, first.headers) == (None, mended(3), [*theirs, *replayed_from(site, mended(3), 3)])
    assert (second.value, second.headers) == (mended(8), replayed_from(site, mended(8), 8))
    again = replay(broker, site, "--yes")
    assert table(again)["invalid"] == {"replayed before": "2", "would be rejected again": "0"}
    assert "0 messages replayed." in again
    assert len(values(broker, site)) == 2


def test_what_came_at_the_same_offset_of_a_topic_that_was_made_anew_is_another_message(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(0, mended(1)), Bad(1, mended(2))])
    replay(broker, site, "--yes")
    reject(broker, site, [Bad(0, mended(3)), Bad(1, mended(2))])
    assert table(replay(broker, site, "--yes"))["invalid"] == {"replayed": "1", "replayed before": "2"}
    assert values(broker, site) == [mended(1), mended(2), mended(3)]


def test_only_what_is_meant_is_replayed(broker):
    site = new_site(broker)
    bads = [Bad(each, mended(each), "newer_schema" if each < 4 else "invalid", hours=each) for each in range(8)]
    reject(broker, site, bads)
    replay(broker, site, "--reason", "newer_schema", "--since", "2026-06-30T14:00:00Z", "--yes")
    replay(broker, site, "--offset", "6", "--offset", "7", "--yes")
    assert values(broker, site) == [mended(each) for each in (2, 3, 6, 7)]


def test_the_registry_says_whether_it_was_mended(broker, tmp_path):
    site = new_site(broker)
    reject(broker, site, [Bad(1, mended(1), "site_mismatch")])
    assert table(replay(broker, site, "--sites", registry(tmp_path, "porto")))["site_mismatch"] == {
        "would be rejected again": "1"
    }
    replay(broker, site, "--sites", registry(tmp_path, site), "--yes")
    assert values(broker, site) == [mended(1)]


def registry(folder: Path, site: str) -> Path:
    path = folder / f"{site}.yaml"
    path.write_text(registry_yaml([site], date(2020, 1, 1), date(2026, 12, 31)))
    return path


def test_what_would_be_rejected_again_is_replayed_only_by_request(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(1, b"rubbish", "not_json")])
    assert "0 messages replayed." in replay(broker, site, "--yes")
    assert "1 message replayed." in replay(broker, site, "--yes", "--unmended-too")
    assert values(broker, site) == [b"rubbish"]


def test_one_that_is_rejected_again_shows_where_it_was_and_can_be_replayed_again(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(3, mended(3))])
    replay(broker, site, "--yes")
    (once,) = records(broker, topic("in", site))
    reject(broker, site, [Bad(90, once.value, "in_the_future", tuple(once.headers))])
    assert [each["offset"] for each in listed(broker, site)["rejected"][1]["replayed_from"]] == [3]
    assert table(replay(broker, site, "--yes")) == {
        "invalid": {"replayed": "0", "replayed before": "1"},
        "in_the_future": {"replayed": "1", "replayed before": "0"},
    }
    twice = records(broker, topic("in", site))[1]
    assert (twice.value, twice.headers) == (mended(3), replayed_from(site, mended(3), 3, 90))
    shown = jakwatch(broker, "rejected", "show", "--site", site, "--offset", "90").stdout.decode()
    assert ["replayed", f"from  {topic('in', site)}/3"] in [line.split(maxsplit=1) for line in shown.splitlines()]


def test_what_is_too_large_with_the_header_is_said_and_holds_up_no_other(broker):
    site = new_site(broker, max_message_bytes="80000")
    reject(broker, site, [Bad(1, mended(1)), Bad(2, b"x" * 79_900, "too_large"), Bad(3, mended(3))])
    text = replay(broker, site, "--yes", "--unmended-too", code=1)
    assert table(text) == {
        "too_large": {"replayed": "0", "too large to replay": "1"},
        "invalid": {"replayed": "2", "too large to replay": "0"},
    }
    assert values(broker, site) == [mended(1), mended(3)]


def test_killed_in_the_middle_and_run_again_each_comes_in_exactly_once(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(each, mended(each)) for each in range(MANY)])
    for _ in range(3):
        before = end(broker, topic("in", site))
        with begun(broker, "rejected", "replay", "--site", site, "--yes") as process:
            until(lambda count=before: end(broker, topic("in", site)) > count, "some came in")
            process.kill()
    assert 0 < len(values(broker, site)) < MANY
    replay(broker, site, "--yes")
    replayed = (replayed_from(site, mended(each), each) for each in range(MANY))
    assert origins_replayed(broker, site) == Counter({origin: 1 for [(_, origin)] in replayed})
    assert sorted(values(broker, site)) == sorted(mended(each) for each in range(MANY))


def test_two_at_once_bring_each_in_exactly_once(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(each, mended(each)) for each in range(MANY)])
    words = ["rejected", "replay", "--site", site, "--yes"]
    with begun(broker, *words) as one:
        until(lambda: end(broker, topic("in", site)), "the first has begun")
        with begun(broker, *words) as other:
            (code, said), (also, _) = ended(one), ended(other)
    assert (code, also) == (69, 0)
    assert f"another replay of {site} has begun since" in said
    assert set(origins_replayed(broker, site).values()) == {1}
    assert len(values(broker, site)) == MANY


def ended(process: Any) -> tuple[int, str]:
    _, err = process.communicate(timeout=WITHIN)
    return process.returncode, err.decode()


def test_the_broker_may_die_meanwhile_and_each_comes_in_exactly_once(tmp_path):
    mortal = Broker(tmp_path / "kafka")
    mortal.start()
    try:
        site = new_site(mortal)
        reject(mortal, site, [Bad(each, mended(each)) for each in range(MANY)])
        with begun(mortal, "rejected", "replay", "--site", site, "--yes") as process:
            until(lambda: end(mortal, topic("in", site)), "some came in")
            mortal.kill()
            mortal.start()
            code, said = ended(process)
        assert code in {0, 69}, said
        assert "Traceback" not in said
        replay(mortal, site, "--yes")
        assert set(origins_replayed(mortal, site).values()) == {1}
        assert len(values(mortal, site)) == MANY
    finally:
        mortal.kill()


def test_what_may_have_been_replayed_before_the_inbound_topic_forgot_is_not_replayed_unasked(broker):
    site = new_site(broker)
    reject(broker, site, [Bad(1, mended(1))])
    replay(broker, site, "--yes")
    forget(broker, topic("in", site))
    assert table(replay(broker, site, "--yes")) == {"invalid": {"too old to know": "1"}}
    assert values(broker, site) == []
    assert "1 message replayed." in replay(broker, site, "--yes", "--older-too")
    assert values(broker, site) == [mended(1)]


def forget(broker: Broker, name: str) -> None:
    """What retention does after 14 days."""
    where = TopicPartition(name, 0)
    with Reader(Connection(broker.servers), name) as reader:
        end = reader.end()
    with closing(KafkaAdminClient(bootstrap_servers=broker.servers)) as admin:
        admin.delete_records({where: end})


def test_a_transaction_that_a_hospital_leaves_open_is_waited_for_and_said(broker):
    site = new_site(broker)
    connection, name = Connection(broker.servers), topic("in", site)
    with closing(KafkaProducer(bootstrap_servers=broker.servers, transactional_id=f"hospital-{site}")) as hospital:
        hospital.init_transactions()
        hospital.begin_transaction()
        hospital.send(name, b"open").get(10)
        with Reader(connection, name) as reader:
            with pytest.raises(UnreadableError, match="transaction open"):
                committed_end(reader, connection, within=0.5)
            hospital.commit_transaction()
            assert committed_end(reader, connection) >= 1


@pytest.mark.parametrize("words", [["list"], ["show", "--offset", "1"], ["replay", "--yes"]])
def test_a_site_without_topics_is_said(broker, words: Sequence[str]):
    done = jakwatch(broker, "rejected", *words, "--site", "no-such-site")
    assert (done.returncode, done.stdout) == (69, b"")
    assert f"there is no topic {topic('rejected', 'no-such-site')}" in done.stderr.decode()
