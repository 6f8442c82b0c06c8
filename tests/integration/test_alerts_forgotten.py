"""What alerts/README.md says about a hospital that is watched no more, done word by word with a real Prometheus."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from tests.integration.docs_blocks import blocks
from tests.integration.live import END_WITHIN, PROJECT, Live, until
from tests.integration.scraping import Scraping

PAGE = (PROJECT / "alerts" / "README.md").read_text(encoding="utf-8")
COMMANDS = [line for block in blocks(PAGE) if block.language == "sh" for line in block.lines]
BEGIN = next(line for line in COMMANDS if line.startswith("prometheus "))
DELETE, LOOK = (next(line for line in COMMANDS if what in line) for what in ("delete_series", "/api/v1/query "))
LATCHED = '{__name__=~".+:latched"}'
OF_PROCESSES = '{site!="",__name__!~".+:latched|ALERTS.*"}'
RULES = (PROJECT / "alerts" / "rules" / "safety.yaml").read_text(encoding="utf-8")


@contextmanager
def for_administration(prometheus: Scraping) -> Iterator[None]:
    """As the page says, on the folder of the one that has been stopped."""
    words = shlex.split(_here(BEGIN, prometheus).replace("FOLDER", "tsdb"))
    with (prometheus.folder / "administration.log").open("ab") as log:
        process = subprocess.Popen(words, cwd=prometheus.folder, stdout=log, stderr=log)
    try:
        until(lambda: _said(f"curl -sf http://{prometheus.address}/-/ready"), "it answers")
        yield
    finally:
        process.terminate()
        process.wait(END_WITHIN)


def _here(command: str, prometheus: Scraping) -> str:
    return command.replace("127.0.0.1:9090", prometheus.address)


def _said(command: str) -> str:
    return subprocess.run(shlex.split(command), capture_output=True, text=True).stdout  # noqa: PLW1510  empty is an answer


def latched(prometheus: Scraping) -> set[tuple[str, str]]:
    """(name, hospital) of what Prometheus keeps."""
    found = prometheus.ask(f"last_over_time({LATCHED}[6h])")
    return {(each["metric"]["__name__"], each["metric"].get("site", "")) for each in found}


def test_the_alerts_of_a_hospital_that_is_watched_no_more_end_as_the_page_says_and_no_others(tmp_path: Path) -> None:
    with Live(tmp_path, "--patients", "30", command="demo") as live:
        prometheus = Scraping(tmp_path, {"jakwatch-view": live.url.split("/")[2]}, RULES)
        with prometheus:
            until(lambda: {"lisbon", "porto"} <= {site for _, site in latched(prometheus)}, "cases are latched")
            live.kill9()  # no process speaks of the hospital any more
            until(lambda: not prometheus.ask(OF_PROCESSES), "Prometheus notices, and so do the rules")
            before = latched(prometheus)
    assert {"lisbon", "porto"} <= {site for _, site in before}
    with for_administration(prometheus):
        _said(_here(DELETE, prometheus).replace("SITE", "lisbon"))
        assert '"result":[]' in _said(_here(LOOK, prometheus).replace("SITE", "lisbon"))
    prometheus.targets = {"prometheus": prometheus.address}
    with prometheus:
        until(lambda: prometheus.ask("count_over_time(ALERTS[10s]) > 2"), "the rules are evaluated again")
        assert latched(prometheus) == {(name, site) for name, site in before if site != "lisbon"}


@pytest.mark.parametrize("command", [line for line in COMMANDS if "--web.enable-admin-api" in line])
def test_the_start_for_administration_throws_nothing_away(command: str) -> None:
    """Prometheus deletes at once what is older than the time it is told, or than 15 days."""
    compose = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
    (kept,) = re.findall(
        r"--storage\.tsdb\.retention\.time=\S+", " ".join(compose["services"]["prometheus"]["command"])
    )
    assert kept in command.split()
    assert "--config.file=/dev/null" in command.split()  # without rules nothing is latched anew meanwhile
