"""What a benchmark found, as a table: median, range, ratio, goal, met or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit on the median of a row's ratio, or of its value."""

    text: str
    at_least: float | None = None
    at_most: float | None = None

    def met(self, figure: float) -> bool:
        """Whether a median keeps the limit."""
        return (self.at_least is None or figure >= self.at_least) and (self.at_most is None or figure <= self.at_most)


@dataclass(frozen=True, slots=True)
class Row:
    """One measured thing: a value, and where it is compared a ratio, per repetition."""

    what: str
    unit: str
    values: Sequence[float]
    ratios: Sequence[float] = ()
    goal: Goal | None = None

    @property
    def verdict(self) -> str:
        """Whether the goal is met, by the ratio where there is one."""
        if self.goal is None:
            return ""
        return "met" if self.goal.met(median(self.ratios or self.values)) else "NOT MET"

    def columns(self) -> tuple[str, ...]:
        """The row as text."""
        goal = self.goal.text if self.goal else ""
        value = f"{number(median(self.values))} {self.unit}"
        ratio = f"{number(median(self.ratios))} x" if self.ratios else ""
        return self.what, value, spread(self.values), ratio, spread(self.ratios), goal, self.verdict


@dataclass(frozen=True, slots=True)
class Report:
    """What one benchmark found, and what a reader must know to read it."""

    title: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()


HEAD = ("what", "median", "min..max", "ratio", "min..max", "goal", "")


_WHOLE_FROM = 100


def number(value: float) -> str:
    """Three digits, thousands apart."""
    return f"{value:,.0f}" if abs(value) >= _WHOLE_FROM else f"{value:.3g}"


def spread(values: Sequence[float]) -> str:
    """The range of some values; nothing where there are none."""
    return f"{number(min(values))}..{number(max(values))}" if values else ""


def rendered(reports: Sequence[Report]) -> str:
    """All reports in one table, their columns aligned."""
    lines = [HEAD, *(row.columns() for report in reports for row in report.rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEAD))]
    return "\n".join(_lines(reports, widths)) + "\n"


def _lines(reports: Sequence[Report], widths: Sequence[int]) -> Iterator[str]:
    yield _line(HEAD, widths)
    for report in reports:
        yield ""
        yield report.title
        for row in report.rows:
            yield _line(row.columns(), widths)
        for note in report.notes:
            yield f"  ({note})"


def _line(columns: Sequence[str], widths: Sequence[int]) -> str:
    """Text to the left, numbers to the right."""
    cells = [
        text.ljust(width) if at in (0, 5, 6) else text.rjust(width)
        for at, (text, width) in enumerate(zip(columns, widths, strict=True))
    ]
    return ("  " + "  ".join(cells)).rstrip()


def verdict(reports: Sequence[Report]) -> str:
    """How many goals are met, and which are not."""
    judged = [(report, row) for report in reports for row in report.rows if row.goal]
    missed = [
        f"goal not met: {report.title.split(':')[0]}: {row.what}" for report, row in judged if row.verdict != "met"
    ]
    return "\n".join([f"{len(judged) - len(missed)} of {len(judged)} goals met", *missed]) + "\n"
