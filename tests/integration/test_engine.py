"""Each override of the engine is necessary: with it a promise holds, without it the loss or misbehaviour is shown.

The engine runs in processes of its own, with a journal for a log (`engine_child`); upstream's lines stand beside the
overrides in `monitor.stream.engine`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka import KafkaProducer, TopicPartition
from kafka.structs import OffsetAndMetadata

from monitor.exitcodes import ExitCode
from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from schemas.parts import RESERVED_SITE
from tests.integration.broker import Broker
from tests.integration.engine_stage import WITHIN, Stage
from tests.integration.live import until
from tests.integration.stream_publishers import Letter, Librdkafka

Stages = Callable[..., Stage]


@pytest.fixture
def stages(broker: Broker, tmp_path: Path) -> Iterator[Stages]:
    """Makes a stage: without an override, or as it is."""
    with ExitStack() as children:
        yield lambda without=None: Stage(broker.servers, tmp_path / str(without), children, without)


# What a message is, and where reading starts


@pytest.mark.parametrize("without", ["_new_transport", "_new_consumer_thread", "subscribe", "_drain_messages"])
def test_without_it_nothing_is_taken_in(stages: Stages, without: str) -> None:
    stage = stages(without)
    [site] = stage.sites()
    stage.send(site, "a")
    assert stage.start([site]).wait(WITHIN) == ExitCode.STOPPED_TO_BE_RESTARTED
    assert stage.kept(site) == []


def test_sites_that_the_group_gives_are_taken_over_and_read(stages: Stages) -> None:
    ours, bare = stages(), stages("on_partitions_assigned")
    for stage in (ours, bare):
        stage.send(*stage.sites(), "a", "b")
        stage.start([f"{stage.word}-0"])
    ours.until_kept(f"{ours.word}-0", "a", "b")
    bare.until_happened("assigned")
    assert bare.events("taken over") == []


def test_where_reading_starts_is_said_by_the_log_and_not_by_the_group(stages: Stages) -> None:
    stage = stages()
    [site] = stage.sites()
    stage.send(site, "a", "b", "c")
    with administering(Connection(stage.servers)) as admin:
        place = TopicPartition(topic("in", site), 0)
        admin.alter_group_offsets(stage.word, {place: OffsetAndMetadata(2, "", -1)})
    stage.start([site])
    until(lambda: stage.kept(site), "the first are kept", WITHIN)
    assert stage.kept(site) == ["a", "b", "c"]


def test_a_batch_that_was_refused_is_read_again(stages: Stages) -> None:
    ours, bare = stages(), stages("seeks of each poll")
    for stage in (ours, bare):
        stage.send(*stage.sites(), "refuse", "b")
        stage.start([f"{stage.word}-0"])
    for stage in (ours, bare):
        stage.until_happened("taken over", 2)
        stage.send(f"{stage.word}-0", "c")
    for stage in (ours, bare):
        until(lambda stage=stage: "c" in stage.kept(f"{stage.word}-0"), "the last is kept", WITHIN)
    assert ours.kept(f"{ours.word}-0") == ["refuse", "b", "c"]
    assert bare.kept(f"{bare.word}-0") == ["c"]  # the rest is lost


def test_what_was_read_and_dropped_is_read_again(stages: Stages) -> None:
    ours, bare = stages(), stages("seeks of each poll")
    for stage in (ours, bare):
        stage.send(*stage.sites(), "a")
        stage.start([f"{stage.word}-0"], fails="dropped poll")
    for stage in (ours, bare):
        stage.until_happened("dropped")
        stage.send(f"{stage.word}-0", "b")
    for stage in (ours, bare):
        until(lambda stage=stage: "b" in stage.kept(f"{stage.word}-0"), "the last is kept", WITHIN)
    assert ours.kept(f"{ours.word}-0") == ["a", "b"]
    assert bare.kept(f"{bare.word}-0") == ["b"]  # the first is lost


def test_what_a_hospital_aborted_is_never_handed_over(stages: Stages) -> None:
    ours, bare = stages(), stages("read_committed")
    for stage in (ours, bare):
        [site] = stage.sites()
        hospital = Librdkafka(stage.servers, transactional_id=f"hospital-{site}")
        hospital.in_transaction([Letter(site, b"aborted")], abort=True)
        hospital.in_transaction([Letter(site, b"committed")], abort=False)
        stage.start([site])
    for stage in (ours, bare):
        until(lambda stage=stage: "committed" in stage.kept(f"{stage.word}-0"), "it is kept", WITHIN)
    assert ours.kept(f"{ours.word}-0") == ["committed"]
    assert bare.kept(f"{bare.word}-0") == ["aborted", "committed"]


class NoText(str):
    """A name of a header that some hospital's client writes in Latin-1."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return super().encode("latin-1", errors)


