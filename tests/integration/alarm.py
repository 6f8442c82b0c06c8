"""A real Prometheus and a real Alertmanager on loopback, with the project's rules and routes, and who hears of it all.

The settings are those of deploy/, with short waits, and with webhooks to here in place of everybody's addresses.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml

from monitor.metrics.exposition import CONTENT_TYPE
from tests.integration.live import END_WITHIN, PROJECT, until
from tests.integration.scraping import free_port

RULES = PROJECT / "alerts" / "rules"
SETTINGS = PROJECT / "deploy"
SCRAPE, EVALUATE, HELD = "500ms", "250ms", "1s"
_open = build_opener(ProxyHandler({})).open


class Message(NamedTuple):
    """What a receiver was told."""

    receiver: str
    at: float  # of the monotonic clock
    raw: bytes

    @property
    def content(self) -> Any:
        return json.loads(self.raw)

    @property
    def status(self) -> str:
        return str(self.content["status"])

    def names(self, status: str = "firing") -> set[str]:
        """Of the alerts in it."""
        return {each["labels"]["alertname"] for each in self.content["alerts"] if each["status"] == status}

    @property
    def site(self) -> str | None:
        found: str | None = self.content["groupLabels"].get("site")
        return found


class Listener:
    """All receivers at once: a web server that keeps what it is sent, by the path it is sent to."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.refusing: set[str] = set()  # receivers that take nothing
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                receiver = self.path.strip("/")
                if receiver not in listener.refusing:
                    listener.heard.append(Message(receiver, time.monotonic(), raw))
                self.send_response(400 if receiver in listener.refusing else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def to(self, receiver: str, since: float = 0.0) -> list[Message]:
        return [each for each in self.heard if each.receiver == receiver and each.at >= since]

    def of_safety(self, since: float = 0.0) -> list[Message]:
        return [each for each in self.heard if each.receiver.startswith(("safety", "officer")) and each.at >= since]

    def waits_for(self, receiver: str, alert: str, status: str = "firing", since: float = 0.0) -> Message:
        """The first message that tells of an alert; fails where none comes."""

        def told() -> list[Message]:
            return [each for each in self.to(receiver, since) if alert in each.names(status)]

        until(told, f"{receiver} hears that {alert} is {status}")
        return told()[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Program:
    """One process that can be ended and started again on the same data."""

    command: list[str]
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=self.folder, stdout=log, stderr=log)

    def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(END_WITHIN)
            self.process = None


class Alarm:
    """`with Alarm(tmp_path, {"jakwatch-view": "127.0.0.1:8321"}) as alarm:` watches, and tells `alarm.listener`.

    `rules`: files of alerts/rules, in which every time is short for which a condition must hold. `more`: further rules.
    `resend`: how often Prometheus repeats an alert to Alertmanager, which takes it for ended after four times as long.
    """

    def __init__(
        self,
        folder: Path,
        targets: Mapping[str, list[str]],
        rules: Sequence[str] = ("safety", "feeds", "platform"),
        more: str | None = None,
        resend: str = "5s",
    ) -> None:
        self.folder = folder
        self.targets = targets
        self.rules = {name: (RULES / f"{name}.yaml").read_text(encoding="utf-8") for name in rules}
        self.rules |= {} if more is None else {"more": more}
        self.listener = Listener()
        self.prometheus_address, self.alertmanager_address = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        self.prometheus = self._program("prometheus", self.prometheus_address, f"--rules.alert.resend-delay={resend}")
        self.alertmanager = self._program(
            ("prometheus-alertmanager", "alertmanager"), self.alertmanager_address, "--cluster.listen-address="
        )

    def _program(self, names: str | tuple[str, ...], address: str, *options: str) -> Program:
        known = (names,) if isinstance(names, str) else names
        found = next(filter(None, map(shutil.which, known)), None)
        if found is None:
            pytest.fail(f"There is no {known[0]}. Do next: make programs")
        folder = self.folder / known[-1]
        folder.mkdir(exist_ok=True)
        flag = "--storage.path" if known[-1] == "alertmanager" else "--storage.tsdb.path"
        command = [found, "--config.file=settings.yml", f"{flag}=data", f"--web.listen-address={address}"]
        return Program([*command, "--log.level=warn", *options], folder)

    def __enter__(self) -> Self:
        self._settle_prometheus()
        self._settle_alertmanager()
        self.alertmanager.start()
        self.prometheus.start()
        until(lambda: self.listener.to("deadman"), "the watchdog is heard")
        return self

    def __exit__(self, *_: object) -> None:
        self.prometheus.end()
        self.alertmanager.end()
        self.listener.close()

    # Settings

    def _settle_prometheus(self) -> None:
        settings = yaml.safe_load((SETTINGS / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
        settings["global"] |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": EVALUATE}
        for name, text in self.rules.items():
            short = re.sub(r"(?m)^( +)for: \S+$", rf"\1for: {HELD}", text)
            (self.prometheus.folder / f"{name}.yaml").write_text(short, encoding="utf-8")
        settings["rule_files"] = [f"{name}.yaml" for name in self.rules]
        jobs = {**self.targets, "prometheus": [self.prometheus_address], "alertmanager": [self.alertmanager_address]}
        settings["scrape_configs"] = [
            {"job_name": job, "static_configs": [{"targets": targets}]} for job, targets in jobs.items()
        ]
        settings["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [self.alertmanager_address]}]}]
        self._write(self.prometheus, settings)

    def _settle_alertmanager(self) -> None:
        settings = yaml.safe_load((SETTINGS / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8"))
        settings["templates"] = [str(SETTINGS / "alertmanager" / "templates" / "*.tmpl")]
        for route in (settings["route"], *settings["route"]["routes"]):
            route |= {"group_wait": "100ms", "group_interval": "300ms"}
            if route["receiver"] == "deadman":
                route |= {"group_interval": "200ms", "repeat_interval": "150ms"}
        for receiver in settings["receivers"]:
            hooks, mails = receiver.pop("webhook_configs", []), receiver.pop("email_configs", [])
            url = f"http://{self.listener.address}/{receiver['name']}"
            ends = (hooks or mails)[0]["send_resolved"]
            receiver["webhook_configs"] = [{"url": url, "send_resolved": ends}]
        self._write(self.alertmanager, settings)

    @staticmethod
    def _write(program: Program, settings: Mapping[str, Any]) -> None:
        (program.folder / "settings.yml").write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")

    # What Prometheus knows

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The series of an instant query; none where nobody answers."""
        try:
            with _open(f"http://{self.prometheus_address}/api/v1/query?{urlencode({'query': query})}") as answer:
                found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
                return found
        except (URLError, ConnectionError):
            return []

    def firing(self) -> set[str]:
        """The names of the alerts that fire."""
        return {each["metric"]["alertname"] for each in self.ask('ALERTS{alertstate="firing"}')}

    def some_time(self, beats: int = 10) -> None:
        """Until the watchdog was heard so many times more: as long as any other message would need."""
        before = len(self.listener.to("deadman"))
        until(lambda: len(self.listener.to("deadman")) >= before + beats, "the watchdog goes on")


class Exporter:
    """A web server that says at `/metrics` what stands in `text` now, as a process of jakwatch would."""

    def __init__(self, text: bytes = b"") -> None:
        self.text = text
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200 if exporter.text else 503)
                self.send_header("Content-Type", CONTENT_TYPE)
                self.end_headers()
                with suppress(ConnectionError):  # a scrape may give up
                    self.wfile.write(exporter.text)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
