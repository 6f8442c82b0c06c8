"""A year of three invented hospitals and the paper's two cases: nothing of it is rejected, and something of all kinds.

The registry also knows the two sites that only the bad lines name.
"""

from __future__ import annotations

from datetime import date

from monitor.demo import hospitals
from monitor.demo.cases import paper_cases

HOSPITALS = ("lisbon", "madrid", "ponta-delgada")
FIRST, LAST = date(2024, 7, 1), date(2025, 6, 30)

SITES = (
    hospitals.registry_yaml(HOSPITALS, FIRST, LAST)
    + """\
  kiritimati: {zone: Pacific/Kiritimati, go_live: 2024-07-01, feeds: {}}
  niue: {zone: Pacific/Niue, go_live: 2024-07-01, feeds: {}}
"""
)


def good_lines() -> list[bytes]:
    """Some nine hundred lines, without their ends, in the order in which they were recorded."""
    return [hospitals.as_line(each) for each in (*paper_cases(), *hospitals.generate(3, HOSPITALS, 12, FIRST, LAST))]
