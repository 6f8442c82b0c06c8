"""The limits that were printed in journals come out again, to the printed digit, and the formula at its edges.

tests/data/reference_rates.csv cites the source of every row. Of 344 rows 17 carry events, person-years and limits.
Others leave out one of the three: there the limits must fit some whole number of events, or some person-time.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, poisson

from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.meaning import Meaning
from monitor.core.rates import DAYS_PER_YEAR, PoissonLimits, Rates, six_digits
from monitor.core.rows import Rows
from monitor.core.vocabulary import Vocabulary
from monitor.policyfile import default_policy_path, load_policies

Row = dict[str, str]
Three = tuple[float, float, float]

FILE = Path(__file__).parents[1] / "data" / "reference_rates.csv"
with FILE.open(encoding="utf-8", newline="") as stream:
    ROWS: list[Row] = list(csv.DictReader(stream))
# Their person-years are no denominators: these limits come from models or are weighted by study.
NOT_EXACT = ("Filgotinib RA integrated", "Ritlecitinib AA integrated")


def _rates() -> Rates:
    [policy] = load_policies([default_policy_path()])
    return Rates(Contributions(policy, Meaning(policy, Vocabulary()), LevelSets(), Rows()))


RATES = _rates()


def _per_100_years(events: int, days: int) -> Three:
    """The product's rate, lower and upper limit per 100 patient-years."""
    rate, lower, upper = RATES.limits_of(np.array([events]), np.array([days]))
    return float(rate[0]), float(lower[0]), float(upper[0])


def _days(years: str) -> int:
    return round(float(years) * DAYS_PER_YEAR)


def _rows(*given: str, lacking: str = "") -> list[Row]:
    return [row for row in ROWS if all(row[name] for name in given) and not (lacking and row[lacking])]


def _named(row: Row) -> str:
    return f"{row['drug']} {row['dose']} {row['indication']} {row['aesi']} {row['source'][:20]}"


def _printed(value: float, text: str) -> bool:
    """Whether a number is printed as this text: so many decimals, or `<0.1` for all that lies below."""
    if text.startswith("<"):
        return value < float(text[1:])
    return f"{value:.{len(text.partition('.')[2])}f}" == text


def _all_printed(three: Three, row: Row) -> bool:
    texts = (row["rate_per_100py"], row["ci_low"], row["ci_high"])
    return all(map(_printed, three, texts))


COMPLETE = _rows("events", "patient_years", "ci_low", "ci_high")
WITHOUT_LIMITS = _rows("events", "patient_years", "rate_per_100py", lacking="ci_low")
WITHOUT_EVENTS = _rows("patient_years", "ci_low", "ci_high", lacking="events")
WITHOUT_TIME = [
    row
    for row in _rows("events", "ci_low", "ci_high", lacking="patient_years")
    if not row["source"].startswith(NOT_EXACT)
]


def test_the_references_are_all_there_and_each_names_its_source() -> None:
    assert len(ROWS) == 344
    assert all(row["source"] for row in ROWS)
    counts = tuple(map(len, (COMPLETE, WITHOUT_LIMITS, WITHOUT_EVENTS, WITHOUT_TIME)))
    assert counts == (17, 46, 67, 149)


@pytest.mark.parametrize("row", COMPLETE, ids=_named)
def test_a_published_interval_comes_out_to_the_printed_digit(row: Row) -> None:
    three = _per_100_years(int(row["events"]), _days(row["patient_years"]))
    assert _all_printed(three, row), three


@pytest.mark.parametrize("row", WITHOUT_LIMITS, ids=_named)
def test_a_published_rate_comes_out_to_the_printed_digit(row: Row) -> None:
    rate = _per_100_years(int(row["events"]), _days(row["patient_years"]))[0]
    assert _printed(rate, row["rate_per_100py"]), rate


@pytest.mark.parametrize("row", WITHOUT_EVENTS, ids=_named)
def test_a_published_interval_without_its_events_fits_a_whole_number_of_them(row: Row) -> None:
    days = _days(row["patient_years"])
    about = round(float(row["rate_per_100py"]) * days / DAYS_PER_YEAR / 100)
    reach = 5 + about // 500  # the rate is rounded, and the more events the more of them print alike
    counts = range(max(0, about - reach), about + reach + 1)
    assert any(_all_printed(_per_100_years(count, days), row) for count in counts)


@pytest.mark.parametrize("row", WITHOUT_TIME, ids=_named)
def test_a_published_interval_without_its_denominator_fits_some_person_time(row: Row) -> None:
    events = int(row["events"])
    bands = [
        _days_that_print(lambda days, which=which: _per_100_years(events, days)[which], text)
        for which, text in enumerate((row["rate_per_100py"], row["ci_low"], row["ci_high"]))
    ]
    assert max(first for first, _ in bands) <= min(last for _, last in bands), bands


