"""Prometheus' text format 0.0.4: heads, labels, numbers."""

from __future__ import annotations

from collections.abc import Iterable

from monitor.metrics.catalogue import Label, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SPELLED = {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}


def number(value: float) -> str:
    """The shortest text that reads as the same number."""
    text = repr(value)
    return _SPELLED.get(text, text)


def labelled(labels: Iterable[Label], values: Iterable[str]) -> str:
    """`{a="1",b="2"} `, or one space where there is no label: what stands between a name and its number."""
    pairs = [f'{label.name}="{_escaped(value)}"' for label, value in zip(labels, values, strict=True)]
    return f"{{{','.join(pairs)}}} " if pairs else " "


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def head(metric: Metric) -> str:
    """The two lines that stand before a metric's samples."""
    told = metric.help.replace("\\", "\\\\").replace("\n", "\\n")
    return f"# HELP {metric.name} {told}\n# TYPE {metric.name} gauge\n"


def family(metric: Metric, samples: Iterable[tuple[tuple[str, ...], float]]) -> str:
    """A metric with its samples: (values of its labels, number)."""
    lines = [f"{metric.name}{labelled(metric.labels, values)}{number(value)}\n" for values, value in samples]
    return head(metric) + "".join(lines)


def as_bytes(text: str) -> bytes:
    """UTF-8; half a surrogate pair, which no Prometheus would read, becomes a question mark."""
    return text.encode("utf-8", "replace")
