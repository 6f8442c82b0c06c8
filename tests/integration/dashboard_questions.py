"""What the dashboards ask: every query of every panel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from monitor.metrics import catalogue as c
from tools.dashboards import FOLDER
from tools.grafana.common import OF_ALERTING
from tools.grafana.lint import metrics_of

ON_KAFKA = frozenset(
    metric.name for title, group in c.GROUPS.items() if title.startswith("Processes on Kafka") for metric in group
)


class Question(NamedTuple):
    """A query of a panel, and how the panel asks it: now, or for each moment of a time."""

    dashboard: str
    panel: str
    query: str
    over_time: bool

    @property
    def is_of_kafka(self) -> bool:
        """Whether only processes on Kafka export what it asks for."""
        return any(name in ON_KAFKA for name in metrics_of(self.query))

    @property
    def is_of_alerting(self) -> bool:
        """Whether it asks Prometheus and Alertmanager about themselves."""
        return any(name in OF_ALERTING for name in metrics_of(self.query))


def panels(*kinds: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(dashboard, panel)."""
    for path in sorted(FOLDER.glob("*.json")):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        yield from ((dashboard["uid"], panel) for panel in dashboard["panels"] if panel["type"] in kinds)


def _questions() -> Iterator[Question]:
    for dashboard, panel in panels("stat", "table", "timeseries", "state-timeline"):
        for target in panel["targets"]:
            yield Question(dashboard, panel["title"], target["expr"], target["range"])


QUESTIONS = tuple(_questions())
