"""`jakwatch topics reread`: the way out where a site's inbound topic was deleted or cut, and made anew."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import given_site
from monitor.commands.serving import ended_by

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection
    from monitor.stream.inbound import Reread


@click.command(
    name="reread",
    epilog="""\b
Example:
  jakwatch topics reread --broker kafka:9092 --site lisbon

\b
Use the user of the monitor. Afterwards start the worker again that has parked the site.""",
)
@broker_options
@click.option("--site", required=True, metavar="NAME", help="Whose inbound topic was made anew.")
def command(connection: Connection, site: str) -> None:
    """Let a site's inbound topic be read from its beginning, if it is another one than was read so far.

    What comes again counts once. A topic that goes on where it was read up to is left alone.
    """
    click.echo(f"{site}: {_reread(connection, given_site(site)).value}")


def _reread(connection: Connection, site: str) -> Reread:
    from monitor.kafka.reach import CannotReachError, check  # noqa: PLC0415  --help waits for none of this
    from monitor.log import LogRefusedError, LogUnreachableError  # noqa: PLC0415
    from monitor.stream.inbound import reread  # noqa: PLC0415

    with ended_by(CannotReachError, LogRefusedError, LogUnreachableError):
        check(connection)
        return asyncio.run(reread(connection, site))
