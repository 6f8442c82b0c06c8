"""A secured Kafka as deploy/kafka shows it: what each hospital and each of our processes may do, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition
from kafka import KafkaProducer
from kafka import TopicPartition as Partition
from kafka.admin import OffsetSpec
from kafka.errors import TopicAuthorizationFailedError

from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS, GROUP, topic, transactional_id
from monitor.kafka.reach import administering
from tests.integration.broker import Broker
from tests.integration.guarded import SITES, TOPICS

ITS_ANSWERS = {topic("out", "lisbon"), topic("rejected", "lisbon")}


@pytest.fixture(scope="module", autouse=True)
def _a_record_in_each_topic(guarded: Broker) -> None:
    with KafkaProducer(**guarded.connection().for_kafka_python()) as producer:
        for name in TOPICS:
            producer.send(name, key=b"key", value=b"first").get(10)


# What hospitals may do


@pytest.fixture(params=["scram", "mtls"])
def lisbon(request: pytest.FixtureRequest, guarded: Broker) -> Connection:
    """The hospital of lisbon, by password and by certificate."""
    return guarded.connection("lisbon" if request.param == "mtls" else "hospital-lisbon", request.param)


def may_write(connection: Connection, name: str) -> bool:
    with KafkaProducer(**connection.for_kafka_python(), enable_idempotence=False) as producer:
        try:
            producer.send(name, key=b"key", value=b"said").get(10)
        except TopicAuthorizationFailedError:
            return False
    return True


def readable(connection: Connection) -> set[str]:
    """The topics of which we get a record; of each other one Kafka says that we may not read it, or even see it."""
    answers = asyncio.run(fetched(connection))
    assert set(answers) == set(TOPICS)
    assert all(bool(records) == (code == 0) for code, records in answers.values())
    assert {code for code, _ in answers.values()} <= {0, TopicAuthorizationFailedError.errno}
    return {name for name, (code, _) in answers.items() if code == 0}


async def fetched(connection: Connection) -> dict[str, tuple[int, bytes]]:
    """(error code, records) of each topic: fetched without asking first what is there, as well-behaved clients do."""
    given = connection.for_aiokafka()
    host, port = given.pop("bootstrap_servers").split(":")
    link = AIOKafkaConnection(host, int(port), **given)
    await link.connect()
    try:
        everything = [(name, [(0, 0, 1 << 20)]) for name in TOPICS]
        answer = await link.send(FetchRequest(100, 1, 1 << 20, 0, everything))
    finally:
        await asyncio.wait([link.close()], timeout=1)
    return {name: (part[1], part[-1]) for name, (part,) in answer.topics}


def test_a_hospital_writes_its_own_messages_and_to_no_other_topic(lisbon: Connection) -> None:
    assert {name for name in TOPICS if may_write(lisbon, name)} == {topic("in", "lisbon")}


def test_a_hospital_reads_its_own_answers_and_rejections_and_no_other_topic(lisbon: Connection) -> None:
    assert readable(lisbon) == ITS_ANSWERS


def test_a_user_without_rights_reads_and_writes_nothing(guarded: Broker) -> None:
    guarded.add_user("nobody")
    nobody = guarded.connection("nobody", "scram")
    assert readable(nobody) == set()
    assert not any(may_write(nobody, name) for name in TOPICS)


# What our own processes may do


def test_the_monitor_has_the_rights_that_its_work_needs(guarded: Broker) -> None:
    """As its group it reads what came in, and writes facts, answers and rejections of a site in one transaction."""
    read = asyncio.run(worked(guarded.connection("jakwatch-monitor")))
    assert read == {topic(kind, site) for kind in ("in", "facts", "out") for site in SITES} | {ACTIONS}


async def worked(connection: Connection) -> set[str]:
    """Do what the monitor does, and return the topics that a record was read of."""
    given = connection.for_aiokafka()
    consumer = AIOKafkaConsumer(**given, group_id=GROUP, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.subscribe([topic("in", site) for site in SITES])
    async with consumer, AIOKafkaProducer(**given, transactional_id=transactional_id("lisbon")) as producer:
        async with producer.transaction():
            for kind in ("facts", "out", "rejected"):
                await producer.send_and_wait(topic(kind, "lisbon"), key=b"key", value=b"of the monitor")
        read = await read_from(consumer, len(SITES))
        await consumer.commit()
    async with AIOKafkaConsumer(**given, group_id=None, isolation_level="read_committed") as log:
        names = [ACTIONS, *(topic(kind, site) for kind in ("facts", "out") for site in SITES)]
        log.assign([TopicPartition(name, 0) for name in names])
        await log.seek_to_beginning()
        return read | await read_from(log, len(names))


async def read_from(consumer: AIOKafkaConsumer, topics: int) -> set[str]:
    read = set[str]()
    async with asyncio.timeout(30):
        while len(read) < topics:
            read |= {each.topic for each in await consumer.getmany(timeout_ms=500)}
    return read


def test_the_monitor_neither_acts_for_people_nor_sends_for_hospitals(guarded: Broker) -> None:
    monitor = guarded.connection("jakwatch-monitor")
    assert not any(may_write(monitor, name) for name in (ACTIONS, *(topic("in", site) for site in SITES)))


def test_a_view_reads_all_but_what_hospitals_sent_and_writes_what_people_decide_and_nothing_else(
    guarded: Broker,
) -> None:
    view = guarded.connection("jakwatch-view")
    assert readable(view) == set(TOPICS) - {topic("in", site) for site in SITES}
    assert {name for name in TOPICS if may_write(view, name)} == {ACTIONS}


def test_a_view_sees_how_much_there_is_to_read_and_who_reads_it(guarded: Broker) -> None:
    places = {Partition(topic("in", site), 0): OffsetSpec.LATEST for site in SITES}
    with administering(guarded.connection("jakwatch-view")) as admin:
        assert all(each.offset > 0 for each in admin.list_partition_offsets(places).values())
        assert admin.describe_groups([GROUP])[GROUP]["error"] is None
