"""What a dashboard must keep to: Grafana's own schema, and the habits by which people can read it.

The habits are those of Grafana's dashboard-linter, and ours: words on every panel, no metric that does not exist,
nothing summed up or rated that is a state, no identifier of a patient in a query.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator

from monitor.metrics.catalogue import CATALOGUE, PROCESS_PREFIXES, Metric
from tools.grafana.common import OF_ALERTING, OF_PROMETHEUS
from tools.grafana.panels import WIDTH, Json

SHORTEST_DESCRIPTION = 40
PANELS = ("timeseries", "stat", "table", "text", "state-timeline")
_METRICS: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
_WORDS = frozenset(
    "max min sum count count_values avg by without on ignoring group_left group_right and or unless bool time rate "
    "delta clamp_min offset increase round".split()
)
_STRING = re.compile(r'"[^"]*"')
_CHOSEN = re.compile(r"([a-zA-Z_:][\w:]*)?\{([^}]*)\}")
_GROUPED = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_NAME = re.compile(r"(?<![\w$.])[a-zA-Z_:][\w:]*")
_NAMED = re.compile(r"(\w+)\s*[=!]")
_OVER = ("$__rate_interval", "$__range")
_OF_SCRAPES = ("job", "instance")  # labels that Prometheus adds
_RATED = re.compile(r"\b(?:rate|increase|irate)\(\s*([a-zA-Z_:][\w:]*)[^\[]*\[([^\]]*)\]")


def findings(dashboard: Json) -> Iterator[str]:
    """What is wrong with a dashboard; nothing is good. One that is no dashboard to Grafana is looked at no further."""
    yield from (unlike := list(_unlike_grafana(dashboard)))
    if unlike:
        return
    yield from _head(dashboard)
    panels = dashboard["panels"]
    yield from _places(panels)
    for panel in panels:
        if panel["type"] != "row":
            yield from (f"{panel.get('title')!r}: {wrong}" for wrong in _panel(panel, dashboard))


@cache
def _schema() -> Json:
    schema: Json = json.loads(Path(__file__).with_name("schema.json").read_text(encoding="utf-8"))
    return schema


def _unlike_grafana(dashboard: Json) -> Iterator[str]:
    """Panels by themselves: their schema says that each is one of two things, and an error of both would say little."""
    yield from _against(dashboard | {"panels": []}, _schema()["dashboard"], "")
    for panel in dashboard.get("panels", ()):
        yield from _against(panel, _definition("RowPanel" if panel["type"] == "row" else "Panel"), "panel: ")


def _definition(name: str) -> Json:
    whole = _schema()["dashboard"]
    found: Json = whole["definitions"][name] | {"definitions": whole["definitions"]}
    return found


def _against(value: Any, schema: Json, where: str) -> Iterator[str]:
    for error in sorted(Draft7Validator(schema).iter_errors(value), key=str):
        path = ".".join(str(part) for part in error.absolute_path)
        yield f"{where}{path or 'it'} is not as Grafana has it: {error.message[:200]}"


def _head(dashboard: Json) -> Iterator[str]:
    for key in ("uid", "title", "description", "tags", "links"):
        if not dashboard.get(key):
            yield f"it has no {key}"
    if dashboard.get("editable") is not False:
        yield "it can be edited in Grafana, where the change would be lost"
    first = dashboard["templating"]["list"][0]
    if (first["type"], first["name"]) != ("datasource", "datasource"):
        yield "its first variable is not the data source"
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query" and variable.get("refresh") != 2:  # noqa: PLR2004  Grafana's number of it
            yield f"the variable {variable['name']} is not renewed when the time range changes"
        if variable["type"] == "query":
            yield from metrics_wrong(re.sub(r"label_values\((.*), \w+\)", r"max(\1)", variable["query"]["query"]))


def _places(panels: list[Json]) -> Iterator[str]:
    ids = [panel["id"] for panel in panels]
    if len(set(ids)) != len(ids):
        yield "two panels have one id"
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        if taken & cells or at["x"] + at["w"] > WIDTH:
            yield f"{panel['title']!r} lies over another panel or beyond the page"
        taken |= cells


def _panel(panel: Json, dashboard: Json) -> Iterator[str]:
    if panel["type"] not in PANELS:
        yield f"nothing is known here of a panel {panel['type']}"
        return
    kind = _schema()["panels"][panel["type"].replace("-", "")]
    yield from _against(panel["options"], kind["options"], "options: ")
    custom = panel["fieldConfig"]["defaults"].get("custom", {})
    yield from _against(custom, kind["custom"], "custom: ")
    for override in panel["fieldConfig"]["overrides"]:
        yield from _override(override, custom, kind["custom"])
    if not panel["title"]:
        yield "it has no title"
    if len(panel.get("description", "")) < SHORTEST_DESCRIPTION:
        yield "its description does not tell what it means"
    if panel["type"] != "text":
        yield from _numbers(panel, dashboard)


def _override(override: Json, custom: Json, schema: Json) -> Iterator[str]:
    """An override's keys are paths into what it changes: judged is what comes of it."""
    where = f"override of {override['matcher']['options']}: "
    changed = {each["id"]: each["value"] for each in override["properties"]}
    own = {key.removeprefix("custom."): value for key, value in changed.items() if key.startswith("custom.")}
    field = {key: value for key, value in changed.items() if not key.startswith("custom.")}
    yield from _against(custom | own, schema, where)
    yield from _against(field, _definition("FieldConfig"), where)


