"""The demo's life in the service: what has been, filled in before anybody looks, and what goes on."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from datetime import UTC, date, datetime
from pathlib import Path

from monitor.demo.build import Message
from monitor.demo.hospitals import as_line
from monitor.demo.living import Living, history, registry_text, treated
from monitor.keeper import Origin
from monitor.log import LogFullError
from monitor.machine import Machine
from monitor.sites import NotJudgingError
from monitor.writer import HTTP, BusyError, Writer

BEGAN, FILLED = "began", "demo_filled"
_BATCH = 2_000
_EVERY_SECONDS = 0.5
log = logging.getLogger("jakwatch")


class DemoLife:
    """The life of invented hospitals in one data folder, which remembers the day on which it began."""

    def __init__(self, folder: Path, seed: int, patients: int) -> None:
        self.seed = seed
        self.patients = patients
        self.today = _began(folder / BEGAN)

    def registry(self) -> str:
        """The site registry (YAML) of the hospitals."""
        return registry_text(self.today)

    def fill(self, machine: Machine) -> None:
        """Three years of messages, if they are not there yet."""
        if machine.log.meta(FILLED) is not None:
            return
        of_site = defaultdict(list)
        for message in self._history():
            of_site[message["site"]].append(as_line(message))
        for site, lines in of_site.items():
            for first in range(0, len(lines), _BATCH):
                batch = lines[first : first + _BATCH]
                machine.take(site, batch, Origin(HTTP, range(len(batch))))
        machine.log.note(FILLED, str(self.today))  # last: what ended half-way is filled again, which repeats nothing

    async def go_on(self, writer: Writer) -> None:
        """What the hospitals send now, as they send it."""
        living = Living(self.seed, followed=treated(self._history()))
        while True:
            for site, raw in living.due(datetime.now(UTC)):
                try:
                    await writer.take(site, [raw])
                except (LogFullError, NotJudgingError, BusyError) as problem:
                    log.warning("a message of the demo was not taken: %s", problem)
            await asyncio.sleep(_EVERY_SECONDS)

    def _history(self) -> list[Message]:
        return history(self.today, patients_per_site=self.patients, seed=self.seed)


def _began(note: Path) -> date:
    """The day on which the demo in this folder began; today, where it begins now."""
    if not note.exists():
        note.write_text(datetime.now(UTC).date().isoformat(), encoding="utf-8")
    return date.fromisoformat(note.read_text(encoding="utf-8").strip())
