"""A reader who types in what a page shows: commands one after another, and services beside them."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.integration.docs_blocks import Command, mismatch

BASH = shutil.which("bash") or "bash"
PORT, WORKER_PORT = "8321", "8322"  # on the pages; while they are tested, any that is free
ENDS_WITHIN, STARTS_WITHIN, SHOWS_WITHIN = 120.0, 60.0, 30.0  # seconds
_ADDRESS = re.compile(r"(?:Open|health and metrics at) https?://[^\s:]+:(\d+)")
_EXPORT = re.compile(r"export (\w+)=(\S+)")


class Reader:
    """Has one terminal for commands and one for each service, all in one folder.

    `ports`: what other servers are at, by the port that the pages say.
    """

    def __init__(self, folder: Path, ports: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.ports = dict(ports or {})
        self._services: dict[str, subprocess.Popen[bytes]] = {}  # by the port that the pages say
        self._exported: dict[str, str] = {}

    def do(self, command: Command) -> tuple[int, list[str]]:
        """Exit code of a command (0 of one that serves), and lines as a terminal shows them, with the page's port."""
        if command.stops_first:
            self.stop(_port_of(command))
        if command.stops_the_worker:
            self.stop(WORKER_PORT)
        if command.serves:
            return 0, self._serve(command)
        if exported := _EXPORT.fullmatch(command.text):
            self._exported[exported[1]] = self._with_ports(exported[2])
            return 0, []
        deadline = time.monotonic() + (SHOWS_WITHIN if command.takes_a_while else 0)
        while True:
            exit_code, printed = self._run(command.text)
            fits = exit_code == command.exit_code and mismatch(command.output, printed) is None
            if fits or time.monotonic() >= deadline:
                return exit_code, printed

    def stop(self, port: str) -> None:
        """Ask the service at a port to end, as Ctrl-C and a service manager do; it must do so in peace."""
        service = self._services.pop(port)
        service.send_signal(signal.SIGTERM)
        said, _ = service.communicate(timeout=ENDS_WITHIN)
        assert service.returncode == 0, said.decode()

    def stop_all(self) -> None:
        for port in list(self._services):
            self.stop(port)

    def kill(self) -> None:
        """End the services whatever they do."""
        for service in self._services.values():
            service.kill()
            service.communicate(timeout=ENDS_WITHIN)

    def _run(self, text: str) -> tuple[int, list[str]]:
        """Of `make` only whether it knows the target."""
        done = subprocess.run(
            self._bash(re.sub(r"^make\b", "make --dry-run", text)),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment(),
            timeout=ENDS_WITHIN,
            check=False,
        )
        return done.returncode, self._shown(done.stdout)

    def _serve(self, command: Command) -> list[str]:
        port, text = _port_of(command), command.text
        assert port not in self._services, f"line {command.line}: what serves already was not stopped"
        if text.startswith("make "):  # what it would run once all is set up
            text = self._run(f"{text} STAMP=")[1][-1]
        self._services[port] = subprocess.Popen(
            self._bash(f"exec {text} --port 0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment(),
        )
        return self._listen(port, command.output)

    def _listen(self, port: str, shown: list[str]) -> list[str]:
        """What a service says until it has named its address and said all that the page shows."""
        said, service = b"", self._services[port]
        deadline = time.monotonic() + STARTS_WITHIN
        assert service.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(service.stdout, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                more = os.read(service.stdout.fileno(), 1 << 16)
                said += more
                if address := _ADDRESS.search(said.decode()):
                    self.ports[port] = address[1]
                    if mismatch(shown, self._shown(said)) is None:
                        break
                if not more:
                    break
        assert _ADDRESS.search(said.decode()), f"it serves nothing: {said.decode()}"
        return self._shown(said)

    def _bash(self, text: str) -> list[str]:
        return [BASH, "-o", "pipefail", "-c", self._with_ports(text)]

    def _with_ports(self, text: str) -> str:
        for shown, here in self.ports.items():
            text = re.sub(rf":{shown}\b", f":{here}", text)
        return text

    def _shown(self, said: bytes) -> list[str]:
        text = said.decode()
        for shown, here in self.ports.items():
            text = re.sub(rf":{here}\b", f":{shown}", text)
        return [line.rstrip() for line in text.splitlines()]

    def _environment(self) -> dict[str, str]:
        """The project's program first; nothing of what is asked of it goes through anybody's proxy."""
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"} | self._exported
        return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | mine


def _port_of(command: Command) -> str:
    """Where the pages say that a service is."""
    return WORKER_PORT if command.text.startswith("jakwatch monitor ") else PORT


@contextmanager
def reader_in(folder: Path, ports: Mapping[str, str] | None = None) -> Iterator[Reader]:
    """A reader whose services end with the page, in peace if nothing went wrong before."""
    reader = Reader(folder, ports)
    try:
        yield reader
        reader.stop_all()
    finally:
        reader.kill()
