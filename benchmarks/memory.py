"""What a patient takes of a process's memory: state, indexes, contributions and cube, rates shown once."""

from __future__ import annotations

import gc
import os
import re
import resource
import sys
from itertools import islice
from pathlib import Path

from benchmarks import messages
from benchmarks.harness import Case, Measure, Measurement, Setting, side_by_side
from benchmarks.hospital import Process, default_policy
from benchmarks.lives import LAST_DAY
from benchmarks.table import Goal, Report, Row
from monitor.replay import quiet_memory

GOAL = Goal("at most 4 kB", at_most=4.0)
FEW = 50  # one in so many lines comes first: what the process takes anyhow is not the patients'
_PATIENT = re.compile(rb'"patient_id":"patient-(\d+)"')


def run(setting: Setting) -> Report:
    """RSS of a new process with the patients, less that of the same process with a fiftieth of the messages."""
    count = round(setting.size(100_000, quick=1_000, full=1_000_000) * messages.FACTS_A_PATIENT)
    path = setting.folder / "memory.jsonl"
    setting.say(f"writing {count:,} messages")
    messages.write(path, count)
    few = count // FEW
    patients, some = _patients(path, count), _patients(path, few)
    case = Case("memory", prepare, {"path": str(path), "few": few, "patients": patients - some})
    found = side_by_side(case, setting, at_once=1 if setting.full else setting.repetitions)
    parts = {"facts": "facts and indexes", "judged": "with contributions and cube", "shown": "with rates shown"}
    rows = [
        Row(f"{what}", "kB/patient", [each[name] for each in found], goal=GOAL if name == "shown" else None)
        for name, what in parts.items()
    ]
    rows.append(Row("largest size the process had", "MB", [each["peak"] for each in found]))
    notes = [f"{count / patients:.1f} facts a patient; kB = 1,000 bytes; the repetitions run at the same time"]
    return Report(f"memory: RSS of {patients:,} patients", rows, notes)


def _patients(path: Path, lines: int) -> int:
    with path.open("rb") as file:
        return len({int(found[1]) for raw in islice(file, lines) if (found := _PATIENT.search(raw))})


def prepare(path: str, few: int, patients: int) -> Measure:
    """A site that has seen some of the file; the rest is what is measured."""
    quiet_memory()
    site = Process(default_policy()).hospital()
    file = Path(path).open("rb")  # noqa: SIM115 - read on while measuring, closed with the process
    lines = (raw.rstrip(b"\n") for raw in file)
    site.load(islice(lines, few))
    site.settle()
    site.rows(LAST_DAY)
    before = _rss()

    def measure() -> Measurement:
        found = {}
        site.load(lines)
        found["facts"] = _rss() - before
        site.settle()
        found["judged"] = _rss() - before
        site.rows(LAST_DAY)
        found["shown"] = _rss() - before
        return {name: size / patients / 1e3 for name, size in found.items()} | {"peak": _peak() / 1e6}

    return measure


def _rss() -> float:
    """Bytes of this process in memory, once nothing is left to collect."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if not statm.exists():  # not Linux: the peak is the nearest there is
        return _peak()
    return float(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
