"""Writes docs/reference/metrics.md from the catalogue.

python -m tools.metrics_page            write
python -m tools.metrics_page --check    compare, exit 1 where the page is not current
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from monitor.metrics import catalogue as c

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "metrics.md"

_PROCESS = ", ".join(f"`{prefix}*`" for prefix in c.PROCESS_PREFIXES)
_HEAD = f"""# All metrics

<!-- Written by `python -m tools.metrics_page` from `monitor/metrics/catalogue.py`: change that. -->

What `/metrics` says, in Prometheus' text format 0.0.4. No metric holds a value of a patient.

- All are gauges: they say what holds now. A correction, a retraction or an erasure may lower any of them, so ask
  `delta()` how many came, not `increase()`.
- Rates are computed by days of onset, by the program: never take `rate()` of them, nor sum them up. Cohorts overlap;
  of those that share no patient divide the sums, each of one AESI, window and estimator:
  `100 * sum(jakwatch_events{{...}}) / sum(jakwatch_person_years{{...}})`. Exact limits cannot be summed up.
- Rows of cohort, AESI, window and estimator with neither person-time nor events are left out, and so is a number that
  does not exist. Counts by values that are known beforehand are there from the first scrape, at 0. A value that should
  not occur is `{c.OTHER}`.
- A day is given as the midnight in UTC with which it begins.
- At most {c.SERIES_BUDGET:,} series: beyond, whole cohorts are left out, those of least person-time first, and
  `{c.ROWS_LEFT_OUT.name}` says how many rows that cost.
- Screening compliance is `{c.STARTS_COMPLIANT.name} / {c.STARTS_JUDGED.name}`. Starts that still wait for evidence are
  not judged yet; an unassessable one is not compliant.
- `jakwatch run` says all but those of processes on Kafka, a replica (`jakwatch view`) these too. A worker
  (`jakwatch monitor`) says its own, `{c.BUILD.name}`, `{c.READY.name}` and `{c.LIVE_SINCE.name}`.
- Replicas say the same of the same hospital, so take the `max`, never the `sum` of them. While a replica still reads
  the log of a hospital it says nothing of it, and no number of all together: half a log would look like few cases.
- Metrics of the process ({_PROCESS}) come from the library prometheus_client, those of memory and CPU
  on Linux only.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(_section(title, metrics) for title, metrics in c.GROUPS.items()), _labels()])


def _section(title: str, metrics: Iterable[c.Metric]) -> str:
    rows = [(f"`{each.name}`", each.unit, _names(each.labels), each.help) for each in metrics]
    return f"## {title}\n\n{_table(('name', 'unit', 'labels', 'meaning'), rows)}"


def _names(labels: Iterable[c.Label]) -> str:
    return ", ".join(f"`{label.name}`" for label in labels)


def _labels() -> str:
    rows = [
        (f"`{label.name}`", _metrics(label), label.meaning, " ".join(f"`{value}`" for value in label.values))
        for label in dict.fromkeys(label for metric in c.CATALOGUE for label in metric.labels)
    ]
    return f"## Labels\n\n{_table(('label', 'of', 'meaning', 'all its values'), rows)}"


def _metrics(label: c.Label) -> str:
    """Where the label stands; a word for those of all rates."""
    if label in c.RATE_LABELS:
        return "rates"
    return ", ".join(f"`{metric.name.removeprefix('jakwatch_')}`" for metric in c.CATALOGUE if label in metric.labels)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        for row in (columns, ("---",) * len(columns), *rows):
            yield f"| {' | '.join(row)} |".replace("|  |", "| |")

    return "\n".join(lines()) + "\n"


def main(arguments: list[str]) -> int:
    """Write the page or compare it."""
    if arguments == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        sys.stderr.write(f"{PAGE.name} is not what the catalogue says. Do next: python -m tools.metrics_page\n")
        return 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
