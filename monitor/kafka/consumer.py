"""aiokafka's consumer, but for one trap at its end."""

from __future__ import annotations

import asyncio

import aiokafka


class Consumer(aiokafka.AIOKafkaConsumer):  # type: ignore[misc]  # the library ships no types
    """One that can be stopped while no broker answers."""

    async def stop(self) -> None:
        """Upstream (0.14, consumer/fetcher.py:457) cancels a fetch of its own, lets that CancelledError out, so that
        whoever waits here ends as if cancelled, and leaves its client trying for ever.
        """
        try:
            await super().stop()
        except asyncio.CancelledError:
            await self._client.close()
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
