"""Hospitals that never existed: years of their messages, the registry that describes them, and lines gone bad.

Everything is a pure function of its arguments: the same seed gives the same bytes on every machine.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import date
from operator import itemgetter
from pathlib import Path
from random import Random
from typing import IO

from monitor.demo.build import Message
from monitor.demo.desk import Desk, Site
from monitor.demo.garbage import GARBAGE
from monitor.demo.life import Life

SITES = ("lisbon", "porto", "ponta-delgada", "madrid")
START = date(2023, 1, 1)
END = date(2025, 12, 31)
ZONES = {
    "lisbon": "Europe/Lisbon",
    "porto": "Europe/Lisbon",
    "ponta-delgada": "Atlantic/Azores",
    "madrid": "Europe/Madrid",
    "tokyo": "Asia/Tokyo",
    "sao-paulo": "America/Sao_Paulo",
}
HALF_A_YEAR = 182


@dataclass(frozen=True, slots=True)
class Ways:
    """What may differ from one set of hospitals to another; days count back from the last day."""

    last_comers: int = 40  # nobody comes for the first time later
    silent: int | None = None  # how long the last of three or more sites is silent; a sixth of the time if not said
    careless: float = 1.0  # the share of the usual sloppiness about screening; 1 is a bad hospital


ORDINARY = Ways()


def generate(
    seed: int,
    sites: Sequence[str] = SITES,
    patients_per_site: int = 250,
    start: date = START,
    end: date = END,
    ways: Ways = ORDINARY,
) -> Iterator[Message]:
    """Yield all messages of the sites, from `start` through `end`, in the order in which they were recorded.

    Of two or more sites the second counts adverse events only from half a year after `start`, and of three or more the
    last falls silent about adverse events for the last sixth of the time. Holds all messages in memory.
    """
    return map(itemgetter(2), arrivals(seed, sites, patients_per_site, start, end, ways))


def arrivals(
    seed: int, sites: Sequence[str], patients_per_site: int, start: date, end: date, ways: Ways = ORDINARY
) -> list[tuple[int, int, Message]]:
    """What `generate` yields, each message with the minute of its arrival in UTC and its number within the site."""
    described = describe(sites, start, end, ways)
    sent = [each for site in described for each in _site_messages(seed, site, patients_per_site, start, end, ways)]
    sent.sort(key=itemgetter(0, 1))
    return sent


def describe(sites: Sequence[str], start: date = START, end: date = END, ways: Ways = ORDINARY) -> list[Site]:
    """The sites and their habits; a name that is not known gets one of the known zones."""
    if start >= end or len(set(sites)) != len(sites):
        raise ValueError(f"sites must differ and {start} must lie before {end}")
    return [_described(number, name, sites, start, end, ways) for number, name in enumerate(sites)]


def _described(number: int, name: str, sites: Sequence[str], start: date, end: date, ways: Ways) -> Site:
    last_of_many = number == len(sites) - 1 > 1
    silent = (end - start).days // 6 if ways.silent is None else ways.silent
    return Site(
        name=name,
        zone=ZONES.get(name, list(ZONES.values())[number % len(ZONES)]),
        states_versions=number % 2 == 0,
        own_order_ids=number % 3 == 1,
        pads_ids=number % 3 == 1,
        adverse_events_from=start.toordinal() + (HALF_A_YEAR if number == 1 else 0),
        silent_from=end.toordinal() - silent if last_of_many else None,
        careless=ways.careless,
    )


def _site_messages(
    seed: int, site: Site, patients: int, start: date, end: date, ways: Ways
) -> list[tuple[int, int, Message]]:
    rng = Random(f"{seed} {site.name}")  # noqa: S311 - invented patients, no secret
    first, last = start.toordinal(), end.toordinal()
    desk = Desk(rng, site, last, patients)
    for index in range(patients):
        enters = rng.randrange(first, max(first + 1, last - ways.last_comers))
        Life(desk, index, enters).live()
    for day in range(first + 7, last + 1, 7):
        desk.alive(day)
    return desk.sent


def as_line(message: Message) -> bytes:
    """The message as one line of a file, without its end."""
    return json.dumps(message, separators=(",", ":")).encode()


def write(path: Path, messages: Iterable[Message]) -> int:
    """Write messages as JSONL, gzipped where the name ends in `.gz`; returns how many."""
    count = 0
    with path.open("wb") as file, _packed(path, file) as out:
        for count, each in enumerate(messages, 1):  # noqa: B007 - the last number is the answer
            out.write(as_line(each) + b"\n")
    return count


def _packed(path: Path, file: IO[bytes]) -> gzip.GzipFile | nullcontext[IO[bytes]]:
    if path.suffix == ".gz":
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)  # neither name nor time: the same bytes again
    return nullcontext(file)


def messages_with_garbage(messages: Iterable[Message], share: float, seed: int) -> Iterator[bytes]:
    """Yield the messages as lines, before each of them with the chance `share` a line of `GARBAGE`."""
    rng = Random(seed)  # noqa: S311 - invented rubbish, no secret
    bad = list(GARBAGE)
    for message in messages:
        if rng.random() < share:
            yield rng.choice(bad)
        yield as_line(message)


REGISTRY = """\
# The registry of the demo hospitals, written by monitor.demo.hospitals: not real, like them.
registry: {{name: demo-sites, version: 1, effective_from: {start}, approved_by: nobody (demo)}}
sites:
"""
REGISTRY_SITE = """\
  {name}:
    zone: {zone}
    go_live: {go_live}
    ids: {{trim: true, leading_zeros: keep}}
    restamps: false
    feeds:
      treatment:     {{from: {start}, silent_after_days: 14}}
      screening:     {{from: {start}, silent_after_days: 14, results_after_hours: 36}}
      adverse_event: {{from: {adverse_events_from}, silent_after_days: 14, complete_after_days: 30}}
"""


def registry_yaml(sites: Sequence[str] = SITES, start: date = START, end: date = END) -> str:
    """The registry of the generated sites, from the day of their first message."""
    described = describe(sites, start, end)
    return REGISTRY.format(start=start) + "".join(registered(site, start, start) for site in described)


def registered(site: Site, start: date, go_live: date) -> str:
    """What the registry says of one site, its feeds complete from `start` and its courses live from `go_live` on."""
    counted_from = date.fromordinal(site.adverse_events_from)
    return REGISTRY_SITE.format(
        name=site.name, zone=site.zone, start=start, go_live=go_live, adverse_events_from=counted_from
    )
