# ruff: noqa: SLF001  it takes away what upstream's internals make necessary, one by one
"""A worker that is nothing but the engine: what it is handed goes into a journal, and messages say what is to happen.

`without` leaves one of the engine's overrides away, so that a test can show what it is there for.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.record.memory_records import MemoryRecords

from monitor.kafka.connection import Connection
from monitor.log import LogRefusedError
from monitor.stream import engine


class Journal:
    """What happened at all workers of a test, a line each; it stands for the log of the sites."""

    def __init__(self, path: Path, who: str) -> None:
        self.path = path
        self.who = who

    def write(self, event: str, site: str = "", **more: Any) -> None:
        line = json.dumps({"event": event, "who": self.who, "site": site, "at": time.time(), **more}) + "\n"
        with self.path.open("a") as out:  # one write, so that the lines of two workers do not mix
            out.write(line)

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []


class Owner:
    """Keeps batches in the journal. A message may ask for a fault, which happens once, or for time."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    async def take_over(self, site: str) -> int | None:
        self.journal.write("taken over", site)
        kept = [each["end"] for each in self.journal.read() if (each["event"], each["site"]) == ("kept", site)]
        return kept[-1] if kept else None

    async def work(self, site: str, records: Sequence[Any], end: int) -> float:
        self.journal.write("begun", site, offsets=[each.offset for each in records])
        said = [each.value.decode() for each in records]
        for word in said:
            await self._heed(site, word)
        self.journal.write("kept", site, offsets=[each.offset for each in records], end=end, said=said)
        return 0.0

    async def _heed(self, site: str, word: str) -> None:
        what, _, argument = word.partition(" ")
        if what == "take":
            await asyncio.sleep(float(argument))
        elif what == "hold":
            await asyncio.Event().wait()  # until the process ends
        elif what in FAULTS and not any((each["event"], each["site"]) == (word, site) for each in self.journal.read()):
            self.journal.write(word, site)
            raise FAULTS[what](word)

    async def let_go(self, site: str) -> None:
        self.journal.write("let go", site)


FAULTS: dict[str, Callable[[str], Exception]] = {"refuse": LogRefusedError, "raise": ValueError}

# Each override by its name, and how the engine is without it.


def _without_override(cls: type, name: str) -> Callable[[], None]:
    return lambda: delattr(cls, name)


def _as_made_upstream(**attributes: Any) -> Callable[[], None]:
    """The consumer as upstream makes it, in some of what we set otherwise."""
    ours = engine._Thread._create_worker_consumer

    def change() -> None:
        def made(thread: Any, transport: Any) -> Any:
            consumer = ours(thread, transport)
            for name, value in attributes.items():
                setattr(consumer, name, value)
            return consumer

        engine._Thread._create_worker_consumer = made

    return change


def _trust_the_fetcher() -> None:
    """Read on from wherever the fetcher is."""
    ours = engine._Thread.poll

    async def poll(thread: Any, want: dict[Any, int], seconds: float) -> Any:
        subscribed = thread._ensure_consumer()._subscription.subscription
        assignment = subscribed.assignment if subscribed else None
        trusted = dict(want)
        for tp in want:
            state = assignment.state_value(tp) if assignment and tp in assignment.tps else None
            if state is not None and state.has_valid_position:
                trusted[tp] = state.position
        return await ours(thread, trusted, seconds)

    engine._Thread.poll = poll


WITHOUT: dict[str, Callable[[], None]] = {
    "short waits": _as_made_upstream(_fetch_max_wait_ms=1500),
    "read_committed": _as_made_upstream(_isolation_level="read_uncommitted"),
    "sticky": _as_made_upstream(_partition_assignment_strategy=[RoundRobinPartitionAssignor]),
    "tolerant records": lambda: setattr(engine, "Records", MemoryRecords),
    "seeks of each poll": _trust_the_fetcher,
    "subscribe": _without_override(engine._Consumer, "subscribe"),
    "on_partitions_revoked": _without_override(engine._Consumer, "on_partitions_revoked"),
    "stop_flow": _without_override(engine._Consumer, "stop_flow"),
    "on_partitions_assigned": _without_override(engine._Consumer, "on_partitions_assigned"),
    "perform_seek": _without_override(engine._Consumer, "perform_seek"),
    "_drain_messages": _without_override(engine._Consumer, "_drain_messages"),
    "_filter_tps_with_pending_acks": _without_override(engine._Consumer, "_filter_tps_with_pending_acks"),
    "_new_offset": _without_override(engine._Consumer, "_new_offset"),
    "_create_directories": _without_override(engine.Engine, "_create_directories"),
    "on_stop": _without_override(engine.Engine, "on_stop"),
    "_new_transport": _without_override(engine.Engine, "_new_transport"),
    "_new_consumer_thread": _without_override(engine._Consumer, "_new_consumer_thread"),
    "_on_agent_error": _without_override(engine.Engine, "_on_agent_error"),
    "_crash": _without_override(engine.Engine, "_crash"),
}


