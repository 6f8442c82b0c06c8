"""The forest plot says what its numbers say: its geometry keeps their order, and nothing falls off its edges."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from monitor.web import forest

NARROWEST = 280  # pixels of a plot on a small phone
DIGIT, COMMA = 7.7, 4  # pixels, of a wide font at the 12 pixels of an axis label


def half_width(text: str) -> float:
    return sum(DIGIT if each.isdigit() else COMMA for each in text) / 2


def row(events: int, person_days: int) -> dict[str, float | int | None]:
    """A row as `replay` prints it, with exact limits."""
    if person_days == 0:
        return {"events": events, "rate_per_100_patient_years": None, "lower": None, "upper": None}
    per = 36_525 / person_days
    return {
        "events": events,
        "rate_per_100_patient_years": events * per,
        "lower": chi2.ppf(0.025, 2 * events) / 2 * per if events else 0.0,
        "upper": chi2.ppf(0.975, 2 * events + 2) / 2 * per,
    }


some_rows = st.lists(
    st.builds(row, st.one_of(st.integers(0, 3), st.integers(0, 100_000)), st.integers(0, 10**8)), max_size=30
)


@given(some_rows)
def test_points_stand_in_the_order_of_their_rates(rows):
    scale = forest.scale_of(rows)
    rates = [each for each in rows if each["rate_per_100_patient_years"] is not None]
    places = [forest.mark_of(each, scale).at for each in sorted(rates, key=lambda r: r["rate_per_100_patient_years"])]
    assert places == sorted(places)


@given(some_rows)
def test_limits_stand_on_either_side_of_their_point_and_inside_the_plot(rows):
    scale = forest.scale_of(rows)
    for mark in filter(None, (forest.mark_of(each, scale) for each in rows)):
        assert 0 < mark.lower <= mark.at <= mark.upper <= forest.RIGHT < 100


@given(some_rows)
def test_no_interval_of_an_observed_rate_is_cut_off(rows):
    scale = forest.scale_of(rows)
    for each in rows:
        if each["events"] and each["upper"] is not None:
            assert scale.low <= each["lower"] < each["upper"] <= scale.high
            assert not forest.mark_of(each, scale).beyond


@given(some_rows)
def test_ticks_are_round_rise_evenly_and_belong_to_the_axis(rows):
    scale = forest.scale_of(rows)
    assert scale.ticks
    assert list(scale.ticks) == sorted(set(scale.ticks))
    for tick in scale.ticks:
        assert scale.low <= tick <= scale.high
        assert f"{tick:e}"[0] in "125"


@given(some_rows)
def test_labels_neither_leave_the_plot_nor_touch_each_other_on_a_small_phone(rows):
    scale = forest.scale_of(rows)
    labels = [(forest.ZERO_LANE, "0"), *((scale.at(tick), forest.label_of(tick)) for tick in scale.ticks)]
    if not 0.001 <= scale.low < scale.high <= 100_000:
        return  # rates of which nobody has patients enough to tell
    ends = [(at / 100 * NARROWEST, half_width(text)) for at, text in labels]
    assert all(at - half >= 0 and at + half <= NARROWEST for at, half in ends)
    assert all(a + half < b - other for (a, half), (b, other) in pairwise(ends))


def test_equal_ratios_are_equal_distances():
    scale = forest.Scale(0.1, 100.0, (0.1, 1.0, 10.0, 100.0))
    places = [scale.at(tick) for tick in scale.ticks]
    assert [b - a for a, b in pairwise(places)] == pytest.approx([77 / 3] * 3)
    assert (places[0], places[-1]) == (forest.LEFT, forest.RIGHT)


@pytest.mark.parametrize(("events", "shape"), [(0, "none"), (1, "few"), (2, "few"), (3, "point"), (300, "point")])
def test_the_shape_says_how_many_events_a_rate_rests_on(events, shape):
    rows = [row(events, 10_000)]
    assert forest.mark_of(rows[0], forest.scale_of(rows)).shape == shape


def test_a_row_without_an_event_has_an_open_circle_in_its_own_lane_and_an_arrow_at_its_upper_limit():
    rows = [row(0, 139_820), row(18, 139_820)]
    scale = forest.scale_of(rows)
    mark = forest.mark_of(rows[0], scale)
    drawn = forest.row_svg(mark, scale)
    assert mark.at == forest.ZERO_LANE < forest.LEFT < mark.upper
    assert drawn.count("open") == 2  # the line and the circle
    assert f'<svg x="{mark.upper:.2f}%"' in drawn


def test_an_upper_limit_from_hardly_any_person_time_does_not_squeeze_the_rates():
    rows = [row(18, 139_820), row(0, 1)]
    scale = forest.scale_of(rows)
    assert scale.high < 200
    assert forest.mark_of(rows[1], scale) == forest.Mark("none", forest.ZERO_LANE, forest.ZERO_LANE, forest.RIGHT, True)


def test_no_person_time_draws_nothing_but_the_grid():
    scale = forest.scale_of([row(0, 0)])
    assert forest.mark_of(row(0, 0), scale) is None
    assert "mark" not in forest.row_svg(None, scale)


@pytest.mark.parametrize(("tick", "label"), [(0.005, "0.005"), (0.1, "0.1"), (2.0, "2"), (1000.0, "1,000")])
def test_a_label_is_a_plain_number(tick, label):
    assert forest.label_of(tick) == label


def test_the_axis_bears_name_and_description_and_escapes_them():
    axis = forest.axis_svg(forest.Scale(1, 10, (1.0, 10.0)), "</title><script>", "a & b")
    assert "<script>" not in axis
    assert '<title id="forest-title">&lt;/title&gt;&lt;script&gt;</title>' in axis
    assert '<desc id="forest-desc">a &amp; b</desc>' in axis
    assert re.findall(r">([\d,.]+)</text>", axis) == ["0", "1", "10"]
