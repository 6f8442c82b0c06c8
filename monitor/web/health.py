"""What a process says of itself to whoever would restart it or send it work."""

from __future__ import annotations

from collections.abc import Callable


class Health:
    """The truth about this process: whether its writer runs, and what the log said when it last refused something."""

    def __init__(self, alive: Callable[[], bool], refused: Callable[[], str | None]) -> None:
        self._alive = alive
        self._refused = refused
        self.loading = True

    def trouble_of_process(self) -> str | None:
        """Why the process should be started anew, if it should."""
        return None if self._alive() else "the writer has ended: start this process again and report its last lines"

    def trouble(self) -> str | None:
        """Why messages are not taken now, if they are not."""
        return self.trouble_of_process() or ("the log is being read" if self.loading else self._refused())
