"""A replica notices that the topics of a site were made anew, also where they are longer than what it has read."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import date

import pytest

from monitor.kafka.names import KINDS, topic
from monitor.kafka.reach import administering
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.test_view import lines_of
from tests.integration.views import WITHIN, World

SITE = "lisbon"


@pytest.fixture
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A broker of this test's own: the sites bear the names that their messages have."""
    folder = tmp_path_factory.mktemp("anew")
    broker = Broker(folder / "kafka")
    broker.start()
    yield World(broker, folder)
    broker.kill()


def delete_topics(world: World) -> None:
    names = [topic(kind, SITE) for kind in KINDS]
    with administering(world.broker.connection()) as admin:
        admin.delete_topics(names)
        until(lambda: not set(names) & set(admin.list_topics()), "they are gone")


def test_a_replica_reads_a_site_again_whose_topics_were_made_anew_and_are_longer(alone: World) -> None:
    lines = lines_of(SITE)
    with alone.owner(SITE) as former:
        former.give(lines[::3], at_once=100)
    with alone.view("view") as view:
        view.until_read(former)
        os.kill(view.pid, signal.SIGSTOP)  # or it might see them while they are shorter
        delete_topics(alone)
        alone.make_topics([SITE])
        with alone.owner(SITE) as owner:
            owner.give([line for number, line in enumerate(lines) if number % 3], at_once=100)
            assert len(owner.given) > len(former.given)
        os.kill(view.pid, signal.SIGCONT)
        until(lambda: "was cut or made anew: its site is read again" in view.stderr, "it is noticed", WITHIN)
        view.until_read(owner)
        as_of = date.fromisoformat(view.result()["as_of"]).toordinal()
        until(lambda: view.ask("v1/result")[1].decode() == alone.replayed([owner], as_of), "nothing else is shown")
