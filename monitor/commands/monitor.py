"""`jakwatch monitor`: a worker on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.joining import given_rules, joined, stream_options
from monitor.commands.serving import live

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

DEFAULT_PORT = 8322


@click.command(
    epilog="""\b
Examples:
  jakwatch monitor --broker kafka:9092 --sites sites.yaml --key pseudonym.key
  jakwatch monitor --broker kafka:9093 --broker-ca ca.crt --broker-user jakwatch-monitor
                   --broker-password password --sites sites.yaml --key pseudonym.key --instance worker-1"""
)
@stream_options("nothing is read: the sites to watch are those of the registry.")
@click.option("--instance", metavar="NAME", help="Name of this worker and of no other: restarts disturb nobody then.")
@click.option(
    "--snapshots",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for snapshots: a restart reads only what came since. Guard it like the log.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of health and metrics.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any that is free."
)
def command(  # noqa: PLR0913, PLR0917  click calls it with a keyword for each option
    connection: Connection,
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    key: Path,
    instance: str | None,
    snapshots: Path | None,
    host: str,
    port: int,
) -> None:
    """Take in what hospitals publish to Kafka, answer it, and keep the answers right. Start as many as you like.

    The workers share out the sites; each message is kept exactly once, whichever of them dies. Ctrl-C ends this one.
    """
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415  --help waits for none of this
    from monitor.stream.process import CannotServeError, Process, Settings  # noqa: PLC0415

    given, registry = given_rules(policies, registries)
    with live(CannotReachError, CannotServeError):
        rules, left_out = joined(connection, "monitor", given, registry, key)
        Process(Settings(connection, rules, instance, host, port, snapshots, left_out)).run()
