"""Trying one address of Kafka step by step, so that a person hears which step failed and what to do.

The clients try for long and say only that they could not. Asked in this order, each step has few ways to fail: the
name, the port, TLS and our certificate, the user, the addresses that Kafka itself names.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import errors
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.metadata import MetadataRequest

from monitor.kafka.certificate import NoCertificateError, validity
from monitor.kafka.connection import Connection, address

SECONDS_A_STEP = 2.5
_SECONDS_TO_PART = 0.5
_GREETING = 0x6A616B77  # comes back with the answer
_ASK_VERSIONS = struct.pack(">ihhih", 10, 18, 0, _GREETING, -1)  # the one request that every Kafka answers to anybody
_HEAD = 8  # bytes of the answer: its length, and our greeting
# What OpenSSL calls X509_V_ERR_...
_NOT_YET, _ENDED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64


class CannotReachError(Exception):
    """Kafka cannot be used as it was asked to; the text says why and what to do next, and holds no secret."""


def knock(connection: Connection, server: str) -> None:
    """Returns where Kafka lets us in at HOST:PORT and names an address that can be reached. Raises CannotReachError."""
    host, port = _address(server)
    with _connected(host, port):
        pass
    if connection.ca is None:
        _expect_kafka(host, port)
    else:
        _expect_kafka_over_tls(connection, host, port)
    _expect_one_reachable(asyncio.run(_let_in(connection, host, port)), server)


def _address(server: str) -> tuple[str, int]:
    try:
        return address(server)
    except ValueError as error:
        raise CannotReachError(str(error)) from None


@contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    at = f"{host}:{port}"
    try:
        link = socket.create_connection((host, port), timeout=SECONDS_A_STEP)
    except (socket.gaierror, UnicodeError):
        raise CannotReachError(
            f"no host is called {host}. Do next: look at the name in --broker, then at the DNS of this machine."
        ) from None
    except ConnectionRefusedError:
        raise CannotReachError(
            f"nobody listens at {at}. Do next: start Kafka there, or name its address in --broker."
        ) from None
    except TimeoutError:
        raise CannotReachError(
            f"{at} does not answer. Do next: look at the address in --broker, then for a firewall on the way."
        ) from None
    except OSError as error:
        raise CannotReachError(f"{at} cannot be reached: {error.strerror}. Do next: look at the network.") from None
    with link:
        yield link


def _answers_as_kafka(link: socket.socket) -> bool:
    """Raises OSError, and ssl.SSLError of it, where the far side breaks off."""
    link.sendall(_ASK_VERSIONS)
    head = b""
    while len(head) < _HEAD and (more := link.recv(_HEAD - len(head))):
        head += more
    return len(head) == _HEAD and struct.unpack(">ii", head)[1] == _GREETING


def _expect_kafka(host: str, port: int) -> None:
    if _is_plain_kafka(host, port):
        return
    if _speaks_tls(host, port):
        raise CannotReachError(
            f"{host}:{port} speaks TLS only. Do next: give --broker-ca FILE, the certificates to trust."
        )
    raise CannotReachError(f"what listens at {host}:{port} is no Kafka. Do next: look at the port in --broker.")


def _is_plain_kafka(host: str, port: int) -> bool:
    try:
        with _connected(host, port) as link:
            return _answers_as_kafka(link)
    except OSError:
        return False


def _speaks_tls(host: str, port: int) -> bool:
    """Whoever it is: nothing is said to them."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    try:
        with _connected(host, port) as link, anybody.wrap_socket(link, server_hostname=host):
            return True
    except OSError:
        return False


def _expect_kafka_over_tls(connection: Connection, host: str, port: int) -> None:
    context = _context(connection)
    with _connected(host, port) as link:
        try:
            with context.wrap_socket(link, server_hostname=host) as secured:
                is_kafka = _answers_as_kafka(secured)  # under TLS 1.3 it is now that our certificate is refused
        except ssl.SSLCertVerificationError as error:
            raise CannotReachError(_about_their_certificate(error, connection, host, port)) from None
        except OSError as error:
            raise CannotReachError(_about_tls(error, connection, host, port)) from None
    if not is_kafka:
        raise CannotReachError(_about_our_certificate(connection, host, port))


def _context(connection: Connection) -> ssl.SSLContext:
    """Its files as they are now: some may have been mended since."""
    if connection.key is not None and b"ENCRYPTED" in connection.key.read_bytes():  # the library would ask the terminal
        raise CannotReachError(
            f"{connection.key} has a password of its own. Do next: take it off (openssl pkey -in OLD -out NEW) and "
            "chmod 600 the new file."
        )
    try:
        ssl.create_default_context(cafile=str(connection.ca))
    except ssl.SSLError:
        raise CannotReachError(
            f"{connection.ca} (--broker-ca) holds no certificates (PEM). Do next: give one."
        ) from None
    try:
        context = connection.context()
    except ssl.SSLError:
        raise CannotReachError(
            f"{connection.cert} and {connection.key} are no certificate and its key (PEM). Do next: look at "
            "--broker-cert and --broker-key."
        ) from None
    assert context is not None  # noqa: S101  there is a CA
    return context


