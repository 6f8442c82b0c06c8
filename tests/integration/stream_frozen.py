"""`python -m tests.integration.stream_frozen FILE ...`: jakwatch itself, that stops dead at the worst moment on demand.

While FILE exists, the next transaction freezes the process (SIGSTOP) when all records are confirmed and the end of the
transaction is not asked for yet. Whoever made the file removes it and lets the process go on (SIGCONT).
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import aiokafka


def freeze_on_demand(file: Path) -> None:
    commit = aiokafka.AIOKafkaProducer.commit_transaction

    async def frozen(producer: Any) -> None:
        if file.exists():  # noqa: ASYNC240  it is about to stop altogether
            file.unlink()  # noqa: ASYNC240
            os.kill(os.getpid(), signal.SIGSTOP)
        await commit(producer)

    aiokafka.AIOKafkaProducer.commit_transaction = frozen


if __name__ == "__main__":
    freeze_on_demand(Path(sys.argv.pop(1)))
    from monitor.cli import main

    main()
