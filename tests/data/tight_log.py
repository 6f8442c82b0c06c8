"""A log on a disk that has room for so many transactions and then is full."""

from __future__ import annotations

from monitor.log import LogFullError, Transaction
from monitor.log.sqlite import Erasure, SqliteLog
from tests.data.one_machine import OneMachine


class TightLog(SqliteLog):
    """The same log, but for its room."""

    room = 1_000_000

    def _take_room(self) -> None:
        if self.room == 0:
            raise LogFullError("the log cannot be written: database or disk is full")
        self.room -= 1

    def append(self, transaction: Transaction) -> None:
        self._take_room()
        super().append(transaction)

    def note(self, name: str, value: str) -> None:
        self._take_room()
        super().note(name, value)

    def add_action(self, action_id: str, record: bytes) -> None:
        self._take_room()
        super().add_action(action_id, record)

    def erase(self, what: Erasure) -> None:
        self._take_room()
        super().erase(what)

    def scrub(self) -> None:
        self._take_room()
        super().scrub()

    def forget_rejected(self, before: int) -> int:
        self._take_room()
        return super().forget_rejected(before)

    def forget_position(self, site: str, channel: str) -> None:
        self._take_room()
        super().forget_position(site, channel)


PLENTY = TightLog.room


def leave_room(machine: OneMachine, transactions: int) -> None:
    assert isinstance(machine.machine.log, TightLog)
    machine.machine.log.room = transactions
