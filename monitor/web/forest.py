"""The forest plot: per row of rates a point and its exact interval, on one logarithmic axis.

Each row is a drawing of its own, placed in the cell of a table beside the numbers it shows, so the two cannot drift
apart however large the text is set or however narrow the screen. Across, everything is in percent of the cell's width.
A logarithm has no zero: rows without an event stand in a lane of their own, left of the axis.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from markupsafe import Markup

FEW = 3  # fewer events than this: the row says so, in word and shape
ZERO_LANE, LEFT, RIGHT = 4.0, 14.0, 91.0  # percent; the margins leave room for the labels of the outermost ticks
_NARROWEST, _LETTER, _GAP = 280, 8, 6  # pixels: the plot on a small phone, a letter at its widest, between labels
_STEPS = (1, 2, 5)
_BEYOND = 10  # an upper limit without events may stretch the axis this far past the others, no further


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from `low` to `high`, both > 0, in events per 100 patient-years."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def at(self, value: float) -> float:
        """Percent of the width at which `value` (> 0) stands, kept within the axis."""
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return LEFT + (RIGHT - LEFT) * min(1.0, max(0.0, share))


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a row's point and limits stand, in percent; `beyond`: the upper limit lies to the right of the axis."""

    shape: str  # `point`, `few`, `none`: three or more events, one or two, no event
    at: float
    lower: float
    upper: float
    beyond: bool


def scale_of(rows: Iterable[Mapping[str, Any]]) -> Scale:
    """The axis on which every rate and its limits have room.

    Rows without an event have an upper limit only; with little person-time it is huge, and would squeeze all others.
    """
    known = [row for row in rows if row["upper"] is not None]
    counted = [row for row in known if row["events"]]
    empty = [row["upper"] for row in known if not row["events"]]
    if not counted:
        return _snapped(min(empty, default=1.0) / 10, max(empty, default=10.0))
    low, high = min(row["lower"] for row in counted), max(row["upper"] for row in counted)
    return _snapped(min([low, *empty]), max(high, min(max(empty, default=high), high * _BEYOND)))


def _snapped(low: float, high: float) -> Scale:
    steps = list(_steps(math.floor(math.log10(low)), math.ceil(math.log10(high))))
    first = max(i for i, step in enumerate(steps) if step <= low)
    last = min(i for i, step in enumerate(steps) if step >= high and i > first)
    scale = Scale(steps[first], steps[last], tuple(steps[first : last + 1]))
    return next(each for each in _thinned(scale) if _has_room(each))


def _steps(lowest: int, highest: int) -> Iterator[float]:
    """1, 2, 5 in every decade, with one decade to spare on either side: rounding of a logarithm must not matter."""
    return (float(f"{step}e{decade}") for decade in range(lowest - 1, highest + 2) for step in _STEPS)


def _thinned(scale: Scale) -> Iterator[Scale]:
    """The axis with fewer and fewer ticks: 1-2-5, decades, every second decade and so on, at last one."""
    yield scale
    decades = [tick for tick in scale.ticks if f"{tick:e}".startswith("1.0")] or list(scale.ticks)
    for step in range(1, len(decades) + 1):
        yield replace(scale, ticks=tuple(decades[::step]))


def _has_room(scale: Scale) -> bool:
    """Whether all labels stand apart, on the narrowest plot."""
    halves = [(_NARROWEST / 100 * scale.at(tick), len(label_of(tick)) * _LETTER / 2) for tick in scale.ticks]
    return all(left + a + _GAP < right - b for (left, a), (right, b) in pairwise(halves))


def mark_of(row: Mapping[str, Any], scale: Scale) -> Mark | None:
    """Where a row stands; a row without a rate stands nowhere."""
    if row["rate_per_100_patient_years"] is None or row["upper"] is None:
        return None
    upper, beyond = scale.at(row["upper"]), row["upper"] > scale.high
    if not row["events"]:
        return Mark("none", ZERO_LANE, ZERO_LANE, upper, beyond)
    shape = "few" if row["events"] < FEW else "point"
    return Mark(shape, scale.at(row["rate_per_100_patient_years"]), scale.at(row["lower"]), upper, beyond)


_SHAPES = {
    "point": Markup('<circle class="mark" r="4.5"/>'),
    "few": Markup('<path class="mark" d="M0-5.5 5.5 0 0 5.5-5.5 0Z"/>'),
    "none": Markup('<circle class="mark open" r="4.5"/>'),
    "at-most": Markup('<path class="mark" d="M-7 0 0-4V4Z"/>'),
    "beyond": Markup('<path class="mark" d="M7 0 0-4V4Z"/>'),
}


_CENTRE = {"at-most": -3.5, "beyond": 3.5}  # arrows are drawn from their tip


def legend_svg(shape: str) -> Markup:
    """A shape of the plot, alone, for the text that explains it."""
    return Markup('<svg class="key" viewBox="{} -8 16 16" aria-hidden="true" focusable="false">{}</svg>').format(
        _CENTRE.get(shape, 0) - 8, _SHAPES[shape]
    )


def row_svg(mark: Mark | None, scale: Scale) -> Markup:
    """The drawing of a row. It repeats the numbers beside it, so it is silent to a screen reader."""
    drawn = Markup("") if mark is None else _interval(mark) + _placed(mark.shape, mark.at)
    return Markup('<svg class="forest" aria-hidden="true" focusable="false">{}{}</svg>').format(_grid(scale), drawn)


def _interval(mark: Mark) -> Markup:
    kind = "line open" if mark.shape == "none" else "line"
    line = Markup('<line class="{}" x1="{}%" x2="{}%" y1="50%" y2="50%"/>').format(
        kind, _short(mark.lower), _short(mark.upper)
    )
    if mark.beyond:
        return line + _placed("beyond", mark.upper)
    if mark.shape == "none":
        return line + _placed("at-most", mark.upper)
    return line + _cap(mark.lower) + _cap(mark.upper)


def _cap(at: float) -> Markup:
    return _placed_markup(Markup('<path class="line" d="M0-4V4"/>'), at)


def _placed(shape: str, at: float) -> Markup:
    return _placed_markup(_SHAPES[shape], at)


def _placed_markup(drawn: Markup, at: float) -> Markup:
    """A shape of fixed size at a percentage: only a nested drawing can be both."""
    return Markup('<svg x="{}%" y="50%" overflow="visible">{}</svg>').format(_short(at), drawn)


def _grid(scale: Scale) -> Markup:
    line = Markup('<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="100%"/>')
    return Markup("").join(line.format(_short(scale.at(tick))) for tick in scale.ticks)


def axis_svg(scale: Scale, title: str, description: str) -> Markup:
    """The axis, which bears the name and the description of the whole plot."""
    label = Markup('<text x="{}%" y="13" text-anchor="middle">{}</text>')
    labels = Markup("").join(label.format(_short(scale.at(tick)), label_of(tick)) for tick in scale.ticks)
    return Markup(
        '<svg class="axis" role="img" aria-labelledby="forest-title forest-desc">'
        '<title id="forest-title">{}</title><desc id="forest-desc">{}</desc>{}{}</svg>'
    ).format(title, description, label.format(_short(ZERO_LANE), "0"), labels)


def label_of(tick: float) -> str:
    """A tick's number without exponent: 0.05, 2, 1,000."""
    return f"{tick:,.12f}".rstrip("0").rstrip(".")


def _short(percent: float) -> str:
    return f"{percent:.2f}"
