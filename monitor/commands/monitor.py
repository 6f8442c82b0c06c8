"""`jakwatch monitor`: a worker on Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import rules_options, what_a_person_can_mend
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

DEFAULT_PORT = 8322
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  jakwatch monitor --broker kafka:9092 --sites sites.yaml --key pseudonym.key
  jakwatch monitor --broker kafka:9093 --broker-ca ca.crt --broker-user jakwatch-monitor
                   --broker-password password --sites sites.yaml --key pseudonym.key --instance worker-1"""
)
@broker_options
@rules_options("nothing is read: the sites to watch are those of the registry.")
@click.option("--key", type=_FILE, required=True, help="File with the pseudonym key, the same for all processes.")
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
    from monitor.commands.lines import log_to_stderr  # noqa: PLC0415  --help waits for none of this
    from monitor.files import read_registry  # noqa: PLC0415
    from monitor.kafka.preflight import must_have  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.keyfile import KeyProblem, pseudonym_key  # noqa: PLC0415
    from monitor.policyfile import default_policy_path, load_policies  # noqa: PLC0415
    from monitor.replay import quiet_memory  # noqa: PLC0415
    from monitor.sites import Rules  # noqa: PLC0415
    from monitor.stream.process import CannotServeError, Process, Settings  # noqa: PLC0415

    if not registries:
        raise click.UsageError("--sites is missing: the registry says which sites there are.")
    with what_a_person_can_mend():
        given = load_policies(list(policies) or [default_policy_path()])
        registry = read_registry(registries)
    quiet_memory()
    log_to_stderr()
    try:
        rules = Rules(given, registry, pseudonym_key(key, may_make=False))
        lacking = must_have(connection, "monitor", registry.names if registry else ())
        for problem in lacking.told:
            click.echo(f"jakwatch: {problem}", err=True)
        Process(Settings(connection, rules, instance, host, port, snapshots, lacking.left_out)).run()
    except (CannotReachError, CannotServeError, KeyProblem) as problem:
        click.echo(f"jakwatch: {problem}", err=True)
        raise click.exceptions.Exit(ExitCode.SERVICE_MISSING) from None
