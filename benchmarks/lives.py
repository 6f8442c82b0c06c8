"""Single patients of chosen length, for the benchmarks that ask what one patient more, or one fact more, costs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from benchmarks.messages import DAYS, FIRST_DAY, LATEST_DAYS, LONGEST_LIFE_DAYS, TESTS, Mill

LAST_DAY = FIRST_DAY + DAYS + LATEST_DAYS
SHORT_FACTS = 3
LATER_FACTS = 500_000_000  # event_ids from here on are of messages that come on top

# Twenty facts, one every third day, in nearly the mix of the other messages, the courses one after the other.
CYCLE = ("start", "result", "change", "result", "event", "result", "stop", "start", "result", "change",
         "event", "result", "event", "stop", "start", "result", "event", "result", "event", "stop")  # fmt: skip
DAYS_APART = 3


class Lives:
    """Patients by number; the same seed gives the same patients."""

    def __init__(self, seed: int = 1) -> None:
        self._rng = Random(seed)  # noqa: S311 - a load, no secret
        self._mill = Mill(self._rng)
        self._later = Mill(self._rng, first_fact=LATER_FACTS)

    def usual(self, patient: int) -> list[bytes]:
        """A patient of the usual mix: 11.1 facts on average."""
        return [line for _, line in self._mill.patient(patient, _enters(patient))]

    def short(self, patient: int) -> list[bytes]:
        """A patient of `SHORT_FACTS` facts: a result, a start, an adverse event."""
        first = _enters(patient) - FIRST_DAY
        mill = self._mill
        return [
            mill.message(patient, 1, first, 0, mill.result(first, 0))[1],
            mill.message(patient, 1, first, 20, mill.start(patient, 0, first + 20))[1],
            mill.message(patient, 1, first, 90, mill.event(first + 90))[1],
        ]

    def long(self, patient: int, facts: int) -> list[bytes]:
        """A patient of so many facts; at most 1,200 fit into the years there are."""
        return list(self._long(patient, facts))

    def _long(self, patient: int, facts: int) -> Iterator[bytes]:
        mill, course = self._mill, -1
        for fact in range(facts):
            day, kind = fact * DAYS_APART, CYCLE[fact % len(CYCLE)]
            course += kind == "start"
            yield mill.message(patient, 1, 0, day, self._body(mill, kind, patient, course, day))[1]

    def more(self, patient: int) -> bytes:
        """One further message of a patient, in the mix of the others."""
        first, after = _enters(patient) - FIRST_DAY, 60 + int(self._rng.random() * 300)
        kinds = ("start", "change", "stop", "result", "event")
        kind = self._rng.choices(kinds, (15, 10, 12, 38, 25))[0]
        course = 9_999 if kind == "start" else 0
        body = self._body(self._later, kind, patient, course, first + after)
        return self._later.message(patient, 1, first, after, body)[1]

    def _body(self, mill: Mill, kind: str, patient: int, course: int, day: int) -> str:
        match kind:
            case "start":
                return mill.start(patient, course, day)
            case "change":
                return mill.change(patient, course, day)
            case "stop":
                return mill.stop(patient, course, day)
            case "result":
                return mill.result(day, self._rng.randrange(len(TESTS)))
            case _:
                return mill.event(day)


def _enters(patient: int) -> int:
    """Spread over the years, neighbours far from each other."""
    return FIRST_DAY + patient * 1_009 % (DAYS - LONGEST_LIFE_DAYS)
