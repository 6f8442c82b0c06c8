"""What a process lets others bring: messages of hospitals, and decisions of people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from monitor.keeper import Receipt
from monitor.writer import Writer
from schemas import actions as act


class Desk(Protocol):
    """Where they are brought. What is refused is raised, in words for who brought it."""

    takes_messages: bool  # else hospitals bring them elsewhere

    async def take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        """Take in messages; durable when this returns."""

    async def enact(self, action: act.Action) -> act.Action:
        """Keep what a person decided; returns it as it was kept."""


class MachineDesk:
    """That of the single machine, which keeps everything itself."""

    takes_messages = True

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    async def take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        return await self._writer.take(site, messages)

    async def enact(self, action: act.Action) -> act.Action:
        return await self._writer.run(lambda: self._writer.machine.enact(action), patience=0)
