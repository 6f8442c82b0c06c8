"""EX rows: from which day to which day a subject took which dose of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from monitor.sdtm.accounts import Findings
from monitor.sdtm.dates import Dates, next_day
from monitor.sdtm.message import REPEATED_SEQUENCE, Identities, Message, decimal, patient, sequence
from monitor.sdtm.tables import Row, UnusableRowError

FREQUENCIES: Mapping[str, Decimal] = {
    **dict.fromkeys(("QD", "QAM", "QPM", "QHS", "Q24H"), Decimal(1)),
    **dict.fromkeys(("BID", "Q12H"), Decimal(2)),
    **dict.fromkeys(("TID", "Q8H"), Decimal(3)),
    **dict.fromkeys(("QID", "Q6H"), Decimal(4)),
    "QOD": Decimal("0.5"),
}


@dataclass(frozen=True, slots=True)
class Exposure:
    """One usable EX row: days [first, end), end None where it is open."""

    subject: str
    treatment: str
    first: date
    end: date | None
    amount: Decimal
    per_day: Decimal
    recorded: date
    event_id: str
    sequence: int
    findings: Findings = field(compare=False)

    @property
    def dose(self) -> Message:
        return {"amount": self.amount, "unit": "mg", "per_day": self.per_day}

    @property
    def rank(self) -> tuple[date, int, str]:
        """Of rows that overlap, the highest speaks."""
        return self.first, self.sequence, self.event_id

    def covers(self, day: date) -> bool:
        return self.first <= day and (self.end is None or day < self.end)


def exposure(row: Row, dates: Dates, ids: Identities, frequencies: Mapping[str, Decimal]) -> Exposure:
    """The state an EX row describes; UnusableRowError with the reason where it describes none."""
    findings = Findings()
    subject, treatment = patient(row), row.need("EXTRT")
    amount, per_day = _amount(row), _per_day(row, frequencies, findings)
    first, last = dates.day(row, "EXSTDTC"), dates.day(row, "EXENDTC")
    if first is None:
        raise UnusableRowError("EXSTDTC is missing")
    if last and last < first:
        raise UnusableRowError("EXENDTC lies before EXSTDTC")
    if not ids.is_unique(row):
        findings.remarks.append(REPEATED_SEQUENCE)
    return Exposure(
        subject=subject,
        treatment=treatment,
        first=first,
        end=next_day(last) if last else None,
        amount=amount,
        per_day=per_day,
        recorded=dates.recorded(row),
        event_id=ids.of(row),
        sequence=sequence(row) or 0,
        findings=findings,
    )


def _amount(row: Row) -> Decimal:
    amount = decimal(row.need("EXDOSE"))
    if amount is None or amount < 0:
        raise UnusableRowError("EXDOSE is no dose (allowed: a number, 0 or more)")
    if row.need("EXDOSU").lower() != "mg":
        raise UnusableRowError("EXDOSU is not mg")
    return amount


def _per_day(row: Row, frequencies: Mapping[str, Decimal], findings: Findings) -> Decimal:
    text = row.cells.get("EXDOSFRQ")
    if text is None:
        findings.remarks.append("without EXDOSFRQ: taken as once a day")
        return Decimal(1)
    per_day = frequencies.get(text.upper())
    if per_day is None:
        raise UnusableRowError("EXDOSFRQ is no exact number of doses a day that is known (say it with --frequency)")
    return per_day