def _about_their_certificate(error: ssl.SSLCertVerificationError, ours: Connection, host: str, port: int) -> str:
    at = f"{host}:{port}"
    if error.verify_code == _ENDED:
        return f"the certificate of Kafka at {at} has ended. Do next: have it renewed there."
    if error.verify_code == _NOT_YET:
        return f"the certificate of Kafka at {at} is not valid yet. Do next: look at the clock of this machine."
    if error.verify_code in {_OTHER_HOST, _OTHER_ADDRESS}:
        return (
            f"the certificate of Kafka at {at} is not made out to {host}. Do next: name the host in --broker as its "
            "certificate does, or have one made with this name."
        )
    return (
        f"the certificate of Kafka at {at} is signed by nobody in {ours.ca} (--broker-ca). Do next: give the "
        "certificate of the authority that signed it, after asking who that is."
    )


def _about_tls(error: OSError, connection: Connection, host: str, port: int) -> str:
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "") and "CERTIFICATE" in (error.reason or ""):
        return _about_our_certificate(connection, host, port)
    if _is_plain_kafka(host, port):
        return f"Kafka at {host}:{port} speaks without TLS. Do next: name its port for TLS in --broker."
    if _speaks_tls(host, port):
        return _about_our_certificate(connection, host, port)
    return f"what listens at {host}:{port} does not speak TLS. Do next: look at the port in --broker."


def _about_our_certificate(connection: Connection, host: str, port: int) -> str:
    """Kafka broke off once it had seen what we show: it never says why, so our own file is asked first."""
    if connection.cert is None:
        return (
            f"Kafka at {host}:{port} asks for a certificate. Do next: give --broker-cert and --broker-key, or name the "
            "port for users and passwords in --broker."
        )
    try:
        begins, ends = validity(connection.cert)
    except NoCertificateError as problem:
        return f"{problem}. Do next: give it in --broker-cert."
    now = datetime.now(UTC)
    if ends <= now:
        return f"our certificate {connection.cert} ended on {ends:%Y-%m-%d}. Do next: have a new one made and give it."
    if begins > now:
        return f"our certificate {connection.cert} is not valid before {begins:%Y-%m-%d}. Do next: look at the clock."
    return (
        f"Kafka at {host}:{port} does not accept our certificate {connection.cert}. Do next: ask whoever runs Kafka "
        "which authority has to sign it, and whether the port takes certificates."
    )


async def _let_in(connection: Connection, host: str, port: int) -> list[tuple[str, int]]:
    """The addresses that Kafka names to whom it lets in."""
    given: dict[str, Any] = connection.for_aiokafka()
    del given["bootstrap_servers"]
    link = AIOKafkaConnection(host, port, request_timeout_ms=int(SECONDS_A_STEP * 1000), **given)
    try:
        await link.connect()
        answer = await link.send(MetadataRequest([]))
    except (errors.KafkaError, OSError) as error:
        raise CannotReachError(_about_the_user(error, connection, f"{host}:{port}")) from None
    finally:
        await asyncio.wait([link.close()], timeout=_SECONDS_TO_PART)
    return [(broker[1], broker[2]) for broker in answer.brokers]


def _about_the_user(error: Exception, connection: Connection, at: str) -> str:
    if isinstance(error, errors.SaslAuthenticationFailed):
        return (
            f"Kafka at {at} does not know the user {connection.user} with this password. Do next: look at "
            "--broker-user and at the file of --broker-password, or have the user made again."
        )
    if isinstance(error, errors.UnsupportedSaslMechanismError):
        return f"Kafka at {at} takes no SCRAM-SHA-512. Do next: name another port in --broker, or have it enabled."
    if isinstance(error, errors.IllegalSaslStateError):
        return f"Kafka at {at} takes no users and passwords here. Do next: name its port for them in --broker."
    if isinstance(error, errors.IncompatibleBrokerVersion):
        return f"{at} is a controller of Kafka. Do next: name a port of its brokers in --broker."
    if connection.user is None:
        return (
            f"Kafka at {at} wants a user. Do next: give --broker-user and --broker-password, or name its port for "
            "certificates in --broker."
        )
    return f"Kafka at {at} broke off ({type(error).__name__}). Do next: look into its log."


def _expect_one_reachable(named: list[tuple[str, int]], server: str) -> None:
    """The first address only leads to those that the brokers go by; one that is down is no reason not to begin."""
    problem = CannotReachError(
        f"Kafka at {server} names no broker. Do next: wait until it has started, then try again."
    )
    for host, port in named:
        try:
            with _connected(host, port):
                return
        except CannotReachError as error:
            problem = CannotReachError(
                f"Kafka at {server} says that it is found at {host}:{port} (advertised.listeners), but: {error}"
            )
    raise problem
