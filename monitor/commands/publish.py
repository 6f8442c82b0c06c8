"""`jakwatch publish`: messages of files to the sites' inbound topics."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import given_site, what_a_person_can_mend
from monitor.exitcodes import ExitCode
from monitor.files import total_bytes

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection
    from monitor.kafka.publishing import Account, Publication
    from monitor.kafka.sending import Cluster

_WORTH_A_BAR = 1_000_000  # bytes
_PATIENCE = 60  # seconds: a broker that was killed is back within these


@click.command(
    epilog="""\b
Examples:
  jakwatch publish history.jsonl --site lisbon --broker kafka:9092
  jakwatch publish 2026-*.jsonl.gz --resume published.json --broker kafka:9092
  tail -F outbox.jsonl | jakwatch publish - --site lisbon --broker kafka:9092

\b
Exit codes: 0 all confirmed, 1 some lines were not sent (they are named), 69 Kafka cannot be reached or stopped
confirming. A message that is published twice counts once."""
)
@click.argument("files", nargs=-1, required=True)
@click.option("--site", metavar="NAME", help="The site of all lines. Default: each line's own field `site` says it.")
@click.option(
    "--resume",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Note there how far each file was confirmed, and go on behind that.",
)
@click.option("--dry-run", is_flag=True, help="Read all and look up the topics, send nothing.")
@click.option(
    "--patience",
    type=click.IntRange(1, 3600),
    default=_PATIENCE,
    show_default=True,
    metavar="SECONDS",
    help="Wait that long for Kafka to come back.",
)
@broker_options
@click.pass_context
def command(
    ctx: click.Context,
    *,
    connection: Connection,
    files: tuple[str, ...],
    site: str | None,
    resume: Path | None,
    dry_run: bool,
    patience: int,
) -> None:
    """Publish the messages of FILES (JSONL, .gz, or - for standard input), each confirmed by Kafka.

    Lines are sent as they are: what is no valid message is rejected by the monitor, which keeps it and says why
    (jakwatch validate says it beforehand). Stopped and run again, with --resume it goes on where it was.
    """
    from monitor.kafka.progress import Progress  # noqa: PLC0415  --help waits for none of this
    from monitor.kafka.publishing import Publication  # noqa: PLC0415
    from monitor.kafka.sending import Sender  # noqa: PLC0415

    site = None if site is None else given_site(site)
    cluster = _cluster(connection, site)
    with what_a_person_can_mend(), _or_stopped(resume):
        progress = Progress(resume, cluster.identity, site)
        sender = None if dry_run else Sender(connection, patience)
        publication = Publication(site, cluster.topics, sender, progress)
        _publish(publication, files)
    ctx.exit(ExitCode.FINDINGS if publication.account.refused else ExitCode.DONE)


def _cluster(connection: Connection, site: str | None) -> Cluster:
    """What is there; the end of the command where it cannot be reached or the site has no topic."""
    from monitor.kafka.names import topic  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.kafka.sending import look, quiet_library  # noqa: PLC0415

    quiet_library()
    try:
        cluster = look(connection)
    except CannotReachError as error:
        _stop(str(error))
    if site is not None and topic("in", site) not in cluster.topics:
        _stop(
            f"there is no topic {topic('in', site)} that we may see. Do next: look at the name of the site; "
            "jakwatch topics apply makes the topics of a new one and the rights to them"
        )
    return cluster


def _publish(publication: Publication, files: tuple[str, ...]) -> None:
    """Whatever ends it, the account of what was confirmed is given and noted."""
    from monitor.commands.publish_lines import read_whole_lines  # noqa: PLC0415

    try:
        with closing(publication.sender) if publication.sender else nullcontext(), _progress(files) as on_bytes:
            for file in files:
                publication.publish(file, read_whole_lines(file, on_bytes))
    finally:
        _tell(publication)
        publication.progress.write()


@contextmanager
def _or_stopped(resume: Path | None) -> Iterator[None]:
    from monitor.kafka.progress import ProgressError  # noqa: PLC0415
    from monitor.kafka.sending import UndeliveredError  # noqa: PLC0415

    try:
        yield
    except ProgressError as error:
        raise click.ClickException(str(error)) from None
    except UndeliveredError as error:
        again = f"with --resume {resume} it goes on where it was" if resume else "--resume FILE spares the repetition"
        _stop(f"{error} What is published twice counts once; {again}.")


def _tell(publication: Publication) -> None:
    from monitor.kafka.progress import shown  # noqa: PLC0415

    account = publication.account
    for (file, why), ranges in account.refused.items():
        click.echo(f"jakwatch: {shown(file)}: not sent: {_lines(ranges)}: {why}", err=True)
    for file, number in account.published_before.items():
        click.echo(f"{shown(file)}: {_messages(number)} confirmed by an earlier run")
    click.echo(_summary(account, "would be sent" if publication.sender is None else "confirmed"))


def _summary(account: Account, what: str) -> str:
    """`1,204 messages confirmed (lisbon 1,000, porto 204), 3 lines not sent`"""
    sites = ", ".join(f"{site} {number:,}" for site, number in sorted(account.sent.items()))
    refused = sum(last - first + 1 for ranges in account.refused.values() for first, last in ranges)
    text = f"{_messages(account.sent.total())} {what}" + (f" ({sites})" if sites else "")
    return f"{text}, {'1 line' if refused == 1 else f'{refused:,} lines'} not sent" if refused else text


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"


def _lines(ranges: list[tuple[int, int]]) -> str:
    """`line 3`, `lines 3, 7-9`"""
    shown = ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)
    return f"line {shown}" if shown.isdecimal() else f"lines {shown}"


@contextmanager
def _progress(files: tuple[str, ...]) -> Iterator[Callable[[int], None] | None]:
    """A bar on standard error when a person watches and there is enough to wait for."""
    size = total_bytes(files)
    if not sys.stderr.isatty() or size is None or size < _WORTH_A_BAR:
        yield None
        return
    with click.progressbar(length=size, label="Publishing", file=sys.stderr) as bar:
        yield bar.update


def _stop(text: str) -> NoReturn:
    click.echo(f"jakwatch: {text}", err=True)
    raise click.exceptions.Exit(ExitCode.SERVICE_MISSING)