def test_a_header_whose_name_is_no_utf_8_stops_nobody(stages: Stages) -> None:
    ours, bare = stages(), stages("tolerant records")
    for stage in (ours, bare):
        odd, sound = stage.sites(2)
        with KafkaProducer(bootstrap_servers=stage.servers) as hospital:
            hospital.send(topic("in", odd), b"a", headers=[(NoText("préfixe"), b"x")]).get(WITHIN)
        stage.send(sound, "a")
        stage.start([odd, sound])
    for site in (f"{ours.word}-0", f"{ours.word}-1"):
        until(lambda site=site: ours.kept(site), "its message is kept", WITHIN)
    assert [ours.kept(f"{ours.word}-{site}") for site in (0, 1)] == [["a"], ["a"]]
    assert bare.kept(f"{bare.word}-0") == []


def test_a_site_that_goes_on_is_read_at_once_however_quiet_the_others_are(stages: Stages) -> None:
    ours, bare = stages(), stages("short waits")
    for stage in (ours, bare):
        stage.start(stage.sites(4))
    for stage in (ours, bare):
        stage.until_happened("taken over", 4)
        for site in range(4):
            stage.send(f"{stage.word}-{site}", "refuse")
    for stage in (ours, bare):
        stage.until_happened("kept", 4)
    assert max(waits(ours)) < max(waits(bare)) / 3


def waits(stage: Stage) -> list[float]:
    """For how long each site waited for its messages, in seconds, after it was taken over the last time."""
    return [
        stage.events("kept", site=site)[-1]["at"] - stage.events("taken over", site=site)[-1]["at"]
        for site in {each["site"] for each in stage.events("kept")}
    ]


# A site is one worker's at a time


def test_a_hand_over_waits_for_the_batch_under_way(stages: Stages) -> None:
    ours, bare = stages(), stages("on_partitions_revoked")
    for stage, word in ((ours, "take 6"), (bare, "hold")):
        stage.start(stage.sites(4))
        for site in range(4):
            stage.send(f"{stage.word}-{site}", word)
    for stage in (ours, bare):
        stage.until_happened("begun", 4)
        stage.start([f"{stage.word}-{site}" for site in range(4)], "two")
    ours.until_happened("taken over", 2, "two")
    bare.until_happened("begun", 2, "two")  # what the first worker has under way
    assert bare.events("kept") == []
    assert len(ours.events("kept", "one")) == 4
    assert ours.events("begun", "two") == []


def test_what_was_handed_over_and_not_begun_when_sites_are_given_back_is_read_again(stages: Stages) -> None:
    ours, bare = stages(), stages("stop_flow")
    for stage in (ours, bare):
        stage.send(*stage.sites(), "interrupt")
        stage.start([f"{stage.word}-0"])
    for stage in (ours, bare):
        stage.until_happened("interrupted")
        stage.send(f"{stage.word}-0", "b")
    until(lambda: sorted(ours.kept(f"{ours.word}-0")) == ["b", "interrupt"], "both are kept", WITHIN)
    assert bare.kept(f"{bare.word}-0") == []  # the site stands still for good


