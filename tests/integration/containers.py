"""The containers of docker-compose.yml as processes: the very commands, with this machine's folders and free ports.

No engine runs the images here. What is said to the container's program, where its files are mounted, what it waits for
and how it is asked for its health is read from the file and done.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.integration.broker import LIBS
from tests.integration.live import END_WITHIN, PROJECT, until
from tests.integration.scraping import free_port

HEALTHY_WITHIN = 120.0
_PORTS = (9092, 9094, 9095, 8321, 8322, 9090, 9093)  # of all containers, each of one of them alone
_ADDRESS = re.compile(r"(?:\b(?:kafka|view|monitor|prometheus|alertmanager)|0\.0\.0\.0|127\.0\.0\.1|(?<=//)):(\d+)")
_OF_KAFKA = {"kafka-storage.sh": "kafka.tools.StorageTool", "kafka-server-start.sh": "kafka.Kafka"}
_PROGRAMS = {
    "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager", "/bin/promtool": "promtool",
    "/bin/amtool": "amtool", "python": sys.executable, "/bin/bash": "bash",
}  # fmt: skip


class Containers:
    """`run` waits for a one-shot container, `start` for one that becomes healthy."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = yaml.safe_load((PROJECT / "docker-compose.yml").read_text(encoding="utf-8"))
        self.secrets = _prepared(folder)
        self.ports = {port: free_port() for port in _PORTS}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    # The life of a container

    def run(self, service: str) -> tuple[int, str]:
        """Exit code and output of one that ends."""
        done = subprocess.run(  # noqa: PLW1510  its exit code is looked at
            self._command(service), cwd=PROJECT, env=self._environment(service), timeout=HEALTHY_WITHIN,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def within(self, service: str, words: Sequence[str]) -> tuple[int, str]:
        """Exit code and output of `docker compose exec SERVICE WORDS`."""
        program, *rest = [self._here(service, word) for word in words]
        done = subprocess.run(  # noqa: PLW1510  its exit code is looked at
            self._program(program) + rest, cwd=PROJECT, env=self._environment(service), timeout=HEALTHY_WITHIN,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    def start(self, service: str, *, healthy: bool = True) -> None:
        """Returns once the container's own health check says so."""
        with (self.folder / f"{service}.log").open("ab") as log:
            self._running[service] = subprocess.Popen(
                self._command(service), cwd=PROJECT, env=self._environment(service), stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        if healthy:
            self._wait(service)

    def _wait(self, service: str) -> None:
        try:
            until(lambda: self.is_healthy(service), f"{service} is healthy", HEALTHY_WITHIN)
        except TimeoutError as late:
            raise RuntimeError(f"{late}; it said:\n{self.said(service)}") from None

    def is_healthy(self, service: str) -> bool:
        """By the health check of the file. A process that has ended stops the waiting."""
        code = self._running[service].poll()
        if code is not None:
            raise RuntimeError(f"{service} ended with {code}:\n{self.said(service)}")
        check = [self._here(service, word) for word in self.file["services"][service]["healthcheck"]["test"][1:]]
        command = self._program(check[0]) + check[1:]
        return subprocess.run(command, capture_output=True, env=self._environment(service)).returncode == 0  # noqa: PLW1510

    def stop(self, service: str) -> int:
        """As an engine stops it; its exit code."""
        process = self._running.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(END_WITHIN)

    def stop_all(self) -> None:
        """The last one started first; whoever does not go in peace is killed, for the test is over."""
        for service in reversed(list(self._running)):
            process = self._running[service]
            try:
                self.stop(service)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def said(self, service: str) -> str:
        return (self.folder / f"{service}.log").read_text(encoding="utf-8", errors="replace")[-3000:]

    # What stands in the file, on this machine

    def _command(self, service: str) -> list[str]:
        given = self.file["services"][service]
        words = [self._here(service, word) for word in [*given.get("entrypoint", ()), *given["command"]]]
        if "build" in given:
            return self._program("jakwatch") + words
        program = _PROGRAMS.get(words[0] if "entrypoint" in given else service)
        if program is None or shutil.which(program) is None:
            pytest.skip(f"There is no {service} here. Do next: make programs")
        return [program, *words[1:]] if "entrypoint" in given else [program, *words]

    def _program(self, name: str) -> list[str]:
        return [sys.executable, "-m", "monitor"] if name == "jakwatch" else [_PROGRAMS.get(name, name)]

    def _environment(self, service: str) -> dict[str, str]:
        given: Mapping[str, str] = self.file["services"][service].get("environment", {})
        return dict(os.environ) | {name: self._here(service, str(value)) for name, value in given.items()}

    def _here(self, service: str, text: str) -> str:
        """The text with paths and addresses of this machine. A file that holds some is copied and changed as well."""
        mounted = self._mounted(service)
        longest_first = "|".join(re.escape(target) for target in sorted(mounted, key=len, reverse=True))
        if mounted:
            text = re.sub(rf"(?<![\w./])(?:{longest_first})", lambda found: str(mounted[found[0]]), text)
        return self._addressed(text.replace("$$", "$"))

    def _mounted(self, service: str) -> dict[str, Path]:
        """Path in the container: path here."""
        given = self.file["services"][service]
        found = {volume["target"]: self._volume(service, volume) for volume in given.get("volumes", ())}
        for secret in given.get("secrets", ()):
            name, target = (secret, secret) if isinstance(secret, str) else (secret["source"], secret["target"])
            found[f"/run/secrets/{target}"] = self.secrets / name
        if service == "kafka":
            found["/opt/kafka/bin"] = self._programs_of_kafka()
        return found

    def _volume(self, service: str, volume: dict[str, Any]) -> Path:
        if volume["type"] == "volume":
            made = self.folder / "volumes" / volume["source"]
            made.mkdir(parents=True, exist_ok=True)
            return made
        source = PROJECT / re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume["source"])
        return source if "build" in self.file["services"][service] else self._copied(service, source)

    def _copied(self, service: str, source: Path) -> Path:
        """Settings name addresses and paths, which are others here."""
        copy = self.folder / "mounted" / service / source.name
        if not copy.exists():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy(source, copy)
            for path in [copy] if copy.is_file() else [path for path in copy.rglob("*") if path.is_file()]:
                path.write_text(_sooner(self._here(service, path.read_text(encoding="utf-8"))), encoding="utf-8")
        return copy

    def _addressed(self, text: str) -> str:
        """All addresses become the loopback address, ports free ones; what is outside becomes a port nobody hears."""
        text = text.replace("https://", "http://127.0.0.1:9/").replace("--host=0.0.0.0", "--host=127.0.0.1")
        text = re.sub(r"(--port=)(\d+)", lambda found: f"{found[1]}{self.ports[int(found[2])]}", text)
        return _ADDRESS.sub(lambda found: self.address(int(found[1])), text)

    def address(self, port: int) -> str:
        """Where what a container publishes at a port is here."""
        return f"127.0.0.1:{self.ports.get(port, port)}"

    def _programs_of_kafka(self) -> Path:
        """Kafka's own scripts are not among its jars: what they come to."""
        folder = self.folder / "kafka-bin"
        if not folder.exists():
            if not LIBS.is_dir() or shutil.which("java") is None:
                pytest.skip(f"There is no Kafka to test on (Java, and its jars in {LIBS}). Do next: make programs")
            folder.mkdir()
            for name, main in _OF_KAFKA.items():
                script = f'#!/bin/sh\nexec java -Xmx512m -XX:+UseSerialGC -cp "{LIBS}/*" {main} "$@"\n'
                (folder / name).write_text(script)
                (folder / name).chmod(0o755)
        return folder


def _sooner(text: str) -> str:
    """With the intervals of a test."""
    return re.sub(r"^(\s*(?:scrape|evaluation)_(?:interval|timeout): )\d+s$", r"\g<1>1s", text, flags=re.MULTILINE)


def _prepared(folder: Path) -> Path:
    """The secrets, made as a person makes them."""
    script = folder / "deploy" / "compose" / "prepare.sh"
    script.parent.mkdir(parents=True)
    shutil.copy(PROJECT / "deploy/compose/prepare.sh", script)
    subprocess.run(["/bin/sh", str(script)], check=True, capture_output=True)
    return script.parent / "secrets"
