"""Whether Kafka would let this process in now: the clients go on trying for ever, and do not say why."""

from __future__ import annotations

import asyncio
import logging

from monitor.kafka.connection import Connection
from monitor.kafka.reach import CannotReachError, check

log = logging.getLogger("jakwatch")

EVERY_SECONDS = 10.0


class Door:
    """Tried again and again with our own credentials, beside whatever connections are open."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.shut: str | None = None  # why we would not be let in, with what to do

    async def watch(self) -> None:
        """Until cancelled; whenever it is otherwise than before, the log says so."""
        while True:
            await asyncio.sleep(EVERY_SECONDS)
            why = await asyncio.to_thread(_why_shut, self._connection)
            if why is not None and why != self.shut:
                log.error("%s", why)
            elif why is None and self.shut is not None:
                log.info("Kafka lets us in again")
            self.shut = why


def _why_shut(connection: Connection) -> str | None:
    try:
        check(connection)
    except CannotReachError as problem:
        return str(problem)
    except OSError as error:  # a file of ours that is gone, or cannot be read any more
        return f"{error.filename}: {error.strerror}. Do next: put the file back."
    return None
