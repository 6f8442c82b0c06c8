"""How the processes of the stream begin, worker and view alike: what each is given, and what it must find on Kafka."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.commands.broker import broker_options
from monitor.commands.given import given_policies, rules_options, what_a_person_can_mend
from monitor.commands.serving import ended_by
from monitor.files import read_registry

if TYPE_CHECKING:
    from monitor.core.policy import PolicyDocument
    from monitor.core.registry import Registry
    from monitor.kafka.connection import Connection
    from monitor.kafka.preflight import Role
    from monitor.sites import Rules

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_KEY = click.option("--key", type=_FILE, required=True, help="File with the pseudonym key, the same for all processes.")


def stream_options(without_registry: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The options to reach Kafka, `--policy`, `--sites` and `--key`; and what holds where no registry is given."""

    def add(command: Callable[..., None]) -> Callable[..., None]:
        return broker_options(rules_options(without_registry)(_KEY(command)))

    return add


def given_rules(
    policies: Sequence[str], registries: Sequence[str]
) -> tuple[tuple[PolicyDocument, ...], Registry | None]:
    """The policies and the registry in some files; to give no registry is wrong use."""
    if not registries:
        raise click.UsageError("--sites is missing: the registry says which sites there are.")
    with what_a_person_can_mend():
        return given_policies(policies), read_registry(registries)


def joined(
    connection: Connection, role: Role, policies: tuple[PolicyDocument, ...], registry: Registry | None, key: Path
) -> tuple[Rules, frozenset[str]]:
    """The rules with the key in a file, and the sites to leave out for what they lack on Kafka, of which it tells."""
    from monitor.kafka.preflight import must_have  # noqa: PLC0415  --help waits for none of this
    from monitor.kafka.reach import CannotReachError  # noqa: PLC0415
    from monitor.keyfile import KeyProblem, pseudonym_key  # noqa: PLC0415
    from monitor.sites import Rules  # noqa: PLC0415

    with ended_by(CannotReachError, KeyProblem):
        rules = Rules(policies, registry, pseudonym_key(key, may_make=False))
        lacking = must_have(connection, role, registry.names if registry else ())
    for problem in lacking.told:
        click.echo(f"jakwatch: {problem}", err=True)
    return rules, lacking.left_out
