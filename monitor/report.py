"""A replay's result for people: a table that fits a terminal, and csv for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from monitor.core.rates import DAYS_PER_YEAR

WIDEST = 100  # columns: the eye loses longer lines
_ATTENTION = ("violation", "unassessable", "hold", "awaiting_evidence")
_MOST_OPEN, _MOST_RATES, _MOST_UNMAPPED = 10, 40, 10  # rows that a person reads; all of them are in the csv
_PLAIN = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)  # one rule; any terminal can print it


def table(result: dict[str, Any], *, width: int = WIDEST, colour: bool = False) -> str:
    """The result as text: what was read, what needs a person, the rates with their limits, what was left out."""
    out = io.StringIO()
    console = Console(
        file=out, width=min(width, WIDEST), force_terminal=colour, no_color=not colour, highlight=False, markup=False,
        emoji=False,  # `upa_by_disease:CD:` is a cohort, not a picture
    )  # fmt: skip
    for part in _parts(result):
        console.print(part)
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def _parts(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield Text(_dated(result), style="bold")
    policy = result["policy"]
    yield f"Policy {policy['name']}, version {policy['version']}, sha256 {policy['sha256'][:12]}..."
    yield from _messages(result["messages"])
    yield ""
    yield from _decisions(result["decisions"])
    yield ""
    yield from _rates(result["rates"], result["policy"]["confidence"])
    yield ""
    yield from _left_out(result)


def _dated(result: dict[str, Any]) -> str:
    if result["as_of"] is None:
        return "No message was taken, so there is no day to judge by."
    return f"As of {result['as_of']}. Reports lag: events after {result['complete_to']} may still be missing."


def _messages(messages: dict[str, Any]) -> Iterator[str]:
    rejected = messages["rejected"]
    names = ("accepted", "duplicate", "superseded", "conflicting")
    counts = ", ".join(f"{messages[name]:,} {name}" for name in names)
    yield f"{messages['received']:,} messages: {counts}, {sum(rejected.values()):,} rejected"
    if rejected:
        reasons = ", ".join(f"{n:,} {reason}" for reason, n in rejected.items())
        yield f"  rejected: {reasons}; jakwatch validate says which lines, and why"


def _decisions(decisions: list[dict[str, Any]]) -> Iterator[RenderableType]:
    counted = Counter((row["kind"], row["decision"]) for row in decisions)
    yield Text("Screening before the first dose", style="bold")
    for kind in ("order", "start"):
        counts = ", ".join(f"{n:,} {decision}" for (of, decision), n in sorted(counted.items()) if of == kind)
        yield f"  {kind}s: {counts or 'none'}"
    historical = sum(row["historical"] for row in decisions)
    if historical:
        yield f"  {historical:,} of them from before the site went live: counted, nobody is asked to act"
    open_rows = [row for row in decisions if row["decision"] in _ATTENTION and not row["historical"]]
    if not open_rows:
        return
    yield "  A person must look at:"
    open_rows.sort(key=lambda row: _ATTENTION.index(row["decision"]))
    shown = _plain_table("site", "course", "", "decision", "reasons")
    for row in open_rows[:_MOST_OPEN]:
        style = "red" if row["decision"] in ("violation", "unassessable") else "yellow"
        reasons = ", ".join([*row["reasons"], *row["flags"]])
        shown.add_row(
            row["site"], _printable(row["treatment_id"]), row["kind"], Text(row["decision"], style=style), reasons
        )
    yield shown
    if len(open_rows) > _MOST_OPEN:
        yield f"and {len(open_rows) - _MOST_OPEN:,} more: --format csv --rows decisions has all"


def _plain_table(*headings: str, numbers: Iterable[str] = ()) -> Table:
    """A table that folds what is too wide, numbers flush right."""
    made = Table(box=_PLAIN, pad_edge=False, collapse_padding=True)
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for heading in numbers:
        made.add_column(heading, justify="right", no_wrap=True, vertical="bottom")
    return made


def _rates(rates: list[dict[str, Any]], confidence: float) -> Iterator[RenderableType]:
    title = f"Cumulative events per 100 patient-years (EAER), exact {100 * confidence:g} % Poisson limits"
    yield Text(title, style="bold")
    kept = [row for row in rates if row["window"] == "cumulative" and row["estimator"] == "EAER"]
    with_events = [row for row in kept if row["events"]]
    if not with_events:
        yield from _no_events(kept)
        return
    numbers = ("events", "patients", "patient-\nyears", "rate", "lower", "upper")
    shown = _plain_table("cohort\n  adverse event", numbers=numbers)
    rows = _most_telling(with_events)
    before = None
    for row in rows:
        if row["cohort"] != before:
            before = row["cohort"]
            shown.add_row(Text(before, style="bold"))
        shown.add_row(f"  {row['aesi']}", *_numbers(row))
    yield shown
    if len(rows) < len(with_events):
        yield f"and {len(with_events) - len(rows):,} more rows with an event, of smaller and of divided cohorts"
    yield "Recurrences count as events; the limits take events as independent, so with recurrences they are too narrow."
    yield "--format csv has all rows, also those without an event, the rolling windows and the EAIR (first events)"


def _most_telling(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As many cohorts as a person reads, those with most patient-years first; levels of divided ones only if alone."""
    cohorts: dict[str, list[dict[str, Any]]] = {}
    for row in _undivided(rows):
        cohorts.setdefault(row["cohort"], []).append(row)
    largest = sorted(cohorts.values(), key=lambda each: -max(row["person_days"] for row in each))
    told = largest[0]
    for cohort in largest[1:]:
        if len(told) + len(cohort) > _MOST_RATES:
            break
        told = told + cohort
    return told


