"""`jakwatch publish` on a real Kafka: what is sent arrives as it was, and none is lost, whoever dies meanwhile."""

from __future__ import annotations

import gzip
import json
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.demo.garbage import GARBAGE
from monitor.kafka.names import topic
from tests.integration.broker import Broker
from tests.integration.inbox import WITHIN, begun, jakwatch, make_topics, new_site, records, values
from tests.integration.live import until

MANY = 60_000  # lines: some seconds of publishing


def lines_of(site: str, number: int) -> list[bytes]:
    return [json.dumps({"site": site, "event_id": f"e{each}", "filler": "x" * 150}).encode() for each in range(number)]


def written(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def missing(sent: list[bytes], arrived: list[bytes]) -> set[bytes]:
    return set(sent) - set(arrived)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[Broker]:
    """A broker that may be killed."""
    kafka = Broker(tmp_path / "kafka")
    kafka.start()
    yield kafka
    kafka.kill()


def test_every_line_arrives_byte_for_byte_and_in_order(broker, tmp_path):
    site = new_site(broker)
    garbage = [line for line in GARBAGE if b"\n" not in line]
    lines = [*lines_of(site, 2_500), *garbage, b"\xff\x00 not utf-8", b" ", b'{"a":1}\r\n', b"x" * 100_000]
    done = jakwatch(broker, "publish", written(tmp_path / "day.jsonl", lines), "--site", site)
    assert (done.returncode, done.stderr) == (0, b"")
    expected = [line.removesuffix(b"\r\n") for line in lines if line.strip()]
    assert values(broker, site) == expected
    assert done.stdout.decode() == f"{len(expected):,} messages confirmed ({site} {len(expected):,})\n"


def test_each_line_goes_to_the_site_that_it_names(broker, tmp_path):
    one, other = new_site(broker), new_site(broker)
    mixed = [line for pair in zip(lines_of(one, 50), lines_of(other, 50), strict=True) for line in pair]
    packed = tmp_path / "both.jsonl.gz"
    packed.write_bytes(gzip.compress(b"\n".join(mixed)))
    assert jakwatch(broker, "publish", packed).returncode == 0
    assert [values(broker, one), values(broker, other)] == [lines_of(one, 50), lines_of(other, 50)]


def test_a_line_that_names_no_site_of_ours_is_named_and_holds_up_no_other(broker, tmp_path):
    site = new_site(broker)
    bad = [b"no json", b'{"site":7}', b'{"site":"nowhere-at-all"}', b'{"site":"a","site":"b"}', b'{"site":"canary"}']
    file = written(tmp_path / "mixed.jsonl", [b'{"patient_id":"P-4711"}', *lines_of(site, 2), *bad])
    done = jakwatch(broker, "publish", file)
    assert done.returncode == 1
    assert values(broker, site) == lines_of(site, 2)
    told = done.stderr.decode()
    assert "not sent: lines 1, 4-5, 7: no site can be read from it" in told
    assert "not sent: line 6: its site has no inbound topic" in told
    assert "not sent: line 8: the site `canary` is reserved" in told
    assert "nowhere-at-all" not in told
    assert "4711" not in told
    assert done.stdout.decode() == f"2 messages confirmed ({site} 2), 6 lines not sent\n"


def test_a_line_of_three_megabytes_is_named_and_all_others_arrive(broker, tmp_path):
    site = new_site(broker)
    lines = lines_of(site, 10)
    file = written(tmp_path / "day.jsonl", [*lines[:5], b"x" * 3_000_000, *lines[5:]])
    done = jakwatch(broker, "publish", file, "--site", site)
    assert (done.returncode, values(broker, site)) == (1, lines)
    assert "not sent: line 6: longer than 1,048,576 bytes" in done.stderr.decode()


def test_lines_that_only_the_broker_refuses_are_named_and_all_others_arrive(broker, tmp_path):
    site = new_site(broker, max_message_bytes="70000")
    large = [b"%d" % each + b"G" * 80_000 for each in range(3)]
    lines = lines_of(site, 1_500)
    file = written(tmp_path / "day.jsonl", [*lines[:700], large[0], large[1], *lines[700:], large[2]])
    done = jakwatch(broker, "publish", file, "--site", site)
    assert done.returncode == 1
    assert values(broker, site) == lines
    assert "not sent: lines 701-702, 1503: refused by Kafka as too large" in done.stderr.decode()


def test_lines_of_a_pipe_are_confirmed_while_it_stays_open(broker):
    site = new_site(broker)
    with begun(broker, "publish", "-", "--site", site) as process:
        for number in range(1, 4):
            process.stdin.write(b'{"n":%d}\n' % number)
            process.stdin.flush()
            until(lambda count=number: len(values(broker, site)) == count, f"line {number} has arrived")
        out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (0, b"")
    assert out.decode() == f"3 messages confirmed ({site} 3)\n"


def test_a_rehearsal_sends_nothing_and_says_what_would_be_sent(broker, tmp_path):
    site = new_site(broker)
    progress = tmp_path / "progress.json"
    file = written(tmp_path / "day.jsonl", [*lines_of(site, 3), b"nothing"])
    done = jakwatch(broker, "publish", file, "--dry-run", "--resume", progress)
    assert done.returncode == 1
    assert done.stdout.decode() == f"3 messages would be sent ({site} 3), 1 line not sent\n"
    assert (values(broker, site), progress.exists()) == ([], False)


def test_a_file_that_has_grown_is_gone_on_with(broker, tmp_path):
    site, progress = new_site(broker), tmp_path / "progress.json"
    lines = lines_of(site, 30)
    file = written(tmp_path / "day.jsonl", lines[:20])
    assert jakwatch(broker, "publish", file, "--resume", progress).returncode == 0
    written(file, lines)
    done = jakwatch(broker, "publish", file, "--resume", progress)
    assert done.returncode == 0
    assert "20 messages confirmed by an earlier run\n10 messages confirmed" in done.stdout.decode()
    assert values(broker, site) == lines


def test_another_file_of_the_same_name_is_not_taken_for_the_one_that_was_published(broker, tmp_path):
    site, progress = new_site(broker), tmp_path / "progress.json"
    file = written(tmp_path / "day.jsonl", lines_of(site, 20))
    assert jakwatch(broker, "publish", file, "--resume", progress).returncode == 0
    kept = progress.read_bytes()
    written(file, lines_of(site, 25)[1:])
    done = jakwatch(broker, "publish", file, "--resume", progress)
    assert done.returncode == 2
    assert "its first 20 lines are not those" in done.stderr.decode()
    assert (values(broker, site), progress.read_bytes()) == (lines_of(site, 20), kept)


def test_lines_that_were_refused_are_tried_again_by_the_next_run(broker, tmp_path):
    site, late, progress = new_site(broker), f"late-{new_site(broker)}", tmp_path / "progress.json"
    file = written(tmp_path / "day.jsonl", [*lines_of(site, 2), *lines_of(late, 2), *lines_of(site, 4)[2:]])
    assert jakwatch(broker, "publish", file, "--resume", progress).returncode == 1
    make_topics(broker, late)
    assert jakwatch(broker, "publish", file, "--resume", progress).returncode == 0
    assert [values(broker, site), values(broker, late)] == [lines_of(site, 4), lines_of(late, 2)]


def test_killed_in_the_middle_and_run_again_nothing_is_lost(broker, tmp_path):
    site, progress = new_site(broker), tmp_path / "progress.json"
    lines = lines_of(site, MANY)
    words = ["publish", written(tmp_path / "day.jsonl", lines), "--site", site, "--resume", progress]
    with begun(broker, *words) as process:
        until(progress.exists, "some lines were confirmed")
        process.kill()
    confirmed = json.loads(progress.read_bytes())["files"][str(words[1])]["lines"]
    assert 0 < confirmed < MANY
    assert values(broker, site)[:confirmed] == lines[:confirmed]
    again = jakwatch(broker, *words)
    assert again.returncode == 0, again.stderr.decode()
    arrived = values(broker, site)
    assert missing(lines, arrived) == set()
    assert len(arrived) < MANY * 1.5  # it went on, it did not begin anew


def test_interrupted_it_says_how_far_it_got(broker, tmp_path):
    site, progress = new_site(broker), tmp_path / "progress.json"
    file = written(tmp_path / "day.jsonl", lines_of(site, MANY))
    with begun(broker, "publish", file, "--site", site, "--resume", progress) as process:
        until(progress.exists, "some lines were confirmed")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (130, b"jakwatch: interrupted\n")
    confirmed = json.loads(progress.read_bytes())["files"][str(file)]["lines"]
    assert out.decode() == f"{confirmed:,} messages confirmed ({site} {confirmed:,})\n"


def test_the_broker_may_die_and_come_back_while_lines_are_published(mortal, tmp_path):
    site, progress = new_site(mortal), tmp_path / "progress.json"
    lines = lines_of(site, MANY)
    with begun(
        mortal, "publish", written(tmp_path / "day.jsonl", lines), "--site", site, "--resume", progress
    ) as process:
        until(progress.exists, "some lines were confirmed")
        mortal.kill()
        mortal.start()
        _, err = process.communicate(timeout=WITHIN)
    assert (process.returncode, err) == (0, b"")
    assert missing(lines, values(mortal, site)) == set()


def test_the_broker_dies_and_a_run_after_its_return_loses_nothing(mortal, tmp_path):
    site, progress = new_site(mortal), tmp_path / "progress.json"
    lines = lines_of(site, MANY)
    words = ["publish", written(tmp_path / "day.jsonl", lines), "--site", site, "--resume", progress]
    with begun(mortal, *words, "--patience", "2") as process:
        until(progress.exists, "some lines were confirmed")
        mortal.kill()
        _, err = process.communicate(timeout=WITHIN)
    assert process.returncode == 69
    assert f"Kafka at {mortal.servers} confirmed nothing for 2 seconds" in err.decode()
    assert f"with --resume {progress} it goes on" in err.decode()
    assert b"Traceback" not in err
    mortal.start()
    assert jakwatch(mortal, *words).returncode == 0
    arrived = values(mortal, site)
    assert missing(lines, arrived) == set()
    assert len(arrived) < MANY * 1.5


def test_a_broker_that_is_down_is_said_within_seconds(broker, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
    file = written(tmp_path / "day.jsonl", [b"{}"])
    begin = time.monotonic()
    done = jakwatch(broker, "publish", file, "--site", "lisbon", "--broker", nowhere)
    assert time.monotonic() - begin < 10
    assert done.returncode == 69
    assert done.stderr.decode().startswith("jakwatch: ")
    assert "Do next" in done.stderr.decode()


def test_a_site_without_a_topic_is_said_before_anything_is_read(broker):
    done = jakwatch(broker, "publish", "-", "--site", "no-such-site")
    assert done.returncode == 69
    assert f"there is no topic {topic('in', 'no-such-site')}" in done.stderr.decode()


def test_records_bear_neither_key_nor_header(broker):
    site = new_site(broker)
    assert jakwatch(broker, "publish", "-", "--site", site, stdin=b"{}\n").returncode == 0
    (record,) = records(broker, topic("in", site))
    assert (record.key, record.headers) == (None, [])


@pytest.mark.parametrize(
    ("kept", "said"),
    [
        (b"not ours", "is no record of what was published"),
        (b'{"schema":2,"cluster":"c","site":null,"files":{}}', "was written by a later version"),
        (b'{"schema":1,"cluster":"c","site":null,"files":{}}', "with another --site or to another Kafka"),
    ],
)
def test_a_progress_file_that_is_not_of_this_publication_is_left_as_it_is(broker, tmp_path, kept, said):
    site, progress = new_site(broker), tmp_path / "progress.json"
    progress.write_bytes(kept)
    done = jakwatch(broker, "publish", "-", "--site", site, "--resume", progress, stdin=b"{}\n")
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert (progress.read_bytes(), values(broker, site)) == (kept, [])
