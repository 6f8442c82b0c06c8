"""Hospitals on a real broker, workers that watch them, and what must be true of all topics once it is quiet.

A world has sites of names that nobody else uses, their topics, a registry file and a key; `watch` has seen everything
that was ever committed in them.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from monitor.core.days import day_of
from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS, KINDS, topic
from monitor.kafka.reach import administering
from monitor.kafka.topics import create, wanted
from monitor.policyfile import default_policy_path, load_policies, load_registry
from monitor.sites import Rules
from tests.integration.live import until
from tests.integration.stream_checks import Replays, check_answers, check_site, position_of
from tests.integration.stream_histories import registry_yaml
from tests.integration.stream_topics import Watch
from tests.integration.stream_workers import Workers
from tests.integration.views import Viewed

KEY = bytes(range(32))
QUIET_WITHIN = 240.0  # seconds from the last message to the last answer, on a machine that is busy with other tests
YEARS = timedelta(days=3 * 365)


@dataclass(slots=True)
class World:
    """Sites, their files and topics."""

    servers: str
    folder: Path
    sites: tuple[str, ...]
    rules: Rules
    registry: Path
    key: Path
    watch: Watch
    worker_options: list[str] = field(default_factory=list)

    def topics(self, kind: str) -> list[str]:
        return [topic(kind, site) for site in self.sites]

    def topics_of(self, site: str) -> list[str]:
        return [topic(kind, site) for kind in KINDS]

    def workers(self) -> Workers:
        """Nobody yet; `add` lets them come."""
        given = ["--broker", self.servers, "--sites", str(self.registry), "--key", str(self.key)]
        return Workers(self.folder, [*given, *self.worker_options])

    @contextmanager
    def view(self) -> Iterator[Viewed]:
        """A replica of all sites."""
        folder = self.folder / "view"
        folder.mkdir()
        given = ["--broker", self.servers, "--sites", str(self.registry), "--key", str(self.key)]
        with Viewed(folder, *given, command="view") as running:
            yield running

    def look(self) -> None:
        """What must be true at any moment, also while messages come and workers die."""
        self.watch.read(self.topics("facts"))  # what it says of others was committed with them
        self.watch.read(name for kind in ("in", "out", "rejected") for name in self.topics(kind))
        for site in self.sites:
            check_site(self.watch, site)

    def is_quiet(self) -> bool:
        """Whether all that is committed in the inbound topics was taken in."""
        self.watch.read()
        return all(self._is_taken_in(site) for site in self.sites)

    def _is_taken_in(self, site: str) -> bool:
        inbound = self.watch.seen[topic("in", site)]
        position = position_of(self.watch, site)
        return not inbound or (position is not None and position["offset"] > inbound[-1].offset)

    def wait_until_quiet(self, within: float = QUIET_WITHIN) -> None:
        until(self.is_quiet, "all messages are taken in", within)

    def check(self, view: Viewed | None = None) -> None:
        """What must be true once it is quiet; of what a view shows too."""
        self.look()
        replays = self.replays()
        for site in self.sites:
            position = position_of(self.watch, site)
            assert (position["tally"]["received"] if position else 0) == len(self.watch.seen[topic("in", site)])
            check_answers(self.watch, self.rules, site, replays)
        if view is not None:
            self._shows_what_replay_says(view, replays)

    def replays(self) -> Replays:
        """Of all that is published by now."""
        return Replays(self.watch, self.rules, self.sites)

    def _shows_what_replay_says(self, view: Viewed, replays: Replays) -> None:
        until(lambda: self._has_read_all(view), "the view has read all", QUIET_WITHIN)
        status, shown = view.ask("v1/result")
        assert status == 200, shown
        as_of = day_of(json.loads(shown)["as_of"])
        assert shown.decode() == json.dumps(replays.of(as_of), indent=1, ensure_ascii=False) + "\n"

    def _has_read_all(self, view: Viewed) -> bool:
        shown = {each["site"]: each for each in view.overview["replica"]["sites"]} if view.is_ready() else {}
        positions = {site: position["offset"] for site in self.sites if (position := position_of(self.watch, site))}
        return all(shown.get(site, {}).get("inbound_offset") == offset for site, offset in positions.items()) and all(
            each["state"] == "read" for each in shown.values()
        )


@contextmanager
def world(
    servers: str,
    folder: Path,
    sites: int,
    *,
    first: date | None = None,
    go_live: date | None = None,
    text_of: Callable[[tuple[str, ...]], str] | None = None,
    without_topics: int = 0,
) -> Iterator[World]:
    """A world of so many sites; everybody is live for years, unless said otherwise. The last may have no topics yet.

    Names are as long as `lisbon`, so that a line that was made for it keeps its length.
    """
    folder.mkdir(parents=True, exist_ok=True)
    word = secrets.token_hex(2)[:3]
    names = tuple(f"{word}-{number:02}" for number in range(sites))
    begin = first or date.today() - YEARS  # noqa: DTZ011  any day some years ago
    text = text_of(names) if text_of else registry_yaml(names, begin, go_live or begin)
    registry, key = folder / "sites.yaml", folder / "pseudonym.key"
    registry.write_text(text, encoding="utf-8")
    key.write_text(KEY.hex() + "\n", encoding="ascii")
    key.chmod(0o600)
    rules = Rules(load_policies([default_policy_path()]), load_registry([registry]), KEY)
    there = names[: sites - without_topics]
    make_topics(servers, there)
    with Watch(servers, [*(topic(kind, site) for kind in KINDS for site in there), ACTIONS]) as watch:
        yield World(servers, folder, names, rules, registry, key, watch)


def make_topics(servers: str, sites: Iterable[str]) -> None:
    with administering(Connection(servers)) as admin:
        create(admin, wanted(sites, 1), 1)


def by_turns(lines: Mapping[str, list[bytes]]) -> Iterator[tuple[str, bytes]]:
    """All lines with their sites, a few of each site after the other."""
    places = dict.fromkeys(lines, 0)
    while places:
        for site in list(places):
            at = places[site]
            yield from ((site, line) for line in lines[site][at : at + 3])
            places[site] = at + 3
            if places[site] >= len(lines[site]):
                del places[site]
