"""Exact Poisson limits from a table, against SciPy's chi-square quantiles computed anew for each count."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.harness import Case, Measure, Setting, kept, timed
from benchmarks.table import Report, Row
from monitor.core.cube import Ints
from monitor.core.rates import Floats, PoissonLimits

CONFIDENCE, TAIL = 0.95, 0.025
LARGEST = 500  # events
VECTORS, SCALARS = "scipy chi2.ppf, vectors", "scipy chi2.ppf, one at a time"
FILLED, EMPTY = "ours, table filled", "ours, empty table"
TIMES = {VECTORS: 20, SCALARS: 1, FILLED: 1_000, EMPTY: 20}  # a repetition
Limits = Callable[[Ints], tuple[Floats, Floats]]


def run(setting: Setting) -> Report:
    """Both limits of 2,000 counts of up to 500 events; the ratio says how many times faster than SciPy's vectors."""
    count = setting.size(2_000, quick=100)
    found = kept([Case("limits", prepare, {"count": count})], setting)["limits"]
    cost = {way: [1e9 * each[way] / TIMES[way] / count for each in found] for way in TIMES}
    rows = [
        Row(way, "ns/count", own, [a / b for a, b in zip(cost[VECTORS], own, strict=True)] if way != VECTORS else ())
        for way, own in cost.items()
    ]
    return Report(f"limits: exact 95 % limits of {count:,} counts", rows, ["ratio: x as fast as SciPy's vectors"])


def ways() -> dict[str, Limits]:
    """The peers and ours, by name."""
    return {VECTORS: by_vectors, SCALARS: by_scalars, FILLED: PoissonLimits(CONFIDENCE).of, EMPTY: ours_anew}


def prepare(count: int) -> Measure:
    """Random counts, and all ways to their limits gone once."""
    counts = np.random.default_rng(1).integers(0, LARGEST, count)
    prepared = ways()
    for limits in prepared.values():
        limits(counts)

    def work(limits: Limits, times: int) -> None:
        for _ in range(times):
            limits(counts)

    return lambda: {way: timed(lambda: work(prepared[way], TIMES[way]))["cpu"] for way in TIMES}  # noqa: B023 - called at once


def ours_anew(counts: Ints) -> tuple[Floats, Floats]:
    """The product's limits with an empty table each time."""
    return PoissonLimits(CONFIDENCE).of(counts)


def by_vectors(counts: Ints) -> tuple[Floats, Floats]:
    """Garwood's limits by the textbook."""
    from scipy.stats import chi2  # noqa: PLC0415 - takes a second, and only the measured process needs it

    lower = np.where(counts == 0, 0.0, chi2.ppf(TAIL, 2 * np.maximum(counts, 1)) / 2)
    return lower, np.asarray(chi2.ppf(1 - TAIL, 2 * counts + 2) / 2)


def by_scalars(counts: Ints) -> tuple[Floats, Floats]:
    """The same, one count after the other."""
    from scipy.stats import chi2  # noqa: PLC0415

    lower = [chi2.ppf(TAIL, 2 * each) / 2 if each else 0.0 for each in counts.tolist()]
    return np.array(lower), np.array([chi2.ppf(1 - TAIL, 2 * each + 2) / 2 for each in counts.tolist()])
