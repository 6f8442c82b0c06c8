"""What a check says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_DO_NEXT = ". Do next: "
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class Said:
    """One line. `unseen`: with the rights or options given it cannot be told, which is neither good nor bad."""

    check: str
    result: Literal["ok", "finding", "unseen"]
    text: str
    todo: str = ""  # of a finding: what to do next


def ok(check: str, text: str) -> Said:
    return Said(check, "ok", text)


def finding(check: str, text: str, todo: str) -> Said:
    return Said(check, "finding", text, todo)


def unseen(check: str, text: str, todo: str = "") -> Said:
    return Said(check, "unseen", text, todo)


def as_finding(check: str, told: str) -> Said:
    """A finding from a text that says itself what to do next."""
    text, _, todo = told.partition(_DO_NEXT)
    return finding(check, text, todo)


def or_ok(check: str, findings: Sequence[Said], text: str) -> Sequence[Said]:
    """The findings; where there are none, that all is well."""
    return findings or [ok(check, text)]


def spoken(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h`, `5 days`, rounded down."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < 2 * _DAY:
        return f"{seconds // _HOUR:.0f} h"
    return f"{seconds // _DAY:.0f} days"


def sites_text(number: int) -> str:
    return "1 site" if number == 1 else f"{number} sites"
