"""What a live process tells the person who runs it, on stderr."""

from __future__ import annotations

import logging
import sys

from monitor import faults


def log_to_stderr() -> None:
    """Our own lines, and of others only that something went wrong: their texts may quote what somebody sent."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(faults.DiscreetFormatter("jakwatch: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("jakwatch").setLevel(logging.INFO)
    for name in ("aiohttp", "aiokafka", "kafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
