"""`jakwatch view`: a replica of all sites on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import rules_options, what_a_person_can_mend
from monitor.commands.serving import served, serving_options
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection
    from monitor.web.serving import Address

DEFAULT_PORT = 8321
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  jakwatch view --broker kafka:9092 --sites sites.yaml --key pseudonym.key
  jakwatch view --broker kafka:9093 --broker-ca ca.crt --broker-user jakwatch-view
                --broker-password password --sites sites.yaml --key pseudonym.key
                --host 0.0.0.0 --write-token write --read-token read"""
)
@broker_options
@rules_options("nothing is shown: the sites to show are those of the registry.")
@click.option("--key", type=_FILE, required=True, help="File with the pseudonym key, the same for all processes.")
@serving_options(DEFAULT_PORT)
def command(
    connection: Connection, policies: tuple[str, ...], registries: tuple[str, ...], key: Path, at: Address
) -> None:
    """Show all that hospitals published to Kafka: the pages, API and metrics of the single machine. Start as many as
    you like.

    Each reads everything and keeps nothing; it says how far it is and what it does not know. Ctrl-C ends it.
    """
    from monitor.files import read_registry  # noqa: PLC0415  --help waits for none of this
    from monitor.kafka.preflight import must_have  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.keyfile import pseudonym_key  # noqa: PLC0415
    from monitor.policyfile import default_policy_path, load_policies  # noqa: PLC0415
    from monitor.sites import Rules  # noqa: PLC0415
    from monitor.stream.viewing import Settings, view  # noqa: PLC0415

    if not registries:
        raise click.UsageError("--sites is missing: the registry says which sites there are.")
    with what_a_person_can_mend():
        given, registry = load_policies(list(policies) or [default_policy_path()]), read_registry(registries)
    with served():
        rules = Rules(given, registry, pseudonym_key(key, may_make=False))
        try:
            for problem in must_have(connection, "view", registry.names if registry else ()).told:
                click.echo(f"jakwatch: {problem}", err=True)
        except CannotReachError as problem:
            click.echo(f"jakwatch: {problem}", err=True)
            raise click.exceptions.Exit(ExitCode.SERVICE_MISSING) from None
        view(Settings(connection, rules, at), lambda address: click.echo(f"Open {address} (Ctrl-C ends it)"))
