"""`jakwatch replay`: decisions and rates of files of messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from monitor.core.days import day_of, instant
from monitor.files import FileProblem, read_lines, read_registry, total_bytes

FORMATS = ("json", "csv", "table")


@click.command(
    epilog="""\b
Examples:
  jakwatch replay history.jsonl --site lisbon --format table
  zcat 2026-*.jsonl.gz | jakwatch replay - --sites sites.yaml --as-of 2026-06-30 > june.json"""
)
@click.argument("files", nargs=-1, required=True)
@click.option(
    "--policy",
    "policies",
    multiple=True,
    metavar="FILE",
    help="A policy; several versions may stand side by side. Default: the built-in one.",
)
@click.option(
    "--sites",
    "registries",
    multiple=True,
    metavar="FILE",
    help="The site registry. Without one all time counts as observed, in UTC.",
)
@click.option(
    "--actions",
    "actions",
    multiple=True,
    metavar="FILE",
    help="What people decided (waivers, settled conflicts), as JSONL.",
)
@click.option("--site", metavar="NAME", help="The site of lines that name none.")
@click.option(
    "--as-of",
    metavar="YYYY-MM-DD",
    help="The last day that counts. Default: the latest day on which a message was recorded.",
)
@click.option(
    "--known-at", metavar="INSTANT", help="Use only what had been recorded by then, e.g. 2026-06-30T12:00:00Z."
)
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes; each takes whole sites."
)
@click.option("--format", "form", type=click.Choice(FORMATS), default="json", show_default=True)
@click.option(
    "--rows",
    type=click.Choice(["rates", "decisions", "unmapped"]),
    default="rates",
    show_default=True,
    help="Which list --format csv prints.",
)
def command(
    files: tuple[str, ...],
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    actions: tuple[str, ...],
    site: str | None,
    as_of: str | None,
    known_at: str | None,
    jobs: int,
    form: str,
    rows: str,
) -> None:
    """Compute from FILES (JSONL, .gz, or - for standard input) what the live service would say of them."""
    from monitor.parallel import replay_in_processes
    from monitor.policyfile import default_policy_path, load_policies
    from monitor.replay import Question, quiet_memory, replay_lines

    quiet_memory()
    question = Question(
        policies=load_policies(list(policies) or [default_policy_path()]),
        registry=read_registry(registries),
        actions=_read_actions(actions),
        site=site,
        as_of=None if as_of is None else _day(as_of),
        known_at=None if known_at is None else _instant(known_at),
    )
    if question.known_at is not None:
        click.echo("--known-at goes by recorded_at: files do not say when a message was received.", err=True)
    with _progress(files) as on_bytes:
        lines = (raw for _, _, raw in read_lines(files, on_bytes))
        if jobs > 1:
            result = replay_in_processes(lines, question, jobs)
        else:
            result = replay_lines(lines, question)
    _print(result, form, rows)


def _print(result: dict[str, Any], form: str, rows: str) -> None:
    from monitor import report

    match form:
        case "json":
            click.echo(json.dumps(result, indent=1, ensure_ascii=False))
        case "csv":
            click.echo(report.as_csv(result, rows), nl=False)
        case _:
            import shutil

            terminal = sys.stdout.isatty()
            width = shutil.get_terminal_size().columns if terminal else 120
            click.echo(report.table(result, width=width, colour=terminal), nl=False)


@contextmanager
def _progress(files: tuple[str, ...]) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error when a person watches and there is enough to wait for."""
    size = total_bytes(files)
    if not sys.stderr.isatty() or (size is not None and size < 5_000_000):
        yield None
        return
    with click.progressbar(length=size or 0, label="Reading", file=sys.stderr) as bar:
        yield bar.update


def _day(text: str) -> int:
    try:
        return day_of(text)
    except ValueError:
        raise click.BadParameter("must be a day like 2026-06-30", param_hint="--as-of") from None


def _instant(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise click.BadParameter(
            "must be an instant with an offset, like 2026-06-30T12:00:00Z", param_hint="--known-at"
        )
    return instant(moment)


def _read_actions(paths: tuple[str, ...]) -> tuple[Any, ...]:
    from monitor.core.decode import Rejection
    from schemas.actions import decode_action

    found = []
    for name, number, raw in read_lines(paths):
        action = decode_action(raw)
        if isinstance(action, Rejection):
            raise FileProblem(f"{name}:{number}: not an action ({action.reason}: {action.path}: {action.rule})")
        found.append(action)
    return tuple(found)
