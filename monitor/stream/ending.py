"""How a worker ends when it cannot end in order."""

from __future__ import annotations

import logging
import os

from monitor import faults
from monitor.exitcodes import ExitCode

log = logging.getLogger("jakwatch")


def end_now() -> None:
    """Whatever still waits for a broker that is away: nothing of it has to be saved."""
    log.warning("the broker does not let go in time: this worker ends without it")
    logging.shutdown()
    os._exit(ExitCode.DONE)


def fail_stop(why: str, error: BaseException) -> None:
    """End at once, as by kill -9: nothing more is sent, and whoever comes next takes the sites from their logs."""
    log.critical("%s (%s): this worker ends and is to be started again", why, faults.summary(error))
    logging.shutdown()
    os._exit(ExitCode.STOPPED_TO_BE_RESTARTED)
