"""LB rows as screening results."""

from __future__ import annotations

import re
from datetime import date

from monitor.sdtm.dates import Dates, next_day
from monitor.sdtm.message import Message, at, concept, decimal, patient
from monitor.sdtm.tables import Row, UnusableRowError

OUTCOMES = {
    **dict.fromkeys(("POSITIVE", "POS", "REACTIVE", "DETECTED"), "positive"),
    **dict.fromkeys(("NEGATIVE", "NEG", "NONREACTIVE", "NON-REACTIVE", "NON REACTIVE", "NOT DETECTED"), "negative"),
    **dict.fromkeys(("INDETERMINATE", "EQUIVOCAL", "BORDERLINE", "INCONCLUSIVE", "INVALID"), "indeterminate"),
}
_COMPARED = re.compile(r"(<=|>=|<|>)\s*(\S+)")


def screening_result(row: Row, dates: Dates) -> Message:
    """The body of the message; UnusableRowError where test, day or result is missing or cannot be read."""
    patient(row)
    collected = dates.day(row, "LBDTC")
    if collected is None:
        raise UnusableRowError("LBDTC is missing")
    return {
        "type": "screening_result",
        "test": _test(row),
        "collected_on": collected.isoformat(),
        "resulted_at": resulted_at(collected),
        **_result(row),
    }


def resulted_at(collected: date) -> str:
    """The day after collection, at noon UTC.

    LB says when a specimen was taken, not when its result was there. A result of the day of the first dose must not
    pass as known before it; noon keeps it on the next day, or east of UTC+11:59 the one after, never the same.
    """
    return at(next_day(collected))


def _test(row: Row) -> Message:
    if "LBLOINC" in row.cells:
        return concept(("loinc", row.cells["LBLOINC"]))
    if "LBTESTCD" in row.cells:
        return concept(("local", row.cells["LBTESTCD"]))
    raise UnusableRowError("LBLOINC and LBTESTCD are missing")


def _result(row: Row) -> Message:
    if row.cells.get("LBSTAT", "").upper() == "NOT DONE":
        return {"outcome": "not_done"}
    text = row.cells.get("LBSTRESC", "")
    if text.upper() in OUTCOMES:
        return {"outcome": OUTCOMES[text.upper()]}
    compared = _COMPARED.fullmatch(text)
    comparator = {"comparator": compared[1]} if compared else {}
    value = decimal(compared[2] if compared else row.cells.get("LBSTRESN", text))
    if value is None:
        raise UnusableRowError("LBSTRESC is no outcome that is known, and neither it nor LBSTRESN is a number")
    if "LBSTRESU" not in row.cells:
        raise UnusableRowError("LBSTRESU is missing beside a number")
    return {"quantity": {"value": value, "unit": row.cells["LBSTRESU"], **comparator}}
