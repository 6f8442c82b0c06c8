"""The options by which a command reaches Kafka, and what a person is told when it cannot."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from monitor.kafka.connection import Connection, address, addresses

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("--broker-ca", type=_FILE, envvar="JAKWATCH_BROKER_CA", help="Certificates to trust (PEM): use TLS."),
    click.option("--broker-cert", type=_FILE, envvar="JAKWATCH_BROKER_CERT", help="Our certificate (PEM), for mTLS."),
    click.option("--broker-key", type=_FILE, envvar="JAKWATCH_BROKER_KEY", help="Private key (PEM) of it."),
    click.option("--broker-user", envvar="JAKWATCH_BROKER_USER", help="User of SCRAM-SHA-512; needs --broker-ca."),
    click.option(
        "--broker-password", type=_FILE, envvar="JAKWATCH_BROKER_PASSWORD", help="File with the user's password."
    ),
)


def _address(*, required: bool) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return click.option(
        "--broker",
        required=required,
        envvar="JAKWATCH_BROKER" if required else None,  # what is optional is asked for by saying it
        metavar="HOST:PORT[,...]",
        show_envvar=True,
        help="Kafka's addresses.",
    )


def broker_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command is given a `connection` in their place."""
    return _with_options(command, required=True)


def broker_options_if_any(command: Callable[..., None]) -> Callable[..., None]:
    """The same where Kafka is one way of several: without --broker the `connection` is None."""
    return _with_options(command, required=False)


def _with_options(command: Callable[..., None], *, required: bool) -> Callable[..., None]:
    @functools.wraps(command)
    def connected(
        *,
        broker: str | None,
        broker_ca: Path | None,
        broker_cert: Path | None,
        broker_key: Path | None,
        broker_user: str | None,
        broker_password: Path | None,
        **given: Any,
    ) -> None:
        if broker is None:
            return command(connection=None, **given)
        _check_addresses(broker)
        _check_together(broker_ca, broker_cert, broker_key, broker_user, broker_password)
        password = None if broker_password is None else secret_in(broker_password)
        connection = Connection(broker, broker_ca, broker_cert, broker_key, broker_user, password)
        return command(connection=connection, **given)

    for option in reversed((_address(required=required), *_OPTIONS)):
        connected = option(connected)
    return connected


def _check_addresses(broker: str) -> None:
    for server in addresses(broker):
        try:
            address(server)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--broker") from None


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
