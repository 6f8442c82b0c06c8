"""What people decide at a replica: written to Kafka, and answered only when it was heard from there.

So whoever is first at any replica is first at all of them, and nobody is told of a decision that has no effect.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import aiokafka
from aiokafka import errors

from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS, topic
from monitor.kafka.reach import missing_right
from monitor.keeper import Receipt
from monitor.stream.following import Following
from monitor.stream.replica import Replica
from monitor.view import NotKnownError
from monitor.web.guard import RefusedError
from monitor.writer import SitesThread
from schemas import actions as act

CONFIRM_SECONDS = 10.0
_TROUBLES = (errors.KafkaError, OSError, TimeoutError)


class ReplicaDesk:
    """Takes decisions, and no messages."""

    takes_messages = False

    def __init__(self, connection: Connection, thread: SitesThread[Replica], following: Following) -> None:
        self._connection = connection
        self._thread = thread
        self._replica = thread.machine
        self._following = following
        self._producer: Any = None
        self._one = asyncio.Lock()

    async def take(self, site: str, messages: Sequence[bytes]) -> list[Receipt]:
        do = f"Publish to the topic {topic('in', site)}, by jakwatch publish or any Kafka client."
        raise RefusedError(405, "a view takes no messages", do, {"Allow": ""})

    async def enact(self, action: act.Action) -> act.Action:
        """Raises RefusedError, and as `Replica.checked`."""
        said, action = await self._thread.run(lambda: self._checked(action), patience=0)
        if said:
            return action
        record = action.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self._write(action.action_id, record)
        if await self._thread.run(lambda: action.action_id in self._replica.decisions.overwritten, patience=0):
            await self._mend(action.action_id)
        _, kept = await self._thread.run(lambda: self._checked(action), patience=0)
        return kept

    def _checked(self, action: act.Action) -> tuple[bool, act.Action]:
        """Whether it was said before; and as it was kept, or as it is to be kept."""
        said = self._replica.said_before(action)
        return (True, said) if said is not None else (False, self._replica.checked(action))

    async def mend(self) -> None:
        """Write again what stands and is not the last under its id, because who should have done it did not."""
        for action_id in await self._thread.run(lambda: sorted(self._replica.decisions.overwritten)):
            with contextlib.suppress(NotKnownError):
                await self._mend(action_id)

    async def _mend(self, action_id: str) -> None:
        await self._write(action_id, self._replica.decisions.record(action_id))

    async def _write(self, action_id: str, record: bytes) -> None:
        """On Kafka, and heard from there, when this returns. Raises NotKnownError: it may have been kept or not."""
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                async with self._one:
                    producer = await self._open()
                    kept = await producer.send_and_wait(ACTIONS, record, key=action_id.encode(), partition=0)
                await self._following.decided_up_to(kept.offset)
        except _TROUBLES as error:
            async with self._one:
                await self.close()  # else it goes on trying
            raise NotKnownError(_why(error)) from None

    async def _open(self) -> Any:
        if self._producer is None:
            self._producer = aiokafka.AIOKafkaProducer(
                **self._connection.for_aiokafka(), enable_idempotence=True, acks="all"
            )
            await self._producer.start()
        return self._producer

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(*_TROUBLES):
                await asyncio.wait_for(producer.stop(), CONFIRM_SECONDS)


def _why(error: Exception) -> str:
    if isinstance(error, errors.ClusterAuthorizationFailedError):  # so it says who may write nothing at all
        error = errors.TopicAuthorizationFailedError(ACTIONS)
    if (missing := missing_right(error, "WRITE")) is not None:
        return f"nothing was decided: {missing}"
    return (
        f"Kafka did not confirm it within {CONFIRM_SECONDS:.0f} seconds: whether it was kept is not known. Look "
        "whether it took effect; under the same action_id it can be said again without counting twice"
    )
