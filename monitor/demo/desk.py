"""A hospital's interface: it writes down what happened, and some of it late, twice, wrong or for the wrong patient."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

from monitor.demo.build import Message
from monitor.demo.calendar import Calendar

IN_TROUBLE = 0.07  # share of messages that something happens to
FROZEN_LATE = 0.02  # share that lies in a tray for weeks
DATES = ("onset_on", "collected_on", "started_on", "changed_on", "last_dose_on", "seen_on", "planned_start_on")
FULL_DATE = 10  # characters of YYYY-MM-DD
CLOSING = 1320  # ten in the evening: the last minute at which anything is written


@dataclass(frozen=True, slots=True)
class Site:
    """A demo hospital and its habits; days are `date.toordinal()`."""

    name: str
    zone: str
    states_versions: bool  # else a correction is known by its later `recorded_at` alone
    own_order_ids: bool  # order and start bear different ids
    pads_ids: bool  # the laboratory writes a blank behind the patient's number
    adverse_events_from: int
    silent_from: int | None  # from when no adverse event is heard of any more
    careless: float = 1.0  # how sloppy it is about screening, against the table of habits


class Desk:
    """Collects one site's messages as (minute of arrival in UTC, running number, message)."""

    def __init__(self, rng: Random, site: Site, end: int, patients: int) -> None:
        self.site = site
        self.sent: list[tuple[int, int, Message]] = []
        self.calendar = Calendar(site.zone)
        self.rng = rng
        self.end = end
        self._patients = patients
        self._written = 0

    def write(self, kind: str, day: int, patient_id: str, /, delay: int = 0, minute: int = 0, **body: Any) -> Message:
        """Write down what is known on `day`, `delay` days after it; returns the message that is meant to stand."""
        rng = self.rng
        self._written += 1
        recorded = day + delay + (rng.randrange(20, 200) if rng.random() < FROZEN_LATE else 0)
        minute = minute or 480 + int(rng.random() * 600)
        sent: Message = {"type": kind, "site": self.site.name, "event_id": f"{kind[:2]}{self._written:07}"}
        if self.site.states_versions:
            sent["version"] = 1
        sent |= {"recorded_at": self.calendar.instant(recorded, minute), "patient_id": patient_id, **body}
        if rng.random() < IN_TROUBLE:
            return self._in_trouble(sent, recorded, minute)
        self._send(sent, recorded, minute)
        return sent

    def follow_up(self, old: Message, day: int, **changes: Any) -> Message:
        """A later version of `old`, recorded on `day`."""
        new = {**old, **changes}
        if "version" in old:
            new["version"] = old["version"] + 1
        return self._stamped(new, day)

    def withdraw(self, old: Message, day: int) -> Message:
        """Say that `old` was entered in error; the body is left out."""
        kept = ("type", "site", "source", "event_id", "version", "patient_id")
        return self.follow_up({key: old[key] for key in kept if key in old}, day, status="entered_in_error")

    def alive(self, day: int) -> None:
        """Every feed says that it has sent all there was up to the day before."""
        for feed in ("treatment", "screening", "adverse_event"):
            message = {"type": "feed_status", "site": self.site.name, "event_id": f"{feed}-{day}", "feed": feed}
            self._stamped({**message, "complete_through": self.calendar.day(day - 1)}, day)

    def dated(self, day: int) -> str:
        return self.calendar.day(day)

    def _stamped(self, message: Message, day: int) -> Message:
        message["recorded_at"] = self.calendar.instant(day, CLOSING)
        self._send(message, day, CLOSING)
        return message

    def _send(self, message: Message, day: int, minute: int) -> None:
        if day <= self.end and not self._unheard(message, day):
            self.sent.append((self.calendar.utc_minute(day, minute), len(self.sent), message))

    def _unheard(self, message: Message, day: int) -> bool:
        about_events = message["type"] == "adverse_event" or message.get("feed") == "adverse_event"
        return about_events and self.site.silent_from is not None and day >= self.site.silent_from

    # What can happen to a message on its way. Each returns the message that is meant to stand.

    def _in_trouble(self, message: Message, day: int, minute: int) -> Message:
        kinds = (self._twice, self._restamped, self._corrected, self._misfiled, self._conflicting, self._spurious)
        [trouble] = self.rng.choices(kinds, (40, 10, 25, 8, 5, 12))
        return trouble(message, day, minute)

    def _later(self) -> int:
        return self.rng.randrange(2, 60)

    def _twice(self, message: Message, day: int, minute: int) -> Message:
        self._send(message, day, minute)
        self._send(message, day + self._later(), minute)
        return message

    def _restamped(self, message: Message, day: int, minute: int) -> Message:
        self._send(message, day, minute)
        return self._stamped(dict(message), day + self._later())

    def _corrected(self, message: Message, day: int, minute: int) -> Message:
        self._send(self._mistaken(message), day, minute)
        return self.follow_up(message, day + self._later())

    def _misfiled(self, message: Message, day: int, minute: int) -> Message:
        self._send({**message, "patient_id": self.somebody()}, day, minute)
        return self.follow_up(message, day + self._later())

    def _conflicting(self, message: Message, day: int, minute: int) -> Message:
        self._send(message, day, minute)
        self._send(self._mistaken(message), day, minute)
        return message

    def _spurious(self, message: Message, day: int, minute: int) -> Message:
        self._send(message, day, minute)
        ghost = {**self._mistaken(message), "event_id": f"{message['event_id']}x"}
        if "treatment_id" in ghost:
            ghost["treatment_id"] += "x"
        self._send(ghost, day, minute)
        self.withdraw(ghost, day + self._later())
        return message

    def _mistaken(self, message: Message) -> Message:
        """The same with a wrong result or an earlier date, where it has one."""
        if "outcome" in message and message["type"] == "screening_result":
            return {**message, "outcome": "indeterminate" if message["outcome"] == "negative" else "negative"}
        for name in DATES:
            if len(message.get(name, "")) == FULL_DATE:
                return {**message, name: self._earlier(message[name])}
        return message

    def _earlier(self, day: str) -> str:
        """Some day of the same month before `day`, or its first."""
        return f"{day[:8]}{self.rng.randint(1, int(day[8:])):02}"

    def somebody(self) -> str:
        """The number of any patient of the hospital."""
        return patient_number(self.rng.randrange(self._patients))


def patient_number(index: int) -> str:
    return f"{index + 1:07}"