def interrupt_after_each_hand_over(app: engine.Engine, journal: Journal) -> None:
    """Suspend the flow when a batch that says `interrupt` is handed over and not begun, as a rebalance may at any time.

    What is called is what app/base.py calls at the revocation (line 1811), and tables/recovery.py after it (line 328).
    """
    put = app.batches.put

    async def interrupted(batch: Any) -> None:
        await put(batch)
        if any(each.value == b"interrupt" for each in batch.records) and not _was_interrupted(journal):
            journal.write("interrupted", batch.lane.site)
            app.consumer.stop_flow()
            app.flow_control.suspend()
            app.flow_control.clear()
            app.flow_control.resume()
            app.consumer.resume_flow()

    app.batches.put = interrupted


def _was_interrupted(journal: Journal) -> bool:
    return any(each["event"] == "interrupted" for each in journal.read())


def tell_of_assignments(app: engine.Engine, journal: Journal) -> None:
    async def told(_: Any, assigned: set[Any], **__: Any) -> None:
        journal.write("assigned", sites=[each.topic for each in assigned])

    app.on_partitions_assigned.connect(told)
    app.told = told  # the signal itself holds on to nobody


def fail(app: engine.Engine, what: str, journal: Journal) -> None:
    """Let a part of the engine fail once the sites are live, or something happen to it at a bad moment."""

    async def when_live() -> None:
        while not all(lane.live for lane in app.lanes) or not app.lanes:  # noqa: ASYNC110  nothing announces it
            await asyncio.sleep(0.05)
        if what == "agent":
            await app.batches.put(SimpleNamespace(records=()))  # it is of no lane
        elif what == "service":
            raise RuntimeError("a part of the engine fails")

    if what == "stopped":
        _stop_when_assigned()
    elif what == "dropped poll":
        _drop_a_poll(journal)
    else:
        app.task(when_live)


def _stop_when_assigned() -> None:
    ours = engine._Consumer.on_partitions_assigned

    async def stopped(consumer: Any, *given: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while not consumer.app.should_stop:  # noqa: ASYNC110  likewise
            await asyncio.sleep(0.01)
        await ours(consumer, *given)

    engine._Consumer.on_partitions_assigned = stopped


def _drop_a_poll(journal: Journal) -> None:
    """Stop the flow for a moment when the first records were read, as a rebalance may."""
    ours = engine._Consumer._read

    async def dropping(consumer: Any) -> None:
        call = consumer._thread.call_thread

        async def called(function: Any, *given: Any) -> Any:
            got = await call(function, *given)
            if any(records for records, *_ in got.values()):
                del consumer._thread.call_thread
                engine._Consumer._read = ours
                consumer.stop_flow()
                journal.write("dropped")
                asyncio.get_running_loop().call_later(0.1, consumer.resume_flow)
            return got

        consumer._thread.call_thread = called
        try:
            await ours(consumer)
        finally:
            vars(consumer._thread).pop("call_thread", None)

    engine._Consumer._read = dropping


def main() -> None:
    given: dict[str, Any] = json.loads(sys.argv[1])
    if given["without"]:
        WITHOUT[given["without"]]()
    engine.GROUP = given["group"]  # so that what is left of one test does not disturb the next
    journal = Journal(Path(given["journal"]), given["who"])
    app = engine.Engine(Connection(given["servers"]), given["sites"], Owner(journal), given["instance"])
    tell_of_assignments(app, journal)
    interrupt_after_each_hand_over(app, journal)
    if given["fails"]:
        fail(app, given["fails"], journal)
    journal.write("started", pid=os.getpid())
    engine.run_worker(app)


if __name__ == "__main__":
    main()
