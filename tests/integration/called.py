"""Those whom a process calls: a web server that keeps what it is sent, and a mail relay that does."""

from __future__ import annotations

import asyncio
import base64
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.alarm import Message
from tests.integration.live import until
from tests.integration.scraping import free_port


class Receiver:
    """A web server on a port of its own, which can be closed and opened again. `answer`: with which status."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.beats: list[float] = []  # when the heartbeat was heard, by the monotonic clock
        self.refused = 0
        self.answer = 200
        self.address = f"127.0.0.1:{free_port()}"
        self._server: ThreadingHTTPServer | None = None
        self.open()

    def open(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(raw)
                self.send_response(receiver.answer)
                self.end_headers()

            def do_GET(self) -> None:
                receiver.beats.append(time.monotonic())
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        host, _, port = self.address.partition(":")
        self._server = ThreadingHTTPServer((host, int(port)), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, raw: bytes) -> None:
        if self.answer == 200:
            self.heard.append(Message("webhook", time.monotonic(), raw))
        else:
            self.refused += 1

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def of(self, site: str | None, status: str = "firing") -> list[Message]:
        """The messages about a hospital; None: about none."""
        return [each for each in self.heard if each.site == site and each.status == status]

    def waits_for(self, site: str | None, status: str = "firing", more_than: int = 0) -> Message:
        until(lambda: len(self.of(site, status)) > more_than, f"{site} is told to be {status}")
        return self.of(site, status)[-1]

    def some_time(self, beats: int = 8) -> None:
        """Until the heartbeat was heard so many times more: several looks, and a look at every page's group."""
        before = len(self.beats)
        until(lambda: len(self.beats) >= before + beats, "the heartbeat goes on")


@dataclass
class Letter:
    """What a relay took."""

    sender: str
    to: list[str]
    content: EmailMessage
    is_encrypted: bool
    user: str | None

    @property
    def text(self) -> str:
        return str(self.content.get_content())


@dataclass
class _Talk:
    """What was said so far in one connection."""

    sender: str = ""
    to: list[str] = field(default_factory=list)
    is_encrypted: bool = False
    user: str | None = None


class Mailbox:
    """A relay on a port of its own: SMTP as far as anybody needs it to bring a mail.

    `tls`: what it offers for STARTTLS; `user` and `password`: whom alone it takes mails from; `refuses`: addresses that
    it does not know.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        user: str | None = None,
        password: str = "",
        refuses: frozenset[str] = frozenset(),
    ) -> None:
        self.letters: list[Letter] = []
        self.tls, self.user, self.password, self.refuses = tls, user, password, refuses
        self.port = free_port()
        self._writers: list[asyncio.StreamWriter] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", self.port), self._loop
        ).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        """Also what a caller broke off: a loop that is closed leaves its sockets to the collector of garbage."""
        self._server.close()
        talks = asyncio.all_tasks() - {asyncio.current_task()}
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    def waits_for(self, holds: Callable[[Letter], bool]) -> Letter:
        until(lambda: any(holds(each) for each in self.letters), "the mail has come")
        return next(each for each in self.letters if holds(each))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        talk = _Talk()
        writer.write(b"220 here\r\n")
        while line := (await reader.readline()).decode().strip():
            word, _, rest = line.partition(" ")
            if word.upper() == "STARTTLS" and self.tls is not None:
                writer.write(b"220 go on\r\n")
                await writer.start_tls(self.tls)
                talk = _Talk(is_encrypted=True)
            elif word.upper() == "DATA":
                writer.write(b"354 go on\r\n")
                self._take(talk, await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 taken\r\n")
            else:
                writer.write(self._answer(talk, word.upper(), rest))
            if word.upper() == "QUIT":
                break
        writer.close()

    def _answer(self, talk: _Talk, word: str, rest: str) -> bytes:
        if word == "EHLO":
            offers = [b"250-here"]
            offers += [b"250-STARTTLS"] if self.tls is not None and not talk.is_encrypted else []
            return b"\r\n".join([*offers, b"250 AUTH PLAIN\r\n" if self.user else b"250 8BITMIME\r\n"])
        if word == "AUTH":
            _, user, password = base64.b64decode(rest.rpartition(" ")[2]).decode().split("\0")
            talk.user = user if (user, password) == (self.user, self.password) else None
            return b"235 welcome\r\n" if talk.user else b"535 who are you\r\n"
        if word == "MAIL":
            talk.sender = rest.partition("<")[2].partition(">")[0]
            return b"250 go on\r\n" if talk.user == self.user else b"530 who are you\r\n"
        if word == "RCPT":
            address = rest.partition("<")[2].partition(">")[0]
            talk.to += [] if address in self.refuses else [address]
            return b"550 nobody of that name\r\n" if address in self.refuses else b"250 go on\r\n"
        return b"221 bye\r\n" if word == "QUIT" else b"250 go on\r\n"

    def _take(self, talk: _Talk, raw: bytes) -> None:
        content = message_from_bytes(raw.removesuffix(b"\r\n.\r\n"), policy=policy.default)
        assert isinstance(content, EmailMessage)
        self.letters.append(Letter(talk.sender, talk.to, content, talk.is_encrypted, talk.user))
