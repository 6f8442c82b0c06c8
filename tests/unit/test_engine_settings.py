"""What the engine goes by is what it is given."""

from __future__ import annotations

from typing import Any, cast

import pytest

from monitor.kafka.connection import Connection
from monitor.stream.engine import Engine


@pytest.mark.parametrize(
    ("name", "value"),
    [("BROKER_URL", "kafka://elsewhere:9092"), ("TABLE_STANDBY_REPLICAS", "1"), ("PRODUCER_ACKS", "0")],
)
def test_no_variable_of_the_environment_overrules_a_setting(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = settings()
    monkeypatch.setenv(name, value)
    assert settings() == before


def settings() -> list[Any]:
    given = Engine(Connection("kafka:9092"), ["lisbon"], cast("Any", None)).conf
    return [str(given.broker_consumer), str(given.broker_producer), given.table_standby_replicas, given.producer_acks]
