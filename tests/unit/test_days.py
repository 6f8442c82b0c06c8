"""Days and instants as integers."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.days import day_of, instant, iso, local_day, moment_of, partial_days

YEAR = 31_557_600  # seconds
ZONES = ("UTC", "Europe/Lisbon", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia")
moments = st.integers(-90 * YEAR, 130 * YEAR).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(moments)
def test_an_instant_comes_back_as_it_went_in(moment: datetime) -> None:
    assert moment_of(instant(moment)) == moment


@given(moments, st.sampled_from(ZONES))
def test_an_instant_belongs_to_the_day_it_has_in_the_zone_of_the_site(moment: datetime, name: str) -> None:
    zone = ZoneInfo(name)
    assert local_day(instant(moment), zone) == moment.astimezone(zone).date().toordinal()


@given(moments)
def test_without_a_zone_days_are_those_of_utc(moment: datetime) -> None:
    assert local_day(instant(moment), None) == moment.date().toordinal()


def test_the_hour_in_which_a_zone_changes_is_told_apart() -> None:
    lisbon = ZoneInfo("Europe/Lisbon")
    before, after = datetime(2025, 3, 30, 0, 59, 59, tzinfo=UTC), datetime(2025, 10, 25, 23, 30, tzinfo=UTC)
    assert iso(local_day(instant(before), lisbon)) == "2025-03-30"
    assert iso(local_day(instant(after), lisbon)) == "2025-10-26"


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024-02-29", "2024-02-29", "2024-02-29"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2023-02", "2023-02-01", "2023-02-28"),
        ("2023", "2023-01-01", "2023-12-31"),
    ],
)
def test_a_partial_date_may_mean_any_of_its_days(text: str, first: str, last: str) -> None:
    assert partial_days(text) == (day_of(first), day_of(last))
