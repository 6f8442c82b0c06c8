"""`jakwatch view`: a replica of all sites on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.joining import given_rules, joined, stream_options
from monitor.commands.serving import served, serving_options

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection
    from monitor.web.serving import Address

DEFAULT_PORT = 8321


@click.command(
    epilog="""\b
Examples:
  jakwatch view --broker kafka:9092 --sites sites.yaml --key pseudonym.key
  jakwatch view --broker kafka:9093 --broker-ca ca.crt --broker-user jakwatch-view
                --broker-password password --sites sites.yaml --key pseudonym.key
                --host 0.0.0.0 --write-token write --read-token read"""
)
@stream_options("nothing is shown: the sites to show are those of the registry.")
@serving_options(DEFAULT_PORT)
def command(
    connection: Connection, policies: tuple[str, ...], registries: tuple[str, ...], key: Path, at: Address
) -> None:
    """Show all that hospitals published to Kafka: the pages, API and metrics of the single machine. Start as many as
    you like.

    Each reads everything and keeps nothing; it says how far it is and what it does not know. Ctrl-C ends it.
    """
    from monitor.stream.viewing import Settings, view  # noqa: PLC0415  --help waits for none of this

    given, registry = given_rules(policies, registries)
    with served():
        rules, _ = joined(connection, "view", given, registry, key)
        view(Settings(connection, rules, at), lambda address: click.echo(f"Open {address} (Ctrl-C ends it)"))
