"""`jakwatch demo`: two known cases and some invented hospitals, so that one sees results before having data."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import click

from monitor import report
from monitor.demo import cases, hospitals
from monitor.policyfile import default_policy_path, load_policies, load_registry
from monitor.replay import replay_files

MESSAGES, SITES = "messages.jsonl", "sites.yaml"


@click.command(
    epilog="""\b
Examples:
  jakwatch demo
  jakwatch demo --patients 1000 --keep demo-data"""
)
@click.option("--patients", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Per hospital.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another number, other hospitals.")
@click.option(
    "--keep",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help=f"Leave the data there, as {MESSAGES} and {SITES}.",
)
def command(patients: int, seed: int, keep: Path | None) -> None:
    """Generate hospitals, add the two cases of the paper behind the project, replay both, and print the table."""
    with _folder(keep) as folder:
        _fill(folder, patients, seed)
        result = _replayed(folder)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else report.WIDEST
    click.echo(report.table(result, width=width, colour=terminal), nl=False)
    click.echo(f"\n{_seen(result)}\n{_next(keep)}")


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """The folder to keep, or one that goes away."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="jakwatch-demo-") as name:
            yield Path(name)
        return
    keep.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in (MESSAGES, SITES) if (keep / name).exists()]:
        raise click.UsageError(f"{keep / taken[0]} exists and is not overwritten. Name another folder after --keep.")
    yield keep


def _fill(folder: Path, patients: int, seed: int) -> None:
    everyone = chain(cases.paper_cases(), hospitals.generate(seed, patients_per_site=patients))
    hospitals.write(folder / MESSAGES, everyone)
    shutil.copyfile(Path(hospitals.__file__).with_name(SITES), folder / SITES)


def _replayed(folder: Path) -> dict[str, Any]:
    policies = load_policies([default_policy_path()])
    return replay_files([str(folder / MESSAGES)], policies=policies, registry=load_registry([folder / SITES]))


def _seen(result: dict[str, Any]) -> str:
    """One line on what the table shows: the two cases beside the invented hospitals."""
    starts = [row for row in result["decisions"] if row["kind"] == "start"]
    paper = {row["decision"] for row in starts if row["treatment_id"] in {"case-1-upa", "case-2-upa"}}
    violations = sum(row["decision"] == "violation" for row in starts)
    return (
        f"What you see: the paper's two cases (case-1-upa, case-2-upa) are {' and '.join(sorted(paper))}.\n"
        f"Of the {len(starts):,} starts {violations:,} are violations. Hospitals and mistakes are made up."
    )


def _next(keep: Path | None) -> str:
    own = "With your own: jakwatch validate your.jsonl; jakwatch replay your.jsonl --format table (--help tells more)"
    if keep is None:
        return f"Next: jakwatch demo --keep FOLDER leaves the messages there, to look at and to replay.\n{own}"
    return f"Next: jakwatch replay {keep / MESSAGES} --sites {keep / SITES} --format table\n{own}"
