"""How the benchmarks measure: interleaved repetitions in processes of their own, so that drift meets all cases alike.

Only figures of one run may be compared: the same code differs by a fifth and more between two runs on a shared machine.
So each ratio is taken within one repetition, and what is printed is the median of these ratios and their range.
"""

from __future__ import annotations

import gc
import multiprocessing
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

Measurement = dict[str, float]
Measure = Callable[[], Measurement]


class CaseFailed(RuntimeError):
    """A measured process ended without an answer; its own words stand on standard error."""


class Case(NamedTuple):
    """`prepare(**options)` runs unmeasured in a new process and returns what measures once."""

    name: str
    prepare: Callable[..., Measure]
    options: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """How large a run is, and where it may write."""

    folder: Path
    repetitions: int = 3
    quick: bool = False  # seconds; its figures mean nothing
    full: bool = False  # the largest sizes, tens of minutes

    def size(self, usual: int, quick: int, full: int | None = None) -> int:
        """The size that belongs to this run."""
        return quick if self.quick else full if self.full and full is not None else usual

    def say(self, text: str) -> None:
        """Tell who waits how far it is."""
        sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()


Measured = dict[str, list[Measurement]]


def timed(work: Callable[[], object]) -> Measurement:
    """Seconds of CPU (of this process alone) and of the clock on the wall that a piece of work takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def fresh(cases: Sequence[Case], setting: Setting) -> Measured:
    """Each case once a repetition, each time in a new process."""
    if setting.quick:  # once anyway, and sooner done if all prepare at the same time
        return kept(cases, setting)
    found: Measured = {case.name: [] for case in cases}
    for repetition in range(setting.repetitions):
        for case in cases:
            setting.say(f"{_of(repetition, setting)}: {case.name}")
            child = _Child(case)
            try:
                found[case.name].append(child.measure())
            finally:
                child.end()
    return found


def kept(cases: Sequence[Case], setting: Setting) -> Measured:
    """Each case once a repetition, in a process that lives for all of them: where preparing is long."""
    setting.say(f"preparing {', '.join(case.name for case in cases)}")
    children = [_Child(case) for case in cases]
    found: Measured = {case.name: [] for case in cases}
    try:
        for child in children:
            child.wait_until_ready()
            setting.say(f"{child.name} is ready")
        for repetition in range(setting.repetitions):
            setting.say(_of(repetition, setting))
            for child in children:
                found[child.name].append(child.measure())
    finally:
        for child in children:
            child.end()
    return found


def side_by_side(case: Case, setting: Setting, at_once: int) -> list[Measurement]:
    """All repetitions of one case, several at the same time: for what does not depend on speed."""
    found: list[Measurement] = []
    while len(found) < setting.repetitions:
        now = min(at_once, setting.repetitions - len(found))
        setting.say(f"{case.name}: repetitions {len(found) + 1} to {len(found) + now} of {setting.repetitions}")
        children = [_Child(case) for _ in range(now)]
        try:
            for child in children:
                child.begin()
            found += [child.answer() for child in children]
        finally:
            for child in children:
                child.end()
    return found


def _of(repetition: int, setting: Setting) -> str:
    return f"repetition {repetition + 1} of {setting.repetitions}"


class _Child:
    """A process that prepares a case and measures whenever it is asked to."""

    def __init__(self, case: Case) -> None:
        self.name = case.name
        context = multiprocessing.get_context("spawn")  # nothing of this process's heap, caches or gc state goes along
        self.pipe, theirs = context.Pipe()
        usual = multiprocessing.get_start_method()
        self.process = context.Process(target=_serve, args=(theirs, usual, case.prepare, case.options))
        self.process.start()
        theirs.close()
        self.is_ready = False

    def wait_until_ready(self) -> None:
        if not self.is_ready:
            self._receive()
            self.is_ready = True

    def begin(self) -> None:
        try:
            self.pipe.send(True)
        except OSError:
            raise self._failure() from None

    def answer(self) -> Measurement:
        self.wait_until_ready()
        answer: Measurement = self._receive()
        return answer

    def measure(self) -> Measurement:
        self.wait_until_ready()
        self.begin()
        return self.answer()

    def _receive(self) -> Any:
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            raise self._failure() from None

    def _failure(self) -> CaseFailed:
        return CaseFailed(f"{self.name}: the measured process ended early; see above for its reason")

    def end(self) -> None:
        self.pipe.close()
        self.process.join(timeout=5)
        if self.process.is_alive():  # a failed run does not wait for what still prepares
            self.process.terminate()
            self.process.join()


def _serve(pipe: Connection, usual: str, prepare: Callable[..., Measure], options: dict[str, Any]) -> None:
    multiprocessing.set_start_method(usual, force=True)  # a spawned process would spawn its own; the product does not
    measure = prepare(**options)
    gc.collect()
    pipe.send(None)
    try:
        while pipe.recv():
            pipe.send(measure())
    except (EOFError, BrokenPipeError):  # nobody asks any more
        return
