"""The whole answer to a scrape. It is rendered in a thread of its own: it must never hold the event loop."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from monitor.metrics.catalogue import BUDGET, ROWS_LEFT_OUT, SERIES_BUDGET
from monitor.metrics.platform import ReplicaState, WorkerState, replica_samples, worker_samples
from monitor.metrics.rates import RateText
from monitor.metrics.readings import samples
from monitor.metrics.text import CONTENT_TYPE, as_bytes, family
from monitor.overview import Overview

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["CONTENT_TYPE", "Exposition"]

_OWN_SERIES = 2  # the budget and what it left out


class Exposition:
    """Overviews to text; rates that did not change since the last scrape are kept. Threads may share one."""

    def __init__(self, budget: int = SERIES_BUDGET) -> None:
        """`budget`: the most series beside those of the process; only rates are ever left out for it."""
        self._budget = budget
        self._rates = RateText()
        self._process = _process_metrics()
        self._lock = Lock()

    def render(self, overview: Overview, replica: ReplicaState | None = None) -> bytes:
        """The text of a scrape, in UTF-8; send it as `CONTENT_TYPE`. `replica`: what a replica says of itself."""
        with self._lock:
            text = self._written(overview, replica)
        return text + self._of_process()

    def render_worker(self, state: WorkerState) -> bytes:
        """The text of a scrape of a worker, which knows neither cases nor rates."""
        text = "".join(family(metric, found) for metric, found in worker_samples(state))
        return as_bytes(text) + self._of_process()

    def _of_process(self) -> bytes:
        from prometheus_client import generate_latest  # noqa: PLC0415 - see _process_metrics

        return generate_latest(self._process)

    def _written(self, overview: Overview, replica: ReplicaState | None) -> bytes:
        loading = replica.loading if replica else frozenset()
        read = list(samples(overview, loading))
        read += replica_samples(replica) if replica else ()
        room = self._budget - _OWN_SERIES - sum(len(found) for _, found in read)
        rows = [] if loading else overview.result["rates"]  # of a part of the sites a rate is another number
        rates, left_out = self._rates.of(rows, max(0, room))
        own = family(BUDGET, [((), self._budget)]) + family(ROWS_LEFT_OUT, [((), left_out)])
        return rates + as_bytes(own + "".join(family(metric, found) for metric, found in read))


def _process_metrics() -> CollectorRegistry:
    """CPU, memory, open files and the collector of garbage, by the library that all others use for them.

    Imported here: the library looks at the system as soon as it is imported.
    """
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector  # noqa: PLC0415

    registry = CollectorRegistry()
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)
    return registry
