"""Two processes against one, on the wall's clock: the only figure here that more cores change."""

from __future__ import annotations

import multiprocessing
import os

from benchmarks import messages
from benchmarks.harness import Case, Measure, Measurement, Setting, fresh, timed
from benchmarks.table import Goal, Report, Row
from monitor.files import read_lines
from monitor.parallel import replay_in_processes
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import Question, quiet_memory, replay_lines

ONE, TWO, ROOM = "one process", "two processes", "idle loops in two processes"
GOAL = Goal("at least 1.5 x one process", at_least=1.5)


def run(setting: Setting) -> Report:
    """Two equal sites in one file, read and replayed; and what this machine gives two processes at the moment."""
    count = setting.size(200_000, quick=2_000)
    path = setting.folder / "jobs.jsonl"
    messages.write(path, count, sites=2)
    cases = [Case(name, prepare, {"path": str(path), "jobs": jobs}) for name, jobs in ((ONE, 1), (TWO, 2))]
    cases.append(Case(ROOM, prepare_room, {"turns": setting.size(100_000_000, quick=200_000)}))
    found = fresh(cases, setting)
    one, two = ([each["wall"] for each in found[name]] for name in (ONE, TWO))
    rows = [
        Row(ONE, "lines/s", [count / each for each in one]),
        Row(TWO, "lines/s", [count / each for each in two], [a / b for a, b in zip(one, two, strict=True)], GOAL),
        Row(ROOM, "s", [each["two"] for each in found[ROOM]], [2 * each["one"] / each["two"] for each in found[ROOM]]),
    ]
    notes = [
        "wall time; the parent reads and deals out the lines, so three processes share the cores",
        "the last row is what two processes without anything in common gain here and now: 2 x at best",
    ]
    return Report(f"jobs: {count:,} lines of two equal sites", rows, notes)


def prepare(path: str, jobs: int) -> Measure:
    """As `jakwatch replay --jobs` does it, but for printing."""
    question = Question(load_policies([default_policy_path()]))
    quiet_memory()

    def work() -> None:
        lines = (raw for _, _, raw in read_lines([path]))
        replay_lines(lines, question) if jobs == 1 else replay_in_processes(lines, question, jobs)

    return lambda: timed(work)


def prepare_room(turns: int) -> Measure:
    """The same loop once in one process and once in each of two."""

    def measure() -> Measurement:
        return {"one": _together(1, turns), "two": _together(2, turns)}

    return measure


def _together(processes: int, turns: int) -> float:
    children = [multiprocessing.Process(target=_idle, args=(turns,)) for _ in range(processes)]

    def work() -> None:
        for child in children:
            child.start()
        for child in children:
            child.join()

    return timed(work)["wall"]


def _idle(turns: int) -> None:
    for _ in range(turns):
        os.path  # noqa: B018 - something to do
