"""What hospitals publish in the tests of the stream: plausible lives and a plain load, well stirred."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks import messages
from monitor.core.decode import Rejection, decode
from monitor.core.registry import Registry
from monitor.demo import hospitals
from monitor.demo.desk import Site
from monitor.demo.garbage import GARBAGE
from tests.data.bad_lines import BAD_LINES
from tests.integration.stream_publishers import LARGEST

HAPPENS = {"twice": 0.04, "corrected": 0.03, "contradicted": 0.01, "retracted": 0.01, "spoilt": 0.015}  # shares
ZONES = ("Europe/Lisbon", "Asia/Tokyo", "America/Sao_Paulo", "Atlantic/Azores", "Pacific/Kiritimati", "Pacific/Niue",
         "Europe/Madrid", "Australia/Adelaide", "America/Anchorage", "Asia/Kolkata")  # fmt: skip
FROM_MIDNIGHT = timedelta(hours=3)  # answers of a day are compared with those of the same day


def zones_of_today(now: datetime) -> list[str]:
    """Zones in which no day will end while a test runs."""
    return [name for name in ZONES if now.astimezone(ZoneInfo(name)).date() == (now + FROM_MIDNIGHT).astimezone(
        ZoneInfo(name)).date()]  # fmt: skip


def registry_yaml(sites: Sequence[str], first: date, go_live: date) -> str:
    """The registry of sites in different zones, from the day of their first message."""
    zones = zones_of_today(datetime.now(UTC))
    described = [_described(site, zones[number % len(zones)], first) for number, site in enumerate(sites)]
    return hospitals.REGISTRY.format(start=first) + "".join(
        hospitals.registered(each, first, go_live) for each in described
    )


def _described(name: str, zone: str, first: date) -> Site:
    return Site(name, zone, True, False, False, first.toordinal(), None)


def lives(sites: Sequence[str], patients: int, first: date, last: date, seed: int) -> dict[str, list[bytes]]:
    """Years of invented hospitals by site, in no order, with what goes wrong at a hospital's interface."""
    found: dict[str, list[bytes]] = {site: [] for site in sites}
    rng = Random(seed)  # noqa: S311  no secret
    for message in hospitals.generate(seed, sites, patients, first, last):
        if message["type"] != "feed_status" or rng.random() < 0.1:
            found[message["site"]].append(hospitals.as_line(message))
    return found


def load(sites: Sequence[str], number: int, seed: int) -> dict[str, list[bytes]]:
    """A plain load of so many messages for each site."""
    return {
        site: [
            line.replace(b'"site-01"', f'"{site}"'.encode()) for line in messages.lines(number, seed=seed + place)
        ]
        for place, site in enumerate(sites)
    }  # fmt: skip


def stirred(site: str, lines: Sequence[bytes], registry: Registry, seed: int) -> list[bytes]:
    """The lines in another order, with repetitions, corrections, retractions and garbage among them."""
    rng = Random(f"{seed} {site}")  # noqa: S311  no secret
    bad = garbage(site, registry)
    found = [each for line in lines for each in _on_its_way(line, rng, bad)]
    rng.shuffle(found)
    return found


def _on_its_way(line: bytes, rng: Random, bad: Sequence[bytes]) -> Iterator[bytes]:
    yield line
    shares = {**HAPPENS, "nothing": 1 - sum(HAPPENS.values())}
    [happens] = rng.choices(list(shares), list(shares.values()))
    match happens:
        case "twice":
            yield line
        case "corrected":
            yield corrected(line, rng.randint(1, 3))
        case "contradicted":
            yield corrected(line, 0)
        case "retracted":
            yield retracted(line)
        case "spoilt":
            yield rng.choice(bad)


def corrected(line: bytes, by: int) -> bytes:
    """A higher version of a message, that says something else where it easily can; by 0 it contradicts it."""
    message = json.loads(line)
    if by:
        message["version"] = message.get("version", 0) + by
    if message.get("outcome") in ("negative", "positive"):
        message["outcome"] = "positive" if message["outcome"] == "negative" else "negative"
    elif "dose" in message:
        message["dose"] = message["dose"] | {"amount": message["dose"]["amount"] + 1}
    return hospitals.as_line(message)


def retracted(line: bytes) -> bytes:
    """The message was entered in error."""
    message = json.loads(line)
    kept = ("type", "site", "source", "event_id", "recorded_at", "patient_id")
    said: dict[str, Any] = {key: message[key] for key in kept if key in message}
    return hospitals.as_line(said | {"version": message.get("version", 0) + 5, "status": "entered_in_error"})


def garbage(site: str, registry: Registry) -> list[bytes]:
    """Lines that Kafka takes and we reject, for one reason whether they come from the site's topic or from a file."""
    lines = [bad.line for bad in BAD_LINES if len(bad.line) < LARGEST] + list(GARBAGE)
    named = [line.replace(b'"lisbon"', f'"{site}"'.encode()) for line in lines]
    return [line for line in named if _why(line, site, registry) == _why(line, None, registry) is not None]


def _why(line: bytes, site: str | None, registry: Registry) -> str | None:
    decoded = decode(line, site, registry)
    return decoded.reason if isinstance(decoded, Rejection) else None
