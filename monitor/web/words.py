"""How the program's words are put before people: names spelt as on paper, numbers with three digits that count.

The words themselves stay the policy's and the contract's: a page never shows another one for the same thing.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, NamedTuple

_INSTANT = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
_SPELLING = {
    "ab": "Ab", "ag": "Ag", "b": "B", "c": "C", "cpk": "CPK", "dna": "DNA", "gi": "GI", "hbc": "HBc", "hbsag": "HBsAg",
    "hbv": "HBV", "hcv": "HCV", "hiv": "HIV", "igra": "IGRA", "jak": "JAK", "mace": "MACE", "nmsc": "NMSC",
    "rna": "RNA", "tst": "TST", "vte": "VTE", "ra": "RA", "ad": "AD", "uc": "UC", "cd": "CD",
}  # fmt: skip


class State(NamedTuple):
    """What a word means, and how it looks: a shape of `parts.html`, a tone of `style.css`, the word itself."""

    word: str
    shape: str
    tone: str
    meaning: str


DECISIONS = {
    "screening_complete": State(
        "screening complete", "check", "good",
        "Each infection is ruled out, treated or waived on paper. A clinician releases the drug.",
    ),
    "hold": State(
        "on hold", "square", "warn", "Not complete: papers are missing or unclear. The findings say which."
    ),
    "cancelled": State("cancelled", "ring", "calm", "The order was taken back."),
    "lapsed": State("lapsed", "ring", "calm", "The planned day is long past and no dose was reported."),
    "compliant": State(
        "compliant", "check", "good", "Each infection was ruled out, treated or waived before the first dose."
    ),
    "awaiting_evidence": State(
        "awaiting evidence", "half", "warn",
        "The dose was given and results may still be on their way: the site's usual delay has not passed.",
    ),
    "violation": State(
        "violation", "triangle", "bad", "A dose was given without proof, before it, that each infection was ruled out."
    ),
    "unassessable": State(
        "unassessable", "cross", "bad",
        "The program failed on this course. It counts as not complete until that is mended: tell whoever runs it.",
    ),
    "withdrawn": State("withdrawn", "ring", "calm", "Nothing stands under this id any more: not complete."),
}  # fmt: skip

FINDINGS = {
    "excluded": State("excluded", "check", "good", "ruled out by results that count"),
    "treated": State("treated", "check", "good", "found, and treated for long enough"),
    "waived": State("waived", "check", "good", "a signed waiver stands in for it"),
    "positive": State("positive", "triangle", "bad", "a result speaks for the infection"),
    "indeterminate": State("indeterminate", "half", "warn", "the result says neither yes nor no"),
    "missing": State("missing", "square", "warn", "a required result is not there"),
    "expired": State("expired", "square", "warn", "the result is older than the policy allows"),
    "late": State("late", "square", "warn", "the proof came only after the first dose"),
    "conflicting": State("conflicting", "cross", "warn", "versions contradict each other: neither is evidence"),
}

KINDS = {
    "violation": "Dose given without proof of screening",
    "unassessable": "Could not be judged",
    "started_on_hold": "Its order, judged on the day of the dose, would have been held",
}

LEFT_OUT = {
    "no_onset_date": "adverse events without a day of onset",
    "no_course": "adverse events of patients without a course",
    "before_first_dose": "adverse events before the first dose",
    "not_at_risk": "adverse events outside the days at risk",
    "not_observed": "adverse events on days on which the site's feed was not observed",
    "imputed": "adverse events with a partial day of onset: counted, on a day that was inferred",
    "waiting": "stops or changes that wait for their start",
    "conflicts": "open conflicts between versions: one is counted until a person settles it",
    "lost_to_follow_up": "patients lost to follow-up: "
    "their time ends with the policy's days of grace after their last contact",
    "unassessable": "patients on whom the program failed: held, counted nowhere",
}

_UNKNOWN = State("", "cross", "bad", "This page does not know the word: not complete.")


def state(of: dict[str, State], word: str) -> State:
    """What is known of `word`; one that is not known is shown as it is and never looks good."""
    return of.get(word) or _UNKNOWN._replace(word=spelt(word))


def spelt(name: Any) -> str:
    """`hiv_ag_ab` as people write it; names the policy made up only lose their underscores."""
    words = str(name).replace(":", ": ").replace("_", " ").split()
    return " ".join(_SPELLING.get(word, word) for word in words)


def count(number: Any) -> str:
    """1234 as `1,234`."""
    return f"{number:,}"


def rate(value: float) -> str:
    """Three digits that count, never an exponent: 82.0, 1.83, 0.00661."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(value)))}f}"


def moments(text: str) -> str:
    """A sentence, its RFC 3339 instants as `moment` writes them."""
    return _INSTANT.sub(lambda found: moment(found[0], seconds=True), text)


def moment(instant: str, *, seconds: bool = False) -> str:
    """An RFC 3339 instant as `2026-01-31 09:30 UTC`."""
    at = datetime.fromisoformat(instant).astimezone(UTC)
    return at.strftime("%Y-%m-%d %H:%M:%S UTC" if seconds else "%Y-%m-%d %H:%M UTC")
