"""One hospital's topic that was made wrong stops neither the workers nor the other hospitals."""

from __future__ import annotations

from pathlib import Path

from kafka.admin import NewPartitions

from monitor.kafka.connection import Connection
from monitor.kafka.names import topic
from monitor.kafka.reach import administering
from tests.data.one_patient import start
from tests.integration.broker import Broker
from tests.integration.live import until
from tests.integration.lone_worker import lines_of, publish
from tests.integration.stream_workers import READY_WITHIN
from tests.integration.stream_world import world
from tests.integration.test_monitor_processes import answered


def test_a_site_whose_topic_has_a_second_partition_is_left_out_and_the_others_go_on(
    broker: Broker, tmp_path: Path
) -> None:
    with world(broker.servers, tmp_path, 2) as hospitals:
        wrong, sound = hospitals.sites
        with administering(Connection(broker.servers)) as admin:
            admin.create_partitions({topic("in", wrong): NewPartitions(total_count=2)})
        with hospitals.workers() as workers:
            only = workers.add("only")
            until(lambda: only.owned() == {sound}, "the other is owned", READY_WITHIN)
            publish(broker.servers, sound, lines_of(sound, start()))
            until(lambda: answered(broker.servers, sound) == ["violation"], "the other is answered", READY_WITHIN)
            said = only.said()
    assert f"{topic('in', wrong)}: it has 2 partitions, expected 1" in said
    assert answered(broker.servers, wrong) == []
