"""The worker on Kafka against peers that do less: messages a second of client CPU, from a backlog, all on one broker.

Each parses, validates, keeps the patient's open treatments and counts, and commits. The worker also pseudonymises,
judges everybody touched by the whole core, and keeps facts, answers and position in one transaction.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.broker import hospital_lines, make_topics, publish, wait_until_read, write_registry
from benchmarks.harness import CaseFailed, Measurement, Setting
from benchmarks.table import Goal, Report, Row
from monitor.kafka.names import topic
from tests.integration.broker import Broker

PROJECT = Path(__file__).resolve().parents[1]
PEERS = PROJECT / ".venv-peers" / "bin" / "python"
GOALS = {
    "quixstreams": Goal("at least 1.2 x quixstreams, stretch 2 x", at_least=1.2),
    "stock Faust": Goal("at least 6 x stock Faust with a table", at_least=6.0),
}
SITES = 8
_TICKS = os.sysconf("SC_CLK_TCK")
_numbers = itertools.count(1)


def run(setting: Setting) -> Report:
    """Every contender once a repetition, each time on the same topics, as another group or other sites."""
    count = setting.size(80_000, quick=2_000)
    with a_broker(setting.folder) as servers:
        found: dict[str, list[Measurement]] = {"monitor": [], "quixstreams": [], "stock Faust": []}
        for repetition in range(setting.repetitions):
            sites = new_sites(SITES)
            make_topics(servers, sites)
            publish(servers, hospital_lines(count, sites, repetition + 1))
            if not PEERS.exists():
                setting.say(f"{PEERS.parent} is missing: no quixstreams. Do next: make bench, which sets it up")
            for name, contender in _contenders(setting.folder, servers, sites, count).items():
                setting.say(f"repetition {repetition + 1} of {setting.repetitions}: {name}")
                found[name].append(contender())
    return Report(f"stream: {count:,} messages of {SITES} sites, 300 bytes", list(_rows(found, count)), _NOTES)


_NOTES = [
    "monitor: from its first site taken over to the last position kept; peers: from their first message to committed",
    "quixstreams at least once with a changelog, as it comes; stock Faust commits once at the end",
]


@contextmanager
def a_broker(folder: Path) -> Iterator[str]:
    """The address of a Kafka that ends with the block."""
    home = folder / f"kafka-{next(_numbers)}"
    home.mkdir()
    broker = Broker(home)
    broker.start()
    try:
        yield broker.servers
    finally:
        broker.stop()


def new_sites(count: int) -> list[str]:
    """Names that no run on this broker had before."""
    run_number = next(_numbers)
    return [f"load-{run_number}-{number}" for number in range(1, count + 1)]


def _contenders(folder: Path, servers: str, sites: list[str], count: int) -> dict[str, Callable[[], Measurement]]:
    def quix() -> Measurement:
        return _peer(PEERS, "benchmarks.peers.quix", folder, servers, sites, count)

    return {
        "monitor": lambda: _monitor(folder, servers, sites),
        **({"quixstreams": quix} if PEERS.exists() else {}),
        "stock Faust": lambda: _peer(sys.executable, "benchmarks.peers.stock_faust", folder, servers, sites, count),
    }


class Worker:
    """A `jakwatch monitor` of one's own; what it says is read line by line."""

    def __init__(self, folder: Path, servers: str, sites: Sequence[str], *options: str) -> None:
        key = folder / "key"
        key.write_text("5a" * 32)
        key.chmod(0o600)
        registry = write_registry(folder / f"{sites[0]}.yaml", sites)
        self.process = subprocess.Popen(  # noqa: S603 - this program
            [
                *(sys.executable, "-m", "monitor", "monitor", "--broker", servers, "--sites", str(registry)),
                *("--key", str(key), "--port", "0", *options),
            ],
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, pattern: str, times: int = 1) -> re.Match[str]:
        """The match of the last of so many lines that say this."""
        found = None
        while times:
            line = self.process.stderr.readline() if self.process.stderr else ""
            if not line:
                raise CaseFailed("the worker has ended")
            match = re.search(pattern, line)
            if match:
                found, times = match, times - 1
        if found is None:
            raise ValueError("nothing was waited for")
        return found

    def cpu_seconds(self) -> float:
        """What it has used so far (Linux)."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def end(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=60)


def _monitor(folder: Path, servers: str, sites: list[str]) -> Measurement:
    worker = Worker(folder, servers, sites)
    try:
        worker.wait_for("taken over")
        begun = worker.cpu_seconds()
        wait_until_read(servers, sites)
        return {"cpu": worker.cpu_seconds() - begun}
    finally:
        worker.end()


def _peer(python: str | Path, module: str, folder: Path, servers: str, sites: Sequence[str], count: int) -> Measurement:
    number = next(_numbers)
    home = folder / f"peer-{number}"
    home.mkdir()
    command = [str(python), "-m", module, servers, str(count), f"peer-{number}", str(home)]
    done = subprocess.run(  # noqa: S603 - this project's
        [*command, *(topic("in", site) for site in sites)],
        cwd=PROJECT,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    if done.returncode:
        raise CaseFailed(f"{module} ended with {done.returncode}: {done.stderr[-2000:]}")
    measured: Measurement = json.loads(done.stdout.splitlines()[-1])
    return measured


def _rows(found: dict[str, list[Measurement]], count: int) -> Iterator[Row]:
    speed = {name: [count / each["cpu"] for each in measured] for name, measured in found.items()}
    yield Row("monitor", "messages/CPU-s", speed["monitor"])
    for name in (name for name in GOALS if speed[name]):
        ratios = [ours / theirs for ours, theirs in zip(speed["monitor"], speed[name], strict=True)]
        yield Row(f"{name}; the monitor is that many times as fast", "messages/CPU-s", speed[name], ratios, GOALS[name])
