"""How long something has been waiting to be read, from looks at where a topic ends and up to where it was read.

Nothing but offsets is asked for, so it needs no right to read the topic; and it errs on the short side: what came
between two looks counts from the second.
"""

from __future__ import annotations

from collections import deque


class Backlog:
    """Of one topic; instants are seconds of any clock that only runs forward."""

    def __init__(self) -> None:
        self._ends: deque[tuple[int, float]] = deque()  # an end beyond what was read, and when it was first seen
        self._read: int | None = None
        self._moved = 0.0

    def look(self, read: int, end: int, now: float) -> None:
        """The topic ends before offset `end`, and was read up to before offset `read`."""
        if read != self._read:
            self._read, self._moved = read, now
        while self._ends and self._ends[0][0] <= read:
            self._ends.popleft()
        while self._ends and self._ends[-1][0] > end:  # it was cut
            self._ends.pop()
        if end > (self._ends[-1][0] if self._ends else read):
            self._ends.append((end, now))

    def seconds(self, now: float) -> float:
        """For how long, at least, the first that was not read has been there; 0 where all was read."""
        return now - self._ends[0][1] if self._ends else 0.0

    def is_at_rest(self, now: float, seconds: float) -> bool:
        """Whether something has been waiting for so long, and all the while nothing was read."""
        return bool(self._ends) and now - max(self._ends[0][1], self._moved) > seconds
