"""Whoever is called at night types what a runbook says, with a name or file put in: it is understood as it stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from monitor.cli import main
from monitor.exitcodes import ExitCode
from tests.integration.docs_blocks import blocks
from tests.unit.alert_files import ALERTMANAGER, ALERTS, PROJECT, RULE_FILES, RUNBOOKS, run

PAGE = ALERTS / "README.md"
LINK = "README.md#at-night-the-commands"
OF_THE_SYSTEM = ("date", "timedatectl")
PROGRAMS = ("jakwatch", "docker", "curl", "prometheus", "promtool", "amtool", "journalctl", "systemctl", *OF_THE_SYSTEM)
PROCESSES = {"jakwatch run", "jakwatch monitor", "jakwatch view"}  # spoken of, not to be typed
COMPOSE = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
NOBODY = "127.0.0.1:1"  # listens there
EXAMPLE = PROJECT / "docs" / "example"
OPENED = {"8321": "/healthz /readyz /metrics /v1/result", "8322": "/healthz /readyz", "9093": "/-/reload"}  # by port
FILES = {"--sites": EXAMPLE / "sites.yaml", "--policy": PROJECT / "monitor/policies/default.yaml"}  # others: a secret


def typed(path: Path) -> Iterator[str]:
    """The commands of the page, which stand in blocks, or of a runbook, where they stand between backticks."""
    text = path.read_text(encoding="utf-8")
    if path == PAGE:
        lines = [line for block in blocks(text) if block.language == "sh" for line in block.lines]
        yield from (line for line in lines if not line.startswith("export "))
    else:
        spans = (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))
        yield from (span for span in spans if span.split()[0] in PROGRAMS and span not in PROCESSES)


EVERY = sorted({(path.stem, command) for path in (PAGE, *RUNBOOKS) for command in typed(path)})


def of(*programs: str) -> list[str]:
    return sorted({command for _, command in EVERY if command.split()[0] in programs})


def in_container(command: str) -> tuple[str, list[str]]:
    """The service that a `docker compose exec` names, and what is said there."""
    _, _, _, service, *words = shlex.split(command)
    return service, words


EXECUTED = [command for command in of("docker") if command.startswith("docker compose exec ")]
OF_JAKWATCH = [shlex.split(command) for command in of("jakwatch")] + [
    words for command in EXECUTED if (words := in_container(command)[1])[0] == "jakwatch"
]


def test_every_command_is_one_whose_words_are_known():
    assert len(EVERY) > 40
    assert {command.split()[0] for _, command in EVERY} == set(PROGRAMS)


def put_in(words: list[str], folder: Path) -> list[str]:
    """What a person would put in, each a file that only its owner reads."""
    secret = folder / "secret"
    secret.write_text("00" * 32)
    secret.chmod(0o600)
    given = []
    for option, word in zip(["", *words], words, strict=False):
        if word == "FILE" or word.startswith(("/etc/jakwatch/", "/run/secrets/")):
            given.append(str(FILES.get(option, secret)))
        else:
            here = re.sub(r"(?<=//)(?:HOST|view|monitor)(?=:)", "127.0.0.1", word)
            given.append({"SITE": "lisbon", "FILES": str(EXAMPLE / "unscreened.jsonl")}.get(here, here))
    return given


@pytest.mark.parametrize("words", OF_JAKWATCH, ids=" ".join)
def test_a_command_of_ours_needs_nothing_but_what_is_written(words, tmp_path, monkeypatch):
    """Run as it stands: it gets as far as Kafka, which is not there. Wrong use would have been told before."""
    monkeypatch.setenv("JAKWATCH_BROKER", NOBODY)
    done = CliRunner().invoke(main, put_in(words[1:], tmp_path))
    assert done.exit_code == (0 if words[1] == "replay" else ExitCode.SERVICE_MISSING), done.output


@pytest.mark.parametrize("command", of("curl"))
def test_an_address_is_one_at_which_somebody_answers(command):
    (port, path), = re.findall(r"http://\S+?:(\w+)(/[\w/.-]+)", command)  # fmt: skip
    if command.startswith("curl -f http://127.0.0.1:9090/"):
        return  # asked of a real Prometheus in test_alerts_forgotten
    assert port == "PORT" or path in OPENED[port].split()
    assert {"8321", "8322"} <= {
        word.partition("=")[2] for name in ("view", "monitor") for word in COMPOSE[name]["command"]
    }


@pytest.mark.parametrize("command", of("docker"))
def test_a_container_is_one_of_ours(command):
    docker, compose, verb, *words = shlex.split(command)
    assert (docker, compose) == ("docker", "compose")
    services = {"ps": [], "logs": words[-1:], "exec": words[:1], "stop": words, "start": words, "run": words[2:3]}
    assert set(services[verb]) <= set(COMPOSE)


@pytest.mark.parametrize("command", of("amtool", "promtool"))
def test_what_checks_settings_and_rules_does_so(command):
    program, *words = command.replace("FILE", str(ALERTMANAGER if "amtool" in command else RULE_FILES[0])).split()
    assert run(program, *words).returncode == 0


def test_the_unit_is_that_of_the_page_that_sets_it_up():
    page = (PROJECT / "docs" / "tutorial-on-call.md").read_text(encoding="utf-8")
    (unit,) = set(re.findall(r"/etc/systemd/system/(\w+)\.service", page))
    assert all(unit in shlex.split(command) for command in of("journalctl", "systemctl"))


@pytest.mark.parametrize("path", RUNBOOKS, ids=lambda path: path.stem)
def test_a_runbook_with_commands_leads_to_where_they_are_explained(path):
    commands = [command for command in typed(path) if command.split()[0] not in OF_THE_SYSTEM]
    assert not commands or LINK in path.read_text(encoding="utf-8")
