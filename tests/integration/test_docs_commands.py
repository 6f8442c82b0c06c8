"""What the documents say is so: each command is run as written and prints what is shown, in order, page by page."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from monitor.cli import main
from monitor.policyfile import default_policy_path, load_policies, load_registry
from tests.integration.broker import Broker
from tests.integration.docs_blocks import blocks, commands, mismatch, programs
from tests.integration.docs_reader import reader_in

PROJECT = Path(__file__).resolve().parents[2]
GENERATED = {
    "commands.md",
    "messages.md",
    "metrics.md",
}  # compared with what they are made of, here and by `make check`
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]
WRITTEN = [page for page in PAGES if page.name not in GENERATED]
USED = ("Makefile", "docs", "monitor", "schemas", "tests", "pyproject.toml", "requirements-dev.lock")
POLICY_PAGE = PROJECT / "docs" / "policy.md"
KAFKA_PORT = "9092"
ON_CALL_PAGE = PROJECT / "docs" / "tutorial-on-call.md"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MENTION = re.compile(r"`(jakwatch [^`]+)`")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name_of(page: Path) -> str:
    return page.relative_to(PROJECT).as_posix()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A folder in which a reader could be: the project's files, and a `.venv` whose `jakwatch` is this one."""
    for name in USED:
        (tmp_path / name).symlink_to(PROJECT / name)
    scripts = tmp_path / ".venv" / "bin"
    scripts.mkdir(parents=True)
    for name, arguments in (("jakwatch", "-m monitor "), ("python", "")):
        program = scripts / name
        text = f'#!/bin/sh\nPYTHONPATH="{PROJECT}" exec "{sys.executable}" {arguments}"$@"\n'
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)
    return tmp_path


