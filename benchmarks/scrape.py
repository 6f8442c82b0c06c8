"""The answer to a scrape of 10,000 rate series, against prometheus_client's text of gauges that are kept and set."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from itertools import product
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Case, Measure, Setting, kept, timed
from benchmarks.table import Goal, Report, Row
from monitor.core.rates import DAYS_PER_YEAR
from monitor.metrics.catalogue import RATE_FAMILIES, RATE_LABELS
from monitor.metrics.exposition import Exposition
from monitor.overview import Overview

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

GOAL = Goal("at most 0.25 x", at_most=0.25)
AESIS, WINDOWS, ESTIMATORS = 15, ("cumulative", 30, 90, 365), ("EAER", "EAIR")
SERIES_A_ROW = len(RATE_FAMILIES)
Rates = list[dict[str, Any]]
TIMES = 15  # a repetition; the median counts
RENDERED, SET = "prometheus_client, gauges kept", "prometheus_client, every gauge set first"
FIRST, ALL, ONE, SAME = (
    "ours, first render", "ours, every row changed", "ours, one row changed", "ours, computed anew, no row changed",
)  # fmt: skip


def run(setting: Setting) -> Report:
    """Full text of 2,000 rows of five series; the ratio is to what the library needs for its unchanged gauges."""
    rows = setting.size(2_000, quick=100)
    found = kept([Case("scrape", prepare, {"rows": rows})], setting)["scrape"]
    peer = [each[RENDERED] for each in found]
    shown = []
    for way in (RENDERED, SET, FIRST, ALL, ONE, SAME):
        own = [each[way] for each in found]
        ratios = [] if way == RENDERED else [mine / theirs for mine, theirs in zip(own, peer, strict=True)]
        shown.append(Row(way, "ms", [1e3 * each for each in own], ratios, GOAL if way.startswith("ours") else None))
    notes = [
        f"CPU of one render, the median of {TIMES} a repetition; ratio: to the library's text of gauges nobody set",
        "ours: with all other metrics and those of the process; the library: the rates alone",
    ]
    return Report(f"scrape: {rows * SERIES_A_ROW:,} series of rates", shown, notes)


def prepare(rows: int) -> Measure:
    """Both sides with the same rows."""
    from prometheus_client import generate_latest  # noqa: PLC0415 - only the measured process needs it

    made = rows_anew(rows)
    exposition, library = Exposition(), Library()
    library.set(next(made))
    exposition.render(overview(next(made)))

    def peer() -> None:
        generate_latest(library.registry)

    def peer_set(given: Rates) -> None:
        library.set(given)
        peer()

    def once(at: int) -> dict[str, float]:
        """Every way once, one after the other, so that drift meets all alike."""
        given = next(made)
        now, again, one = overview(given), overview(same(given)), overview(one_changed(given, at))
        gc.collect()
        works = {
            FIRST: lambda: Exposition().render(now), ALL: lambda: exposition.render(now),
            SAME: lambda: exposition.render(again),
            ONE: lambda: exposition.render(one), SET: lambda: peer_set(given), RENDERED: peer,
        }  # fmt: skip
        return {way: timed(work)["cpu"] for way, work in works.items()}

    def measure() -> dict[str, float]:
        found = [once(at) for at in range(TIMES)]
        return {way: median(each[way] for each in found) for way in found[0]}

    return measure


def same(rows: Rates) -> Rates:
    """Equal rows that are other objects, as every computation makes them."""
    return [dict(row) for row in rows]


def one_changed(rows: Rates, at: int) -> Rates:
    """The same but for one more event in one row."""
    return [*same(rows[:at]), dict(rows[at], events=rows[at]["events"] + 1), *same(rows[at + 1 :])]


class Library:
    """The same rates as gauges with labels, kept from one scrape to the next."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415

        self.registry: CollectorRegistry = CollectorRegistry()
        names = [label.name for label in RATE_LABELS]
        self._gauges = [Gauge(each.name, each.help, names, registry=self.registry) for each in RATE_FAMILIES]
        self._kept: list[tuple[Any, ...]] = []

    def set(self, rows: Rates) -> None:
        """Give every gauge its number."""
        if not self._kept:
            self._kept = [tuple(gauge.labels(*labels_of(row)) for gauge in self._gauges) for row in rows]
        for gauges, row in zip(self._kept, rows, strict=True):
            values = (
                row["events"], row["person_days"] / DAYS_PER_YEAR, row["rate_per_100_patient_years"],
                row["lower"], row["upper"],
            )  # fmt: skip
            for gauge, value in zip(gauges, values, strict=True):
                gauge.set(value)


def labels_of(row: dict[str, Any]) -> tuple[str, ...]:
    """As the metrics bear them."""
    window = row["window"]
    return row["cohort"], row["aesi"], f"{window}d" if isinstance(window, int) else window, row["estimator"]


def rows_anew(many: int) -> Iterator[Rates]:
    """The same cells again and again, each time with other numbers."""
    rng = Random(1)  # noqa: S311
    cohorts = range(1 + many // (AESIS * len(WINDOWS) * len(ESTIMATORS)))
    keys = list(product(cohorts, range(AESIS), WINDOWS, ESTIMATORS))[:many]
    while True:
        yield [
            {
                "cohort": f"upadacitinib_by_disease:{cohort}", "aesi": f"opportunistic_infection_{aesi}",
                "window": window, "estimator": estimator, "events": rng.randrange(1, 500), "patients_with_event": 1,
                "person_days": rng.randrange(1, 10**6), "exposed_person_days": 1, "at_risk_person_days": 1,
                "rate_per_100_patient_years": rate(rng), "lower": rate(rng), "upper": rate(rng),
            }
            for cohort, aesi, window, estimator in keys
        ]  # fmt: skip


def rate(rng: Random) -> float:
    """A number of six digits, as the product rounds them."""
    return float(f"{rng.uniform(0, 30):.6g}")


def overview(rows: Rates) -> Overview:
    """An overview of no sites: all of its text is rates."""
    at = "2026-06-01T08:00:00+00:00"
    result = {
        "as_of": "2026-06-01", "complete_to": "2026-05-02", "program": "jakwatch 0",
        "policy": {"name": "bench", "version": 1, "sha256": "0", "confidence": 0.95}, "sites": None,
        "messages": {"received": 0, "rejected": {}}, "rates": rows, "unplaced": {}, "imputed": 0, "waiting": 0,
        "conflicts": 0, "lost_to_follow_up": 0, "unassessable": 0, "unmapped": [], "open_conflicts": [],
    }  # fmt: skip
    return Overview(at, at, None, at[:10], result, (), 0, (), (), (), ())
