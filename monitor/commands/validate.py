"""`jakwatch validate`: which lines of files would be rejected, and what the rest looks like as a whole."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

from monitor.commands.validate_survey import Survey
from monitor.core.decode import Rejection, decode
from monitor.core.registry import Registry
from monitor.files import FileProblem, read_lines, read_registry, total_bytes
from monitor.problems import PolicyError
from schemas.inbound import INBOUND
from schemas.parts import SITE_PATTERN
from schemas.rules import REASONS

FINDINGS = 1
_WORTH_A_BAR = 5_000_000  # bytes


@click.command(
    epilog="""\b
Examples:
  jakwatch validate history.jsonl --site lisbon
  zcat 2026-*.jsonl.gz | jakwatch validate - --sites sites.yaml | less"""
)
@click.argument("files", nargs=-1, required=True)
@click.option("--site", metavar="NAME", help="The site of lines that name none.")
@click.option(
    "--sites",
    "registries",
    multiple=True,
    metavar="FILE",
    help="The site registry: zones, id rules, which sites there are.",
)
@click.pass_context
def command(ctx: click.Context, files: tuple[str, ...], site: str | None, registries: tuple[str, ...]) -> None:
    """Say of FILES (JSONL, .gz, or - for standard input) which lines would be rejected and why.

    One line for each: file, line number, reason, field, rule; never a value. Then what was taken, by type, and hints
    at what does not fit together. The exit code is 1 if a line was rejected.
    """
    if site is not None and not re.fullmatch(SITE_PATTERN, site):
        raise click.BadParameter("allowed are 1 to 40 of a-z, 0-9 and -, not beginning with -", param_hint="--site")
    try:
        survey = _survey(files, site, read_registry(registries))
    except (FileProblem, PolicyError) as problem:
        raise click.ClickException(str(problem)) from None
    for line in report(survey):
        click.echo(line)
    ctx.exit(FINDINGS if survey.rejected else 0)


def _survey(files: tuple[str, ...], site: str | None, registry: Registry | None) -> Survey:
    """Print each line that would be rejected, and count them all."""
    survey = Survey(registry)
    with _progress(files) as (on_bytes, clear):
        for name, number, raw in read_lines(files, on_bytes):
            result = decode(raw, None, registry, site)
            survey.note(result)
            if isinstance(result, Rejection):
                clear()
                click.echo(": ".join(filter(None, (f"{name}:{number}", result.reason, result.path, result.rule))))
    return survey


def report(survey: Survey) -> Iterator[str]:
    """The summary, line by line, at most 80 columns wide but for hints."""
    if survey.rejected:
        yield ""
    rejected = survey.rejected.total()
    yield f"{_lines(survey.messages + rejected)}: {survey.messages:,} taken, {rejected:,} rejected"
    if survey.rows:
        yield ""
        yield from _by_type(survey)
    if survey.rejected:
        yield ""
        yield from _table([("rejected", "lines"), *_in_order(survey.rejected, REASONS)])
    if len(survey.by_site) > 1:
        yield ""
        yield from _table(
            [("site", "taken"), *((name, f"{count:,}") for name, count in sorted(survey.by_site.items()))]
        )
    hints = list(survey.hints())
    if hints:
        yield ""
        yield "To look at:"
        yield from (f"- {hint}" for hint in hints)


def _lines(count: int) -> str:
    return "1 line" if count == 1 else f"{count:,} lines"


def _by_type(survey: Survey) -> Iterator[str]:
    rows = [(kind, survey.rows[kind]) for kind in INBOUND if kind in survey.rows]
    yield from _table(
        [
            ("type", "taken", "retracted", "first day", "last day"),
            *((kind, f"{row.messages:,}", f"{row.retractions:,}", row.first, row.last) for kind, row in rows),
        ]
    )


def _in_order(counts: Counter[str], names: Iterable[str]) -> Iterator[tuple[str, str]]:
    return ((name, f"{counts[name]:,}") for name in names if counts[name])


def _table(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns wide enough, the first flush left, all others flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()


@contextmanager
def _progress(files: tuple[str, ...]) -> Iterator[tuple[Callable[[int], None] | None, Callable[[], None]]]:
    """A bar on standard error when a person watches and there is enough to wait for, and how to get out of its way."""
    size = total_bytes(files)
    if not sys.stderr.isatty() or size is None or size < _WORTH_A_BAR:
        yield None, lambda: None
        return
    with click.progressbar(length=size, label="Reading", file=sys.stderr) as bar:
        yield bar.update, lambda: click.echo("\r\033[K", nl=False, err=True)
