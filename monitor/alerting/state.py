"""What must outlive the process: what is so, what was told of it, and what waits to be sent. One small file.

It names hospitals, kinds and counts. A message is kept here before it is sent and forgotten when the receiver has it,
so it may come twice where the process dies between the two, and is never lost.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from monitor.alerting.alerts import Standing
from monitor.alerting.groups import Group, Message, Plan
from monitor.alerting.past import Past

VERSION = 1
log = logging.getLogger("jakwatch")


@dataclass(frozen=True, slots=True)
class State:
    """All of it at one moment."""

    standing: Standing = field(default_factory=Standing)
    groups: dict[str, Group] = field(default_factory=dict)
    past: Past = field(default_factory=Past)
    waiting: dict[str, tuple[Message, ...]] = field(default_factory=dict)  # by channel, in the order of sending
    version: int = VERSION

    def for_channels(self, channels: Iterable[str]) -> State:
        """For a process that sends through these: a channel that is new is told of everything, as if nothing had been.

        So whoever changes receivers sees at once that it works.
        """
        names = {*channels}
        waiting = {name: self.waiting.get(name, ()) for name in sorted(names)}
        groups = self.groups if names <= self.waiting.keys() else {}
        return replace(self, waiting=waiting, groups=groups)

    def after(self, plan: Plan, past: Past) -> State:
        """With what was planned, whose messages wait in every channel."""
        waiting = {channel: _with(messages, plan.messages) for channel, messages in self.waiting.items()}
        return replace(self, standing=plan.standing, groups=plan.groups, past=past, waiting=waiting)

    def delivered(self, channel: str, message: Message) -> State:
        """Without a message that its receiver has."""
        left = tuple(each for each in self.waiting[channel] if each != message)
        return replace(self, waiting=self.waiting | {channel: left})

    def next_in(self, channel: str) -> list[Message]:
        """The first message of each group: those of one group come in order."""
        return list({each.group: each for each in reversed(self.waiting[channel])}.values())[::-1]


def _with(waiting: tuple[Message, ...], new: Sequence[Message]) -> tuple[Message, ...]:
    """A message that waits is left out where a later one of its group speaks of all that it speaks of."""
    for message in new:
        waiting = (*(each for each in waiting if not _says_all(message, each)), message)
    return waiting


def _says_all(new: Message, old: Message) -> bool:
    return new.group == old.group and old.speaks_of <= new.speaks_of


class StateFile:
    """Where the state is kept: whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.trouble: str | None = None  # why the last one could not be written
        self._written = b""
        self._one = asyncio.Lock()

    def read(self) -> State:
        """The state as it was kept; an empty one where there is none, or none that can be read."""
        try:
            found = msgspec.json.decode(self.path.read_bytes(), type=State)
        except FileNotFoundError:
            return State()
        except (msgspec.MsgspecError, UnicodeDecodeError, OSError):
            log.error("%s cannot be read: what was told before is not known, so all is told again", self.path)
            return State()
        return found if found.version == VERSION else State()

    async def write(self, state: State) -> None:
        """Keep it. Where the disk refuses, alerts are sent all the same, and after a restart perhaps once more."""
        async with self._one:
            text = msgspec.json.encode(state)
            if text != self._written:
                self._tell(await asyncio.to_thread(self._replace, text))
                self._written = b"" if self.trouble else text

    def _replace(self, text: bytes) -> str | None:
        new = self.path.with_name(f".{self.path.name}.new")
        try:
            with new.open("wb") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
        except OSError as error:
            return error.strerror or type(error).__name__
        return None

    def _tell(self, trouble: str | None) -> None:
        if trouble is not None and self.trouble is None:
            log.error("%s cannot be written (%s): after a restart alerts may come once more", self.path, trouble)
        if trouble is None and self.trouble is not None:
            log.info("%s can be written again", self.path)
        self.trouble = trouble
