"""How fast a process is what its log says, against replay of the messages themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from benchmarks import messages
from benchmarks.harness import Case, Measure, Setting, fresh, timed
from benchmarks.replay import prepare_replay, read
from benchmarks.server import SITE
from benchmarks.table import Goal, Report, Row
from monitor.keeper import Origin
from monitor.log.sqlite import SqliteLog
from monitor.machine import Machine, Rules
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import quiet_memory
from monitor.view import View

TOGETHER = 5_000
GOAL = Goal("at least 0.3 x replay", at_least=0.3)
REPLAY = "replay"


def run(setting: Setting) -> Report:
    """Both end with decisions and rates in memory."""
    count = setting.size(50_000, quick=2_000)
    path = setting.folder / "restart.jsonl"
    messages.write(path, count)
    file = {"path": str(path)}
    cases = [
        Case(REPLAY, prepare_replay, file | {"policy": str(default_policy_path())}),
        Case("restart", prepare_restart, file | {"folder": str(setting.folder)}),
    ]
    found = fresh(cases, setting)
    rows = []
    for case in cases:
        seconds = [each["cpu"] for each in found[case.name]]
        against = [one["cpu"] / own for one, own in zip(found[REPLAY], seconds, strict=True)]
        is_ours = case.name != REPLAY
        rates = [count / each for each in seconds]
        rows.append(Row(case.name, "lines/CPU-s", rates, against if is_ours else (), GOAL if is_ours else None))
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
