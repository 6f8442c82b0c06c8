"""Panels and dashboards as values, and the JSON that Grafana reads.

Each panel says what it shows, in which unit, and what it means for whoever looks; without that it cannot be made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from monitor.metrics import catalogue as c

Json = dict[str, Any]
SCHEMA_VERSION = 42
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH = 24  # of a page of Grafana's
LETTERS = "ABCDEFGHIJ"  # by which a panel names its queries
UNKNOWN = "unknown"  # never an empty place that looks like 0
UNITS = {
    c.PER_100: "suffix:per 100 PY", "years of 365.25 days": "suffix:PY", c.MOMENT: "dateTimeAsIso", "seconds": "s",
    "0 to 1": "percentunit", "0 or 1": "bool", "bytes": "bytes",
}  # fmt: skip
"""Grafana's word for a unit of the catalogue; all others are counts."""
COUNT, SECONDS, SHARE = "locale", "s", "percentunit"
ON_KAFKA = "not on Kafka"  # what a panel says where one machine has no such thing
CALM, GOOD, WARN, BAD = "text", "green", "orange", "red"
Levels = tuple[tuple[float, str], ...]
"""(from this number on, colour), rising; below the first it is calm."""


def unit_of(metric: c.Metric) -> str:
    return UNITS.get(metric.unit, COUNT)


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and what its line or column is called. `{{label}}` in a name is the label's value."""

    expr: str
    name: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where a click leads. `url` may hold Grafana's variables."""

    title: str
    url: str

    def json(self) -> Json:
        return {"title": self.title, "url": self.url, "targetBlank": True}


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `columns` and `styles` change what a line or a column of that name looks like."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str
    width: int
    height: int
    options: Json
    levels: Levels = ()
    custom: Json = field(default_factory=dict)
    styles: Mapping[str, Json] = field(default_factory=dict)
    transformations: tuple[Json, ...] = ()
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    links: tuple[Link, ...] = ()
    repeat: str | None = None
    empty: str = UNKNOWN

    def json(self, number: int, x: int, y: int) -> Json:
        made: Json = {
            "id": number, "type": self.kind, "title": self.title, "description": self.description, "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height}, "options": self.options,
            "fieldConfig": {"defaults": self._defaults(), "overrides": self._overrides()},
        }  # fmt: skip
        if self.queries:
            made["targets"] = [
                self._target(letter, query) for letter, query in zip(LETTERS, self.queries, strict=False)
            ]
        if self.transformations:
            made["transformations"] = list(self.transformations)
        if self.repeat:
            made |= {"repeat": self.repeat, "repeatDirection": "h", "maxPerRow": 3}
        return made

    def _target(self, letter: str, query: Query) -> Json:
        at_once = self.kind in ("table", "stat")
        form = "table" if self.kind == "table" else "time_series"
        shape = {"instant": at_once, "range": not at_once, "format": form, "editorMode": "code"}
        return {"refId": letter, "datasource": SOURCE, "expr": query.expr, "legendFormat": query.name, **shape}

    def _defaults(self) -> Json:
        if self.kind == "text":
            return {}
        steps = [{"color": CALM, "value": None}, *({"color": colour, "value": at} for at, colour in self.levels)]
        defaults: Json = {
            "unit": self.unit, "noValue": self.empty, "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": "palette-classic-by-name" if self.kind == "timeseries" else "thresholds"},
        }  # fmt: skip
        if self.words:
            options = {value: {"text": text, "color": colour} for value, (text, colour) in self.words.items()}
            defaults["mappings"] = [{"type": "value", "options": options}]
        if self.links:
            defaults["links"] = [link.json() for link in self.links]
        return defaults | ({"custom": self.custom} if self.custom else {})

    def _overrides(self) -> list[Json]:
        return [
            {
                "matcher": {"id": "byName", "options": name},
                "properties": [{"id": key, "value": value} for key, value in style.items()],
            }
            for name, style in self.styles.items()
        ]


