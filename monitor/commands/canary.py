"""`jakwatch canary`: proves every few minutes that a violation comes through."""

from __future__ import annotations

import logging
import signal
import threading
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from monitor.commands.broker import broker_options
from monitor.exitcodes import ExitCode

if TYPE_CHECKING:
    from monitor.kafka.connection import Connection

PATIENCE_SECONDS = 10.0


@click.command(
    epilog="""\b
Examples:
  jakwatch canary --broker kafka:9092
  jakwatch canary --broker kafka:9092 --once"""
)
@broker_options
@click.option(
    "--every", type=click.IntRange(1, 3600), default=120, show_default=True, metavar="SECONDS", help="Between probes."
)
@click.option("--once", is_flag=True, help="Send one probe and end.")
def command(connection: Connection, every: int, once: bool) -> None:
    """Publish a start without screening for the reserved site `canary`, again and again.

    A view that sees its violation says so in its metrics; where none comes the alert JakwatchCanaryFailed fires. The
    site is nobody's: it counts in no rate and no list. Ctrl-C ends it.
    """
    from monitor.commands.lines import log_to_stderr  # noqa: PLC0415  --help waits for none of this
    from monitor.kafka.canary import probe  # noqa: PLC0415
    from monitor.kafka.names import topic  # noqa: PLC0415
    from monitor.kafka.reach import CannotReachError, check  # noqa: PLC0415
    from monitor.kafka.sending import Letter, Sender, UndeliveredError, look  # noqa: PLC0415
    from schemas.parts import RESERVED_SITE  # noqa: PLC0415

    log_to_stderr()
    log = logging.getLogger("jakwatch")
    inbound, ended = topic("in", RESERVED_SITE), threading.Event()
    _end_by_signal(ended)
    while not ended.is_set():
        try:
            check(connection)
            if inbound not in look(connection).topics:
                raise UndeliveredError(f"there is no topic {inbound}. Do next: jakwatch topics apply --sites FILE")
            with closing(Sender(connection, PATIENCE_SECONDS)) as sender:
                sender.deliver([Letter(inbound, probe(datetime.now(UTC)))])
        except (CannotReachError, UndeliveredError) as problem:
            log.error("no probe was sent: %s", problem)
            if once:
                raise click.exceptions.Exit(ExitCode.SERVICE_MISSING) from None
        if once:
            return
        ended.wait(every)


def _end_by_signal(ended: threading.Event) -> None:
    """A probe under way is sent first."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, lambda *_: ended.set())
