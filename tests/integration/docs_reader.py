"""A reader who types in what a page shows: commands one after another, and one service beside them."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.docs_blocks import Command, mismatch

BASH = shutil.which("bash") or "bash"
PORT = "8321"  # on the pages; while they are tested, any that is free
ENDS_WITHIN, STARTS_WITHIN, SHOWS_WITHIN = 120.0, 60.0, 30.0  # seconds
_ADDRESS = re.compile(r"Open https?://\S+?:(\d+)/")


class Reader:
    """Has one terminal for commands and one for a service, both in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = PORT
        self._service: subprocess.Popen[bytes] | None = None

    def do(self, command: Command) -> tuple[int, list[str]]:
        """Exit code of a command (0 of one that serves), and lines as a terminal shows them, with the page's port."""
        if command.stops_first:
            self.stop()
        if command.serves:
            return 0, self._serve(command)
        deadline = time.monotonic() + (SHOWS_WITHIN if command.takes_a_while else 0)
        while True:
            exit_code, printed = self._run(command.text)
            fits = exit_code == command.exit_code and mismatch(command.output, printed) is None
            if fits or time.monotonic() >= deadline:
                return exit_code, printed

    def stop(self) -> None:
        """Ask the service to end, as Ctrl-C and a service manager do; it must do so in peace."""
        if self._service is None:
            return
        service, self._service = self._service, None
        service.send_signal(signal.SIGTERM)
        said, _ = service.communicate(timeout=ENDS_WITHIN)
        assert service.returncode == 0, said.decode()

    def kill(self) -> None:
        """End the service whatever it does."""
        if self._service is not None:
            self._service.kill()
            self._service.communicate(timeout=ENDS_WITHIN)

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
        assert self._service is None, f"line {command.line}: what serves already was not stopped"
        text = command.text
        if text.startswith("make "):  # what it would run once all is set up
            text = self._run(f"{text} STAMP=")[1][-1]
        self._service = subprocess.Popen(
            self._bash(f"exec {text} --port 0"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=self.folder,
            env=self._environment(),
        )
        return self._listen(self._service, command.output)

    def _listen(self, service: subprocess.Popen[bytes], shown: list[str]) -> list[str]:
        """What a service says until it has named its address and said all that the page shows."""
        said = b""
        deadline = time.monotonic() + STARTS_WITHIN
        assert service.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(service.stdout, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                more = os.read(service.stdout.fileno(), 1 << 16)
                said += more
                if address := _ADDRESS.search(said.decode()):
                    self.port = address[1]
                    if mismatch(shown, self._shown(said)) is None:
                        break
                if not more:
                    break
        assert _ADDRESS.search(said.decode()), f"it serves nothing: {said.decode()}"
        return self._shown(said)

    def _bash(self, text: str) -> list[str]:
        return [BASH, "-o", "pipefail", "-c", text.replace(f":{PORT}/", f":{self.port}/")]

    def _shown(self, said: bytes) -> list[str]:
        text = said.decode().replace(f":{self.port}/", f":{PORT}/")
        return [line.rstrip() for line in text.splitlines()]

    def _environment(self) -> dict[str, str]:
        """The project's program first; nothing of what is asked of it goes through anybody's proxy."""
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        mine = {"PATH": path, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
        return {name: value for name, value in os.environ.items() if not name.startswith("MAKE")} | mine


@contextmanager
def reader_in(folder: Path) -> Iterator[Reader]:
    """A reader whose service ends with the page, in peace if nothing went wrong before."""
    reader = Reader(folder)
    try:
        yield reader
        reader.stop()
    finally:
        reader.kill()
