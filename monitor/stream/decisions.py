"""What people decided, as the topic of actions has it. Of several records of one id the first stands.

Compaction keeps the last one. So whoever wrote a further one under an id that was taken writes the first again behind
it (`overwritten` says which): then both rules come to the same, for those who read now and those who read in a year.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from aiokafka.structs import ConsumerRecord

from monitor.stream.followed import Contents
from schemas import actions as act

log = logging.getLogger("jakwatch")


class Decisions:
    """All of them, in the order in which they stand."""

    def __init__(self) -> None:
        self.contents = Contents()
        self.unreadable = 0
        self.overwritten: set[str] = set()  # ids of which the last record is not the one that stands
        self._records: dict[str, bytes] = {}

    def take(self, record: ConsumerRecord) -> act.Action | None:
        """The action of a record, where it is one that nobody has said before."""
        if record.offset < self.contents.offset:
            return None  # it was read before
        self.contents.read(record)
        action = act.decode_action(record.value or b"")
        if not isinstance(action, act.ActionEnvelope):
            log.error("an action at offset %d cannot be read (%s): it has no effect", record.offset, action.reason)
            self.unreadable += 1
            return None
        stands = self._records.get(action.action_id)
        if stands is not None:
            (self.overwritten.discard if stands == record.value else self.overwritten.add)(action.action_id)
            return None
        self._records[action.action_id] = record.value
        self.contents.add(action.action_id.encode(), record.value)
        return action

    def records(self) -> Iterator[bytes]:
        """Each as it was kept."""
        return iter(list(self._records.values()))

    def record(self, action_id: str) -> bytes:
        return self._records[action_id]

    def __len__(self) -> int:
        return len(self._records)
