"""A `jakwatch run` of one's own, for what is measured over HTTP."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

SITE = "site-01"  # of `benchmarks.messages`
_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


class Server:
    """The process, in a data folder that goes away with it."""

    def __init__(self, folder: str) -> None:
        self.data = Path(tempfile.mkdtemp(dir=folder))
        command = [sys.executable, "-m", "monitor", "run", "--data", str(self.data), "--port", "0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this program
        line = self.process.stdout.readline() if self.process.stdout else ""
        self.address = urlsplit(next((word for word in line.split() if word.startswith("http")), "")).netloc
        if not self.address:
            self.end()
            raise RuntimeError("the server did not start; see above for its reason")

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.address, timeout=60)

    def cpu_seconds(self) -> float:
        """What the server has used so far: its own and the system's for it (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def end(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)
        shutil.rmtree(self.data, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.end()


def post(connection: http.client.HTTPConnection, body: bytes, kind: str = "application/x-ndjson") -> bytes:
    """Post messages of one site; raises RuntimeError unless they were taken."""
    connection.request("POST", f"/v1/sites/{SITE}/messages", body, {"Content-Type": kind})
    response = connection.getresponse()
    answer = response.read()
    if response.status != http.client.OK:
        raise RuntimeError(f"the server answered {response.status}")
    return answer
