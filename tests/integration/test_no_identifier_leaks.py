"""A marked patient goes every way a message can go; no output, error or traceback shows a mark that it may not show.

Shown may be, by the contract: the `treatment_id` of an order or start, the `event_id` of evidence, codes that the
policy does not know, and what names a message that is listed for a person to mend: its id and that of its course.
Nothing else of a message, and on the ways that print no result not even those.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from monitor.cli import main
from monitor.demo.cases import case_one
from monitor.policyfile import default_policy_path
from tests.data.marked_lines import ACTIONS, HISTORY, MARK, SPOILT, leaves, marked, marked_concept, put
from tests.data.valid_lines import VALID, compact
from tests.integration.desk import POLICY, PROJECT, Desk

LOOKALIKE = PROJECT / "tests" / "data" / "sdtm-lookalike"
FORMATS = (
    ("--format", "json"), ("--format", "table"), ("--format", "csv", "--rows", "rates"),
    ("--format", "csv", "--rows", "decisions"), ("--format", "csv", "--rows", "unmapped"),
)  # fmt: skip


class Listener(Desk):
    """A desk that hears all that is said, with debugging on: then most is said."""

    def says(self, *arguments: str | Path, given: bytes | None = None, code: int = 0) -> str:
        """All that the command prints, on both outputs."""
        env = {"JAKWATCH_DEBUG": "1"}
        result = CliRunner().invoke(main, [str(each) for each in arguments], input=given, env=env)
        assert result.exit_code == code, result.output[-2_000:]
        is_result = result.stdout.startswith("{")
        return (unlisted(result.stdout) if is_result else result.stdout) + result.stderr

    def starts(self, *arguments: str | Path, code: int = 0) -> str:
        """The same in a process of its own."""
        env = os.environ | {"JAKWATCH_DEBUG": "1", "PYTHONPATH": str(PROJECT)}
        command = [sys.executable, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, env=env)
        assert result.returncode == code, result.stderr[-2_000:]
        return (unlisted(result.stdout) if result.stdout.startswith("{") else result.stdout) + result.stderr


@pytest.fixture
def desk(tmp_path: Path) -> Listener:
    return Listener(tmp_path)


def unlisted(printed: str) -> str:
    """A result without the ids of what it lists for a person to mend."""
    result = json.loads(printed)
    for row in result["listed"]:
        del row["treatment_id"], row["event_id"]
    for row in result["open_conflicts"]:
        del row["source"], row["event_id"]
    return json.dumps(result, ensure_ascii=False)


def marks(text: str) -> set[str]:
    """The marks in a text, also where letters were escaped or their case was changed."""
    return set(re.findall(rf"(?i){MARK}[-\w]*", text))


# Replay


@pytest.mark.parametrize("form", FORMATS, ids=" ".join)
def test_replay_shows_nothing_of_a_valid_message_beyond_the_contract(desk: Listener, form: tuple[str, ...]) -> None:
    actions = desk.lines(map(compact, ACTIONS), "actions.jsonl")
    options = ("--sites", desk.sites, "--actions", actions, "--policy", POLICY)
    said = desk.says("replay", desk.lines(HISTORY), *options, *form)
    assert marks(said) == set()


def test_the_marked_history_is_taken_and_fills_every_list(desk: Listener) -> None:
    result = json.loads(desk.says("replay", desk.lines(HISTORY), "--policy", POLICY, "--sites", desk.sites))
    assert result["messages"]["accepted"] == len(HISTORY) - 2
    assert result["messages"]["rejected"] == {}
    assert len(marks(b" ".join(HISTORY).decode("unicode-escape"))) > 30
    assert [row["treatment_id"] for row in result["decisions"]] == ["t-1", "t-1"]
    assert result["decisions"][1]["findings"]["hepatitis_b"]["evidence"] == []
    assert (result["waiting"], result["unplaced"]) == (2, {"no_onset_date": 1})
    assert result["listed"]
    assert result["open_conflicts"]


def test_what_the_contract_lets_be_shown_is_shown_as_it_came(desk: Listener) -> None:
    coded = marked_concept("test", f"{MARK}-allowed-system", f"{MARK}-allowed-code")
    allowed = [
        marked("treatment_ordered", treatment_id=f"{MARK}-allowed-course"),
        marked("screening_result", event_id=f"{MARK}-allowed-evidence", quantity={"value": 1, "unit": "IU/mL"}),
        marked("screening_result", event_id="2", test=coded),
    ]
    said = desk.says("replay", desk.lines(map(compact, allowed)), "--policy", POLICY)
    shown = {"allowed-course", "allowed-system", "allowed-code"}
    assert {mark.removeprefix(f"{MARK}-") for mark in marks(said)} - {"allowed-evidence"} == shown


@pytest.mark.parametrize("form", FORMATS, ids=" ".join)
def test_replay_shows_nothing_of_a_line_that_is_rejected(desk: Listener, form: tuple[str, ...]) -> None:
    path = desk.lines(SPOILT)
    assert len(SPOILT) > 1_000
    said = desk.says("replay", path, "--sites", desk.sites, *form)
    assert marks(said) == set()


def test_the_spoilt_lines_are_rejected_for_every_reason_but_the_site(desk: Listener) -> None:
    result = json.loads(desk.says("replay", desk.lines(SPOILT), "--sites", desk.sites))
    assert set(result["messages"]["rejected"]) >= {"too_large", "not_json", "newer_schema", "unknown_type", "invalid"}
    assert sum(result["messages"]["rejected"].values()) > 1_000


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_process_of_its_own_shows_no_more(desk: Listener, jobs: str) -> None:
    path = desk.lines([*HISTORY, *SPOILT])
    said = desk.starts("-m", "monitor", "replay", path, "--sites", desk.sites, "--jobs", jobs)
    assert '"messages"' in said
    assert marks(said) == set()


def test_what_was_known_then_shows_no_more(desk: Listener) -> None:
    options = ("--known-at", "2026-05-01T12:00:00Z", "--as-of", "2026-05-01", "--site", "lisbon")
    assert marks(desk.says("replay", desk.lines([*HISTORY, *SPOILT]), *options)) == set()


# The other commands that read messages


def test_validate_shows_nothing_of_any_message_not_even_an_id(desk: Listener) -> None:
    everywhere = [
        put(marked(kind), path, f"{MARK}-any")
        for kind in VALID
        for path in leaves(marked(kind))
        if path[0] not in ("extensions", "type", "schema", "site")
    ]
    for options in ((), ("--sites", desk.sites), ("--site", "lisbon")):
        said = desk.says("validate", desk.lines([*HISTORY, *SPOILT, *everywhere]), *options, code=1)
        assert ": invalid: " in said
        assert marks(said) == set()


def test_what_moves_between_two_policies_names_no_patient(desk: Listener) -> None:
    path = desk.lines([*HISTORY, *SPOILT, *map(compact, case_one())])
    options = ("--sites", desk.sites, "--as-of", "2026-05-02", "--limit", "100000")
    said = desk.says("policy", "diff", POLICY, default_policy_path(), path, *options, code=1)
    assert "rates moved: " in said
    assert "lisbon t-1 start: " in said
    assert marks(said) == set()


def test_an_import_names_no_subject_and_no_cell_beside_its_messages(desk: Listener) -> None:
    files = [_marked_table(desk, domain) for domain in ("ex", "ae", "lb", "dm")]
    options = [each for path in files for each in (f"--{path.stem}", path)]
    output, report = desk.folder / "out.jsonl", desk.folder / "rows.txt"
    said = desk.says("import", "sdtm", *options, "--site", "lisbon", "-o", output, "--report", report)
    assert "not used" in report.read_text("utf-8")
    assert marks(said + report.read_text("utf-8")) == set()
    assert f"{MARK}-LA-001" in output.read_text("utf-8")
    assert marks(desk.says("import", "sdtm", *options, "-o", output)) == set()
    for form in FORMATS:
        assert marks(desk.says("replay", output, *form)) == set()
    assert marks(desk.says("validate", output, "--site", "lisbon")) == set()


def _marked_table(desk: Listener, domain: str) -> Path:
    """A table with marked subjects and free texts, and rows that break it in every way."""
    header, *rows = (LOOKALIKE / f"{domain}.csv").read_text("utf-8").splitlines()
    rows = [row.replace("LA-0", f"{MARK}-LA-0").replace("MARIA FELT DIZZY", f"{MARK} FELT DIZZY") for row in rows]
    cells = rows[0].split(",")
    broken = [",".join([*cells[:at], f"{MARK}-cell {at}", *cells[at + 1 :]]) for at in range(3, len(cells))]
    short = f"{MARK}-short,{MARK}"
    lines = [header, *rows, *(row for row in broken if domain != "ex"), short, f'"{MARK}-open quote']
    return desk.file(f"{domain}.csv", "\n".join(lines).encode() + b"\n" + f"{MARK}-\xff".encode("latin-1"))


# What goes wrong


@pytest.mark.parametrize("option", ["--policy", "--sites", "--actions"])
@pytest.mark.parametrize(
    "lines", [HISTORY, HISTORY[:1], HISTORY[5:6], SPOILT[:40]], ids=["all", "one", "result", "spoilt"]
)
def test_messages_given_for_a_document_are_refused(desk: Listener, option: str, lines: list[bytes]) -> None:
    path = desk.lines(lines)
    said = desk.says("replay", desk.lines(HISTORY, "good.jsonl"), option, path, code=2)
    assert str(path) in said
    assert marks(said) == set()


def test_messages_given_to_the_wrong_command_are_refused_without_a_value(desk: Listener) -> None:
    path = desk.lines(HISTORY)
    said = desk.says("policy", "check", path, code=1) + desk.says("policy", "show", path, code=2)
    said += desk.says("policy", "diff", POLICY, path, code=2)
    said += desk.says("import", "sdtm", "--ex", path, "--ae", path, code=2)
    assert marks(said) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--jobs", "0"),
        ("--format", "xml"),
        ("--as-of", "soon"),
        ("--known-at", "then"),
        ("--site", "?"),
        ("--no-such",),
    ],
    ids=" ".join,
)
def test_wrong_use_shows_nothing_of_the_file(desk: Listener, arguments: tuple[str, ...]) -> None:
    assert marks(desk.says("replay", desk.lines(HISTORY), *arguments, code=2)) == set()


@pytest.mark.parametrize("command", ["replay", "validate"])
def test_a_file_that_breaks_off_shows_nothing_of_what_was_read(desk: Listener, command: str) -> None:
    packed = gzip.compress(b"\n".join([*HISTORY, *SPOILT]))
    path = desk.file("messages.jsonl.gz", packed[: len(packed) // 2])
    assert marks(desk.says(command, path, code=2)) == set()


FAULTY = '''
"""Replays with parts that fail, and say so with what they were given."""
import sys
import click
from monitor.cli import main
from monitor.core.registry import Registry
from monitor.parallel import replay_in_processes
from monitor.policyfile import load_policies, load_registry
from monitor.replay import Question, replay_lines
from tests.data.faulty_policy import faulty


class FaultyRegistry(Registry):
    def entry(self, site, recorded_at):
        try:
            raise KeyError("Zq7-cause")
        except KeyError as error:
            fault = ValueError("Zq7-fault", site)
            fault.add_note("Zq7-note")
            raise fault from error


def replay(policy, sites, messages, jobs):
    with open(messages, "rb") as lines:
        lines = lines.read().splitlines()
    question = Question((faulty(load_policies([policy])[0]),), FaultyRegistry(load_registry([sites]).versions))
    return replay_in_processes(lines, question, int(jobs)) if int(jobs) > 1 else replay_lines(lines, question)


@main.command("try")
@click.argument("arguments", nargs=-1)
def command(arguments):
    replay(*arguments)


main.modules = {**main.modules, "try": (__name__, "A command for this test.")}

if __name__ == "__main__":
    main()
'''


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_bug_is_told_by_type_and_place_here_and_in_a_worker(desk: Listener, jobs: str) -> None:
    script = desk.file("faulty.py", FAULTY.encode())
    said = desk.starts(script, "try", POLICY, desk.sites, desk.lines(HISTORY), jobs, code=70)
    assert "a bug" in said
    assert "ValueError" in said
    assert "KeyError" in said
    assert "monitor/core/decode.py" in said
    assert "Traceback" not in said
    assert marks(said) == set()
