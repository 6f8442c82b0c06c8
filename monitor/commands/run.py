"""`jakwatch run`: the single machine, live."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor import faults
from monitor.commands.given import rules_options, what_a_person_can_mend
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from monitor.service import Life, Settings
    from monitor.web.guard import Tokens

DEFAULT_PORT = 8321
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(
    epilog="""\b
Examples:
  jakwatch run --sites sites.yaml
  jakwatch run --sites sites.yaml --data /var/lib/jakwatch --inbox /srv/jakwatch-in --port 8321
  curl -H 'Content-Type: application/x-ndjson' --data-binary @day.jsonl
       http://127.0.0.1:8321/v1/sites/lisbon/messages"""
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("jakwatch-data"),
    show_default=True,
    help="Folder of the log and the pseudonym key; made where there is none.",
)
@rules_options("every site is taken, in UTC, and all time counts as observed.")
@click.option(
    "--inbox",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to watch: INBOX/<site>/*.jsonl or .jsonl.gz; read files move to INBOX/<site>/done.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True, help="0: any that is free."
)
@click.option("--write-token", type=_FILE, help="File with the token that may write; needed beyond loopback.")
@click.option("--read-token", type=_FILE, help="File with the token that may read; needed beyond loopback.")
@click.option("--tls-cert", type=_FILE, help="Certificate (PEM), with --tls-key: serve https.")
@click.option("--tls-key", type=_FILE, help="Private key (PEM) of the certificate.")
def command(  # noqa: PLR0913, PLR0917  click calls it with a keyword for each option
    data: Path,
    policies: tuple[str, ...],
    registries: tuple[str, ...],
    inbox: Path | None,
    host: str,
    port: int,
    write_token: Path | None,
    read_token: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """Watch live: messages in by HTTP and a folder, answers out, and a page with rates and what needs a person.

    Every answer is on disk before it is given. Stop it with Ctrl-C; started again it goes on where it was.
    """
    from monitor.files import read_registry  # noqa: PLC0415  --help waits for none of this
    from monitor.policyfile import default_policy_path, load_policies  # noqa: PLC0415
    from monitor.service import Settings  # noqa: PLC0415

    with what_a_person_can_mend():
        settings = Settings(
            data=data,
            policies=load_policies(list(policies) or [default_policy_path()]),
            registry=read_registry(registries),
            host=host,
            port=port,
            inbox=inbox,
            tokens=_tokens(host, write_token, read_token),
            tls=_tls(tls_cert, tls_key),
        )
    served(settings, lambda address: click.echo(f"Open {address} (Ctrl-C ends it)"))


def served(settings: Settings, told: Callable[[str], None], life: Life | None = None) -> None:
    """Serve, and turn what a person can mend into words and an exit code."""
    from monitor.keyfile import KeyProblem  # noqa: PLC0415
    from monitor.log import LogFullError, LogUnusableError  # noqa: PLC0415
    from monitor.replay import quiet_memory  # noqa: PLC0415
    from monitor.service import InUseError, serve  # noqa: PLC0415
    from monitor.web.connections import CannotListenError  # noqa: PLC0415

    quiet_memory()
    _log_to_stderr()
    try:
        serve(settings, told, life)
    except (CannotListenError, InUseError, KeyProblem, LogUnusableError, LogFullError) as problem:
        click.echo(f"jakwatch: {problem}", err=True)
        raise click.exceptions.Exit(ExitCode.SERVICE_MISSING) from None


def _log_to_stderr() -> None:
    """Our own lines, and of others only that something happened: their texts may quote what somebody sent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(faults.DiscreetFormatter("jakwatch: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)


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
