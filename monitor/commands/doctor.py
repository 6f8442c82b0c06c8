"""`jakwatch doctor`: what is wrong with an installation on Kafka, and what to do next."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.commands.broker import broker_options, secret_in
from monitor.commands.given import given_key, given_policies, given_site, rules_options, what_a_person_can_mend
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    from monitor.doctor.examination import Given
    from monitor.doctor.said import Said
    from monitor.kafka.connection import Connection

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_INDENT = " " * 9
_COLOURS = {"ok": "green", "finding": "red", "unseen": "yellow"}


@click.command(
    epilog="""\b
Examples:
  jakwatch doctor --broker kafka:9092 --sites sites.yaml --key pseudonym.key
  jakwatch doctor --broker kafka:9092 --workers http://worker-1:8322 --workers http://worker-2:8322
                  --views http://view-1:8321 --format json
  jakwatch doctor --broker kafka:9093 --broker-ca ca.crt --broker-cert lisbon.crt --broker-key lisbon.key
                  --role publish --site lisbon

\b
Exit codes: 0 no finding, 1 findings, 69 Kafka cannot be reached. `unseen`: with this user or without that option
it cannot be told."""
)
@broker_options
@rules_options("the sites are those whose topics can be seen.")
@click.option("--site", "sites", multiple=True, metavar="NAME", help="Only these sites.")
@click.option("--key", type=_FILE, help="File with the pseudonym key, to be compared with that of the logs.")
@click.option(
    "--role",
    type=click.Choice(["monitor", "view", "publish"]),
    default="monitor",
    show_default=True,
    help="Whose rights our user should have.",
)
@click.option("--workers", multiple=True, metavar="URL", help="Where a `jakwatch monitor` tells its health: name all.")
@click.option("--views", multiple=True, metavar="URL", help="Where a `jakwatch view` is.")
@click.option("--read-token", type=_FILE, help="File with the token by which they let us read.")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.pass_context
def command(ctx: click.Context, /, *, form: str, **options: Any) -> None:
    """Look for what is wrong with the stream on Kafka; each finding is followed by what to do next.

    It only looks. Run it with the user of the process that does not work, and --role says which that is.
    """
    from monitor.doctor.examination import BROKER, examine  # noqa: PLC0415  --help waits for none of this
    from monitor.kafka.sending import quiet_library  # noqa: PLC0415

    quiet_library()
    said = examine(_given(**options))
    told = _as_json(said) if form == "json" else _in_a_table(said) if sys.stdout.isatty() else _line_by_line(said)
    findings = {each.check for each in told if each.result == "finding"}
    if findings:
        ctx.exit(ExitCode.SERVICE_MISSING if BROKER in findings else ExitCode.FINDINGS)


def _given(
    *,
    connection: Connection,
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    sites: tuple[str, ...],
    key: Path | None,
    read_token: Path | None,
    **as_they_are: Any,
) -> Given:
    import time  # noqa: PLC0415

    from monitor.doctor.examination import Given  # noqa: PLC0415
    from monitor.files import read_registry  # noqa: PLC0415
    from monitor.metrics.platform import rules_in_use  # noqa: PLC0415
    from monitor.rulebook import check_key  # noqa: PLC0415

    with what_a_person_can_mend():
        documents, registry = given_policies(policies), read_registry(registries)
        secret = None if key is None else given_key(key)
    rules = rules_in_use(documents, registry, "" if secret is None else check_key(None, secret, ""))
    is_given = {"policies": bool(policies), "registries": bool(registries), "key": secret is not None}
    return Given(
        connection=connection,
        policies=documents,
        registry=registry,
        sites=frozenset(given_site(site) for site in sites),
        time=time.time,
        key=secret,
        token=None if read_token is None else secret_in(read_token),
        uses={name: value for name, value in dataclasses.asdict(rules).items() if is_given[name]},
        **as_they_are,
    )


def _as_json(said: Iterable[Said]) -> list[Said]:
    told = list(said)
    findings = sum(each.result == "finding" for each in told)
    click.echo(json.dumps({"checks": [dataclasses.asdict(each) for each in told], "findings": findings}, indent=1))
    return told


def _line_by_line(said: Iterable[Said]) -> list[Said]:
    """Each as soon as it is known."""
    told = []
    for each in said:
        click.echo(f"{each.result:<{len(_INDENT)}}{each.check}: {each.text}")
        if each.todo:
            click.echo(f"{_INDENT}Do next: {each.todo}")
        told.append(each)
    return told


def _in_a_table(said: Iterable[Said]) -> list[Said]:
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table("", "check", "what was seen, and what to do next", box=box.SIMPLE_HEAD)
    console = Console()
    told = []
    with console.status("looking"):
        for each in said:
            text = f"{each.text}\nDo next: {each.todo}" if each.todo else each.text
            table.add_row(Text(each.result, _COLOURS[each.result]), each.check, Text(text))
            told.append(each)
    console.print(table)
    return told
