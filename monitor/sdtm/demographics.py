"""DM rows as profiles, and the reference end of subjects whose last dose has no date."""

from __future__ import annotations

from datetime import date

from monitor.sdtm.accounts import Findings
from monitor.sdtm.dates import Dates
from monitor.sdtm.message import Message, patient
from monitor.sdtm.tables import Row, UnusableRowError

SEXES = {"F": "female", "M": "male", "U": "unknown", "UNDIFFERENTIATED": "other", "INTERSEX": "other"}


def patient_profile(row: Row, dates: Dates, findings: Findings) -> Message:
    """The body of the message; UnusableRowError where the row says nothing that a profile or a course can use."""
    patient(row)
    died = _day(row, "DTHDTC", "died_on", dates, findings)
    if died is None and row.cells.get("DTHFL", "").upper() == "Y" and "DTHDTC" not in row.cells:
        findings.losses.append("without died_on: DTHFL is Y and DTHDTC is missing")
    said = {
        "birth_year": _birth_year(row, dates, findings),
        "sex": _sex(row, findings),
        "died_on": died.isoformat() if died else None,
    }
    said = {name: value for name, value in said.items() if value is not None}
    if not said and "RFENDTC" not in row.cells:
        raise UnusableRowError("none of BRTHDTC, AGE with RFSTDTC, SEX, DTHDTC, RFENDTC can be used")
    return {"type": "patient_profile", **said}


def reference_end(row: Row, dates: Dates, findings: Findings) -> date | None:
    """The day on which an open course of the subject ends."""
    return _day(row, "RFENDTC", "an end of its open course", dates, findings)


def _day(row: Row, column: str, use: str, dates: Dates, findings: Findings) -> date | None:
    try:
        return dates.day(row, column)
    except UnusableRowError as problem:
        findings.losses.append(f"without {use}: {problem}")
        return None


def _sex(row: Row, findings: Findings) -> str | None:
    text = row.cells.get("SEX")
    if text is not None and text.upper() not in SEXES:
        findings.losses.append(f"without sex (allowed SEX: {', '.join(SEXES)})")
    return SEXES.get(text.upper()) if text else None


def _birth_year(row: Row, dates: Dates, findings: Findings) -> int | None:
    """The year of BRTHDTC, else the one that gives AGE in the year of RFSTDTC.

    A policy's age is year minus birth year, so the second is the study's own age on the first day; the true year may
    be the one before.
    """
    born = _year(row, "BRTHDTC", dates, findings)
    if born:
        return born
    age, start = row.cells.get("AGE"), _year(row, "RFSTDTC", dates, findings)
    if age is None or start is None or row.cells.get("AGEU", "YEARS").upper() != "YEARS":
        return None
    if not (age.isascii() and age.isdigit() and int(age) <= 130):  # noqa: PLR2004  no person was older
        findings.losses.append("without birth_year: AGE is no number of years (allowed: 0 to 130)")
        return None
    findings.remarks.append("with a birth year worked out from AGE and RFSTDTC: it may be one too late")
    return start - int(age)


def _year(row: Row, column: str, dates: Dates, findings: Findings) -> int | None:
    try:
        found = dates.partial(row, column)
    except UnusableRowError as problem:
        findings.losses.append(f"without birth_year: {problem}")
        return None
    return found.first.year if found else None
