"""Nothing is lost, doubled, wrong or left behind, whatever dies while hospitals publish.

JAKWATCH_FIRE says how much does: 1, for `make torture`, is 20 workers and 5 brokers killed and 10 workers that come and
go, beside those that are frozen until the group has given them up and then wake up believing they are owners.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from random import Random

import pytest

from benchmarks import messages
from monitor.kafka.names import KINDS, topic
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.stream_histories import lives, stirred
from tests.integration.stream_publishers import CLIENTS, Letter, Publisher, brokers_may_die
from tests.integration.stream_topics import read_topics
from tests.integration.stream_workers import Workers
from tests.integration.stream_world import World, world

FIRE = float(os.environ.get("JAKWATCH_FIRE", "0.1"))
KILLS, BROKER_KILLS, GUESTS, FREEZES = (max(1, round(FIRE * whole)) for whole in (20, 5, 10, 4))
SITES = 40 if FIRE >= 1 else 12
MESSAGES_A_SECOND = 150.0
RECOVERED_WITHIN = 300.0  # seconds, on a machine that is busy with other tests
PAUSE = threading.Event()  # nobody sets it: how long something lasts, never what is waited for


class Fire:
    """What is done to workers and broker, one thing after the other, mostly before the last one is got over."""

    def __init__(self, of: World, broker: Broker, workers: Workers, rng: Random) -> None:
        self.world = of
        self.broker = broker
        self.workers = workers
        self.rng = rng
        self.guests = count(1)
        self.looks = 0

    def burns(self) -> None:
        done: list[Callable[[], None]] = [self.a_worker_is_killed] * KILLS
        done += [self.the_broker_is_killed] * BROKER_KILLS
        done += [self.a_guest_comes_and_goes] * GUESTS
        done += [self.two_are_frozen] * FREEZES
        self.rng.shuffle(done)
        for each in done:
            each()
            self.look()
            if self.rng.random() < 0.5:
                self.is_got_over()
            else:
                PAUSE.wait(self.rng.uniform(0, 3))
        self.is_got_over()

    def look(self) -> None:
        self.world.look()
        self.looks += 1

    def is_got_over(self) -> None:
        until(lambda: self.workers.share_out(self.world.sites), "all sites are live again", RECOVERED_WITHIN)

    def a_worker_is_killed(self) -> None:
        self.rng.choice(self.workers.here).send(signal.SIGKILL)

    def the_broker_is_killed(self) -> None:
        self.broker.kill()
        PAUSE.wait(self.rng.uniform(0, 8))
        self.broker.start()

    def a_guest_comes_and_goes(self) -> None:
        """It takes some of the sites, and leaves in order or not."""
        guest = self.workers.add(f"guest-{next(self.guests)}")
        if self.rng.random() < 0.7:
            until(lambda: bool(guest.owned()), f"{guest.name} has sites", RECOVERED_WITHIN)
            self.look()
        else:
            PAUSE.wait(self.rng.uniform(0, 4))
        self.workers.dismiss(guest, self.rng.choice((signal.SIGTERM, signal.SIGKILL)))

    def two_are_frozen(self) -> None:
        """Both until the third has all sites; then they wake up, one of them just before the end of a transaction."""
        self.is_got_over()
        one, other = self.rng.sample(self.workers.here, 2)
        one.freeze_in_a_transaction()
        other.freeze()
        self.is_got_over()
        self.look()
        for each in (one, other):
            each.thaw()


def flow(of: World, site: str, seed: int) -> Iterator[bytes]:
    """Without end: first lives, then a load, stirred a thousand at a time."""
    today = date.today()  # noqa: DTZ011  the last day of what is invented
    yield from stirred(site, lives([site], 10, today - timedelta(700), today, seed)[site], of.rules.registry, seed)
    load = messages.lines(10_000_000, seed=seed)
    for part in count():
        named = [line.replace(b'"site-01"', f'"{site}"'.encode()) for line, _ in zip(load, range(1000), strict=False)]
        yield from stirred(site, named, of.rules.registry, seed + part)


def letters(of: World, sites: tuple[str, ...], seed: int) -> Iterator[Letter]:
    flows = {site: flow(of, site, seed + place) for place, site in enumerate(sites)}
    rng = Random(seed)  # noqa: S311  no secret
    while True:
        site = rng.choice(sites)
        yield from (Letter(site, next(flows[site])) for _ in range(rng.choice((1, 1, 2, 5))))


@contextmanager
def publishing(of: World) -> Iterator[list[Publisher]]:
    """Each client library publishes for a third of the sites, until the end of the block and all is confirmed."""
    rate = MESSAGES_A_SECOND / len(CLIENTS)
    shares = [of.sites[place :: len(CLIENTS)] for place in range(len(CLIENTS))]
    publishers = [
        Publisher(client, of.servers, letters(of, share, seed=place), rate)
        for place, (client, share) in enumerate(zip(CLIENTS, shares, strict=True))
    ]
    for each in publishers:
        each.start()
    try:
        yield publishers
    finally:
        for each in publishers:
            each.stop()
    for each in publishers:
        each.finish()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # kafka-python leaves those that were refused
def test_nothing_is_lost_doubled_or_wrong_under_fire(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "kafka")
    broker.start()
    with brokers_may_die():
        try:
            with world(broker.servers, tmp_path / "world", SITES) as made:
                burn(made, broker)
        finally:
            broker.kill()


def burn(made: World, broker: Broker) -> None:
    began = time.monotonic()
    with made.view() as view, made.workers() as workers:
        for name in ("one", "two", "three"):
            snapshots = [] if name == "three" else ["--snapshots", str(made.folder / f"snapshots-{name}")]
            workers.add(name, "--instance", name, *snapshots)
        fire = Fire(made, broker, workers, Random(f"{FIRE}"))  # noqa: S311  no secret
        with publishing(made) as publishers:
            fire.is_got_over()
            fire.burns()
        made.wait_until_quiet(RECOVERED_WITHIN)
        fire.is_got_over()
        made.check(view)
        all_that_was_confirmed_arrived(made, publishers)
        nothing_that_was_seen_has_vanished(made)
    tell(made, workers, fire, time.monotonic() - began)
    assert workers.problems() == []


def all_that_was_confirmed_arrived(of: World, publishers: list[Publisher]) -> None:
    sent = Counter((letter.site, letter.line) for publisher in publishers for letter in publisher.confirmed)
    came = Counter((site, each.value or b"") for site in of.sites for each in of.watch.seen[topic("in", site)])
    assert sent, "nothing was published"
    assert sent - came == Counter()


def nothing_that_was_seen_has_vanished(of: World) -> None:
    """What a reader of committed records has seen at any moment is what anybody reads now."""
    names = [name for kind in ("facts", "out", "rejected") for name in of.topics(kind)]
    now = read_topics(of.servers, names)
    assert all(now[name][: len(of.watch.seen[name])] == of.watch.seen[name] for name in names)


def tell(of: World, workers: Workers, fire: Fire, seconds: float) -> None:
    """The numbers of a long run, for whoever looks at it."""
    seen = {kind: sum(len(of.watch.seen[name]) for name in of.topics(kind)) for kind in KINDS}
    said = "".join(worker.all_said() for worker in workers.all)
    words = ("taken over", "taken anew", "tried again", "ends and is to be started again")
    told = {"seconds": round(seconds), "sites": len(of.sites), "records": seen, "looks": fire.looks}
    told |= {"workers": workers.summary(), "said": {word: said.count(word) for word in words}}
    print(json.dumps(told))  # noqa: T201
