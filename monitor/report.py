"""A replay's result for people: a table that fits a terminal, and csv for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

_ATTENTION = ("violation", "unassessable", "hold", "awaiting_evidence")


def table(result: dict[str, Any], *, width: int = 120, colour: bool = False) -> str:
    """The result as text: what was read, what needs a person, the rates with their limits, what was left out."""
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False)
    for part in _parts(result):
        console.print(part)
    return out.getvalue()


def _parts(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield Text(f"As of {result['as_of']}; reports taken as complete to {result['complete_to']}.", style="bold")
    policy = result["policy"]
    yield f"Policy {policy['name']}, version {policy['version']}, sha256 {policy['sha256'][:12]}..."
    yield _messages(result["messages"])
    yield ""
    yield from _decisions(result["decisions"])
    yield ""
    yield from _rates(result["rates"])
    yield ""
    yield from _left_out(result)


def _messages(messages: dict[str, Any]) -> str:
    rejected = messages["rejected"]
    reasons = "" if not rejected else " (" + ", ".join(f"{n} {reason}" for reason, n in rejected.items()) + ")"
    counts = ", ".join(f"{messages[name]:,} {name}" for name in ("accepted", "duplicate", "superseded", "conflicting"))
    return f"{messages['received']:,} messages: {counts}, {sum(rejected.values()):,} rejected{reasons}"


def _decisions(decisions: list[dict[str, Any]]) -> Iterator[RenderableType]:
    counted = Counter((row["kind"], row["decision"]) for row in decisions)
    yield Text("Screening before the first dose", style="bold")
    for kind in ("order", "start"):
        counts = ", ".join(f"{n:,} {decision}" for (of, decision), n in sorted(counted.items()) if of == kind)
        yield f"  {kind}s: {counts or 'none'}"
    open_rows = [row for row in decisions if row["decision"] in _ATTENTION and not row["historical"]]
    if not open_rows:
        return
    open_rows.sort(key=lambda row: _ATTENTION.index(row["decision"]))
    shown = Table(
        title="Need a person (the first 20)" if len(open_rows) > 20 else "Need a person", title_justify="left"
    )
    for heading in ("site", "course", "", "decision", "reasons"):
        shown.add_column(heading, overflow="fold")
    for row in open_rows[:20]:
        style = "red" if row["decision"] in ("violation", "unassessable") else "yellow"
        reasons = ", ".join([*row["reasons"], *row["flags"]])
        shown.add_row(row["site"], row["treatment_id"], row["kind"], Text(row["decision"], style=style), reasons)
    yield shown


def _rates(rates: list[dict[str, Any]]) -> Iterator[RenderableType]:
    yield Text("Cumulative events per 100 patient-years (EAER), exact limits", style="bold")
    kept = [row for row in rates if row["window"] == "cumulative" and row["estimator"] == "EAER"]
    with_events = [row for row in kept if row["events"]]
    if not with_events:
        yield from _no_events(kept)
        return
    shown = Table()
    for heading in ("cohort", "AESI"):
        shown.add_column(heading, overflow="fold")
    for heading in ("events", "patients", "patient-years", "rate", "lower", "upper"):
        shown.add_column(heading, justify="right")
    before = None
    for row in with_events:
        if before not in (None, row["cohort"]):
            shown.add_section()
        shown.add_row("" if before == row["cohort"] else row["cohort"], row["aesi"], *_numbers(row))
        before = row["cohort"]
    yield shown
    yield "Cells without an event are left out here; --format json or csv has every cell, window and estimator."


def _no_events(kept: Iterable[dict[str, Any]]) -> Iterator[RenderableType]:
    days = {row["cohort"]: row["person_days"] for row in kept if row["person_days"]}
    if not days:
        yield "  no person-time"
        return
    for cohort, person_days in days.items():
        yield f"  {cohort}: no event in {person_days / 365.25:,.2f} patient-years"


def _numbers(row: dict[str, Any]) -> tuple[str, ...]:
    rates = ("rate_per_100_patient_years", "lower", "upper")
    years = f"{row['person_days'] / 365.25:,.1f}"
    return (
        f"{row['events']:,}",
        f"{row['patients_with_event']:,}",
        years,
        *(f"{row[name]:,.2f}" if row[name] is not None else "-" for name in rates),
    )


def _left_out(result: dict[str, Any]) -> Iterator[RenderableType]:
    yield Text("What the rates do not have", style="bold")
    unplaced = ", ".join(f"{n:,} {reason}" for reason, n in result["unplaced"].items())
    yield f"  adverse events not placed: {unplaced or 'none'}"
    names = ("imputed", "waiting", "conflicts", "lost_to_follow_up", "unassessable")
    yield "  " + ", ".join(f"{name.replace('_', ' ')} {result[name]:,}" for name in names)
    for row in result["unmapped"][:10]:
        yield f"  unmapped {row['kind']} {row['system']}:{row['code']} in {row['count']:,} facts"
    if len(result["unmapped"]) > 10:
        yield f"  and {len(result['unmapped']) - 10} more unmapped codes"


def as_csv(result: dict[str, Any], rows: str = "rates") -> str:
    """The rows of one list of the result as csv, with a header; what is a list or an object becomes text."""
    listed: list[dict[str, Any]] = result[rows]
    out = io.StringIO()
    if listed:
        writer = csv.DictWriter(out, fieldnames=list(listed[0]), lineterminator="\n")
        writer.writeheader()
        for row in listed:
            writer.writerow({key: _flat(value) for key, value in row.items()})
    return out.getvalue()


def _flat(value: Any) -> Any:
    if isinstance(value, dict):
        return "; ".join(f"{key}:{inner['finding']}" for key, inner in value.items())
    return "; ".join(map(str, value)) if isinstance(value, list) else value