def test_who_stays_keeps_its_sites_when_others_come(stages: Stages) -> None:
    ours, bare = stages(), stages("sticky")
    for number, who in enumerate(("one", "two", "three")):
        for stage in (ours, bare):
            stage.start(stage.sites(24) if who == "one" else [f"{stage.word}-{each}" for each in range(24)], who)
        for stage in (ours, bare):
            stage.until_happened("taken over", 24 // (number + 1), who)
            until(lambda stage=stage: len(owned(stage)) == 24, "each site is somebody's", WITHIN)
    assert len(ours.events("taken over", "one")) == 24
    assert len(bare.events("taken over", "one")) > 24  # some were taken from it, and others given back for them


def owned(stage: Stage) -> set[tuple[str, str]]:
    """(worker, site) of all that were taken over and not let go."""
    found: set[tuple[str, str]] = set()
    for each in stage.journal.read():
        place = (each["who"], each["site"])
        if each["event"] == "taken over" and each["site"] != RESERVED_SITE:
            found.add(place)
        elif each["event"] == "let go":
            found.discard(place)
    return found


def test_a_worker_that_is_started_again_under_its_name_disturbs_nobody(stages: Stages) -> None:
    stage = stages()
    sites = stage.sites(6)
    first = stage.start(sites, "one", instance="one")
    stage.until_happened("taken over", 6)
    stage.start(sites, "two", instance="two")
    stage.until_happened("taken over", 3, "two")
    first.kill()
    first.wait()
    stage.start(sites, "one", instance="one")
    stage.until_happened("taken over", 9, "one")
    for site in sites:
        stage.send(site, "a")
        stage.until_kept(site, "a")
    assert len(stage.events("taken over", "two")) == 3
    assert stage.events("let go", "two") == []


# Errors


def test_a_site_that_fails_is_taken_anew_while_the_others_go_on(stages: Stages) -> None:
    stage = stages()
    failing, sound = stage.sites(2)
    stage.send(failing, "raise", "b")
    stage.start([failing, sound])
    stage.until_happened("raise")
    stage.send(sound, "a")
    stage.until_kept(sound, "a")
    assert stage.kept(failing) == []
    stage.until_kept(failing, "raise", "b")


@pytest.mark.parametrize("fails", ["agent", "service"])
def test_a_part_that_fails_ends_the_worker_to_be_started_again(stages: Stages, fails: str) -> None:
    stage = stages()
    assert stage.start(stage.sites(), fails=fails).wait(WITHIN) == ExitCode.STOPPED_TO_BE_RESTARTED


def test_without_it_a_worker_whose_agent_raised_goes_on_as_if_nothing_had_happened(stages: Stages) -> None:
    stage = stages("_on_agent_error")
    [site] = stage.sites()
    process = stage.start([site], fails="agent")
    stage.send(site, "a")
    stage.until_kept(site, "a")
    assert process.poll() is None


def test_without_it_a_worker_that_crashed_does_not_say_that_it_is_to_be_started_again(stages: Stages) -> None:
    stage = stages("_crash")
    assert stage.start(stage.sites(), fails="service").wait(WITHIN) != ExitCode.STOPPED_TO_BE_RESTARTED


# The end, and what others are told


def test_a_worker_that_is_asked_to_end_lets_its_batch_end_first(stages: Stages) -> None:
    stage = stages()
    [site] = stage.sites()
    stage.send(site, "take 3")
    process = stage.start([site])
    stage.until_happened("begun")
    process.send_signal(signal.SIGTERM)
    assert process.wait(WITHIN) == ExitCode.DONE
    assert stage.order("begun", "kept", "let go") == ["begun", "kept", "let go"]


def test_a_worker_that_ends_lets_go_of_its_sites(stages: Stages) -> None:
    ours, bare = stages(), stages("on_stop")
    for stage in (ours, bare):
        stage.send(*stage.sites(), "a")
        stage.start([f"{stage.word}-0"])
    for stage in (ours, bare):
        stage.until_kept(f"{stage.word}-0", "a")
        stage.processes[0].send_signal(signal.SIGTERM)
        assert stage.processes[0].wait(WITHIN) == ExitCode.DONE
    assert len(ours.events("let go")) == 1
    assert bare.events("let go") == []


def test_a_worker_that_was_asked_to_end_takes_over_nothing(stages: Stages) -> None:
    stage = stages()
    process = stage.start(stage.sites(2), fails="stopped")
    assert process.wait(WITHIN) == ExitCode.DONE
    assert stage.events("taken over") == []


def test_the_group_is_told_how_far_the_sites_are(stages: Stages) -> None:
    ours, *bare = (stages(without) for without in (None, "_filter_tps_with_pending_acks", "_new_offset"))
    for stage in (ours, *bare):
        stage.send(*stage.sites(), "a", "b", "c")
        stage.start([f"{stage.word}-0"])
    for stage in (ours, *bare):
        stage.until_kept(f"{stage.word}-0", "a", "b", "c")
    until(lambda: told_to_the_group(ours) == 3, "the group is told", WITHIN)
    assert [told_to_the_group(stage) for stage in bare] == [None, None]


def told_to_the_group(stage: Stage) -> int | None:
    with administering(Connection(stage.servers)) as admin:
        found = admin.list_group_offsets(stage.word)[stage.word]
    told = found.get(TopicPartition(topic("in", f"{stage.word}-0"), 0))
    return None if told is None else int(told.offset)


def test_nothing_is_written_where_a_worker_is_started(stages: Stages) -> None:
    ours, bare = stages(), stages("_create_directories")
    for stage in (ours, bare):
        stage.start(stage.sites())
    for stage in (ours, bare):
        stage.until_happened("taken over")
    assert list((ours.folder / "one").iterdir()) == []
    assert list((bare.folder / "one").iterdir()) != []
