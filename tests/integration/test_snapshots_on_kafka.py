"""A worker that kept snapshots reads only what came since, and holds what a reader of the whole log holds."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.core.pseudonyms import pseudonymiser
from monitor.kafka import topics
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from monitor.stream.snapshot import LEAST_NEW, NUMBERING
from schemas import actions as act
from tests.data.one_patient import order, papers, start
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.lone_worker import LoneWorker, action_of
from tests.integration.stream_histories import lives, load, stirred
from tests.integration.stream_world import World, world

KNOWN = "facts are known from a snapshot"


@contextmanager
def told(broker: Broker, folder: Path) -> Iterator[World]:
    """Two sites. Of the first there are enough facts for a snapshot, which lies in the folder `kept`."""
    with world(broker.servers, folder, 2) as made:
        site, today = made.sites[0], date.today()  # noqa: DTZ011  the last day of what is invented
        lines = lives([site], 12, today - timedelta(900), today, seed=5)[site] + load([site], LEAST_NEW, seed=6)[site]
        with LoneWorker(made.servers, made.rules, folder / "kept") as lone:
            lone.take_over(site)
            lone.give_lines(site, stirred(site, lines, made.rules.registry, seed=7))
            assert len(files(folder / "kept")) == 1
            lone.give(site, *papers("erased"), start("erased"))
            assert len(files(folder / "kept")) == 1
        yield made


@pytest.fixture(scope="module")
def shared(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """For tests that change nothing of it that would disturb another."""
    with told(broker, tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def own(broker: Broker, tmp_path: Path) -> Iterator[World]:
    with told(broker, tmp_path / "own") as made:
        yield made


@pytest.fixture
def kept(shared: World, tmp_path: Path) -> Path:
    """A copy of the shared world's snapshots."""
    return Path(shutil.copytree(shared.folder / "kept", tmp_path / "kept"))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.snapshot"))


def held(of: World, snapshots: Path | None, *, decided: Sequence[act.Action] = ()) -> dict[str, Any]:
    """What a worker holds that takes over the first site, the second one before it."""
    site, before = of.sites
    with LoneWorker(of.servers, of.rules, snapshots, decided) as lone:
        lone.take_over(before, site)
        lone.tick()
        return lone.holds(site)


def erasing(of: World, patient: str = "erased") -> act.Action:
    [pseudonym] = pseudonymiser(of.sites[0], of.rules.key, of.rules.registry)(patient)
    return action_of("erase", datetime.now(UTC), site=of.sites[0], pseudonym=pseudonym)


