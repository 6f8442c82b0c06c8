"""Messages in bulk over HTTP, every thousand durable before they are answered, against replay of the same lines."""

from __future__ import annotations

from benchmarks.harness import Case, Measure, Measurement, Setting
from benchmarks.replay import against_replay, read
from benchmarks.server import Server, post
from benchmarks.table import Goal, Report

TOGETHER = 1_000
GOAL = Goal("at least 0.5 x replay", at_least=0.5)


def run(setting: Setting) -> Report:
    """Lines in the order of their arrival: hardly any two of a request are of one patient, the dearest case."""
    count = setting.size(50_000, quick=2_000)
    rows = against_replay(setting, "bulk.jsonl", count, Case("bulk HTTP", prepare_bulk, {}), GOAL)
    note = f"CPU of the whole server process, {TOGETHER:,} lines a request, synchronous=FULL, one request after another"
    return Report(f"bulk: {count:,} lines of one site", rows, [note])


def prepare_bulk(path: str, folder: str) -> Measure:
    """Requests to a server that has just started."""
    lines = read(path)
    bodies = [b"\n".join(lines[at : at + TOGETHER]) for at in range(0, len(lines), TOGETHER)]
    server = Server(folder)

    def measure() -> Measurement:
        with server:
            connection = server.connect()
            begun = server.cpu_seconds()
            for body in bodies:
                post(connection, body)
            return {"cpu": server.cpu_seconds() - begun}

    return measure
