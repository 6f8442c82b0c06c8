"""What a message costs as the number of patients grows: it must hardly."""

from __future__ import annotations

from functools import partial
from random import Random

from benchmarks.harness import Case, Measure, Measurement, Setting, kept, timed
from benchmarks.hospital import Hospital, Process, default_policy
from benchmarks.lives import SHORT_FACTS, Lives
from benchmarks.table import Goal, Report, Row
from monitor.replay import quiet_memory

BATCHES = 4  # a repetition
GOAL = Goal("at most 2 x that at the fewest", at_most=2.0)


def run(setting: Setting) -> Report:
    """Populations side by side, each in a process that lives for all repetitions."""
    batch = setting.size(1_000, quick=50)
    populations = [batch, 10 * batch] if setting.quick else [1_000, 10_000, 100_000, 1_000_000]
    options = {"batch": batch, "repetitions": setting.repetitions, "whole": setting.full}
    cases = [Case(_name(each), prepare, {"patients": each} | options) for each in populations]
    found = kept(cases, setting)
    fewest = [each["message"] for each in found[cases[0].name]]
    rows = []
    for case in cases:
        cost = [each["message"] for each in found[case.name]]
        ratios = [own / base for own, base in zip(cost, fewest, strict=True)] if case is not cases[0] else ()
        last = case is cases[-1]
        rows.append(Row(case.name, "us/message", [1e6 * each for each in cost], ratios, GOAL if last else None))
    folds = [1e6 * each["fold"] for each in found[cases[-1].name]]
    rows.append(Row(f"bringing the cube into order, {_name(populations[-1])}", "us/message", folds))
    facts = "11.1" if setting.full else f"{SHORT_FACTS}, to spare time (--full: 11.1)"
    notes = [
        f"facts a patient before: {facts}; CPU of take + apply, {BATCHES} batches a repetition, the cube attached",
        "each measured message is the first new one of its patient and no batch has two of one patient, so all",
        "populations have equally many and equally long records to judge; small ones get a new site when used up",
    ]
    return Report(f"growth: one message, in batches of {batch:,}, by the number of patients", rows, notes)


def _name(patients: int) -> str:
    return f"{patients:,} patients"


def prepare(patients: int, batch: int, repetitions: int, whole: bool) -> Measure:
    """Sites of so many patients, as many as have patients for all batches."""
    quiet_memory()
    process, lives, rng = Process(default_policy()), Lives(), Random(patients)  # noqa: S311 - a load, no secret
    wanted = repetitions * BATCHES
    waiting: list[tuple[Hospital, list[int]]] = []
    while len(waiting) < wanted:
        site = _site(process, lives, patients, whole)
        chosen = rng.sample(range(patients), min(patients, (wanted - len(waiting)) * batch))
        waiting += [(site, chosen[first : first + batch]) for first in range(0, len(chosen), batch)]

    def measure() -> Measurement:
        total = {"message": 0.0, "fold": 0.0}
        for _ in range(BATCHES):
            site, chosen = waiting.pop()
            site.warm([lives.more(each) for each in rng.sample(range(patients), batch)])
            messages = [lives.more(each) for each in chosen]
            total["message"] += timed(partial(site.take_and_apply, messages))["cpu"]
            total["fold"] += timed(site.cube.fold)["cpu"]
        return {name: seconds / (BATCHES * batch) for name, seconds in total.items()}

    return measure


def _site(process: Process, lives: Lives, patients: int, whole: bool) -> Hospital:
    site = process.hospital()
    for patient in range(patients):
        site.load(lives.usual(patient) if whole else lives.short(patient))
    site.settle()
    return site
