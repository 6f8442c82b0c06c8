"""The ids by which Kafka tells a topic from one that was deleted and made anew under the same name (KIP-516).

aiokafka 0.14 asks for metadata in version 5 at most; ids come with version 10 (Kafka 2.8).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from io import BytesIO
from typing import Any

from aiokafka import errors
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_NONE = uuid.UUID(int=0)  # told by a broker that knows of none
_TEXT = CompactString("utf-8")


class _Id(AbstractType[uuid.UUID]):  # type: ignore[misc]  # the library ships no types
    @classmethod
    def encode(cls, value: uuid.UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> uuid.UUID:
        return uuid.UUID(bytes=data.read(16))


_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPIC = (
    ("error_code", Int16),
    ("name", _TEXT),
    ("topic_id", _Id),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)
_BROKER = (("node_id", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields))


class _Answered(Response):  # type: ignore[misc]
    API_KEY, API_VERSION = 3, 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", _TEXT),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _Asked(RequestStruct):  # type: ignore[misc]
    API_KEY, API_VERSION, FLEXIBLE_VERSION, RESPONSE_TYPE = 3, 10, True, _Answered
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Id), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("of_cluster", Boolean),
        ("of_topics", Boolean),
        ("tags", TaggedFields),
    )


class _Ask(Request[_Asked]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, names: Iterable[str]) -> None:
        self._names = list(names)

    def build(self, request_struct_class: type[_Asked]) -> _Asked:
        topics: list[tuple[uuid.UUID, str, dict[int, bytes]]] = [(_NONE, name, {}) for name in self._names]
        return request_struct_class(topics, False, False, False, {})


async def topic_ids(client: Any, names: Iterable[str]) -> dict[str, str]:
    """The ids of those topics that are there, by name; none from brokers that tell none. `client`: aiokafka's.

    Raises errors of aiokafka.
    """
    node = client.get_random_node()
    if node is None:
        raise errors.NodeNotReadyError("no broker is known yet")
    try:
        answered = await client.send(node, _Ask(names))
    except NotImplementedError:  # so the library says that a broker is too old
        return {}
    return {name: str(told) for code, name, told, *_ in answered.topics if code == 0 and told != _NONE}
