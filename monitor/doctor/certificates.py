"""How long the certificates still last: ours, Kafka's, and that of the authority which signed Kafka's."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from monitor.doctor.said import Said, finding, ok, or_ok, unseen
from monitor.kafka.certificate import NoCertificateError, validity

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

CHECK = "certificates"
DAYS_AHEAD = 30
_SECONDS = 3.0
_RENEW_OURS = "have a new one made, and give it in --broker-cert and --broker-key"
_RENEW_THEIRS = "have it renewed there; where its authority is another, add that to --broker-ca first"
_RENEW_CA = "add the authority that follows it to --broker-ca everywhere, before Kafka's certificate is signed by that"

Name = tuple[tuple[tuple[str, str], ...], ...]  # of a subject or an issuer, as Python's ssl has it


class Ending(NamedTuple):
    """A certificate, when it ends, and what to do about it."""

    whose: str
    ends: datetime
    todo: str


def certificates(connection: Connection, now: datetime, *, is_reached: bool) -> Iterator[Said]:
    """What has ended or ends within thirty days. Kafka's own is only asked for where it was reached."""
    if connection.ca is None:
        yield ok(CHECK, "none: the connection is not secured (no --broker-ca)")
        return
    peers, silent = _peers(connection) if is_reached else ({}, [])
    for server in silent:
        yield unseen(CHECK, f"that of Kafka at {server}: it did not answer")
    try:
        endings = [*_ours(connection), *_theirs(peers), *_authorities(connection, peers)]
    except NoCertificateError as problem:
        yield finding(CHECK, str(problem), "give a file with a certificate")
        return
    findings = [_ending_soon(each, now) for each in endings if (each.ends - now).days < DAYS_AHEAD]
    first = min((each.ends for each in endings), default=None)
    yield from or_ok(CHECK, findings, f"the first to end does so on {first:%Y-%m-%d}" if first else "none was seen")


def _ending_soon(ending: Ending, now: datetime) -> Said:
    day, left = f"{ending.ends:%Y-%m-%d}", (ending.ends - now).days
    when = f"ended on {day}" if ending.ends <= now else f"ends in {left} days, on {day}"
    return finding(CHECK, f"{ending.whose} {when}", ending.todo)


def _ours(connection: Connection) -> Iterator[Ending]:
    if connection.cert is not None:
        yield Ending(f"our certificate {connection.cert}", validity(connection.cert)[1], _RENEW_OURS)


def _peers(connection: Connection) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The certificates that Kafka shows at each address given, and the addresses where it shows none."""
    shown, silent = {}, []
    for server in connection.servers.split(","):
        try:
            shown[server] = _shown(connection, server)
        except (OSError, ValueError):  # `broker` says whether that is anything to do about
            silent.append(server)
    return shown, silent


def _shown(connection: Connection, server: str) -> dict[str, Any]:
    host, _, port = server.strip().rpartition(":")
    host = host.strip("[]")
    context = connection.context()
    assert context is not None  # noqa: S101  there is a CA
    with (
        socket.create_connection((host, int(port)), timeout=_SECONDS) as link,
        context.wrap_socket(link, server_hostname=host) as secured,
    ):
        return dict(secured.getpeercert() or {})


def _theirs(peers: dict[str, dict[str, Any]]) -> Iterator[Ending]:
    for server, certificate in peers.items():
        yield Ending(f"the certificate of Kafka at {server}", _end(certificate), _RENEW_THEIRS)


def _authorities(connection: Connection, peers: dict[str, dict[str, Any]]) -> Iterator[Ending]:
    """Of those we trust only who signed; where that cannot be told, all. Of one name the newest: it was renewed."""
    context = ssl.create_default_context(cafile=str(connection.ca))
    signed: set[Name] = {certificate["issuer"] for certificate in peers.values()}
    trusted: dict[Name, datetime] = {}
    for each in context.get_ca_certs():
        name: Name = each["subject"]  # type: ignore[assignment]
        trusted[name] = max(_end(each), trusted.get(name, datetime.min.replace(tzinfo=UTC)))
    for name, ends in trusted.items():
        if name in signed or not signed & trusted.keys():
            yield Ending(f"{_called(name)}, an authority in {connection.ca},", ends, _RENEW_CA)


def _end(certificate: dict[str, Any]) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


def _called(name: Name) -> str:
    parts = dict(part[0] for part in name)
    return parts.get("commonName") or parts.get("organizationName") or "an authority without a name"
