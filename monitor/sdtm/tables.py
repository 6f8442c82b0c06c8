"""SDTM files as rows: csv, plain or gzipped, with a header line in any case; `NA` and the empty cell are missing.

A record that is no row of the table (cells too many or too few, bytes that are not UTF-8) is kept as a row with a
problem, so that the accounts of a file add up whatever it holds.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO, cast

MISSING = frozenset({"", "NA"})
LONGEST_CELL = 2_000  # ten times what SDTM allows; a message must stay under 64 KiB

REQUIRED: Mapping[str, tuple[tuple[str, ...], ...]] = {  # of each inner tuple one column must be there
    "EX": (("USUBJID",), ("EXSEQ",), ("EXTRT",), ("EXDOSE",), ("EXDOSU",), ("EXSTDTC",), ("EXENDTC",)),
    "AE": (("USUBJID",), ("AESEQ",), ("AEDECOD", "AETERM"), ("AESER",), ("AESTDTC",)),
    "LB": (("USUBJID",), ("LBSEQ",), ("LBTESTCD", "LBLOINC"), ("LBDTC",), ("LBSTRESC", "LBSTRESN")),
    "DM": (("USUBJID",),),
}
# Beside the dates (every column that ends with DTC), which are all kept to find the latest of the row.
KEPT: Mapping[str, frozenset[str]] = {
    "EX": frozenset({"USUBJID", "EXSEQ", "EXTRT", "EXDOSE", "EXDOSU", "EXDOSFRQ"}),
    "AE": frozenset({"USUBJID", "AESEQ", "AETERM", "AEDECOD", "AEPTCD", "AETOXGR", "AEOUT", "AEACN", "AEREL"})
    | {"AESER", "AESDTH", "AESLIFE", "AESHOSP", "AESDISAB", "AESCONG", "AESMIE"},
    "LB": frozenset({"USUBJID", "LBSEQ", "LBTESTCD", "LBLOINC", "LBSTRESC", "LBSTRESN", "LBSTRESU", "LBSTAT"}),
    "DM": frozenset({"USUBJID", "SEX", "AGE", "AGEU", "DTHFL"}),
}


class WrongFileError(Exception):
    """A file is not what it is given as; the text says which, why and what to do."""


class UnusableRowError(Exception):
    """A row cannot become a message; the text says why, without a value of the row."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. `cells`: the columns of use that are not missing, names in upper case, text trimmed."""

    domain: str
    file: str
    line: int
    cells: Mapping[str, str]
    content: str  # digest of all cells: equal rows are equal
    problem: str | None = None

    @property
    def subject(self) -> str | None:
        return self.cells.get("USUBJID")

    def need(self, column: str) -> str:
        """The text of a column that must not be missing; UnusableRowError otherwise."""
        try:
            return self.cells[column]
        except KeyError:
            raise UnusableRowError(f"{column} is missing") from None


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a domain, from one file or several."""

    domain: str
    rows: Sequence[Row]


def read_table(domain: str, paths: Sequence[str]) -> Table:
    """All rows of the files of a domain, in their order; WrongFileError where one cannot be read or lacks a column."""
    return Table(domain, [row for path in paths for row in _rows(domain, path)])


def _rows(domain: str, path: str) -> Iterator[Row]:
    try:
        with _open(path) as stream:
            records = csv.reader(stream)
            columns = _columns(domain, path, next(_records(records), (1, []))[1])
            for line, cells in _records(records):
                yield _row(domain, path, line, columns, cells)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "damaged gzip data"
        raise WrongFileError(f"{path}: cannot be read ({reason}); give a csv file or a gzipped one") from None


def _open(path: str) -> TextIO:
    """The text of a file; bytes that are not UTF-8 come as lone surrogates: they spoil their row, not the file."""
    with Path(path).open("rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    opened = gzip.open if zipped else open
    return cast("TextIO", opened(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline=""))


def _records(records: Iterator[list[str]]) -> Iterator[tuple[int, list[str] | None]]:
    """(line on which a record ends, its cells) of each record that is not blank; cells None where csv gives up."""
    while True:
        try:
            cells: list[str] | None = next(records)
        except StopIteration:
            return
        except csv.Error:
            cells = None
        if cells != []:
            yield records.line_num, cells  # type: ignore[attr-defined]  # a csv reader, whose type has no public name


def _columns(domain: str, path: str, header: list[str] | None) -> list[str]:
    columns = [name.strip().upper() for name in header or []]
    lacking = [" or ".join(choice) for choice in REQUIRED[domain] if not set(choice) & set(columns)]
    if lacking:
        raise WrongFileError(
            f"{path}: column {', '.join(lacking)} is missing from the header; {domain} needs "
            f"{', '.join(' or '.join(choice) for choice in REQUIRED[domain])}, separated by commas"
        )
    twice = sorted({name for name in columns if columns.count(name) > 1 and _kept(domain, name)})
    if twice:
        raise WrongFileError(f"{path}: column {', '.join(twice)} stands twice in the header; leave one of them")
    return columns


def _kept(domain: str, column: str) -> bool:
    return column in KEPT[domain] or column.endswith("DTC")


def _row(domain: str, path: str, line: int, columns: list[str], cells: list[str] | None) -> Row:
    problem = _problem(columns, cells)
    if cells is None or problem:
        return Row(domain, path, line, {}, "", problem)
    trimmed = [cell.strip() for cell in cells]
    content = hashlib.sha256("\x1f".join(trimmed).encode()).hexdigest()[:12]
    if any(len(text) > LONGEST_CELL for text in trimmed):
        return Row(domain, path, line, {}, "", f"a cell has more than {LONGEST_CELL} characters")
    kept = {
        sys.intern(name): sys.intern(text)  # a file repeats its codes, subjects and days many times over
        for name, text in zip(columns, trimmed, strict=True)
        if text not in MISSING and _kept(domain, name)
    }
    return Row(domain, path, line, kept, content)


def _problem(columns: list[str], cells: list[str] | None) -> str | None:
    if cells is None:
        return "it cannot be read as csv (a quote that is never closed?)"
    if len(cells) != len(columns):
        return f"the header has {len(columns)} cells and this row {len(cells)}"
    try:
        "".join(cells).encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return None
