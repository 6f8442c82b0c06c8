"""How to reach the brokers: addresses, certificates and secrets, in the words of each client library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS_TO_CONNECT = 5
_MOST_OF_PORTS = (1 << 16) - 1


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the brokers are and who we are to them. Without CA and user the connection is plain."""

    servers: str  # host:port, several joined by commas
    ca: Path | None = None  # certificates to trust; with it the connection is TLS
    cert: Path | None = None  # our certificate and its key: mTLS
    key: Path | None = None
    user: str | None = None  # SCRAM-SHA-512, only over TLS
    password: str | None = field(default=None, repr=False)

    @property
    def protocol(self) -> str:
        """Kafka's name of how it is secured."""
        if self.ca is None:
            return "PLAINTEXT"
        return "SSL" if self.user is None else "SASL_SSL"

    def context(self) -> ssl.SSLContext | None:
        """The TLS settings, None where the connection is plain."""
        if self.ca is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(self.ca))
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context

    def for_aiokafka(self) -> dict[str, Any]:
        """The arguments that every client of aiokafka takes."""
        given: dict[str, Any] = {"bootstrap_servers": self.servers, "security_protocol": self.protocol}
        if self.ca is not None:
            given["ssl_context"] = self.context()
        if self.user is not None:
            given |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": self.user}
            given["sasl_plain_password"] = self.password
        return given

    def for_kafka_python(self) -> dict[str, Any]:
        """The arguments that every client of kafka-python takes."""
        given: dict[str, Any] = {
            "bootstrap_servers": self.servers.split(","),
            "security_protocol": self.protocol,
            "bootstrap_timeout_ms": SECONDS_TO_CONNECT * 1000,
        }
        if self.ca is not None:
            given["ssl_context"] = self.context()
        if self.user is not None:
            given |= {"sasl_mechanism": "SCRAM-SHA-512", "sasl_plain_username": self.user}
            given["sasl_plain_password"] = self.password
        return given


def address(server: str) -> tuple[str, int]:
    """Host and port of HOST:PORT. Raises ValueError, whose text says what is allowed."""
    host, colon, port = server.strip().rpartition(":")
    if not (host and colon and port.isascii() and port.isdigit()):
        raise ValueError(f"{server!r} is no address of Kafka. Allowed is HOST:PORT, several joined by commas.")
    if not 0 < int(port) <= _MOST_OF_PORTS:
        raise ValueError(
            f"{server!r} is no address of Kafka: its port must be from 1 to {_MOST_OF_PORTS}. Allowed is HOST:PORT, "
            "several joined by commas."
        )
    return host.strip("[]"), int(port)


def addresses(servers: str) -> list[str]:
    """The addresses that are joined by commas, as they stand there."""
    return [server for server in servers.split(",") if server.strip()] or [servers]
