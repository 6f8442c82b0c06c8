"""Queries made of the catalogue's metrics: a name, a label or a variable that does not exist cannot be written."""

from __future__ import annotations

from monitor.metrics.catalogue import Metric

ONE_OF = {"cohort": False, "aesi": True, "window": False, "estimator": False, "site": True}
"""The dashboards' variables that choose values of a label: whether several may be chosen."""


def selector(metric: Metric, **match: str) -> str:
    """`name{site=~"$site"}`. A value is a variable, like `$site`, or stands as it is."""
    chosen = ",".join(f"{_label(metric, name)}{_matches(value)}" for name, value in match.items())
    return f"{metric.name}{{{chosen}}}" if chosen else metric.name


def each(metric: Metric, *by: str, **match: str) -> str:
    """One number for each `by`, or one at all. Replicas say the same thing: the larger number, and never their sum."""
    over = f" by ({', '.join(_label(metric, name) for name in by)}) " if by else ""
    return f"max{over}({selector(metric, **match)})"


def total(metric: Metric, *by: str, **match: str) -> str:
    """Summed up over all labels, each replica's word taken once; or over all but `by`."""
    over = f" by ({', '.join(by)})" if by else ""
    return f"sum{over} ({each(metric, *(label.name for label in metric.labels), **match)})"


def came(metric: Metric, within: str, *by: str, **match: str) -> str:
    """By how much a count grew within a time, for each `by`; what erasure took away is no growth."""
    labels = ", ".join(_label(metric, name) for name in by)
    grown = ", ".join(label.name for label in metric.labels)
    return f"sum by ({labels}) (max by ({grown}) (clamp_min(delta({selector(metric, **match)}[{within}]), 0)))"


def age(metric: Metric, *by: str, **match: str) -> str:
    """Seconds since the latest of the moments that a metric gives."""
    return f"time() - {each(metric, *by, **match)}"


def _label(metric: Metric, name: str) -> str:
    if name not in {label.name for label in metric.labels}:
        raise ValueError(f"{metric.name} has no label {name}; it has {[label.name for label in metric.labels]}")
    return name


def _matches(value: str) -> str:
    if not value.startswith("$"):
        return f'="{value}"'
    return f'{"=~" if ONE_OF[value.removeprefix("$")] else "="}"{value}"'