@contextmanager
def kafka_of(page: Path, folder: Path) -> Iterator[dict[str, str]]:
    """The empty Kafka that a page asks for: the port that it says, and where it is."""
    if f":{KAFKA_PORT}" not in text_of(page):
        yield {}
        return
    broker = Broker(folder / "kafka")
    broker.start()
    try:
        yield {KAFKA_PORT: broker.servers.rpartition(":")[2]}
    finally:
        broker.stop()


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_every_command_of_a_page_does_what_the_page_shows(
    page: Path, clone: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name, text in programs(text_of(page)).items():
        (clone / name).write_text(text, encoding="utf-8")
    with kafka_of(page, tmp_path_factory.mktemp("page")) as ports, reader_in(clone, ports) as reader:
        for command in commands(text_of(page)):
            where = f"{name_of(page)}:{command.line}: {command.text}"
            exit_code, printed = reader.do(command)
            assert exit_code == command.exit_code, "\n".join([where, *printed])
            if command.output:
                assert mismatch(command.output, printed) is None, "\n".join([where, *printed])


def test_the_pages_that_teach_are_run() -> None:
    taught = {name_of(page): len(commands(text_of(page))) for page in WRITTEN}
    assert taught["README.md"] >= 2
    assert taught["docs/tutorial-file.md"] >= 15
    assert min(taught["docs/policy.md"], taught["docs/import.md"]) >= 3
    for who in ("safety-officer", "integrator", "on-call", "kafka"):
        assert taught[f"docs/tutorial-{who}.md"] >= 8, who


def test_the_yaml_of_the_policy_page_is_sound(tmp_path: Path) -> None:
    rows, registry = ("\n".join(block.lines) for block in blocks(text_of(POLICY_PAGE)) if block.language == "yaml")
    (tmp_path / "sites.yaml").write_text(registry, encoding="utf-8")
    assert load_registry([tmp_path / "sites.yaml"]).names == {"lisbon"}
    old = default_policy_path()
    shutil.copytree(old.parent, tmp_path, dirs_exist_ok=True)
    asking = r"(?m)(^ +- \{if: \{(igra|tst): positive\}, +finding: positive, +ask_for: chest_xray\}.*\n){2}"
    text, replaced = re.subn(asking, f"{rows}\n", text_of(old))
    assert replaced == 1
    (tmp_path / "policy.yaml").write_text(text, encoding="utf-8")
    (policy,) = load_policies([tmp_path / "policy.yaml"])
    assert [(row.if_, row.treated_after_days) for row in policy.screening["tuberculosis"].rows][3:5] == [
        ({"igra": "positive"}, 30),
        ({"tst": "positive"}, 30),
    ]


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    hidden = [
        f"{name_of(page)}:{number}: {line}"
        for block in blocks(text_of(page))
        if block.language != "console"
        for number, line in enumerate(block.lines, block.line)
        if line.lstrip("$ .").startswith(("jakwatch ", "venv/bin/jakwatch", "make "))
    ]
    assert hidden == []


@pytest.mark.parametrize("page", WRITTEN, ids=name_of)
def test_a_command_named_in_passing_exists_with_its_options(page: Path) -> None:
    assert {mention: wrong for mention in MENTION.findall(text_of(page)) if (wrong := unknown(mention))} == {}


def unknown(mention: str) -> list[str]:
    """The words of a command line that name no command, and the options it has not."""
    _, *words = shlex.split(mention)
    command: click.Command = main
    context = click.Context(main, info_name="jakwatch")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        if found is None:
            return words[:1]
        command, words = found, words[1:]
    known = {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
    options = {word.partition("=")[0] for word in words if word.startswith("-") and word != "-"}
    return sorted(options - known - {"-h", "--help"})


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_link_leads_to_a_file_that_is_there(page: Path) -> None:
    targets = [target.partition("#")[0] for target in LINK.findall(text_of(page)) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_the_page_of_all_commands_says_what_help_says() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tools.commands_page", "--check"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("shown", "printed", "fits"),
    [
        (["a", "b"], ["a", "b"], True),
        (["a"], ["a", "b"], False),
        (["b"], ["a", "b"], False),
        (["...", "b"], ["a", "b"], True),
        (["a", "..."], ["a", "b", "c"], True),
        (["a", "...", "c"], ["a", "b", "c"], True),
        (["a", "...", "a"], ["a", "b"], False),
        (["sha256 ..., b..."], ["sha256 12, bc"], True),
        (["sha256 ..."], ["sha512 12"], False),
    ],
)
def test_an_ellipsis_stands_for_what_is_left_out_and_for_nothing_else(
    shown: list[str], printed: list[str], fits: bool
) -> None:
    assert (mismatch(shown, printed) is None) is fits


@pytest.mark.parametrize(
    ("mention", "wrong"),
    [
        ("jakwatch replay x.jsonl --jobs 2", []),
        ("jakwatch policy diff OLD NEW --limit=3", []),
        ("jakwatch forecast", ["forecast"]),
        ("jakwatch replay --no-such-option", ["--no-such-option"]),
    ],
)
def test_a_command_that_does_not_exist_is_found_in_passing(mention: str, wrong: list[str]) -> None:
    assert unknown(mention) == wrong


A_PAGE = """
```console
$ a --b  # exit code 1
$ s  # after Ctrl-C there, in a terminal of its own
$ ls  # within seconds
$ sed 's/# no/x/'
out
```
"""


def test_what_a_comment_says_of_a_command_is_understood() -> None:
    failing, serving, slow, plain = commands(A_PAGE)
    assert (failing.text, failing.exit_code, failing.serves) == ("a --b", 1, False)
    assert (serving.text, serving.serves, serving.stops_first, serving.exit_code) == ("s", True, True, 0)
    assert (slow.text, slow.takes_a_while) == ("ls", True)
    assert (plain.text, plain.comment, plain.output) == ("sed 's/# no/x/'", "", ["out"])


def test_the_unit_for_systemd_starts_a_command_that_exists() -> None:
    lines = [line for block in blocks(text_of(ON_CALL_PAGE)) if block.language == "ini" for line in block.lines]
    (start,) = [line.partition("/bin/")[2] for line in lines if line.startswith("ExecStart=")]
    assert start.startswith("jakwatch run --data ")
    assert unknown(start) == []


def test_the_pictures_are_small_and_each_is_shown() -> None:
    pictures = {path.name: path.stat().st_size for path in (PROJECT / "docs" / "pictures").glob("*.png")}
    assert max(pictures.values()) < 250_000
    assert {name for name in pictures if not any(f"pictures/{name})" in text_of(page) for page in WRITTEN)} == set()
