"""AE rows as adverse events."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.sdtm.accounts import Findings
from monitor.sdtm.dates import Dates
from monitor.sdtm.message import Message, concept, patient
from monitor.sdtm.tables import Row, UnusableRowError

CRITERIA = {
    "AESDTH": "death",
    "AESLIFE": "life_threatening",
    "AESHOSP": "hospitalisation",
    "AESDISAB": "disability",
    "AESCONG": "congenital_anomaly",
    "AESMIE": "medically_important",
}
OUTCOMES = {
    "RECOVERED/RESOLVED": "recovered",
    "RECOVERING/RESOLVING": "recovering",
    "NOT RECOVERED/NOT RESOLVED": "not_recovered",
    "RECOVERED/RESOLVED WITH SEQUELAE": "recovered_with_sequelae",
    "FATAL": "fatal",
    "UNKNOWN": "unknown",
}
ACTIONS = {
    "DOSE NOT CHANGED": "none",
    "DOSE REDUCED": "dose_reduced",
    "DRUG INTERRUPTED": "drug_interrupted",
    "DRUG WITHDRAWN": "drug_stopped",
    # The contract has no word for these; they say nothing of a reduction or a stop.
    "DOSE INCREASED": None,
    "NOT APPLICABLE": None,
    "NOT EVALUABLE": None,
    "UNKNOWN": None,
}
RELATEDNESS = {
    **dict.fromkeys(("Y", "YES", "RELATED", "DEFINITE", "PROBABLE", "PROBABLY RELATED"), "related"),
    **dict.fromkeys(("POSSIBLE", "POSSIBLY RELATED"), "possible"),
    **dict.fromkeys(("REMOTE", "UNLIKELY", "UNLIKELY RELATED"), "unlikely"),
    **dict.fromkeys(("N", "NO", "NONE", "NOT RELATED", "UNRELATED"), "not_related"),
}
UNCODED = "UNCODED"
_YES_NO = {"Y": True, "N": False}


def adverse_event(row: Row, dates: Dates, findings: Findings) -> Message:
    """The body of the message; UnusableRowError where the row has no subject, no term or an onset that is no date."""
    patient(row)
    onset = dates.partial(row, "AESTDTC")
    optional = {
        "onset_on": onset.text if onset else None,
        "grade": _grade(row, findings),
        "outcome": _coded(row, "AEOUT", OUTCOMES, findings),
        "ended_on": _ended(row, dates, findings),
        "action_taken": _coded(row, "AEACN", ACTIONS, findings),
        "relatedness": _coded(row, "AEREL", RELATEDNESS, findings),
    }
    return {
        "type": "adverse_event",
        "term": _term(row, findings),
        "seriousness": _seriousness(row, findings),
        **{name: value for name, value in optional.items() if value is not None},
    }


def _term(row: Row, findings: Findings) -> Message:
    """The coded term. What was only reported stays text: free text may identify someone, and codes are shown."""
    codings = [("local", row.cells["AEDECOD"])] if "AEDECOD" in row.cells else []
    if "AEPTCD" in row.cells:
        codings.append(("meddra", row.cells["AEPTCD"]))
    if codings:
        return concept(*codings)
    if "AETERM" not in row.cells:
        raise UnusableRowError("AEDECOD, AEPTCD and AETERM are missing")
    findings.remarks.append(f"without AEDECOD and AEPTCD: the term is local:{UNCODED}, AETERM its text")
    return concept(("local", UNCODED), text=row.cells["AETERM"])


def _seriousness(row: Row, findings: Findings) -> list[str]:
    """The criteria flagged; they count also where AESER says no: a contradiction must not hide a serious event."""
    criteria = [criterion for column, criterion in CRITERIA.items() if _flag(row, column, findings)]
    serious = _flag(row, "AESER", findings)
    if serious and not criteria:
        findings.remarks.append("with AESER=Y and no criterion: medically_important")
        return ["medically_important"]
    if criteria and serious is False:
        findings.remarks.append("with AESER=N and a criterion of seriousness: the criterion counts")
    if not criteria and serious is None:
        findings.losses.append("taken as not serious: AESER says neither Y nor N, and no criterion is flagged")
    return criteria


def _flag(row: Row, column: str, findings: Findings) -> bool | None:
    text = row.cells.get(column)
    flag = None if text is None else _YES_NO.get(text.upper())
    if text is not None and flag is None and column != "AESER":
        findings.losses.append(f"without {column} (allowed: Y, N)")
    return flag


def _grade(row: Row, findings: Findings) -> int | None:
    """AETOXGR; AESEV is severity in words and no grade."""
    text = row.cells.get("AETOXGR")
    if text is None or text in {"1", "2", "3", "4", "5"}:
        return None if text is None else int(text)
    findings.losses.append("without AETOXGR (allowed: 1 to 5)")
    return None


def _coded(row: Row, column: str, words: Mapping[str, str | None], findings: Findings) -> str | None:
    text = row.cells.get(column)
    if text is None:
        return None
    if text.upper() not in words:
        findings.losses.append(f"without {column} (allowed: {', '.join(words)})")
        return None
    return words[text.upper()]


def _ended(row: Row, dates: Dates, findings: Findings) -> str | None:
    """The end, which no rate depends on: an event is not lost because its end cannot be read."""
    try:
        ended = dates.partial(row, "AEENDTC")
    except UnusableRowError as problem:
        findings.losses.append(f"without ended_on: {problem}")
        return None
    return ended.text if ended else None
