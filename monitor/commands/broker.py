"""The options by which a command reaches Kafka, and what a person is told when it cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from monitor.kafka.connection import Connection

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--broker",
        required=True,
        envvar="JAKWATCH_BROKER",
        metavar="HOST:PORT[,...]",
        show_envvar=True,
        help="Kafka's addresses.",
    ),
    click.option("--broker-ca", type=_FILE, envvar="JAKWATCH_BROKER_CA", help="Certificates to trust (PEM): use TLS."),
    click.option("--broker-cert", type=_FILE, envvar="JAKWATCH_BROKER_CERT", help="Our certificate (PEM), for mTLS."),
    click.option("--broker-key", type=_FILE, envvar="JAKWATCH_BROKER_KEY", help="Private key (PEM) of it."),
    click.option("--broker-user", envvar="JAKWATCH_BROKER_USER", help="User of SCRAM-SHA-512; needs --broker-ca."),
    click.option(
        "--broker-password", type=_FILE, envvar="JAKWATCH_BROKER_PASSWORD", help="File with the user's password."
    ),
)


def broker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command is given a `connection` in their place."""

    @functools.wraps(command)
    def connected(
        *,
        broker: str,
        broker_ca: Path | None,
        broker_cert: Path | None,
        broker_key: Path | None,
        broker_user: str | None,
        broker_password: Path | None,
        **given: Any,
    ) -> None:
        _check_together(broker_ca, broker_cert, broker_key, broker_user, broker_password)
        password = None if broker_password is None else secret_in(broker_password)
        return command(
            connection=Connection(broker, broker_ca, broker_cert, broker_key, broker_user, password), **given
        )

    for option in reversed(_OPTIONS):
        connected = option(connected)
    return connected


def _check_together(
    ca: Path | None, cert: Path | None, key: Path | None, user: str | None, password: Path | None
) -> None:
    if (cert is None) != (key is None):
        raise click.UsageError("--broker-cert and --broker-key belong together.")
    if (user is None) != (password is None):
        raise click.UsageError("--broker-user and --broker-password belong together.")
    if cert is not None and user is not None:
        raise click.UsageError("--broker-cert and --broker-user are two ways to say who we are: give one.")
    if ca is None and (cert is not None or user is not None):
        raise click.UsageError("a certificate or a password needs TLS: give --broker-ca, or neither.")


def secret_in(path: Path) -> str:
    """The secret in a file that only its owner reads; anything else is wrong use."""
    if path.stat().st_mode & 0o077:
        raise click.UsageError(f"{path} can be read by others than its owner. Do next: chmod 600 {path}")
    secret = path.read_text(encoding="utf-8").strip()
    if not secret:
        raise click.UsageError(f"{path} is empty: a password is expected.")
    return secret
