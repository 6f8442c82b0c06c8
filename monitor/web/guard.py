"""Who may ask, from where, and how much: what stands between the network and the handlers.

On the loopback address nobody needs a token, so a page elsewhere must not make this machine's browser speak for it: the
host that was asked for must be this one, and what changes something must come from our own pages or from no page.
Elsewhere each request carries a token.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import gzip
import hmac
import io
import ipaddress
import logging
import zlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from monitor import faults
from monitor.web.connections import HEADERS, Connections, Limits
from monitor.web.health import Health
from monitor.writer import BusyError

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_OPEN = frozenset({"/healthz", "/readyz"})
log = logging.getLogger("jakwatch")


class RefusedError(Exception):
    """A request that is not served: status, what is wrong, what to do."""

    def __init__(self, status: int, wrong: str, do: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(wrong)
        self.status, self.wrong, self.do, self.headers = status, wrong, do, headers or {}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a request must show; None: nothing, for loopback alone."""

    write: str | None = None
    read: str | None = None


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Guard:
    """Stands around all handlers: every request passes here, and every mistake becomes an answer in our words."""

    def __init__(
        self,
        tokens: Tokens,
        health: Health,
        told: Callable[[web.BaseRequest, RefusedError], web.Response],
        limits: Limits,
    ) -> None:
        self.tokens = tokens
        self.health = health
        self.told = told
        self.limits = limits
        self.connections = Connections(limits)
        self._large = asyncio.Semaphore(limits.large_bodies)

    @property
    def needs_tokens(self) -> bool:
        return self.tokens.write is not None or self.tokens.read is not None

    def around(self, handler: Handler) -> Handler:
        """The handler behind the guard."""

        async def guarded(request: web.BaseRequest) -> web.StreamResponse:
            self.connections.heard(request.protocol)
            response = await self._answer(request, handler)
            response.headers.update(HEADERS)
            return response

        return guarded

    async def _answer(self, request: web.BaseRequest, handler: Handler) -> web.StreamResponse:
        try:
            self._admit(request)
            return await handler(request)
        except RefusedError as refused:
            return self.told(request, refused)
        except web.HTTPRedirection as elsewhere:
            return web.Response(status=elsewhere.status, headers={"Location": elsewhere.headers["Location"]})
        except web.HTTPException as error:
            return self.told(request, _http(error))
        except BusyError:
            return self.told(request, RefusedError(503, "too much waits already", "Ask again.", {"Retry-After": "5"}))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001  the last resort: no traceback, no value of anybody
            log.error("a bug: %s", faults.summary(error))
            return self.told(request, RefusedError(500, "a bug", "Please report the line in the log of the server."))

    def _admit(self, request: web.BaseRequest) -> None:
        if request.path in _OPEN:
            return
        if self.health.loading:
            raise RefusedError(503, "the log is still being read", "Ask again in a moment.", {"Retry-After": "2"})
        changes = request.method not in ("GET", "HEAD", "OPTIONS")
        if self.needs_tokens:
            self._check_token(request, changes)
        elif not is_loopback(_host_name(request.host)):
            raise RefusedError(421, "this host is not served here", "Ask for 127.0.0.1 or localhost.")
        origin = request.headers.get("Origin")
        if changes and origin is not None and origin.partition("://")[2] != request.host:
            raise RefusedError(403, "another page may not change anything here", "Use the pages of this service.")

    def _check_token(self, request: web.BaseRequest, changes: bool) -> None:
        given = _token(request.headers.get("Authorization", ""))
        allowed = [self.tokens.write] if changes else [self.tokens.write, self.tokens.read]
        if given is None:
            asks = {"WWW-Authenticate": 'Basic realm="jakwatch", charset="UTF-8"'}
            raise RefusedError(401, "a token is needed", "Send `Authorization: Bearer TOKEN`.", asks)
        if not any(_same(given, each) for each in allowed):
            raise RefusedError(403, "this token does not allow it", "Writing needs the token for writing.")

    def may_write(self, request: web.BaseRequest) -> bool:
        """Whether whoever asks may also change something: a page offers nobody a form that would be refused."""
        given = _token(request.headers.get("Authorization", ""))
        return not self.needs_tokens or (given is not None and _same(given, self.tokens.write))

    async def body(self, request: web.BaseRequest) -> bytes:
        """The body of a request, unpacked. Raises RefusedError: too large, too slow, or not what it says it is."""
        coding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip"):
            raise RefusedError(415, "the body is packed in a way not known here", "Send it as it is, or with gzip.")
        if (request.content_length or 0) > self.limits.body_bytes:
            raise self._too_large()
        async with AsyncExitStack() as turn:
            body = await self._read(request, turn)
            return await asyncio.to_thread(self._unpacked, body) if coding == "gzip" else body

    async def _read(self, request: web.BaseRequest, turn: AsyncExitStack) -> bytes:
        """What is sent; once it proves to be large, it waits for its turn, so that an order never waits for those."""
        body = bytearray()
        is_large = False
        try:
            async with asyncio.timeout(self.limits.body_seconds):
                async for part in request.content.iter_any():
                    body += part
                    if len(body) > self.limits.body_bytes:
                        raise self._too_large()
                    if len(body) > self.limits.small_bytes and not is_large:
                        is_large = True
                        await turn.enter_async_context(self._large)
        except TimeoutError:
            wrong = f"the body did not come within {self.limits.body_seconds:g} seconds"
            raise RefusedError(408, wrong, "Send it again.") from None
        except web.RequestPayloadError:
            raise RefusedError(400, "the body cannot be read", "Send it again, whole.") from None
        return bytes(body)

    def _unpacked(self, packed: bytes) -> bytes:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as file:
                body = file.read(self.limits.body_bytes + 1)
        except (OSError, EOFError, zlib.error):
            raise RefusedError(400, "the body is not gzip, or not all of it", "Send it again, whole.") from None
        if len(body) > self.limits.body_bytes:
            raise self._too_large()
        return body

    def _too_large(self) -> RefusedError:
        size = f"more than {self.limits.body_bytes >> 20} MiB"
        return RefusedError(413, size, "Send fewer lines at a time, or put the file into the folder.")


def _same(given: str, token: str | None) -> bool:
    return token is not None and hmac.compare_digest(given.encode(), token.encode())


def _host_name(host: str) -> str:
    """The host of `host:port`; empty where it cannot be read."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _token(header: str) -> str | None:
    """A bearer token, or the password of basic authentication, by which browsers ask a person."""
    scheme, _, value = header.partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip()
        case "basic":
            try:
                return base64.b64decode(value, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                return None
    return None


def _http(error: web.HTTPException) -> RefusedError:
    """What aiohttp itself refuses, in our words."""
    match error.status:
        case 404:
            return RefusedError(404, "there is nothing here", "See /openapi.json for what there is.")
        case 405:
            allow = error.headers.get("Allow", "")
            return RefusedError(405, "not by this method", f"Allowed: {allow}.", {"Allow": allow})
        case 417:
            return RefusedError(417, "what is expected is not known here", "Leave out the header Expect.")
    words = HTTPStatus(error.status).phrase.lower()  # its reason may quote the request
    return RefusedError(error.status, words, "See /openapi.json for what is understood.")
