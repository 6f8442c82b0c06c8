"""`python -m benchmarks [NAME...]`: measure, and print one table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks import (
    bulk,
    growth,
    jobs,
    latency,
    limits,
    live,
    memory,
    orders,
    rates,
    record,
    replay,
    restart,
    scrape,
    stream,
)
from benchmarks.harness import CaseFailed, Setting
from benchmarks.table import Report, rendered, verdict

BENCHMARKS: dict[str, Callable[[Setting], Report]] = {
    "replay": replay.run,
    "jobs": jobs.run,
    "growth": growth.run,
    "record": record.run,
    "memory": memory.run,
    "rates": rates.run,
    "limits": limits.run,
    "scrape": scrape.run,
    "bulk": bulk.run,
    "orders": orders.run,
    "restart": restart.run,
    "stream": stream.run,
    "latency": latency.run,
    "live": live.run,
}
LIBRARIES = ("pydantic", "msgspec", "numpy", "scipy", "prometheus-client", "faust-streaming", "aiokafka")
FAILED = 70
FEWEST = 3


def main() -> int:
    """Exit code 0 whatever was measured, 70 if something could not be measured at all."""
    given = _arguments()
    reports, failed = [], False
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(Path(folder), 1 if given.quick else given.repetitions, given.quick, given.full)
        for name in given.names or BENCHMARKS:
            sys.stderr.write(f"{name}\n")
            try:
                reports.append(BENCHMARKS[name](setting))
            except CaseFailed as error:
                failed = True
                sys.stderr.write(f"  failed: {error}\n")
    sys.stdout.write(f"{_machine(setting)}\n\n{rendered(reports)}\n{verdict(reports)}")
    sys.stderr.write(f"took {time.monotonic() - begun:.0f} s\n")
    return FAILED if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--repetitions", type=int, default=FEWEST, metavar="N", help="at least 3, the default")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; its figures mean nothing")
    parser.add_argument("--full", action="store_true", help="a million patients of 11 facts; tens of minutes, 15 GB")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if given.repetitions < FEWEST:
        parser.error(f"--repetitions must be at least {FEWEST}")
    if unknown:
        parser.error(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    return given


def _machine(setting: Setting) -> str:
    """What the figures depend on beside the code."""
    libraries = ", ".join(f"{name} {version(name)}" for name in LIBRARIES)
    load = f", load average {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    size = " (--quick: the figures mean nothing)" if setting.quick else ""
    return (
        f"{os.cpu_count()} cores {platform.machine()}{load}, Python {platform.python_version()}, {libraries}\n"
        f"{setting.repetitions} interleaved repetitions, each in processes of its own: median and range{size}"
    )


if __name__ == "__main__":
    sys.exit(main())
