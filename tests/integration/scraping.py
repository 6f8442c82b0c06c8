"""A real Prometheus on loopback that scrapes what a test names, and answers what it is asked."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

from tests.integration.live import END_WITHIN, until

_open = build_opener(ProxyHandler({})).open
EVERY = "1s"  # how often it scrapes
Series = list[dict[str, Any]]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class Refused(Exception):
    """Prometheus does not understand the query: its words."""


class Scraping:
    """`with Scraping(tmp_path, {"jakwatch-view": "127.0.0.1:8321"}) as prometheus:`, a job and what it scrapes."""

    def __init__(self, folder: Path, targets: Mapping[str, str], rules: str | None = None) -> None:
        self.folder = folder
        self.targets = targets
        self.rules = rules
        self.address = f"127.0.0.1:{free_port()}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Returns once it has scraped everything twice: only then a difference over time exists."""
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("There is no Prometheus here. Do next: make programs")
        self._configure()
        command = [program, "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", "--log.level=warn"]
        with (self.folder / "prometheus.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address={self.address}"], cwd=self.folder, stdout=log, stderr=log
            )
        until(lambda: self._scraped() >= len(self.targets), "Prometheus has scraped everything twice")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(END_WITHIN)

    def _configure(self) -> None:
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [target]}], "sample_limit": 100_000}
            for job, target in self.targets.items()
        ]
        settings: dict[str, Any] = {
            "global": {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY},
            "scrape_configs": jobs,
        }
        if self.rules is not None:
            (self.folder / "rules.yml").write_text(self.rules, encoding="utf-8")
            settings["rule_files"] = ["rules.yml"]
        (self.folder / "prometheus.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")

    def _scraped(self) -> int:
        try:
            return len(self.ask("count_over_time(up[1m]) > 1 and up == 1"))
        except (URLError, ConnectionError, Refused):  # it is not there yet, or not ready
            return 0

    def ask(self, query: str) -> Series:
        """The series that an instant query comes to. Raises Refused."""
        found = self._get("query", {"query": query})
        assert isinstance(found["result"], list), "a number alone has no series"
        return found["result"]

    def ask_over_time(self, query: str, seconds: int = 60) -> Series:
        """The series of a query over the last seconds, as a panel with a time axis asks. Raises Refused."""
        now = float(self.ask("vector(time())")[0]["value"][1])
        found = self._get("query_range", {"query": query, "start": f"{now - seconds}", "end": f"{now}", "step": "5"})
        series = found["result"]
        assert isinstance(series, list)
        return series

    def values_of(self, label: str, match: str) -> list[str]:
        """All values a label has on the series that match."""
        found: list[str] = self._get(f"label/{label}/values", {"match[]": match})
        return found

    def _get(self, what: str, fields: Mapping[str, str]) -> Any:
        try:
            with _open(f"http://{self.address}/api/v1/{what}?{urlencode(fields)}", timeout=30) as answer:
                return json.load(answer)["data"]
        except HTTPError as refused:
            with refused:
                raise Refused(refused.read().decode()) from None