def test_a_restarted_worker_reads_what_came_since_and_holds_what_the_whole_log_says(
    shared: World, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site, other = shared.sites
    with LoneWorker(shared.servers, shared.rules) as meanwhile:  # another worker, on another machine
        meanwhile.take_over(site, other)
        meanwhile.give(other, *papers("first"), start("first", indications=[coded("unheard of")]))
        meanwhile.give(site, *papers("since"), order("since"), start("since", indications=[coded("of the tail")]))
        before = meanwhile.holds(site)
    caplog.set_level("INFO")
    assert held(shared, kept) == before
    assert [each for each in caplog.messages if KNOWN in each]
    caplog.clear()
    assert held(shared, None) == before
    assert not [each for each in caplog.messages if KNOWN in each]


def coded(code: str) -> dict[str, Any]:
    return {"codings": [{"system": "local", "code": code}]}


def test_a_worker_that_goes_on_from_a_snapshot_takes_in_and_answers_as_before(shared: World, kept: Path) -> None:
    site = shared.sites[0]
    with LoneWorker(shared.servers, shared.rules, kept) as lone:
        lone.take_over(site)
        lone.give(site, *papers("later"), start("later", started_on="2025-05-13"), start("without papers"))
        before = lone.holds(site)
        assert lone.said(site)["later-upa", "start"] == "compliant"
        assert lone.said(site)["without papers-upa", "start"] == "violation"
    assert held(shared, None) == before


@pytest.mark.parametrize("spoil", ["damaged", "without the numbering"])
def test_where_the_files_are_of_no_use_the_log_is_read_whole(
    shared: World, kept: Path, spoil: str, caplog: pytest.LogCaptureFixture
) -> None:
    [path] = files(kept)
    (path if spoil == "damaged" else kept / NUMBERING).write_bytes(b"no")
    with LoneWorker(shared.servers, shared.rules) as lone:  # numbers the codes of the other site first
        lone.take_over(shared.sites[1])
        lone.give(shared.sites[1], start("numbering", indications=[coded("of another process")]))
    caplog.set_level("INFO")
    assert held(shared, kept) == held(shared, None)
    assert not [each for each in caplog.messages if KNOWN in each]


def test_another_one_is_kept_when_enough_is_new(shared: World, kept: Path) -> None:
    site = shared.sites[1]
    with LoneWorker(shared.servers, shared.rules, kept) as lone:
        lone.take_over(site)
        lone.give_lines(site, load([site], LEAST_NEW + 10, seed=8)[site])
        assert {path.name.partition(".")[0] for path in files(kept)} == set(shared.sites)


def test_when_a_conflict_was_settled_since_the_log_is_read_whole(
    shared: World, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_ones = held(shared, None)["conflicts"]
    source, event_id, bodies = min(open_ones, key=lambda each: max(recorded for *_, recorded in each[2]))
    said = {"site": shared.sites[0], "source": source, "event_id": event_id, "digest": bodies[0][0]}
    settled = action_of("settle_conflict", datetime.now(UTC), **said)
    caplog.set_level("INFO")
    after = held(shared, kept, decided=[settled])
    assert after == held(shared, None, decided=[settled])
    assert len(after["conflicts"]) == len(open_ones) - 1
    assert not [each for each in caplog.messages if KNOWN in each]


# Another log, and who was erased


def test_where_the_facts_were_made_anew_the_snapshot_is_refused_and_removed(
    own: World, caplog: pytest.LogCaptureFixture
) -> None:
    site, folder = own.sites[0], own.folder / "kept"
    made_anew(own, topic("facts", site))
    after = held(own, folder)
    assert (after["facts"], after["log"][0]) == ({}, None)  # and the inbound topic is read from its first message
    assert any("its snapshot does not agree with its log" in each for each in caplog.messages)
    assert files(folder) == []


def made_anew(of: World, name: str) -> None:
    with administering(Connection(of.servers)) as admin:
        wanted = topics.wanted(of.sites, 1)[name]
        admin.delete_topics([name])
        until(lambda: topics.create(admin, {name: wanted}, 1)[0], "the topic is gone and made anew")


def test_of_who_was_erased_no_snapshot_is_left_wherever_it_lies(own: World, caplog: pytest.LogCaptureFixture) -> None:
    site, folder, elsewhere = own.sites[0], own.folder / "kept", own.folder / "elsewhere"
    shutil.copytree(folder, elsewhere)  # of another worker, who will be away
    action = erasing(own)
    with LoneWorker(own.servers, own.rules, folder) as lone:
        lone.take_over(site)
        lone.hear(action)
        assert lone.retaken == [site]
        [path] = files(folder)  # of what is left, since it was read whole
        after = lone.holds(site)
    pseudonym = bytes.fromhex(action.pseudonym)  # type: ignore[union-attr]
    assert pseudonym not in after["facts"]
    assert pseudonym not in path.read_bytes()
    assert b"erased-" not in path.read_bytes()
    with LoneWorker(own.servers, own.rules, elsewhere, [action]):
        assert files(elsewhere) == []  # before any site is taken over, and whoever owns the site
    caplog.set_level("INFO")
    assert held(own, folder, decided=[action]) == after == held(own, None, decided=[action])
