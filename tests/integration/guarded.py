"""A secured Kafka with the topics of two sites: what `jakwatch topics` says to whoever asks, and rights taken away."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from click.testing import CliRunner, Result
from kafka import KafkaAdminClient
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePatternFilter,
    ResourceType,
)

from monitor.commands.topics import command
from monitor.kafka import acls
from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS, KINDS, topic

SITES = ("lisbon", "oslo")
TOPICS = (ACTIONS, *(topic(kind, site) for site in SITES for kind in KINDS))
WELL = f"all is as it should be: {len(TOPICS)} topics, 23 rights\n"


def run_topics(
    folder: Path, name: str, connection: Connection, *, rights: bool = True, sites: Iterable[str] = SITES
) -> Result:
    """`jakwatch topics NAME`; a password is written to the folder."""
    options = ["--broker", connection.servers]
    for option, path in (("ca", connection.ca), ("cert", connection.cert), ("key", connection.key)):
        options += [] if path is None else [f"--broker-{option}", str(path)]
    if connection.user is not None:
        options += ["--broker-user", connection.user, "--broker-password", str(_written(folder, connection))]
    options += [word for site in sites for word in ("--site", site)]
    return CliRunner().invoke(command, [name, *options, *(["--acls"] if rights else [])])


def _written(folder: Path, connection: Connection) -> Path:
    path = folder / "password"
    path.write_text(connection.password or "", encoding="utf-8")
    path.chmod(0o600)
    return path


def taken_away(admin: KafkaAdminClient, right: acls.Right) -> None:
    """As an administrator who thinks better of it."""
    how = ACLResourcePatternType.PREFIXED if right.begins else ACLResourcePatternType.LITERAL
    on = ResourcePatternFilter(ResourceType[right.kind], right.name, how)
    may, operation = ACLPermissionType.ALLOW, ACLOperation[right.operation]
    admin.delete_acls([ACLFilter(f"User:{right.user}", right.host, operation, may, on)])