def _numbers(panel: Json, dashboard: Json) -> Iterator[str]:
    if not panel["fieldConfig"]["defaults"].get("unit"):
        yield "it has no unit"
    if not panel["fieldConfig"]["defaults"].get("noValue"):
        yield "an empty panel would look like nothing being wrong"
    if not panel.get("targets"):
        yield "it asks nothing"
    if panel.get("datasource", {}).get("uid") != "${datasource}":
        yield "it does not use the chosen data source"
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for target in panel.get("targets", ()):
        yield from query_wrong(target["expr"], variables)
        if not target.get("legendFormat"):
            yield f"the query {target['refId']} has no name"


def query_wrong(query: str, variables: set[str]) -> Iterator[str]:
    """What is wrong with one query."""
    for name in re.findall(r"\$\{?(\w+)", query):
        if name not in variables and not name.startswith("__"):
            yield f"there is no variable {name}"
    for metric, within in _RATED.findall(query):
        if metric in _METRICS:
            yield f"{metric} is a gauge: delta, not rate"
        elif within not in _OVER:
            yield f"the rate of {metric} must be over $__rate_interval, or over all that is shown: $__range"
    yield from metrics_wrong(query)


def metrics_wrong(query: str) -> Iterator[str]:
    """Names that are no metric, and labels that a metric has not."""
    bare = _STRING.sub('""', query)
    for metric, chosen in _CHOSEN.findall(bare):
        yield from (f"{metric} has no label {label}" for label in _NAMED.findall(chosen) if not _has(metric, label))
    for name in metrics_of(query):
        if name not in (*_METRICS, *OF_PROMETHEUS, *OF_ALERTING) and not name.startswith(PROCESS_PREFIXES):
            yield f"{name} is no metric of the catalogue"
    if not metrics_of(query):
        yield f"it asks for no metric: {query}"


def _has(metric: str, label: str) -> bool:
    """Whether it may bear the label; of the metrics of others nothing is known."""
    known = _METRICS.get(metric)
    return known is None or label in (*_OF_SCRAPES, *(each.name for each in known.labels))


def metrics_of(query: str) -> list[str]:
    """The names of the metrics in a query, as they come."""
    bare = _RANGE.sub("", _STRING.sub('""', query))
    bare = _GROUPED.sub(" ", re.sub(r"\{[^}]*\}", "", bare))
    return [name for name in _NAME.findall(bare) if name not in _WORDS and not name.startswith("__")]
