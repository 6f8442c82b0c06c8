"""`jakwatch replay`: decisions and rates of files of messages."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor import faults
from monitor.commands.given import (
    given_day,
    given_key,
    given_policies,
    given_site,
    rules_options,
    what_a_person_can_mend,
)
from monitor.core.days import instant
from monitor.exitcodes import ExitCode
from monitor.files import FileProblem, read_lines, read_registry, total_bytes

if TYPE_CHECKING:
    from monitor.replay import Question

FORMATS = ("json", "csv", "table")
_WORTH_A_BAR = 5_000_000  # bytes


@click.command(
    epilog="""\b
Examples:
  jakwatch replay history.jsonl --site lisbon --format table
  zcat 2026-*.jsonl.gz | jakwatch replay - --sites sites.yaml --as-of 2026-06-30 > june.json"""
)
@click.argument("files", nargs=-1, required=True)
@rules_options("all time counts as observed, in UTC.")
@click.option(
    "--actions",
    "actions",
    multiple=True,
    metavar="FILE",
    help="What people decided (waivers, settled conflicts), as JSONL.",
)
@click.option(
    "--pseudonym-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Key file of the live service whose settled conflicts are among the actions.",
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
def command(  # noqa: PLR0913, PLR0917  click calls it with a keyword for each option
    files: tuple[str, ...],
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    actions: tuple[str, ...],
    pseudonym_key: Path | None,
    site: str | None,
    as_of: str | None,
    known_at: str | None,
    jobs: int,
    form: str,
    rows: str,
) -> None:
    """Compute from FILES (JSONL, .gz, or - for standard input) what the live service would say of them."""
    from monitor.replay import DEFAULT_KEY, Question, quiet_memory  # noqa: PLC0415  --help waits for none of this

    quiet_memory()
    with what_a_person_can_mend():
        question = Question(
            policies=given_policies(policies),
            registry=read_registry(registries),
            actions=_read_actions(actions),
            site=None if site is None else given_site(site),
            as_of=None if as_of is None else given_day(as_of),
            known_at=None if known_at is None else _instant(known_at),
            key=DEFAULT_KEY if pseudonym_key is None else given_key(pseudonym_key),
            on_fault=_tell_of_fault,
        )
        if question.known_at is not None:
            click.echo("--known-at goes by recorded_at: files do not say when a message was received.", err=True)
        result = _replayed(files, question, jobs)
    _print(result, form, rows)


def _tell_of_fault(fault: Exception) -> None:
    click.echo(f"jakwatch: {faults.unassessable(fault)}", err=True)


def _replayed(files: tuple[str, ...], question: Question, jobs: int) -> dict[str, Any]:
    from monitor.parallel import WorkerLost, replay_in_processes  # noqa: PLC0415
    from monitor.replay import replay_lines  # noqa: PLC0415

    with _progress(files) as on_bytes:
        lines = (raw for _, _, raw in read_lines(files, on_bytes))
        if jobs == 1:
            return replay_lines(lines, question)
        try:
            return replay_in_processes(lines, question, jobs)
        except WorkerLost as lost:
            click.echo(f"jakwatch: {lost}", err=True)
            raise click.exceptions.Exit(ExitCode.BUG if lost.by_bug else ExitCode.SERVICE_MISSING) from None


def _print(result: dict[str, Any], form: str, rows: str) -> None:
    """What programs read is UTF-8 whatever the terminal is set to, so that it is the same everywhere."""
    from monitor import report  # noqa: PLC0415

    match form:
        case "json":
            click.echo(json.dumps(result, indent=1, ensure_ascii=False).encode())
        case "csv":
            click.echo(report.as_csv(result, rows).encode(), nl=False)
        case _:
            import shutil  # noqa: PLC0415

            terminal = sys.stdout.isatty()
            width = shutil.get_terminal_size().columns if terminal else report.WIDEST
            text = report.table(result, width=width, colour=terminal)
            click.echo(text.encode(sys.stdout.encoding or "utf-8", "replace"), nl=False)


@contextmanager
def _progress(files: tuple[str, ...]) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error when a person watches and there is enough to wait for."""
    size = total_bytes(files)
    if not sys.stderr.isatty() or (size is not None and size < _WORTH_A_BAR):
        yield None
        return
    with click.progressbar(length=size or 0, label="Reading", file=sys.stderr) as bar:
        yield bar.update


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
    from monitor.core.decode import Rejection  # noqa: PLC0415
    from schemas.actions import decode_action  # noqa: PLC0415

    found = []
    for name, number, raw in read_lines(paths):
        action = decode_action(raw)
        if isinstance(action, Rejection):
            why = ": ".join(filter(None, (action.reason, action.path, action.rule)))
            raise FileProblem(f"{name}:{number}: not an action ({why}); nothing was computed")
        found.append(action)
    return tuple(found)
