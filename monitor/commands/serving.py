"""The options of commands that serve pages, and how such a command ends where a person can mend what is wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.commands.lines import log_to_stderr
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    import ssl

    from monitor.web.guard import Tokens

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def serving_options(default_port: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Adds the options; the command is given `at`, a `monitor.web.serving.Address`, in their place."""
    options = (
        click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on."),
        click.option(
            "--port",
            type=click.IntRange(0, 65535),
            default=default_port,
            show_default=True,
            help="0: any that is free.",
        ),
        click.option("--write-token", type=_FILE, help="File with the token that may write; needed beyond loopback."),
        click.option("--read-token", type=_FILE, help="File with the token that may read; needed beyond loopback."),
        click.option("--tls-cert", type=_FILE, help="Certificate (PEM), with --tls-key: serve https."),
        click.option("--tls-key", type=_FILE, help="Private key (PEM) of the certificate."),
    )

    def add(command: Callable[..., None]) -> Callable[..., None]:
        added: Callable[..., None] = _told_where(command)
        for option in reversed(options):
            added = option(added)
        return added

    return add


def _told_where(command: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(command)
    def told(
        *,
        host: str,
        port: int,
        write_token: Path | None,
        read_token: Path | None,
        tls_cert: Path | None,
        tls_key: Path | None,
        **given: Any,
    ) -> None:
        from monitor.web.serving import Address  # noqa: PLC0415  --help waits for none of this

        at = Address(host, port, _tokens(host, write_token, read_token), _tls(tls_cert, tls_key))
        return command(at=at, **given)

    return told


@contextmanager
def ended_by(*problems: type[Exception]) -> Iterator[None]:
    """These end a command with their words and an exit code."""
    try:
        yield
    except problems as problem:
        click.echo(f"jakwatch: {problem}", err=True)
        raise click.exceptions.Exit(ExitCode.SERVICE_MISSING) from None


@contextmanager
def live(*problems: type[Exception]) -> Iterator[None]:
    """Around what a live process does; these end it."""
    from monitor.replay import quiet_memory  # noqa: PLC0415  --help waits for none of this

    quiet_memory()
    log_to_stderr()
    with ended_by(*problems):
        yield


@contextmanager
def served() -> Iterator[None]:
    """Around serving: what a person can mend becomes words and an exit code."""
    from monitor.keyfile import KeyProblem  # noqa: PLC0415
    from monitor.log import LogFullError, LogUnusableError  # noqa: PLC0415
    from monitor.web.connections import CannotListenError  # noqa: PLC0415

    with live(CannotListenError, KeyProblem, LogUnusableError, LogFullError):
        yield


def _tokens(host: str, write: Path | None, read: Path | None) -> Tokens:
    """The tokens; beyond loopback both are needed."""
    from monitor.web.guard import Tokens, is_loopback  # noqa: PLC0415

    if not is_loopback(host) and (write is None or read is None):
        raise click.UsageError(
            f"--host {host} can be reached from elsewhere: give --write-token FILE and --read-token FILE, "
            "or stay on 127.0.0.1."
        )
    if (write is None) != (read is None):
        raise click.UsageError("--write-token and --read-token belong together.")
    tokens = Tokens(None if write is None else _token(write), None if read is None else _token(read))
    if tokens.write is not None and tokens.write == tokens.read:
        raise click.UsageError(f"{write} and {read} hold the same token: whoever may read could write. Take two.")
    return tokens


_SHORTEST_TOKEN = 16


def _token(path: Path) -> str:
    token = path.read_text(encoding="latin-1").strip()  # whatever it holds can be read, and is judged here
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise click.UsageError(
            f"{path} holds no token: at least {_SHORTEST_TOKEN} printable ASCII characters, no space."
        )
    if path.stat().st_mode & 0o077:
        raise click.UsageError(f"{path} can be read by others than its owner. Do next: chmod 600 {path}")
    return token


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if (cert is None) != (key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together.")
    if cert is None:
        return None
    import ssl  # noqa: PLC0415

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (ssl.SSLError, _EncryptedError):
        raise click.UsageError(f"{cert} and {key} are no certificate and its key in PEM, without password.") from None
    return context


class _EncryptedError(Exception):
    """The key has a password."""


def _no_password() -> str:
    """Asked for where a key has one: the library would ask whoever sits at the terminal, or wait there for ever."""
    raise _EncryptedError
