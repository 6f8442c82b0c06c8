"""`jakwatch demo`: the live service in invented hospitals, so that one sees it work before having data."""

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
from monitor.commands.run import DEFAULT_PORT
from monitor.commands.serving import served
from monitor.demo import cases, hospitals
from monitor.policyfile import default_policy_path, load_policies, load_registry

MESSAGES, SITES = "messages.jsonl", "sites.yaml"


@click.command(
    epilog="""\b
Examples:
  jakwatch demo
  jakwatch demo --patients 1000 --data demo-data
  jakwatch demo --files demo-files"""
)
@click.option("--patients", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Per hospital.")
@click.option("--seed", type=int, default=1, show_default=True, help="Another number, other hospitals.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any that is free."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the log there and go on with it next time. Default: it is gone when the demo ends.",
)
@click.option(
    "--files",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help=f"Serve nothing: leave {MESSAGES} and {SITES} there, replay them and print the table.",
)
def command(patients: int, seed: int, port: int, data: Path | None, files: Path | None) -> None:
    """Run the live service in invented hospitals: three years of their life, the two cases of the paper behind the
    project, and what goes on now. It lives until you stop it.
    """
    if files is not None:
        if data is not None:
            raise click.UsageError("--files serves nothing, so --data does not go with it.")
        _print_files(files, patients, seed)
        return
    with _folder(data) as folder:
        _live(folder, patients, seed, port)


def _live(folder: Path, patients: int, seed: int, port: int) -> None:
    from monitor.demo_life import DemoLife  # noqa: PLC0415  --files and --help wait for none of it
    from monitor.service import Settings, serve  # noqa: PLC0415
    from monitor.web.serving import Address  # noqa: PLC0415

    life = DemoLife(folder, seed, patients)
    registry = folder / SITES
    registry.write_text(life.registry(), encoding="utf-8")
    settings = Settings(
        data=folder,
        policies=load_policies([default_policy_path()]),
        registry=load_registry([registry]),
        at=Address("127.0.0.1", port),
    )
    goes_on = (folder / "log.sqlite").exists()
    what = "Reading what hospitals sent so far" if goes_on else "Filling invented hospitals with three years of life"
    click.echo(f"{what} ...", err=True)
    with served():
        serve(settings, _where_to_look, life)


def _where_to_look(address: str) -> None:
    click.echo(
        f"""Open {address} (Ctrl-C ends it)
  Within a minute an order at lisbon is held, results come in, and its screening is complete: watch "Needs attention".
  The paper's two cases: {address}course?site=paper&treatment_id=case-1-upa
                         {address}course?site=paper&treatment_id=case-2-upa
  For programs: {address}openapi.json   For Prometheus: {address}metrics"""
    )


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    """The folder to keep, or one that goes away."""
    if kept is None:
        with tempfile.TemporaryDirectory(prefix="jakwatch-demo-") as name:
            yield Path(name)
        return
    kept.mkdir(parents=True, exist_ok=True)
    yield kept


def _print_files(folder: Path, patients: int, seed: int) -> None:
    from monitor.replay import replay_files  # noqa: PLC0415

    folder.mkdir(parents=True, exist_ok=True)
    if taken := [name for name in (MESSAGES, SITES) if (folder / name).exists()]:
        raise click.UsageError(f"{folder / taken[0]} exists and is not overwritten. Name another folder after --files.")
    everyone = chain(cases.paper_cases(), hospitals.generate(seed, patients_per_site=patients))
    hospitals.write(folder / MESSAGES, everyone)
    shutil.copyfile(Path(hospitals.__file__).with_name(SITES), folder / SITES)
    policies, registry = load_policies([default_policy_path()]), load_registry([folder / SITES])
    result = replay_files([str(folder / MESSAGES)], policies=policies, registry=registry)
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else report.WIDEST
    click.echo(report.table(result, width=width, colour=terminal), nl=False)
    click.echo(f"\n{_seen(result)}\nNext: jakwatch replay {folder / MESSAGES} --sites {folder / SITES} --format table")


def _seen(result: dict[str, Any]) -> str:
    """One line on what the table shows: the two cases beside the invented hospitals."""
    starts = [row for row in result["decisions"] if row["kind"] == "start"]
    paper = {row["decision"] for row in starts if row["treatment_id"] in {"case-1-upa", "case-2-upa"}}
    violations = sum(row["decision"] == "violation" for row in starts)
    return (
        f"What you see: the paper's two cases (case-1-upa, case-2-upa) are {' and '.join(sorted(paper))}.\n"
        f"Of the {len(starts):,} starts {violations:,} are violations. Hospitals and mistakes are made up."
    )
