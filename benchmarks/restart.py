"""How fast a process is what its log says, against replay of the messages themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks.harness import Case, Measure, Setting, timed
from benchmarks.replay import against_replay, read
from benchmarks.server import SITE
from benchmarks.table import Goal, Report
from monitor.keeper import Origin
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import quiet_memory
from monitor.sites import Rules
from monitor.view import View

TOGETHER = 5_000
GOAL = Goal("at least 0.3 x replay", at_least=0.3)


def run(setting: Setting) -> Report:
    """Both end with decisions and rates in memory."""
    count = setting.size(50_000, quick=2_000)
    rows = against_replay(setting, "restart.jsonl", count, Case("restart", prepare_restart, {}), GOAL)
    return Report(f"restart: {count:,} lines of one site in an SQLite log", rows)


def prepare_restart(path: str, folder: str) -> Measure:
    """A log that holds the lines."""
    lines = read(path)
    database = Path(folder) / f"restart-{datetime.now(UTC).timestamp()}.sqlite"
    machine = _machine(database)
    for at in range(0, len(lines), TOGETHER):
        batch = lines[at : at + TOGETHER]
        machine.take(SITE, batch, Origin("file", range(len(batch))))
    machine.log.close()
    quiet_memory()

    def start() -> None:
        again = _machine(database)
        again.open()
        View(again).overview()
        again.log.close()

    return lambda: timed(start)


def _machine(database: Path) -> Machine:
    rules = Rules(load_policies([default_policy_path()]), None, b"a key of thirty-two bytes, no more")
    return Machine(SqliteLog(database), rules, lambda: datetime.now(UTC), _raise)


def _raise(fault: Exception) -> None:
    raise fault
