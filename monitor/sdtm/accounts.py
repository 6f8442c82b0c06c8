"""The accounts of an import: each row used or not, and why not. No subject, no sequence number, no value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field

from monitor.sdtm.tables import Row

DOMAINS = ("EX", "AE", "LB", "DM")


@dataclass(slots=True)
class Findings:
    """What is to be said about one row that is used."""

    losses: list[str] = field(default_factory=list)  # something the row says could not be taken over: listed by row
    remarks: list[str] = field(default_factory=list)  # something was assumed: counted


@dataclass(frozen=True, slots=True)
class Entry:
    file: str
    line: int
    domain: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.domain}: {self.what}"


class Accounts:
    """Collects what became of every row. `used` and `unusable` count rows by domain and add up to the rows read."""

    def __init__(self, domains: Container[str] = DOMAINS) -> None:
        """`domains`: those that files were given for, also where they have no row."""
        self.domains = [domain for domain in DOMAINS if domain in domains]
        self.used: Counter[str] = Counter()
        self.unusable: Counter[str] = Counter()
        self.reasons: Counter[tuple[str, str]] = Counter()  # (domain, reason) of rows not used, and what was left out
        self.remarks: Counter[tuple[str, str]] = Counter()
        self.messages: Counter[str] = Counter()  # by type
        self.entries: list[Entry] = []

    def reject(self, row: Row, reason: str) -> None:
        """Account for a row that cannot be used."""
        self.unusable[row.domain] += 1
        self._list(row, f"not used: {reason}")

    def use(self, row: Row, findings: Findings) -> None:
        """Account for a row that is used, and list what of it is not."""
        self.used[row.domain] += 1
        for loss in findings.losses:
            self._list(row, f"used, but {loss}")
        for remark in findings.remarks:
            self.remarks[row.domain, remark] += 1

    def _list(self, row: Row, what: str) -> None:
        self.reasons[row.domain, what] += 1
        self.entries.append(Entry(row.file, row.line, row.domain, what))

    def rows(self, domain: str) -> int:
        """Rows of the domain that were accounted for."""
        return self.used[domain] + self.unusable[domain]

    def lines(self) -> Iterator[str]:
        """One line a row that is not used, or used without something it says; by domain, file and line."""
        return map(str, sorted(self.entries, key=lambda entry: (DOMAINS.index(entry.domain), entry.file, entry.line)))

    def summary(self) -> Iterator[str]:
        """The accounts by domain, the reasons and remarks with their counts, and the messages by type."""
        for domain in self.domains:
            counts = f"{self.used[domain]} used, {self.unusable[domain]} not used"
            yield f"{domain}: {self.rows(domain)} rows = {counts}"
            for counter in (self.reasons, self.remarks):
                for (of, what), count in sorted(counter.items()):
                    if of == domain:
                        yield f"  {count:>6}  {what}"
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.messages.items()))
        yield f"messages: {self.messages.total()}" + (f" ({kinds})" if kinds else "")
