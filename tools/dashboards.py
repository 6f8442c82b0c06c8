"""Writes Grafana's dashboards, deploy/grafana/dashboards/*.json, with names and labels from the catalogue of metrics.

python -m tools.dashboards                         write
python -m tools.dashboards --check                 compare, and judge them; exit 1 where something is to be done
python -m tools.dashboards --pages URL --runbooks URL --to FOLDER    for whoever serves these elsewhere
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from tools.grafana import common, feeds, overview, pipeline, rates, screening
from tools.grafana.lint import findings

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
PAGES = (overview, rates, screening, feeds, pipeline)


def dashboards(pages: str = common.PAGES, runbooks: str = common.RUNBOOKS) -> Iterator[tuple[str, str]]:
    """(name of the file, its text), for each dashboard. `pages` and `runbooks`: where jakwatch and its runbooks are."""
    addresses = (common.address("pages", "Pages", pages), common.address("runbooks", "Runbooks", runbooks))
    for page in PAGES:
        made = page.dashboard((common.source(), *addresses), common.ways_on(pages, runbooks)).json()
        yield f"{made['uid']}.json", json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _wrong() -> Iterator[str]:
    """What is to be done: files that are not current, left over, or not as a dashboard should be."""
    made = dict(dashboards())
    for name, text in made.items():
        path = FOLDER / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            yield f"{name} is not what the catalogue says. Do next: python -m tools.dashboards"
        yield from (f"{name}: {finding}" for finding in findings(json.loads(text)))
    for path in sorted(FOLDER.glob("*.json")):
        if path.name not in made:
            yield f"{path.name} is written by nobody. Do next: remove it"


def _asked(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.dashboards")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--pages", default=common.PAGES)
    parser.add_argument("--runbooks", default=common.RUNBOOKS)
    parser.add_argument("--to", type=Path, default=FOLDER)
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Write the dashboards or judge them."""
    asked = _asked(arguments)
    if asked.check:
        wrong = list(_wrong())
        sys.stderr.writelines(f"{line}\n" for line in wrong)
        return 1 if wrong else 0
    asked.to.mkdir(parents=True, exist_ok=True)
    for name, text in dashboards(asked.pages.rstrip("/"), asked.runbooks.rstrip("/")):
        (asked.to / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
