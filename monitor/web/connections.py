"""The connections of the server: how much one may take, which one goes when there are too many, and what is said to
whoever speaks no HTTP.

The library answers the last by quoting what was sent, and names its own version: both are said here in our words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from monitor import faults

MOST_LINES = 10_000  # of one request

HEADERS = {
    "Server": "jakwatch",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""Of every response."""

log = logging.getLogger("jakwatch")


class CannotListenError(Exception):
    """The address cannot be listened on; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take, and all together."""

    body_bytes: int = 8 << 20  # also after unpacking; a file goes through the folder
    small_bytes: int = 128 << 10  # a body beyond it is large
    large_bodies: int = 8  # that are read at once
    body_seconds: float = 30.0
    headers_seconds: float = 10.0  # until a new connection has asked for something; its handshake may take as long
    idle_seconds: float = 30.0
    rest_seconds: float = 5.0  # for the rest of a body that was refused, so that the refusal is read
    connections: int = 500
    end_seconds: float = 4.0  # for what is under way when the process is told to end


class Connections:
    """All that are open. When there are too many, one goes that has been silent for long, never the one that comes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._unheard: dict[Connection, asyncio.TimerHandle] = {}  # never asked for anything; the oldest first
        self._heard: dict[Connection, None] = {}  # the one that asked longest ago first

    def opened(self, connection: Connection) -> None:
        if len(self._unheard) + len(self._heard) >= self.limits.connections:
            _drop(next(iter(self._unheard or self._heard)))
        later = asyncio.get_running_loop().call_later
        self._unheard[connection] = later(self.limits.headers_seconds, _drop, connection)

    def heard(self, connection: asyncio.BaseProtocol) -> None:
        """It asks for something."""
        if isinstance(connection, Connection) and (connection in self._unheard or connection in self._heard):
            self.closed(connection)
            self._heard[connection] = None

    def closed(self, connection: Connection) -> None:
        """It is gone, or goes."""
        timer = self._unheard.pop(connection, None)
        if timer is not None:
            timer.cancel()
        self._heard.pop(connection, None)


def _drop(connection: Connection) -> None:
    if isinstance(connection.transport, asyncio.Transport):
        connection.connections.closed(connection)
        connection.transport.abort()


class Connection(web.RequestHandler):
    """One of them."""

    def __init__(self, server: web.Server, connections: Connections) -> None:
        loop, limits = asyncio.get_running_loop(), connections.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_seconds,
            lingering_time=limits.rest_seconds,
            access_log=None,  # type: ignore[arg-type]  # the library's own runner says so too: no such log
            auto_decompress=False,  # a body cut short would pass for a whole one
        )
        self.connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connections.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.connections.closed(self)
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """What is said where no handler of ours could speak; `message` quotes the request, so it is not passed on."""
        if request.writer.output_size > 0:
            raise ConnectionError("half an answer is out already")
        if status == HTTPStatus.INTERNAL_SERVER_ERROR and exc is not None and not isinstance(exc, ConnectionError):
            log.error("a bug: %s", faults.summary(exc))
        said = {"error": "this is no HTTP request that can be read", "do": "See /openapi.json for what is understood."}
        response = web.json_response(said, status=status, headers=HEADERS)
        response.force_close()
        return response


@asynccontextmanager
async def listening(
    server: web.Server, connections: Connections, host: str, port: int, tls: ssl.SSLContext | None
) -> AsyncIterator[str]:
    """The URL under which a server is reached. Raises CannotListenError."""
    handshake = connections.limits.headers_seconds if tls else None
    try:
        listener = await asyncio.get_running_loop().create_server(
            lambda: Connection(server, connections), host, port, ssl=tls, ssl_handshake_timeout=handshake
        )
    except (OSError, UnicodeError) as error:
        raise CannotListenError(
            f"cannot listen on {host}, port {port}: {_reason(error)}. "
            "Stop what listens there, or choose another --host or --port."
        ) from None
    try:
        host, port = listener.sockets[0].getsockname()[:2]
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}/"
    finally:
        listener.close()


def _reason(error: OSError | UnicodeError) -> str:
    if not isinstance(error, OSError):
        return "this is no name of a host"
    is_of_system = error.errno is not None and error.errno > 0  # that of a name that is not found is not
    return os.strerror(error.errno or 0) if is_of_system else error.strerror or type(error).__name__
