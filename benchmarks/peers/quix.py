"""quixstreams, at least once as it comes, its state in RocksDB with a changelog: SERVERS COUNT GROUP FOLDER TOPIC..."""

from __future__ import annotations

import logging
import sys
from typing import Any

from quixstreams import Application, State

from benchmarks.peers.job import Clock, kept, validated

clock = Clock()


def _work(raw: bytes, state: State) -> None:
    clock.note()
    message = validated(raw)
    known: Any = state.get("kept")
    state.set("kept", kept(known, message))


def main() -> None:
    servers, count, group, folder, *topics = sys.argv[1:]
    logging.getLogger("quixstreams").setLevel(logging.ERROR)
    app = Application(
        broker_address=servers, consumer_group=group, auto_offset_reset="earliest", state_dir=folder, loglevel="ERROR"
    )
    for name in topics:
        topic = app.topic(name, key_deserializer="bytes", value_deserializer="bytes")
        app.dataframe(topic=topic).apply(_work, stateful=True)
    app.run(count=int(count))  # returns when so many are done and committed
    sys.stdout.write(clock.told() + "\n")


main()
