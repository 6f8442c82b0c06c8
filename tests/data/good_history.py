"""A year of three invented hospitals and the paper's two cases: nothing of it is rejected, and something of all kinds.

The registry also knows the two sites that only the bad lines name.
"""

from __future__ import annotations

from datetime import date

from monitor.demo import hospitals
from monitor.demo.build import Message, concept
from monitor.demo.cases import ATOPIC_DERMATITIS, paper_cases, prescribed, told

HOSPITALS = ("lisbon", "madrid", "ponta-delgada")
FIRST, LAST = date(2024, 7, 1), date(2025, 6, 30)

SITES = (
    hospitals.registry_yaml(HOSPITALS, FIRST, LAST)
    + """\
  kiritimati: {zone: Pacific/Kiritimati, go_live: 2024-07-01, feeds: {}}
  niue: {zone: Pacific/Niue, go_live: 2024-07-01, feeds: {}}
"""
)


def of_all_kinds() -> list[Message]:
    """A patient who is lost, an imputed onset, and a message each that is repeated, corrected and contradicted."""
    course = prescribed("lost", (ATOPIC_DERMATITIS,), 15)
    seen = told("patient_contact", "lost", "seen", "2024-08-20", seen_on="2024-08-20")
    return [
        told("treatment_started", "lost", "start", "2024-08-05", **course, started_on="2024-08-05"),
        told(
            "adverse_event",
            "lost",
            "event",
            "2024-08-20",
            term=concept("icd10:B02.9"),
            onset_on="2024-08",
            seriousness=[],
        ),
        seen,
        seen,
        told("patient_contact", "lost", "corrected", "2024-08-20", seen_on="2024-08-19"),
        told("patient_contact", "lost", "corrected", "2024-08-21", seen_on="2024-08-18"),
        told("patient_contact", "lost", "contradicted", "2024-08-20", seen_on="2024-08-17"),
        told("patient_contact", "lost", "contradicted", "2024-08-20", seen_on="2024-08-16"),
    ]


def good_lines() -> list[bytes]:
    """Some nine hundred lines, without their ends."""
    generated = hospitals.generate(3, HOSPITALS, 12, FIRST, LAST)
    return [hospitals.as_line(each) for each in (*paper_cases(), *of_all_kinds(), *generated)]