def _days_that_print(of_days: Callable[..., float], text: str) -> tuple[float, float]:
    """First and last person-days for which a number that falls with them prints as the text."""
    per_day = of_days(1)
    half = 0.5 / 10 ** len(text.partition(".")[2])
    low, high = (0.0, float(text[1:])) if text.startswith("<") else (float(text) - half, float(text) + half)
    if per_day == 0:
        return (0.0, float("inf")) if low <= 0 else (1.0, 0.0)
    return per_day / high, per_day / low if low > 0 else float("inf")


@pytest.mark.parametrize(
    ("events", "days", "expected"),
    [
        # by the formulas of the R package tern, type "exact"
        (2, _days("200"), "1.0000 0.1211 3.6123"),
        (127, _days("4496.6"), "2.8244 2.3545 3.3604"),
        (0, _days("308.6"), "0.0000 0.0000 1.1954"),
        (5, _days("308.6"), "1.6202 0.5261 3.7811"),
        (1, 485, "75.3 1.9 419.6"),  # OHDSI CohortIncidence: one case in 485 person-days
    ],
)
def test_textbook_cases_come_out(events: int, days: int, expected: str) -> None:
    texts = expected.split()
    assert all(map(_printed, _per_100_years(events, days), texts)), _per_100_years(events, days)


def test_no_events_have_the_lower_limit_zero_and_the_upper_of_the_literature() -> None:
    rate, lower, upper = _per_100_years(0, _days("100"))
    assert (rate, lower) == (0.0, 0.0)
    assert upper == pytest.approx(-np.log(0.025), rel=1e-12)  # 3.689 events


def test_no_person_time_has_no_rate_whatever_the_events() -> None:
    for events in (0, 1, 1_000):
        assert np.isnan(_per_100_years(events, 0)).all()


def test_the_limits_are_those_of_the_chi_square_quantiles() -> None:
    counts = np.unique(np.concatenate([np.arange(2_000), np.geomspace(2_000, 100_000, 40).astype(np.int64)]))
    for confidence in (0.8, 0.9, 0.95, 0.99, 0.999):
        tail = (1 - confidence) / 2
        lower, upper = PoissonLimits(confidence).of(counts)
        assert lower[0] == 0.0
        np.testing.assert_allclose(lower[1:], chi2.ppf(tail, 2 * counts[1:]) / 2, rtol=1e-9)
        np.testing.assert_allclose(upper, chi2.isf(tail, 2 * counts + 2) / 2, rtol=1e-9)


def test_the_limits_are_where_the_count_becomes_as_unlikely_as_was_asked() -> None:
    for count in (1, 2, 10, 127, 10_000, 100_000):
        lower, upper = (float(each[0]) for each in PoissonLimits(0.95).of(np.array([count])))
        assert poisson.sf(count - 1, lower) == pytest.approx(0.025, rel=1e-6)
        assert poisson.cdf(count, upper) == pytest.approx(0.025, rel=1e-6)


def test_very_many_events_have_narrow_limits_around_the_rate() -> None:
    events = 500_000
    rate, lower, upper = _per_100_years(events, _days("100000"))
    assert lower < rate == 500.0 < upper
    assert (upper - lower) / rate == pytest.approx(2 * 1.959964 / np.sqrt(events), rel=1e-3)


def test_limits_asked_in_any_order_are_the_same() -> None:
    limits = PoissonLimits(0.95)
    few_first = [limits.of(np.array([count])) for count in (3, 500, 3)]
    many_first = PoissonLimits(0.95).of(np.array([500, 3]))
    assert few_first[0] == few_first[2] == (many_first[0][1], many_first[1][1])
    assert few_first[1] == (many_first[0][0], many_first[1][0])


def test_a_wider_confidence_has_wider_limits_and_more_time_narrower_rates() -> None:
    narrow, wide = (PoissonLimits(level).of(np.arange(1, 50)) for level in (0.9, 0.99))
    assert (wide[0] < narrow[0]).all()
    assert (wide[1] > narrow[1]).all()
    assert _per_100_years(5, 2_000)[2] < _per_100_years(5, 1_000)[2]


def test_a_negative_count_is_refused() -> None:
    with pytest.raises(ValueError, match="-1"):
        PoissonLimits(0.95).of(np.array([3, -1]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.82435617, 2.82436), (0.0, 0.0), (123456.7, 123457.0), (1234567.0, 1234570.0), (0.000012345678, 1.23457e-05)],
)
def test_rates_are_rounded_to_six_significant_digits(value: Any, expected: float) -> None:
    assert six_digits(value) == expected
