"""The papers an invented patient has on file before the first dose: mostly all four, in time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monitor.demo import medicine
from monitor.demo.build import Message, concept
from monitor.demo.desk import Desk
from monitor.demo.medicine import ANTI_HBC, ANTI_HCV, HBSAG, HBV_DNA, HCV_RNA, HIV, IGRA, IGRA_CONTROL

HABITS = {  # how the papers stand, of a thousand courses
    "complete": 893,
    "nothing": 15,
    "one_missing": 25,
    "expired": 15,
    "late": 20,
    "same_day": 12,
    "control_for_igra": 8,
    "unmapped": 2,
    "tuberculin": 10,
}
GOOD_HABITS = {"complete", "same_day", "tuberculin"}
CHEST_XRAY = "local:CXR-TB"
AFTER_PREVENTION = 33  # days from a positive IGRA to the dose where prevention is waited for


class Screening:
    """Draws one patient's results when a course is decided; `report` writes them down."""

    def __init__(self, desk: Desk, patient_id: str, decided: int) -> None:
        self._rng = rng = desk.rng
        self._desk = desk
        self._id = patient_id
        self._careless = desk.site.careless
        self._habit = rng.choices(list(HABITS), list(self._weights()))[0]
        self._outcomes = {test: rng.random() < share for test, share in medicine.POSITIVE.items()}
        self._collected = decided + 2
        self._waits = rng.random() < 1 - 0.2 * self._careless  # mostly prevention is waited for
        self.positive = self._outcomes[HBSAG] or self._outcomes[HIV]
        self.ready_on = self._ready_on()

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _weights(self) -> Iterator[float]:
        """The weights of the habits, of the bad ones the careless share."""
        return (weight * (1 if name in GOOD_HABITS else self._careless) for name, weight in HABITS.items())

    def _ready_on(self) -> int:
        if self._outcomes[IGRA] and self._waits:
            return self._collected + AFTER_PREVENTION + int(self._rng.random() * 30)
        return self._collected + 8 + int(self._rng.random() * 30)

    def report(self, start: int) -> None:
        """Write down what was collected for a first dose on the day `start`."""
        getattr(self, f"_{self._habit}")(start)

    # the habits

    def _complete(self, _start: int) -> None:
        self._sets(self._collected)
        self._under_another_number()

    def _nothing(self, _start: int) -> None:
        pass

    def _one_missing(self, _start: int) -> None:
        self._sets(self._collected, without=self._rng.choice((ANTI_HBC, HIV, IGRA, ANTI_HCV)))

    def _expired(self, start: int) -> None:
        self._sets(start - 366 - int(self._rng.random() * 200))

    def _late(self, start: int) -> None:
        self._sets(self._collected, without=HIV)
        self._result(HIV, start + 1 + int(self._rng.random() * 10))

    def _same_day(self, start: int) -> None:
        self._sets(self._collected, without=HIV)
        self._result(HIV, start, 0)

    def _control_for_igra(self, _start: int) -> None:
        self._sets(self._collected, without=IGRA)
        self._result(IGRA, self._collected, test=concept(IGRA_CONTROL), outcome="positive")

    def _unmapped(self, _start: int) -> None:
        self._sets(self._collected, without=IGRA)
        self._result(IGRA, self._collected, test=concept(medicine.UNMAPPED_TEST), outcome="negative")

    def _tuberculin(self, _start: int) -> None:
        self._sets(self._collected, without=IGRA)
        mm = {"value": self._rng.choice((0, 2, 3, 4.5, 8, 12)), "unit": "mm"}
        self._result(IGRA, self._collected, test=concept("local:TST"), outcome=None, quantity=mm)

    def _sets(self, collected: int, without: str = "") -> None:
        for test in (HBSAG, ANTI_HBC, ANTI_HCV, HIV, IGRA):
            if test != without:
                self._result(test, collected)
        if self._outcomes[ANTI_HBC] and not self._outcomes[HBSAG]:
            self._viral_load(collected)
        if self._outcomes[ANTI_HCV]:
            self._result(HCV_RNA, collected + 3, outcome=self._confirmed(HCV_RNA))
        if self._outcomes[IGRA]:
            self._result(CHEST_XRAY, collected + 1, outcome="negative")  # latent: active disease is looked for
            self._prevention(collected + 3)

    def _viral_load(self, collected: int) -> None:
        found = self._confirmed(HBV_DNA) == "positive"
        value: Message = (
            {"value": 2400, "unit": "IU/mL"} if found else {"value": 10, "unit": "IU/mL", "comparator": "<"}
        )
        self._result(HBV_DNA, collected + 3, outcome=None, quantity=value)

    def _confirmed(self, test: str) -> str:
        return "positive" if self._chance(medicine.CONFIRMED[test]) else "negative"

    def _outcome(self, test: str) -> str:
        if self._outcomes.get(test):
            return "positive"
        unclear = test == IGRA and self._chance(medicine.IGRA_INDETERMINATE * self._careless)
        return "indeterminate" if unclear else "negative"

    def _result(self, test: str, collected: int, delay: int = -1, /, **said: Any) -> None:
        resulted = collected + (1 + int(self._rng.random() * 4) if delay < 0 else delay)
        minute = 420 + int(self._rng.random() * 800)
        dates = {
            "collected_on": self._desk.dated(collected),
            "resulted_at": self._desk.calendar.instant(resulted, minute),
        }
        body = {"test": concept(test), "outcome": self._outcome(test), **dates, **said}
        told = {key: value for key, value in body.items() if value is not None}
        padded = self._id + " " if self._desk.site.pads_ids and self._chance(0.01) else self._id
        self._desk.write("screening_result", resulted, padded, minute=minute + 5, source="lab", **told)

    def _prevention(self, day: int) -> None:
        body: Message = {"infection": "tuberculosis", "started_on": self._desk.dated(day)}
        self._desk.write("prevention", day, self._id, **body)

    def _under_another_number(self) -> None:
        """A few patients come twice: what belongs to them under another number, until somebody notices."""
        if not self._chance(0.006):
            return
        merged = self._desk.write("patient_merged", self._collected + 40, self._id, merged_patient_id=f"T{self._id}")
        contact: Message = {"seen_on": self._desk.dated(self._collected)}
        self._desk.write("patient_contact", self._collected, f"T{self._id}", **contact)
        if self._chance(0.1):
            self._desk.withdraw(merged, self._collected + 90)
