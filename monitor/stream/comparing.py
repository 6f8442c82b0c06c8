"""Whether what sites are told is what our own rules would tell them.

A replica judges nobody, it shows what the owners answered. But it holds the same facts, so it can tell that an owner
judges by other versions, or has stopped: while nothing else is to be done, it judges course by course and compares.
"""

from __future__ import annotations

from monitor.keeper import Keeper
from monitor.records import Course

COURSES_A_STEP = 100
EVERY_US = 900 * 1_000_000
"""How long after a comparison the next one begins. It costs as much as judging everybody."""

SURE_AFTER_US = 300 * 1_000_000
"""An answer may be on its way, and at midnight an owner judges everybody anew: what differs for less is none."""


class Comparison:
    """Of one site; instants in microseconds."""

    def __init__(self) -> None:
        self._due: list[str] | None = None  # courses still to be looked at; None: nothing is under way
        self._began = 0
        self._differs: dict[Course, int] = {}  # since when, as far as seen
        self.is_complete = False  # whether all were looked at once

    def anew(self) -> None:
        """Everything may be different: look at once."""
        self._due = None
        self._began = 0

    def step(self, keeper: Keeper, at: int, as_of: int) -> bool:
        """Look at some courses; whether more are left."""
        if self._due is None:
            if at - self._began < EVERY_US:
                return False
            self._due, self._began = keeper.courses(), at
        step, self._due = self._due[:COURSES_A_STEP], self._due[COURSES_A_STEP:]
        self._look(keeper, step, at, as_of)
        if not self._due:
            self._due, self.is_complete = None, True
        return self._due is not None

    def recheck(self, keeper: Keeper, at: int, as_of: int) -> None:
        """Look again at those that differed."""
        self._look(keeper, sorted({treatment_id for treatment_id, _ in self._differs})[:COURSES_A_STEP], at, as_of)

    def _look(self, keeper: Keeper, treatment_ids: list[str], at: int, as_of: int) -> None:
        if not treatment_ids:
            return
        found = keeper.reassess(treatment_ids, at, as_of).answers
        for treatment_id in treatment_ids:
            for kind in ("order", "start"):
                course = (treatment_id, kind)
                if course in found:
                    self._differs.setdefault(course, at)
                else:
                    self._differs.pop(course, None)

    def differing(self, at: int) -> int:
        """How many answers have been differing for so long that it is no matter of time."""
        return sum(at - since >= SURE_AFTER_US for since in self._differs.values())
