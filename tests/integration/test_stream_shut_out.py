"""A worker and a view at work whom Kafka shuts out: away, with other passwords, with another certificate."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import Iterator

import pytest
from kafka.admin import UserScramCredentialUpsertion

from monitor.kafka.reach import administering
from tests.integration.certificates import Authority
from tests.integration.live import until
from tests.integration.secured_world import COMES_WITHIN, MONITOR, VIEW, World, applied, order, secured_world
from tests.integration.stream_workers import Worker
from tests.integration.views import Viewed

LONG = 45.0  # seconds of silence, beyond which clients have given up what they had
SOON = 30.0  # within it both say that they are shut out, and end when they are asked to


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everybody trusts two authorities of the brokers, as while one follows the other."""
    with secured_world(tmp_path_factory.mktemp("shut-out")) as made:
        next_one = Authority.founded(made.folder / "next")
        both = made.broker.authority.ca.read_bytes() + next_one.ca.read_bytes()
        made.broker.authority.ca.write_bytes(both)
        said = applied(made)
        assert said.code == 0, said.text
        yield made


@pytest.fixture(scope="module")
def worker(world: World) -> Iterator[Worker]:
    with world.worker() as running:
        yield running


@pytest.fixture(scope="module")
def view(world: World) -> Iterator[Viewed]:
    with world.view() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_secret_is_told(world: World) -> Iterator[None]:
    yield
    assert world.told() == set()


def are_ready(worker: Worker, view: Viewed) -> bool:
    return worker.is_ready() and view.is_ready()


def until_both_say(words: str, worker: Worker, view: Viewed) -> None:
    """Both say the cause in their logs, and that they are not ready."""
    until(lambda: words in worker.said() and words in view.stderr, f"both say: {words}", SOON)
    until(lambda: worker.get("readyz")[0] == 503 and not view.is_ready(), "neither is ready", SOON)
    assert words in worker.get("readyz")[1]
    assert "jakwatch_ready 0" in worker.get("metrics")[1]


def wait_until_answered(world: World, worker: Worker, view: Viewed, treatment_id: str) -> None:
    until(lambda: are_ready(worker, view), "both are ready", COMES_WITHIN)
    said = world.publish("lisbon", order(treatment_id))
    assert said.code == 0, said.text
    world.until_answered("lisbon", treatment_id, "hold")
    found = ("v1/sites/lisbon/answers", treatment_id)
    until(lambda: view.get(found[0], treatment_id=found[1])[1]["answers"], "the view shows it", COMES_WITHIN)


def test_a_broker_that_is_away_for_long_is_told_and_both_go_on_when_it_is_back(
    world: World, worker: Worker, view: Viewed
) -> None:
    wait_until_answered(world, worker, view, "RX-before")
    world.broker.kill()
    went = time.monotonic()
    until_both_say("nobody listens at", worker, view)
    until(lambda: time.monotonic() > went + LONG, "it was away for long", 2 * LONG)
    world.broker.start()
    wait_until_answered(world, worker, view, "RX-after")
    assert worker.starts == 1


def test_a_certificate_of_kafka_by_the_next_authority_disturbs_nobody_who_trusts_both(
    world: World, worker: Worker, view: Viewed
) -> None:
    follows = Authority(world.folder / "next")
    follows.sign("broker")
    world.broker.stop()
    shutil.copy(follows.folder / "broker.pem", world.broker.authority.folder / "broker.pem")
    world.broker.start()
    wait_until_answered(world, worker, view, "RX-followed")
    assert worker.starts == 1


def test_a_password_that_was_changed_is_told_by_whoever_still_has_the_old_one(
    world: World, worker: Worker, view: Viewed
) -> None:
    with administering(world.broker.connection()) as admin:
        changed = [UserScramCredentialUpsertion(user, "SCRAM-SHA-512", "the-next-one") for user in (MONITOR, VIEW)]
        admin.alter_user_scram_credentials(changed)
    world.broker.stop()  # open connections would last some minutes
    world.broker.start()
    for user, said in ((MONITOR, worker.said), (VIEW, lambda: view.stderr)):
        told = f"does not know the user {user} with this password. Do next: look at --broker-user"
        until(lambda: told in said(), told, SOON)  # noqa: B023  called at once
    assert worker.get("readyz")[0] == 503


def test_whoever_is_shut_out_ends_soon_when_asked_to(worker: Worker, view: Viewed) -> None:
    asked = time.monotonic()
    worker.send(signal.SIGTERM)
    assert view.terminate() == 0
    until(lambda: worker.codes, "the worker has ended", SOON)
    assert (worker.codes[0], time.monotonic() - asked < SOON) == (0, True)
    assert "Traceback" not in worker.said(1)
