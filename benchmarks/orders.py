"""How long an order waits for its answer while others load in bulk, against one durable commit at the same time."""

from __future__ import annotations

import sqlite3
import threading
import time
from pathlib import Path
from random import Random

import numpy as np

from benchmarks import messages
from benchmarks.harness import Case, Measure, Measurement, Setting, fresh
from benchmarks.server import Server, post
from benchmarks.table import Goal, Report, Row

TOGETHER, A_SECOND = 100, 1_000
GOAL = Goal("p99 at most 5 x that of a commit", at_most=5.0)
ORDER = (
    '{{"type":"treatment_ordered","event_id":"o-{n}","recorded_at":"2026-01-05T08:00:00Z","patient_id":"new-{n}",'
    '"treatment_id":"t-{n}","drug":{{"codings":[{{"system":"atc","code":"L04AF03"}}]}},'
    '"indications":[{{"codings":[{{"system":"icd10","code":"L20"}}]}}],"dose":{{"amount":15,"unit":"mg","per_day":1}}}}'
)


def run(setting: Setting) -> Report:
    """Orders and commits take turns, at random moments, so that both meet the same load."""
    seconds = setting.size(20, quick=3)
    path = setting.folder / "orders.jsonl"
    messages.write(path, (seconds + 5) * A_SECOND)
    case = Case("orders", prepare, {"path": str(path), "folder": str(setting.folder), "seconds": seconds})
    found = fresh([case], setting)[case.name]
    against = [each["order p99"] / each["commit p99"] for each in found]
    rows = [
        Row(name, "ms", [1e3 * each[name] for each in found], against if name == "order p99" else (),
            GOAL if name == "order p99" else None)
        for name in ("commit p50", "commit p99", "order p50", "order p99")
    ]  # fmt: skip
    notes = [
        f"{A_SECOND:,} messages a second come in by {TOGETHER} over another connection, {seconds} s a repetition;",
        f"{min(each['bulk'] for each in found):,.0f} messages a second were taken at the least",
    ]
    return Report("orders: from sending to the answer", rows, notes)


def prepare(path: str, folder: str, seconds: int) -> Measure:
    """A server, and what is sent to it."""
    lines = Path(path).read_bytes().splitlines()
    bodies = [b"\n".join(lines[at : at + TOGETHER]) for at in range(0, len(lines), TOGETHER)]
    server = Server(folder)

    def measure() -> Measurement:
        with server:
            return _measured(server, bodies, seconds)

    return measure


def _measured(server: Server, bodies: list[bytes], seconds: int) -> Measurement:
    end = time.perf_counter() + seconds
    taken = [0]
    loader = threading.Thread(target=_load, args=(server, bodies, end, taken))
    loader.start()
    orders, commits = _take_turns(server, end)
    loader.join()
    found = {"bulk": taken[0] / seconds}
    for name, waits in (("order", orders), ("commit", commits)):
        found |= {f"{name} p{share}": float(np.percentile(waits, share)) for share in (50, 99)}
    return found


def _load(server: Server, bodies: list[bytes], end: float, taken: list[int]) -> None:
    """A hundred messages every tenth of a second; who is late does not catch up by more than the next."""
    connection, apart = server.connect(), TOGETHER / A_SECOND
    due = time.perf_counter()
    for body in bodies:
        if (now := time.perf_counter()) >= end:
            return
        time.sleep(max(0.0, due - now))
        post(connection, body)
        taken[0] += TOGETHER
        due = max(due + apart, time.perf_counter() - apart)


def _take_turns(server: Server, end: float) -> tuple[list[float], list[float]]:
    connection, rng = server.connect(), Random(1)  # noqa: S311 - when, no secret
    orders: list[float] = []
    commits: list[float] = []
    database = sqlite3.connect(server.data / "peer.sqlite", isolation_level=None)
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE facts (record BLOB)")
    number = 0
    while time.perf_counter() < end:
        number += 1
        body = ORDER.format(n=number).encode()
        begun = time.perf_counter()
        post(connection, body, "application/json")
        orders.append(time.perf_counter() - begun)
        time.sleep(rng.uniform(0, 0.02))
        begun = time.perf_counter()
        database.execute("INSERT INTO facts VALUES (?)", (body,))
        commits.append(time.perf_counter() - begun)
        time.sleep(rng.uniform(0, 0.02))
    database.close()
    return orders, commits
