"""A real process that is killed while it takes messages comes to what `replay` says of the same messages.

JAKWATCH_KILLS says how often it is killed; a hundred times is for `make torture`.
"""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from monitor.cli import main
from monitor.demo import hospitals
from monitor.demo.garbage import GARBAGE
from tests.integration.live import PROJECT, Live, NoAnswerError, until

KILLS = int(os.environ.get("JAKWATCH_KILLS", "5"))
SITES = ("lisbon", "porto", "madrid")
FIRST, LAST = date(2024, 7, 1), date(2025, 6, 30)
AS_OF = "2025-06-30"
POLICY = PROJECT / "tests" / "golden" / "policy.yaml"
OF_PATIENTS = ("rates", "unplaced", "decisions", "imputed", "waiting", "conflicts", "lost_to_follow_up",
               "unassessable", "unmapped", "listed")  # fmt: skip
STANDING = ("accepted", "superseded", "conflicting")
LINES_OF_A_FILE = 2_500  # more than one transaction

GARBAGE_OF = {
    site: {line.replace(b'"lisbon"', f'"{site}"'.encode()): why for line, why in GARBAGE.items() if len(line) < 500}
    for site in SITES
}
SHORT_GARBAGE = {line: reason for garbage in GARBAGE_OF.values() for line, reason in garbage.items()}


def history(seed: int, patients: int) -> list[bytes]:
    """A year of three hospitals, in no order."""
    lines = [hospitals.as_line(each) for each in hospitals.generate(seed, SITES, patients, FIRST, LAST)]
    Random(seed).shuffle(lines)  # noqa: S311  no secret
    return lines


def site_of(line: bytes) -> str:
    return str(json.loads(line)["site"])


def rejected_in(lines: Iterable[bytes]) -> Counter[str]:
    return Counter(SHORT_GARBAGE[line] for line in lines if line in SHORT_GARBAGE)


@pytest.fixture
def sites(tmp_path: Path) -> Path:
    path = tmp_path / "sites.yaml"
    path.write_text(hospitals.registry_yaml(SITES, FIRST, LAST))
    return path


def replayed(folder: Path, sites: Path, lines: Iterable[bytes], as_of: str) -> dict[str, Any]:
    path = folder / "all.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    given = ["replay", str(path), "--policy", str(POLICY), "--sites", str(sites), "--as-of", as_of]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def as_text(result: dict[str, Any], keys: Sequence[str] = OF_PATIENTS) -> dict[str, str]:
    return {key: json.dumps(result[key]) for key in keys}


class Request(NamedTuple):
    """What is sent at once: one line alone, or several as NDJSON; or several as a file of the folder."""

    site: str
    lines: list[bytes]
    is_file: bool = False


def requests(lines: Sequence[bytes], rng: Random) -> Iterator[Request]:
    """All lines by site, one by one or together, garbage among them."""
    of_site: dict[str, list[bytes]] = {site: [] for site in SITES}
    for line in lines:
        of_site[site_of(line)].append(line)
        if rng.random() < 0.05:
            site = rng.choice(SITES)
            of_site[site].append(rng.choice(list(GARBAGE_OF[site])))
    while waiting := [site for site, left in of_site.items() if left]:
        site = rng.choice(waiting)
        size = rng.choice((1, 1, 1, 7, 40))
        yield Request(site, of_site[site][:size])
        del of_site[site][:size]


class Hospitals:
    """They send until each request was answered, whatever happens to the process."""

    def __init__(self, live: Live, inbox: Path, rng: Random) -> None:
        self.live = live
        self.inbox = inbox
        self.rng = rng
        self.told: list[bytes] = []  # was acknowledged, or lies in the folder
        self.untold: list[bytes] = []  # was sent without an answer, each time
        self.files = 0
        self.timer: threading.Timer | None = None

    def kill_within(self, seconds: float) -> None:
        self.timer = threading.Timer(self.rng.uniform(0, seconds), self.live.kill9)
        self.timer.start()

    def wait_for_the_kill(self) -> None:
        if self.timer is not None:
            self.timer.join()
            self.timer = None
            self.live.restart()

    def send(self, request: Request) -> None:
        if request.is_file:
            self._drop(request)
            return
        while True:
            try:
                status, answers = self._post(request)
            except NoAnswerError:
                self.untold += request.lines
                self.wait_for_the_kill()
                continue
            self._is_right(request, status, answers)
            self.told += request.lines
            return

    def _post(self, request: Request) -> tuple[int, list[dict[str, Any]]]:
        if len(request.lines) == 1:
            status, answer = self.live.post(request.site, request.lines[0])
            return (200 if answer["status"] == "rejected" else status), [answer]
        return self.live.post(request.site, request.lines)

    def _is_right(self, request: Request, status: int, answers: list[dict[str, Any]]) -> None:
        assert status == 200, answers
        for line, answer in zip(request.lines, answers, strict=True):
            assert answer.get("reason") == SHORT_GARBAGE.get(line)

    def _drop(self, request: Request) -> None:
        """Put a file there under another name, then rename it."""
        folder = self.inbox / request.site
        folder.mkdir(parents=True, exist_ok=True)
        self.files += 1
        new = folder / f"{self.files}.part"
        new.write_bytes(b"".join(line + b"\n" for line in request.lines))
        new.rename(folder / f"{self.files}.jsonl")
        self.told += request.lines

    def has_begun_a_file(self) -> bool:
        """Whether a part of a file is kept, the rest not yet; or all files were too quickly read to see it."""
        with closing(sqlite3.connect(f"file:{self.live.data / 'log.sqlite'}?mode=ro", uri=True)) as log:
            [count] = log.execute("SELECT count(*) FROM positions").fetchone()
        return bool(count) or not list(self.inbox.glob("*/*.jsonl"))

    def wait_for_the_folder(self) -> None:
        until(lambda: not list(self.inbox.glob("*/*.jsonl")), "all files are read")


