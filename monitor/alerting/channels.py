"""Ways out: a webhook, and a mail through a relay. Addresses may hold secrets, so no error here repeats one."""

from __future__ import annotations

import asyncio
import os
import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from hashlib import sha256
from typing import Literal, Protocol

import aiohttp

from monitor.alerting.groups import Message
from monitor.alerting.texts import payload, subject, text
from monitor.alerting.words import after_epoch

SECONDS = 10.0  # for an answer
_TAKEN = range(200, 300)


class NotDeliveredError(Exception):
    """Nobody has it yet; the text says why and names no address. `is_unreachable`: others need not be tried now."""

    def __init__(self, why: str, *, is_unreachable: bool) -> None:
        super().__init__(why)
        self.is_unreachable = is_unreachable


class Channel(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """By which it is known in the log and in what is kept."""

    async def send(self, message: Message, page: str) -> None:
        """Returns when its receiver has it. Raises NotDeliveredError."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Posts Alertmanager's format to an URL."""

    url: str = field(repr=False)
    name: str = "webhook"

    async def send(self, message: Message, page: str) -> None:
        await asked("POST", self.url, payload(message, page))


async def asked(method: str, url: str, body: object = None) -> None:
    """Ask an URL and want a 2xx. Raises NotDeliveredError. A redirect is none: who follows it may tell a stranger."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS), trust_env=True) as session,
            session.request(method, url, json=body, allow_redirects=False) as answer,
        ):
            status = answer.status
    except TimeoutError:
        raise NotDeliveredError("no answer in time", is_unreachable=True) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise NotDeliveredError(_words(error), is_unreachable=True) from None
    if status not in _TAKEN:
        raise NotDeliveredError(f"the receiver answers {status}", is_unreachable=False)


def _words(error: Exception) -> str:
    """What the system says; a library's own text may repeat the address."""
    cause = getattr(error, "certificate_error", None) or getattr(error, "os_error", error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {getattr(cause, 'verify_message', 'it is not valid')}"
    number = cause.errno if isinstance(cause, OSError) else None
    return os.strerror(number) if number and number > 0 else type(error).__name__


@dataclass(frozen=True, slots=True)
class Relay:
    """Who takes mail from us. `tls`: from the first byte on, by STARTTLS, or not at all."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"] = "none"
    user: str | None = None
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Mail:
    """Sends a text to addresses; a relay that takes it for one of them has taken it."""

    sender: str
    to: tuple[str, ...]
    relay: Relay
    name: str = "mail"

    async def send(self, message: Message, page: str) -> None:
        await asyncio.to_thread(self._send, self.letter(message))

    def letter(self, message: Message) -> EmailMessage:
        """The mail. Sent again it has the same Message-ID, so that it can be known for the same."""
        found = EmailMessage()
        found["From"], found["To"], found["Subject"] = self.sender, ", ".join(self.to), subject(message)
        found["Date"] = format_datetime(after_epoch(int(message.at)))
        mark = sha256(f"{message.group} {message.at}".encode()).hexdigest()[:32]
        found["Message-ID"] = f"<{mark}@{self.sender.rpartition('@')[2]}>"
        found["Auto-Submitted"] = "auto-generated"
        found.set_content(text(message))
        return found

    def _send(self, letter: EmailMessage) -> None:
        try:
            with self._connected() as relay:
                relay.send_message(letter, self.sender, self.to)
        except smtplib.SMTPRecipientsRefused as refused:
            codes = sorted({code for code, _ in refused.recipients.values()})
            raise NotDeliveredError(f"the relay refuses all addresses ({codes[0]})", is_unreachable=False) from None
        except smtplib.SMTPResponseException as refused:
            raise NotDeliveredError(f"the relay answers {refused.smtp_code}", is_unreachable=True) from None
        except smtplib.SMTPNotSupportedError:
            raise NotDeliveredError("the relay offers no STARTTLS, or no login", is_unreachable=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise NotDeliveredError(_words(error), is_unreachable=True) from None

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        relay = self.relay
        if relay.tls == "tls":
            opened: smtplib.SMTP = smtplib.SMTP_SSL(
                relay.host, relay.port, timeout=SECONDS, context=ssl.create_default_context()
            )
        else:
            opened = smtplib.SMTP(relay.host, relay.port, timeout=SECONDS)
        with opened as smtp:
            if relay.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
            if relay.user is not None:
                smtp.login(relay.user, relay.password or "")
            yield smtp