def stat(  # noqa: PLR0913  what a panel says of itself
    title: str,
    description: str,
    expr: str,
    unit: str = COUNT,
    *,
    levels: Levels = (),
    width: int = 4,
    words: Mapping[str, tuple[str, str]] | None = None,
    links: tuple[Link, ...] = (),
    name: str = "",
    empty: str = UNKNOWN,
) -> Panel:
    """One large number; with a `name` one for each series. `empty` is said where there is no number."""
    options = {
        "colorMode": "value", "graphMode": "none", "justifyMode": "auto", "orientation": "auto", "wideLayout": True,
        "percentChangeColorMode": "standard", "showPercentChange": False,
        "textMode": "value_and_name" if name else "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }  # fmt: skip
    queries = (Query(expr, name or title),)
    return Panel(
        "stat", title, description, queries, unit, width, 4, options, levels, words=words or {}, links=links,
        empty=empty,
    )  # fmt: skip


def trend(  # noqa: PLR0913
    title: str,
    description: str,
    queries: Iterable[Query],
    unit: str = COUNT,
    *,
    width: int = 12,
    stacked: bool = False,
    styles: Mapping[str, Json] | None = None,
    repeat: str | None = None,
) -> Panel:
    """Lines over time. What was counted stays until it changes: steps, no slopes."""
    options = {
        "legend": {"calcs": ["lastNotNull"], "displayMode": "table", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    custom = {"drawStyle": "line", "lineInterpolation": "stepAfter", "lineWidth": 2, "showPoints": "never"}
    custom |= {"fillOpacity": 15 if stacked else 0, "stacking": {"mode": "normal" if stacked else "none", "group": "A"}}
    custom["axisSoftMin"] = 0
    made = tuple(queries)
    return Panel(
        "timeseries",
        title,
        description,
        made,
        unit,
        width,
        9,
        options,
        custom=custom,
        styles=styles or {},
        repeat=repeat,
    )


def timeline(
    title: str, description: str, query: Query, words: Mapping[str, tuple[str, str]], width: int = WIDTH
) -> Panel:
    """A bar for each series, coloured by the state it was in."""
    legend = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True}
    tooltip = {"mode": "single", "sort": "none"}
    options = {"legend": legend, "tooltip": tooltip, "rowHeight": 0.8, "showValue": "never", "mergeValues": True}
    custom = {"fillOpacity": 80, "lineWidth": 0}
    return Panel(
        "state-timeline", title, description, (query,), COUNT, width, 9, options, custom=custom, words=words
    )  # fmt: skip


def table(  # noqa: PLR0913
    title: str,
    description: str,
    keys: Iterable[str],
    queries: Iterable[Query],
    *,
    width: int = WIDTH,
    height: int = 9,
    styles: Mapping[str, Json] | None = None,
    sorted_by: str | None = None,
    hidden: str | None = None,
) -> Panel:
    """A row for each value of the `keys` (labels), a column for each query, but for the `hidden` one."""
    made, names = tuple(queries), tuple(keys)
    values = {
        f"Value #{letter}" if len(made) > 1 else "Value": q.name for letter, q in zip(LETTERS, made, strict=False)
    }
    order = {name: at for at, name in enumerate((*names, *values))}
    excluded = {"Time": True} | {name: True for name, shown in values.items() if shown == hidden}
    organised = {"excludeByName": excluded, "indexByName": order, "renameByName": values}
    transformations = [{"id": "organize", "options": organised}]
    if len(made) > 1:
        transformations.insert(0, {"id": "merge", "options": {}})
    sort = [{"displayName": sorted_by, "desc": True}] if sorted_by else []
    options = {"showHeader": True, "frameIndex": 0, "cellHeight": "sm", "sortBy": sort}
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False, "filterable": True}
    return Panel(
        "table", title, description, made, COUNT, width, height, options, custom=custom, styles=styles or {},
        transformations=tuple(transformations),
    )  # fmt: skip


def text(title: str, description: str, content: str, width: int = WIDTH, height: int = 6) -> Panel:
    """Words, in Markdown."""
    return Panel("text", title, description, (), "", width, height, {"mode": "markdown", "content": content})


def coloured(levels: Levels, unit: str = COUNT) -> Json:
    """The style of a column whose numbers mean something by themselves."""
    steps = [{"color": CALM, "value": None}, *({"color": colour, "value": at} for at, colour in levels)]
    cell = {"type": "color-text"}
    return {"unit": unit, "thresholds": {"mode": "absolute", "steps": steps}, "custom.cellOptions": cell}


@dataclass(frozen=True, slots=True)
class Row:
    """A heading and what stands below it."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page. `since`: from when it shows the past, as in `now-7d`."""

    uid: str
    title: str
    description: str
    variables: tuple[Json, ...]
    rows: tuple[Row, ...]
    since: str = "now-7d"
    links: tuple[Json, ...] = ()

    def json(self) -> Json:
        return {
            "uid": self.uid, "title": self.title, "description": self.description, "tags": ["jakwatch"],
            "schemaVersion": SCHEMA_VERSION, "version": 1, "editable": False, "graphTooltip": 1, "timezone": "browser",
            "weekStart": "monday", "refresh": "1m", "time": {"from": self.since, "to": "now"},
            "timepicker": {"refresh_intervals": ["30s", "1m", "5m", "15m"]}, "annotations": {"list": []},
            "links": list(self.links), "templating": {"list": list(self.variables)}, "panels": list(self._placed()),
        }  # fmt: skip

    def _placed(self) -> Iterator[Json]:
        number = y = 0
        for row in self.rows:
            number += 1
            place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
            yield {"id": number, "type": "row", "title": row.title, "collapsed": False, "panels": [], "gridPos": place}
            x, y, highest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > WIDTH:
                    x, y, highest = 0, y + highest, 0
                number += 1
                yield panel.json(number, x, y)
                x, highest = x + panel.width, max(highest, panel.height)
            y += highest