def plan(lines: list[bytes], kills: int, rng: Random) -> list[list[Request]]:
    """For each kill some requests; of every three parts one brings a long file of lines that may have come before."""
    sent = list(requests(lines, rng))
    parts = [sent[at :: kills + 1] for at in range(kills + 1)]
    for part in parts[::3]:
        site = rng.choice(SITES)
        own = [line for line in lines if site_of(line) == site]
        bad = list(GARBAGE_OF[site])
        long = rng.choices([*own, *bad], weights=[*[1.0] * len(own), *[0.5] * len(bad)], k=LINES_OF_A_FILE)
        part.insert(0, Request(site, long, is_file=True))
    return parts


def test_killed_at_random_moments_it_comes_to_what_replay_says(tmp_path: Path, sites: Path) -> None:
    rng = Random(KILLS)  # noqa: S311  no secret
    lines = history(KILLS, patients=8 + KILLS // 5)
    inbox = tmp_path / "inbox"
    with Live(tmp_path, "--sites", sites, "--policy", POLICY, "--inbox", inbox) as live:
        senders = Hospitals(live, inbox, rng)
        for number, part in enumerate(plan(lines, KILLS, rng)):
            fatal = rng.randrange(len(part)) if number < KILLS else None
            for place, request in enumerate(part):
                if place == fatal and not part[0].is_file:
                    senders.kill_within(0.02)
                senders.send(request)
            if part[0].is_file and number < KILLS:
                until(senders.has_begun_a_file, "a file is read")
                senders.kill_within(0.3)
            senders.wait_for_the_kill()
        senders.wait_for_the_folder()
        found, today = live.result(AS_OF), live.get("v1/overview")[1]["today"]
        expected = replayed(tmp_path, sites, senders.told, AS_OF)
        assert as_text(found) == as_text(expected)
        _counts_what_arrived(found["messages"], expected["messages"], senders)
        _answers_as(live, replayed(tmp_path, sites, senders.told, today)["decisions"])
        _the_folder_tells_each_bad_line_once(inbox)
        assert "a bug" not in live.stderr


def _counts_what_arrived(found: dict[str, Any], expected: dict[str, Any], senders: Hospitals) -> None:
    """What was not acknowledged and sent again may have been kept both times; a file counts once."""
    assert {name: found[name] for name in STANDING} == {name: expected[name] for name in STANDING}
    least, most = len(senders.told), len(senders.told) + len(senders.untold)
    assert least <= found["received"] <= most
    refused, doubtful = rejected_in(senders.told), rejected_in(senders.untold)
    assert found["rejected"].keys() == refused.keys()
    for reason, count in found["rejected"].items():
        assert refused[reason] <= count <= refused[reason] + doubtful[reason]
    rejected = sum(found["rejected"].values())
    assert found["received"] == sum(found[name] for name in (*STANDING, "duplicate")) + rejected


def _answers_as(live: Live, rows: Iterable[dict[str, Any]]) -> None:
    for row in rows:
        _, told = live.get(f"v1/sites/{row['site']}/answers", treatment_id=row["treatment_id"])
        by_kind = {answer["kind"]: answer for answer in told["answers"]}
        if not row["historical"]:
            answer = by_kind[row["kind"]]
            assert {key: answer[key] for key in ("decision", "flags", "reasons", "valid_until")} == {
                key: row[key] for key in ("decision", "flags", "reasons", "valid_until")
            }


def _the_folder_tells_each_bad_line_once(inbox: Path) -> None:
    for path in inbox.glob("*/done/*.jsonl"):
        if path.name.endswith(".rejected.jsonl"):
            continue
        lines = path.read_bytes().splitlines()
        bad = [(number, SHORT_GARBAGE[line]) for number, line in enumerate(lines, 1) if line in SHORT_GARBAGE]
        report = path.with_name(f"{path.name}.rejected.jsonl")
        told = [json.loads(line) for line in report.read_text().splitlines()] if bad else []
        assert [(each["line"], each["reason"]) for each in told] == bad


# No room


def test_without_room_it_says_so_keeps_nothing_by_halves_and_goes_on_when_there_is(tmp_path: Path, sites: Path) -> None:
    lines = [line for line in history(3, patients=8) if site_of(line) == "lisbon"]
    batches = [lines[at : at + 20] for at in range(0, len(lines), 20)]
    kept: list[bytes] = []
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live:
        used = max(path.stat().st_size for path in live.data.iterdir())
        set_room(live.pid, used + 60_000)
        refused = 0
        for batch in batches:
            status, answer = live.post("lisbon", batch)
            if status == 200:
                kept += batch
                continue
            refused += 1
            assert status == 503
            assert answer["error"] == "the log cannot be written: nothing of this was kept"
            assert "disk" in answer["do"]
        assert 0 < refused < len(batches)
        assert live.get("readyz")[0] == 503
        assert live.get("healthz")[0] == 200
        assert as_text(live.result(AS_OF)) == as_text(replayed(tmp_path, sites, kept, AS_OF))
        assert live.result(AS_OF)["messages"]["received"] == len(kept)
        set_room(live.pid, resource.RLIM_INFINITY)
        for batch in batches:
            assert live.post("lisbon", batch)[0] == 200
        assert live.get("readyz")[0] == 200
        live.restart()
        found = live.result(AS_OF)
        assert as_text(found) == as_text(replayed(tmp_path, sites, lines, AS_OF))
        assert found["messages"]["received"] == len(kept) + len(lines)


def test_killed_without_room_it_has_what_it_acknowledged(tmp_path: Path, sites: Path) -> None:
    lines = [line for line in history(4, patients=6) if site_of(line) == "porto"]
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live:
        set_room(live.pid, max(path.stat().st_size for path in live.data.iterdir()) + 30_000)
        kept = [line for line in lines if live.post("porto", line)[0] == 200]
        assert 0 < len(kept) < len(lines)
        live.restart()
        assert as_text(live.result(AS_OF)) == as_text(replayed(tmp_path, sites, kept, AS_OF))
        assert live.result(AS_OF)["messages"]["received"] == len(kept)


def test_it_is_ready_again_by_itself_when_there_is_room(tmp_path: Path, sites: Path) -> None:
    lines = [line for line in history(4, patients=6) if site_of(line) == "porto"]
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live:
        set_room(live.pid, max(path.stat().st_size for path in live.data.iterdir()))
        assert live.post("porto", lines)[0] == 503
        assert live.get("readyz")[0] == 503
        set_room(live.pid, resource.RLIM_INFINITY)
        until(lambda: live.get("readyz")[0] == 200, "it is ready", within=20)


def set_room(pid: int, size: int) -> None:
    """Let no file of a process grow beyond a size, as a disk that is full would."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


# What else it is started on


def refused(live: Live) -> str:
    """What it says when it does not start because something is missing or wrong with its data."""
    done = subprocess.run(live.arguments(), cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_second_process_on_the_same_data_is_refused_and_the_first_goes_on(tmp_path: Path, sites: Path) -> None:
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live:
        said = refused(live)
        assert "another jakwatch works on" in said
        assert "--data" in said
        assert live.post("lisbon", history(1, 1)[:1])[0] == 200


@pytest.fixture
def stopped(tmp_path: Path, sites: Path) -> Live:
    """A process that was used and has ended, so that only its data is there."""
    with Live(tmp_path, "--sites", sites, "--policy", POLICY) as live:
        live.post("lisbon", [line for line in history(1, 1) if site_of(line) == "lisbon"])
        assert live.terminate() == 0
    return live


def test_another_key_is_refused(stopped: Live) -> None:
    key = stopped.data / "pseudonym.key"
    key.write_text("0" * 64 + "\n")
    said = refused(stopped)
    assert "another pseudonym key" in said
    assert "0000000000" not in said


def test_a_missing_key_is_not_made_anew(stopped: Live) -> None:
    (stopped.data / "pseudonym.key").unlink()
    assert "Put the key back" in refused(stopped)
    assert not (stopped.data / "pseudonym.key").exists()


def test_a_key_that_others_may_read_is_refused(stopped: Live) -> None:
    (stopped.data / "pseudonym.key").chmod(0o640)
    assert "chmod 600" in refused(stopped)


def test_a_log_that_is_none_is_refused_and_left_as_it_is(stopped: Live) -> None:
    for path in stopped.data.glob("log.sqlite*"):
        path.write_bytes(b"some other file, longer than a page header" * 200)
    before = (stopped.data / "log.sqlite").read_bytes()
    assert "cannot be used as a log" in refused(stopped)
    assert (stopped.data / "log.sqlite").read_bytes() == before


def test_a_damaged_page_of_the_log_is_told_and_nothing_is_served(stopped: Live) -> None:
    log = stopped.data / "log.sqlite"
    content = bytearray(log.read_bytes())
    content[8192:] = b"\xa5" * (len(content) - 8192)
    log.write_bytes(content)
    assert "Put back the copy you trust" in refused(stopped)


def test_a_key_and_a_log_of_the_process_are_read_by_nobody_else(stopped: Live) -> None:
    assert stopped.data.stat().st_mode & 0o077 == 0
    assert (stopped.data / "pseudonym.key").stat().st_mode & 0o077 == 0
