"""What all messages of an import share: identity, envelope, concepts, and numbers as exact decimals."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Any

from monitor.sdtm.tables import Row, UnusableRowError

Message = dict[str, Any]
Coding = tuple[str, str]

LONGEST_ID = 128  # characters of an identifier, by the contract
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,2})?")
_DIGITS = 15  # more than these before the point, or after it, are no dose and no laboratory value


def at(day: date) -> str:
    """The instant that stands for a day: noon UTC is on that day in every zone from UTC-12 to UTC+11:59."""
    return f"{day.isoformat()}T12:00:00Z"


@lru_cache(maxsize=1 << 14)
def digest(*parts: str) -> str:
    """Twenty hexadecimal digits that stand for the parts: ids are shown to people, subject ids are not."""
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:20]


@lru_cache(maxsize=1 << 14)
def decimal(text: str) -> Decimal | None:
    """The number of a cell with the digits it is written with, never an exponent; None where it is none."""
    if not _NUMBER.fullmatch(text):
        return None
    plain = format(Decimal(text), "f")
    before, _, after = plain.lstrip("-").partition(".")
    return Decimal(plain) if max(len(before), len(after)) <= _DIGITS else None


def concept(*codings: Coding, text: str | None = None) -> Message:
    """A coded concept of the contract."""
    body: Message = {"codings": [{"system": system, "code": code} for system, code in codings]}
    return body | {"text": text} if text else body


def patient(row: Row) -> str:
    """The subject of a row as `patient_id`; UnusableRowError where there is none or it is no identifier."""
    subject = row.need("USUBJID")
    if len(subject) > LONGEST_ID or not subject.isprintable():
        raise UnusableRowError(f"USUBJID is no identifier (allowed: 1 to {LONGEST_ID} printable characters)")
    return subject


class Identities:
    """The `event_id` of each row of a domain: domain, subject and sequence, so that a second import repeats it.

    Where a file breaks the rule that a sequence number is unique, its rows are facts of their own: none of them may
    replace another. Equal rows are one fact.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._contents: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            if row.subject:
                self._contents[_stem(row, row.subject)].add(row.content)

    def of(self, row: Row) -> str:
        stem = _stem(row, row.need("USUBJID"))
        return stem if self.is_unique(row) else f"{stem}-{row.content}"

    def is_unique(self, row: Row) -> bool:
        """Whether the row's sequence number is there and names no other row."""
        contents = self._contents[_stem(row, row.need("USUBJID"))]
        return len(contents) == 1 and (row.domain == "DM" or sequence(row) is not None)


def _stem(row: Row, subject: str) -> str:
    number = sequence(row)
    return f"{row.domain.lower()}-{digest(subject)}" + ("" if number is None else f"-{number}")


def sequence(row: Row) -> int | None:
    """The row's sequence number; None where it has none. `1.0`, as some programs write, is 1."""
    number = decimal(row.cells.get(f"{row.domain}SEQ", ""))
    return int(number) if number is not None and number == int(number) else None


REPEATED_SEQUENCE = "without a sequence number of their own: told apart by their content"
