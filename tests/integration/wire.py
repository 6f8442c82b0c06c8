"""Requests as bytes on the wire: what no well-behaved client would send, and all that comes back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from aiohttp import web

from monitor.web.connections import Limits, listening
from monitor.web.guard import Guard, RefusedError, Tokens
from monitor.web.health import Health

WITHIN = 60.0  # seconds; nothing may hang, and a busy machine is no finding
JSON, NDJSON, FORM = "application/json", "application/x-ndjson", "application/x-www-form-urlencoded"


class Said(NamedTuple):
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


class Client:
    """One connection that is used again and again, and opened anew where the server closed it."""

    def __init__(self, url: str) -> None:
        self.address = urlsplit(url).netloc
        self._connection = HTTPConnection(self.address, timeout=WITHIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Said:
        """Names of headers with `_` for `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._connection.request(method, path, body, named)
        answer = self._connection.getresponse()
        said = Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
        if answer.will_close:
            self._connection.close()
        return said

    def get(self, path: str, **headers: str) -> Said:
        return self.ask("GET", path, **headers)

    def post(self, path: str, body: bytes, kind: str = JSON, **headers: str) -> Said:
        return self.ask("POST", path, body, Content_Type=kind, **headers)

    def act(self, **action: Any) -> Said:
        decided = {"by": "A. Person", "role": "safety officer", "reason": "seen"}
        return self.post("/v1/actions", json.dumps(decided | action).encode())


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=WITHIN)


def heard(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, however it does."""
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionError:
        pass
    return found


def sent(address: str, *parts: bytes) -> bytes:
    """What is answered to some bytes until the server closes."""
    with connected(address) as connection:
        try:
            for part in parts:
                connection.sendall(part)
        except OSError:  # it was closed before all was said
            pass
        return heard(connection)


def request(method: str, path: str, address: str, body: bytes = b"", *more: str) -> bytes:
    """A request as it should be, with `Connection: close`."""
    kind = [f"Content-Type: {JSON}", f"Content-Length: {len(body)}"] if body else []
    head = [f"{method} {path} HTTP/1.1", f"Host: {address}", "Connection: close", *kind, *more, "", ""]
    return "\r\n".join(head).encode() + body


def status(answer: bytes) -> int:
    """The status of a raw answer; 0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0


# A guard in this process, around a handler of the test's own


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Guarded(NamedTuple):
    address: str
    guard: Guard
    health: Health


@asynccontextmanager
async def guarded(
    handler: Callable[[Guard], Handler], limits: Limits | None = None, tokens: Tokens | None = None
) -> AsyncIterator[Guarded]:
    """A server of nothing but a guard and what it guards; it has loaded its log."""

    def told(_: web.BaseRequest, refused: RefusedError) -> web.Response:
        return web.json_response({"error": refused.wrong}, status=refused.status, headers=refused.headers)

    health = Health(lambda: True, lambda: None)
    health.loading = False
    guard = Guard(tokens or Tokens(), health, told, limits or Limits())
    server = web.Server(guard.around(handler(guard)))
    async with listening(server, guard.connections, "127.0.0.1", 0, None) as url:
        try:
            yield Guarded(urlsplit(url).netloc, guard, health)
        finally:
            await server.shutdown(1)


def echo_of_size(guard: Guard) -> Handler:
    """Answers how long the body was."""

    async def handler(request: web.BaseRequest) -> web.Response:
        return web.Response(text=str(len(await guard.body(request))))

    return handler


async def answered(address: str, *parts: bytes, ends: bool = False) -> bytes:
    """What is answered to some bytes until the server closes; with `ends` it is told that no more will come."""
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        async with asyncio.timeout(WITHIN):
            for part in parts:
                writer.write(part)
                await writer.drain()
            if ends:
                writer.write_eof()
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def with_guard(
    talk: Callable[[Guarded], Awaitable[None]],
    handler: Callable[[Guard], Handler] = echo_of_size,
    limits: Limits | None = None,
    tokens: Tokens | None = None,
) -> None:
    async def run() -> None:
        async with guarded(handler, limits, tokens) as server:
            await talk(server)

    asyncio.run(run())
