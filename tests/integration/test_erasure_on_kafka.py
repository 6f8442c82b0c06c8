"""Of who was erased nothing is left: in no topic, in no answer, in no memory, and after some days in no file."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from kafka.admin import ConfigResource

from monitor.core.pseudonyms import pseudonymiser
from monitor.demo.build import Message
from monitor.kafka import topics
from monitor.kafka.names import ACTIONS, topic
from monitor.kafka.reach import administering
from schemas import actions as act
from tests.data.erasing import fell_ill, merged
from tests.data.one_patient import order, papers, start
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.lone_worker import LoneWorker, action_of, lines_of, publish, read_topics
from tests.integration.stream_workers import READY_WITHIN
from tests.integration.stream_world import World, world

STAYS = (*papers("stays"), start("stays"), order("stays"))
GONE = (*papers("gone"), start("gone"), order("gone"), fell_ill("gone"))
IN_ERROR = {"version": 2, "status": "entered_in_error"}
OF_ANOTHER = {"patient_id": "stays", "version": 2}
HISTORIES: dict[str, tuple[Message, ...]] = {
    "as it was sent": GONE,
    "moved to another by a correction": (*papers("gone"), start("gone"), start("gone") | OF_ANOTHER),
    "retracted": (start("gone"), start("gone") | IN_ERROR),
    "said of two under one version": (start("gone") | {"version": 2}, start("gone") | OF_ANOTHER),
    "merged with another": (*GONE, merged("stays", "gone")),
    "merged by mistake": (merged("stays", "gone"), merged("stays", "gone") | IN_ERROR),
}
"""What is on file of the patient `gone`: every fact that names it goes, standing or not."""


def names_gone(message: Message) -> bool:
    retracts = message.get("status") == "entered_in_error"  # of what, it says by its event_id alone
    return "gone" in (message["patient_id"], None if retracts else message.get("merged_patient_id"))


@pytest.fixture(scope="module")
def hospitals(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(broker.servers, tmp_path_factory.mktemp("erasure"), 24) as made:
        yield made


@pytest.fixture
def lone(hospitals: World) -> Iterator[LoneWorker]:
    with LoneWorker(hospitals.servers, hospitals.rules) as made:
        yield made


def erasing(of: World, site: str, patient: str = "gone", at: datetime | None = None) -> act.Erase:
    [pseudonym] = pseudonymiser(site, of.rules.key, of.rules.registry)(patient)
    action = action_of("erase", at or datetime.now(UTC), site=site, pseudonym=pseudonym)
    assert isinstance(action, act.Erase)
    return action


def standing(servers: str, site: str) -> dict[bytes, bytes]:
    """What is left of facts and answers for a reader of the topics, as compaction will leave it."""
    found: dict[bytes, bytes | None] = {}
    for seen in read_topics(servers, [topic(kind, site) for kind in ("facts", "out")]).values():
        found |= {each.key or b"": each.value for each in seen}
    return {key: value for key, value in found.items() if value is not None}


def is_named(of: World, site: str, action: act.Erase) -> bool:
    """Whether facts or answers still name the patient."""
    return any(action.pseudonym.encode() in value for value in standing(of.servers, site).values())


def of_patients(held: dict[str, Any]) -> dict[str, Any]:
    """What is held, but for signs that a feed was alive, which stay, and for places in the log."""
    count = {"received": held["tally"].received, "taken": held["tally"].taken}
    return {name: each for name, each in held.items() if name not in {"tally", "position", "log"}} | count


def give_history(lone: LoneWorker, site: str, history: str) -> dict[str, Any]:
    """All that is on file of both; what was held and answered before anything came that names the patient."""
    messages = HISTORIES[history]
    lone.give(site, *STAYS, *(each for each in messages if not names_gone(each)))
    before = of_patients(lone.holds(site))
    lone.give(site, *(each for each in messages if names_gone(each)))
    return before


# At once, and when nobody owned the site


@pytest.mark.parametrize("history", ["as it was sent", "said of two under one version", "merged with another"])
def test_an_owner_holds_and_answers_what_it_would_had_the_patient_never_come(
    hospitals: World, lone: LoneWorker, site: str, history: str
) -> None:
    lone.take_over(site)
    before = give_history(lone, site, history)
    action = erasing(hospitals, site)
    assert is_named(hospitals, site, action)
    lone.hear(action)
    assert lone.retaken == [site]
    assert not is_named(hospitals, site, action)
    assert of_patients(lone.holds(site)) == before


@pytest.mark.parametrize("history", HISTORIES)
def test_who_was_erased_while_nobody_owned_the_site_goes_when_it_is_taken_over(
    hospitals: World, site: str, history: str
) -> None:
    with LoneWorker(hospitals.servers, hospitals.rules) as former:
        former.take_over(site)
        before = give_history(former, site, history)
    action = erasing(hospitals, site)
    with LoneWorker(hospitals.servers, hospitals.rules, decided=[action]) as lone:
        lone.take_over(site)
        lone.tick()
        assert not is_named(hospitals, site, action)
        assert of_patients(lone.holds(site)) == before


def test_it_is_so_for_every_later_owner_and_nothing_is_said_of_the_patient_again(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    """Until it is compacted the topic still has the facts, before what removes them."""
    lone.take_over(site)
    before = give_history(lone, site, "as it was sent")
    action = erasing(hospitals, site)
    lone.hear(action)
    written = len(records(hospitals, site))
    for _ in range(2):
        with LoneWorker(hospitals.servers, hospitals.rules, decided=[action]) as later:
            later.take_over(site)
            later.tick()
            assert of_patients(later.holds(site)) == before
    assert len(records(hospitals, site)) == written


def records(of: World, site: str) -> list[Any]:
    found = read_topics(of.servers, [topic(kind, site) for kind in ("facts", "out")])
    return [each for seen in found.values() for each in seen]


# What came before and after


def test_what_was_published_before_and_is_taken_in_after_goes_as_well(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    lone.take_over(site)
    lone.give(site, *STAYS, *papers("gone"))
    publish(hospitals.servers, site, lines_of(site, start("gone"), merged("stays", "gone")))
    action = erasing(hospitals, site)
    lone.hear(action)
    assert lone.retaken == [site]
    lone.read_on(site)
    lone.tick()
    assert lone.retaken == [site, site]
    assert not is_named(hospitals, site, action)
    assert lone.said(site).keys() == {("stays-upa", "start"), ("stays-upa", "order")}


def test_a_worker_that_was_away_erases_what_waited_for_it_and_goes_on(
    hospitals: World, site: str, tmp_path: Path
) -> None:
    """The whole process: what was decided is heard first, then the messages come that had been there before it."""
    publish(hospitals.servers, site, lines_of(site, *GONE, *STAYS))
    action = erasing(hospitals, site)
    with KafkaProducer(bootstrap_servers=hospitals.servers) as producer:
        record = action.model_dump_json(by_alias=True, exclude_none=True).encode()
        producer.send(ACTIONS, record, action.action_id.encode()).get(60)

    def is_done() -> bool:
        left = b"".join(standing(hospitals.servers, site).values())
        return b"stays-upa" in left and b"gone-upa" not in left and not is_named(hospitals, site, action)

    with hospitals.workers() as workers:
        workers.options += ["--snapshots", str(tmp_path / "snapshots")]
        worker = workers.add("only")
        until(is_done, "the patient is erased", READY_WITHIN)
        publish(hospitals.servers, site, lines_of(site, *papers("later"), start("later")))
        until(lambda: b"later-upa" in b"".join(standing(hospitals.servers, site).values()), "it goes on", READY_WITHIN)
        assert is_done()
        assert worker.all_said().count("were erased") == 1
        assert (tmp_path / "snapshots").stat().st_mode & 0o777 == 0o700
    assert workers.problems() == []


def test_who_comes_again_after_it_is_treated_as_somebody_new(hospitals: World, lone: LoneWorker, site: str) -> None:
    """Also by the very same messages, which stand in the topic under the keys of those that were removed."""
    lone.take_over(site)
    lone.give(site, *GONE)
    action = erasing(hospitals, site)
    lone.hear(action)
    lone.give(site, *papers("gone"), start("gone"))
    assert lone.said(site) == {("gone-upa", "start"): "compliant"}
    before = lone.holds(site)
    with LoneWorker(hospitals.servers, hospitals.rules, decided=[action]) as later:
        later.take_over(site)
        later.tick()
        assert later.holds(site) == before


def test_erasing_somebody_of_whom_nothing_is_held_changes_nothing(
    hospitals: World, lone: LoneWorker, site: str
) -> None:
    lone.take_over(site)
    lone.give(site, *STAYS)
    before, written = lone.holds(site), len(records(hospitals, site))
    lone.hear(erasing(hospitals, site, "nobody"))
    assert (lone.retaken, lone.holds(site)) == ([], before)
    assert len(records(hospitals, site)) == written


def test_what_somebody_decides_while_a_site_is_being_read_takes_effect(hospitals: World, site: str) -> None:
    """Heard at the worst moment: when what was decided before has been given to the reader of the log."""
    with LoneWorker(hospitals.servers, hospitals.rules) as former:
        former.take_over(site)
        former.give(site, *STAYS, *GONE)
    action = erasing(hospitals, site)
    with LoneWorker(hospitals.servers, hospitals.rules) as lone:
        lone.when_it_next_looks_at_the_clock(lambda: asyncio.ensure_future(lone.worker.heed(action)))
        lone.take_over(site)
        lone.tick()
        assert not is_named(hospitals, site, action)
        assert {course for course, _ in lone.said(site)} == {"stays-upa"}


# Every day, until no byte is left


def beats(of: World, site: str) -> tuple[int, int]:
    """How many records of facts and answers say nothing new."""
    facts, out = topic("facts", site), topic("out", site)
    seen = read_topics(of.servers, [facts, out])
    positions = [each.value for each in seen[facts] if each.key == b"position"]
    return len(positions) - len(set(positions)), sum(each.value is None for each in seen[out])


def test_a_silent_site_has_a_record_a_day_in_facts_and_answers(hospitals: World, lone: LoneWorker, site: str) -> None:
    lone.take_over(site)
    lone.give(site, *STAYS)
    before = lone.said(site)
    for day in range(3):
        assert beats(hospitals, site) == (day, day)
        lone.tick()
        lone.pass_days(1)
    assert lone.said(site) == before


def test_also_where_no_worker_lived_to_see_midnight(hospitals: World, lone: LoneWorker, site: str) -> None:
    lone.take_over(site)
    lone.give(site, *STAYS)
    lone.let_go(site)
    lone.take_over(site)
    lone.tick()
    assert beats(hospitals, site) == (0, 0)
    lone.let_go(site)
    lone.ahead += timedelta(1)
    lone.take_over(site)
    lone.tick()
    assert beats(hospitals, site) == (1, 1)


def test_where_nothing_was_ever_said_nothing_needs_to_be_written(hospitals: World, lone: LoneWorker, site: str) -> None:
    lone.take_over(site)
    lone.tick()
    assert read_topics(hospitals.servers, [topic("out", site)]) == {topic("out", site): []}


HURRIED_DAY = 1.0  # seconds
PAUSES_OF_THE_CLEANER = 2  # days, of this kind, between its looks: of a real day they are a thousandth


def hurry(broker: Broker, name: str) -> None:
    """Days of the topic pass in a second each."""
    settings = topics.wanted([name.rpartition(".")[2]], 1)[name]
    times = {key: int(value) for key, value in settings.items() if key.endswith(".ms") and int(value) > 0}
    scaled = {key: str(int(value * HURRIED_DAY / 86_400)) for key, value in times.items()}
    with administering(broker.connection()) as admin:
        admin.alter_configs([ConfigResource("TOPIC", name, scaled | {"file.delete.delay.ms": "0"})])


def in_files(broker: Broker, site: str, *sought: bytes, everywhere: bool = False) -> set[str]:
    """Which of some bytes stand in the files of facts and answers; or of all topics but those in which they came."""
    own = {f"{topic(kind, site)}-0" for kind in ("facts", "out")}
    aside = {f"{topic(kind, site)}-0" for kind in ("in", "rejected")}
    folders = [each for each in (broker.folder / "data").iterdir() if each.is_dir()]
    looked_at = [each for each in folders if (each.name not in aside if everywhere else each.name in own)]
    found: set[str] = set()
    for path in (path for folder in looked_at for path in folder.iterdir() if not path.name.endswith("index")):
        with contextlib.suppress(FileNotFoundError):  # the broker has just deleted it
            content = path.read_bytes()
            found |= {each.decode() for each in sought if each in content}
    return found


def test_within_the_days_promised_no_byte_of_the_patient_is_left_on_the_brokers_disk(
    broker: Broker, hospitals: World, lone: LoneWorker, site: str
) -> None:
    """Though nobody sends anything any more: the worker's record of each day lets Kafka compact."""
    for kind in ("facts", "out"):
        hurry(broker, topic(kind, site))
    lone.take_over(site)
    lone.give(site, *STAYS, *GONE)
    action = erasing(hospitals, site)
    names = (action.pseudonym.encode(), b"gone-upa", b"gone-start", b"gone-hiv", b"gone-zoster")
    lone.hear(action)
    assert in_files(broker, site, *names) == {each.decode() for each in names}
    began, days = time.monotonic(), 0

    def nothing_is_left() -> bool:
        nonlocal days
        if time.monotonic() - began > HURRIED_DAY * (days + 1):
            days += 1
            lone.pass_days(1)
        return not in_files(broker, site, *names)

    until(nothing_is_left, "the patient is compacted away")
    assert in_files(broker, site, names[0], everywhere=True) == set()  # the others are those of other tests too
    assert days <= topics.COMPACTED_WITHIN_DAYS + PAUSES_OF_THE_CLEANER
    assert in_files(broker, site, b"stays-start", b"stays-upa") == {"stays-start", "stays-upa"}
