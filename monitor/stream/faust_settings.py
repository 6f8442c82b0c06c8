"""The settings of Faust that a worker runs with. Beside the engine nothing else knows of it."""

from __future__ import annotations

from typing import Any

import faust

from monitor.kafka.connection import Connection
from monitor.stream.lane import MOST_IN_A_BATCH

SESSION_SECONDS = 10.0  # of the group: after it the sites of a silent worker go to others


def faust_settings(connection: Connection) -> dict[str, Any]:
    """What `faust.App` is given beside its name."""
    return {
        "env": {},  # else a variable of the environment, as BROKER_URL or PRODUCER_ACKS, would have the last word
        "broker": ";".join(f"kafka://{each}" for each in connection.servers.split(",")),
        "broker_credentials": _credentials(connection),
        "store": "memory://",
        "topic_disable_leader": True,
        "topic_allow_declare": False,
        "table_standby_replicas": 0,  # there are no tables
        "web_enabled": False,
        "broker_max_poll_records": 2 * MOST_IN_A_BATCH,
        "consumer_max_fetch_size": 1 << 20,
        "consumer_auto_offset_reset": "earliest",
        "broker_session_timeout": SESSION_SECONDS,
        "broker_heartbeat_interval": 3.0,
        "broker_rebalance_timeout": 60.0,
        "broker_request_timeout": 40.0,
        "broker_max_poll_interval": 300.0,
        "broker_commit_interval": 2.0,
        "consumer_metadata_max_age_ms": 30_000,  # a topic made meanwhile is found by then
        "producer_request_timeout": 30.0,
        "stream_wait_empty": False,
        "worker_redirect_stdouts": False,
    }


def _credentials(connection: Connection) -> Any:
    context = connection.context()
    if connection.user is not None:
        return faust.SASLCredentials(
            username=connection.user, password=connection.password, ssl_context=context, mechanism="SCRAM-SHA-512"
        )
    return None if context is None else faust.SSLCredentials(context)
