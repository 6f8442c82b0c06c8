"""What the tests of this folder share: a plain Kafka, one that is secured, a `jakwatch run` and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.broker import Broker
from tests.integration.certificates import ENDED
from tests.integration.guarded import run_topics
from tests.integration.live import Live
from tests.integration.stream_world import World
from tests.integration.ward import ward
from tests.integration.wire import Client


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A plain broker that answers. Who uses it takes names of sites that nobody else does, and leaves it running."""
    kafka = Broker(tmp_path_factory.mktemp("kafka"))
    kafka.start()
    yield kafka
    kafka.stop()


@pytest.fixture(scope="session")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A secured broker with topics and rights of two sites as `topics apply` makes them, and everybody's users."""
    kafka = Broker(tmp_path_factory.mktemp("guarded"), secured=True)
    kafka.start()
    for user in ("hospital-lisbon", "hospital-oslo", "jakwatch-monitor", "jakwatch-view"):
        kafka.add_user(user)
    kafka.hospitals.sign("lisbon")
    kafka.hospitals.sign("ended", "lisbon", ENDED)
    made = run_topics(kafka.folder, "apply", kafka.connection())
    assert made.exit_code == 0, made.output
    yield kafka
    kafka.stop()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A `jakwatch run` of the module alone."""
    with ward(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with Client(live.url) as client:
        yield client


@pytest.fixture(scope="module")
def unused(hospitals: World) -> Iterator[str]:
    """Sites of the hospitals of a module that none of its tests has used yet."""
    return iter(hospitals.sites)


@pytest.fixture
def site(unused: Iterator[str]) -> str:
    """A site that no other test uses."""
    return next(unused)