def _undivided(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if ":" not in row["cohort"]] or rows


def _no_events(kept: list[dict[str, Any]]) -> Iterator[RenderableType]:
    days = {row["cohort"]: row["person_days"] for row in _undivided(kept) if row["person_days"]}
    if not days:
        yield "  no person-time"
        return
    for cohort, person_days in days.items():
        yield f"  {cohort}: no event in {person_days / DAYS_PER_YEAR:,.2f} patient-years"


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    rates = ("rate_per_100_patient_years", "lower", "upper")
    years = f"{row['person_days'] / DAYS_PER_YEAR:,.2f}"
    return (
        f"{row['events']:,}",
        f"{row['patients_with_event']:,}",
        years,
        *(f"{row[name]:,.2f}" if row[name] is not None else "-" for name in rates),
    )


def _left_out(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield Text("Left out of the rates, or to be looked at", style="bold")
    unplaced = ", ".join(f"{n:,} {reason}" for reason, n in result["unplaced"].items())
    yield f"  adverse events not placed: {unplaced or 'none'}"
    names = ("imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable")
    yield "  " + ", ".join(f"{name.replace('_', ' ')} {result[name]:,}" for name in names)
    unmapped = result["unmapped"]
    for row in unmapped[:_MOST_UNMAPPED]:
        facts = "1 fact" if row["count"] == 1 else f"{row['count']:,} facts"
        yield f"  unmapped {row['kind']} {_printable(row['system'])}:{_printable(row['code'])} in {facts}"
    if len(unmapped) > _MOST_UNMAPPED:
        more = len(unmapped) - _MOST_UNMAPPED
        yield f"  and {more:,} more unmapped codes: --format csv --rows unmapped has all"


def _printable(text: str) -> str:
    """What a hospital wrote, without what would move a terminal's cursor, colour it or turn its text around."""
    return "".join(each if each.isprintable() else "\ufffd" for each in text)


COLUMNS = {
    "rates": (
        "cohort", "aesi", "window", "estimator", "events", "patients_with_event", "person_days",
        "exposed_person_days", "at_risk_person_days", "rate_per_100_patient_years", "lower", "upper",
    ),
    "decisions": (
        "site", "treatment_id", "kind", "decision", "findings", "flags", "reasons", "valid_until", "historical",
    ),
    "unmapped": ("kind", "system", "code", "count"),
}  # fmt: skip


def as_csv(result: dict[str, Any], rows: str = "rates") -> str:
    """The rows of one list of the result as csv, with a header; what is a list or an object becomes text."""
    listed: list[dict[str, Any]] = result[rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(listed[0]) if listed else COLUMNS[rows], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _flat(value) for key, value in row.items()} for row in listed)
    return out.getvalue()


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{key}:{inner['finding']}" for key, inner in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value
