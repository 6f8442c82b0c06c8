"""The options by which a process that nobody else watches calls people itself."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import click

if TYPE_CHECKING:
    from monitor.alerting.channels import Channel, Relay
    from monitor.alerting.watching import Settings

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_ADDRESS = re.compile(r"[\x21-\x3b\x3d\x3f\x41-\x7e]+@[A-Za-z0-9\[\].:-]+")  # no space, no <, no >
_MOST_HOURS, _HOUR_SECONDS = 24 * 7, 3_600
_PORT_OF_TLS, _LAST_PORT = 465, 65_535
Tls = Literal["none", "starttls", "tls"]
_OPTIONS = (
    click.option(
        "--alerts-webhook",
        metavar="URL",
        envvar="JAKWATCH_ALERTS_WEBHOOK",
        show_envvar=True,
        help="Call people by posting there, in the format of Alertmanager's webhook.",
    ),
    click.option("--alerts-mail", metavar="ADDRESS", multiple=True, help="Call people by mail, through --smtp."),
    click.option("--alerts-from", metavar="ADDRESS", help="Who the mails are from."),
    click.option("--smtp", metavar="HOST:PORT", help="The relay that takes our mail."),
    click.option("--smtp-user", help="User of the relay."),
    click.option("--smtp-password", type=_FILE, help="File with the user's password."),
    click.option(
        "--smtp-tls",
        type=click.Choice(["starttls", "tls", "none"]),
        help="Default: none to this machine, tls to port 465, starttls to any other.",
    ),
    click.option(
        "--alerts-repeat",
        type=click.FloatRange(0, _MOST_HOURS, min_open=True),
        metavar="HOURS",
        help="Call again after so long for what goes on. Default: 24; 4 for the process, 0.25 for a further case.",
    ),
    click.option(
        "--alerts-heartbeat",
        metavar="URL",
        envvar="JAKWATCH_ALERTS_HEARTBEAT",
        show_envvar=True,
        help="Get it every minute while all is well: whoever waits for that there raises the alarm when it stays away.",
    ),
    click.option("--alerts-page", metavar="URL", help="Where people reach the pages, for links. Default: as served."),
    click.option("--alerts-runbooks", metavar="URL", help="Where alerts/runbooks can be read, for links."),
    click.option("--alerts-pace", type=click.FloatRange(0, min_open=True), default=1.0, hidden=True),  # for tests
)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What was said on the command line: an option each."""

    alerts_webhook: str | None
    alerts_mail: tuple[str, ...]
    alerts_from: str | None
    smtp: str | None
    smtp_user: str | None
    smtp_password: Path | None
    smtp_tls: Tls | None
    alerts_repeat: float | None
    alerts_heartbeat: str | None
    alerts_page: str | None
    alerts_runbooks: str | None
    alerts_pace: float


def alert_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the options; the command is given `alerts` in their place, None where nobody is to be called."""

    @functools.wraps(command)
    def called(**given: Any) -> None:
        mine = {name: given.pop(name) for name in [*given] if name.startswith(("alerts_", "smtp"))}
        return command(alerts=_settings(_Asked(**mine)), **given)

    for option in reversed(_OPTIONS):
        called = option(called)
    return called


def _settings(asked: _Asked) -> Settings | None:
    _check(asked)
    if not (asked.alerts_webhook or asked.alerts_mail or asked.alerts_heartbeat):
        return None
    from monitor.alerting.groups import Timing  # noqa: PLC0415  --help waits for none of this
    from monitor.alerting.watching import Settings  # noqa: PLC0415

    return Settings(
        channels=tuple(_channels(asked)),
        heartbeat=asked.alerts_heartbeat,
        page=asked.alerts_page,
        runbooks=asked.alerts_runbooks,
        timing=Timing(asked.alerts_pace, asked.alerts_repeat and asked.alerts_repeat * _HOUR_SECONDS),
    )


def _check(asked: _Asked) -> None:
    """Refuse what cannot work. An URL is never repeated: it may hold a token."""
    for name in ("alerts_webhook", "alerts_heartbeat", "alerts_page", "alerts_runbooks"):
        if not _is_url(getattr(asked, name)):
            raise click.UsageError(f"{_option(name)} is no URL: https://HOST/... or http://HOST/... is expected.")
    if asked.alerts_repeat is not None and math.isnan(asked.alerts_repeat):
        raise click.UsageError("--alerts-repeat is no number of hours.")
    for address in (*asked.alerts_mail, *filter(None, [asked.alerts_from])):
        if not _ADDRESS.fullmatch(address):
            raise click.UsageError(f"{address!r} is no mail address: NAME@HOST is expected.")
    if bool(asked.alerts_mail) != bool(asked.smtp) or bool(asked.alerts_mail) != bool(asked.alerts_from):
        raise click.UsageError("--alerts-mail, --alerts-from and --smtp belong together.")
    if (asked.smtp_user is None) != (asked.smtp_password is None):
        raise click.UsageError("--smtp-user and --smtp-password belong together.")
    if asked.smtp is None and (asked.smtp_user or asked.smtp_tls):
        raise click.UsageError("--smtp-user, --smtp-password and --smtp-tls need --smtp.")


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _is_url(url: str | None) -> bool:
    if url is None:
        return True
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:  # of the port, or of brackets
        return False


def _channels(asked: _Asked) -> Iterator[Channel]:
    from monitor.alerting.channels import Mail, Webhook  # noqa: PLC0415

    if asked.alerts_webhook:
        yield Webhook(asked.alerts_webhook)
    if asked.alerts_from and asked.smtp:
        yield Mail(asked.alerts_from, asked.alerts_mail, _relay(asked, asked.smtp))


def _relay(asked: _Asked, address: str) -> Relay:
    from monitor.alerting.channels import Relay  # noqa: PLC0415
    from monitor.commands.broker import secret_in  # noqa: PLC0415
    from monitor.web.guard import is_loopback  # noqa: PLC0415

    host, _, port = address.rpartition(":")
    if not host.strip("[]") or not port.isdecimal() or not 0 < int(port) <= _LAST_PORT:
        raise click.UsageError("--smtp says no HOST:PORT, as in mail.example.org:587.")
    is_here = is_loopback(host)
    usual: Tls = "none" if is_here else "tls" if int(port) == _PORT_OF_TLS else "starttls"
    tls = asked.smtp_tls or usual
    if asked.smtp_password is not None and tls == "none" and not is_here:
        raise click.UsageError("--smtp-password would be sent for everybody to read: use --smtp-tls starttls or tls.")
    password = None if asked.smtp_password is None else secret_in(asked.smtp_password)
    return Relay(host.strip("[]"), int(port), tls, asked.smtp_user, password)
