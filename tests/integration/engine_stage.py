"""A stage for workers that are nothing but the engine (`engine_child`): their sites, their group, their journal."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from schemas.parts import RESERVED_SITE
from tests.integration.engine_child import Journal
from tests.integration.live import PROJECT, until
from tests.integration.stream_publishers import Letter, publish
from tests.integration.stream_world import make_topics

WITHIN = 60.0  # seconds, on a machine that is busy with other tests


@dataclass(slots=True)
class Stage:
    """Sites, a group and a journal of their own, for workers that lack one of the engine's overrides, or none."""

    servers: str
    folder: Path
    children: ExitStack
    without: str | None = None
    word: str = field(default_factory=lambda: secrets.token_hex(3))
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal.jsonl", "")

    def sites(self, number: int = 1) -> list[str]:
        names = [f"{self.word}-{each}" for each in range(number)]
        make_topics(self.servers, names)
        return names

    def start(self, sites: list[str], who: str = "one", **given: Any) -> subprocess.Popen[bytes]:
        """A worker; it ends with the test at the latest."""
        told = {"servers": self.servers, "sites": sites, "who": who, "group": self.word, "without": self.without}
        told |= {"journal": str(self.journal.path), "instance": None, "fails": None} | given
        place = self.folder / who
        place.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{who}.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.engine_child", json.dumps(told)],
                cwd=place, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=said, stderr=said,
            )  # fmt: skip
        self.children.callback(_end, process)
        self.processes.append(process)
        return process

    def send(self, site: str, *words: str) -> None:
        publish(self.servers, [Letter(site, word.encode()) for word in words])

    def events(self, event: str, who: str | None = None, site: str | None = None) -> list[dict[str, Any]]:
        return [
            each
            for each in self.journal.read()
            if each["event"] == event and who in (None, each["who"]) and site in (None, each["site"])
            and each["site"] != RESERVED_SITE
        ]  # fmt: skip

    def kept(self, site: str) -> list[str]:
        """What the batches of a site said, in the order in which they were kept."""
        return [word for each in self.events("kept", site=site) for word in each["said"]]

    def until_kept(self, site: str, *words: str) -> None:
        until(lambda: self.kept(site) == list(words), f"{words} of {site} are kept", WITHIN)

    def until_happened(self, event: str, times: int = 1, who: str | None = None) -> None:
        until(lambda: len(self.events(event, who)) >= times, f"{event} {times} times", WITHIN)

    def order(self, *events: str) -> list[str]:
        """Which of some kinds of events happened, in order."""
        return [each["event"] for each in self.journal.read() if each["event"] in events]

    def said(self, who: str = "one") -> str:
        return (self.folder / f"{who}.log").read_text()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
