"""Policies rehearsed on what a log holds, one after another; nothing is written, and a service may go on meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry
from monitor.kafka.connection import Connection
from monitor.kafka.names import ACTIONS
from monitor.kafka.reach import check
from monitor.log import LogChangedError, LogUnusableError
from monitor.log.kafka import KafkaLog, read_whole
from monitor.log.sqlite import SqliteLog
from monitor.records import Tally
from monitor.replay import DEFAULT_KEY, Question, replay_log
from monitor.stream.decisions import Decisions
from schemas import actions as act

Held = tuple[str, Iterable[bytes], Tally]
"""What a log holds of a site: its name, its facts (`records.fact_record`), and what had arrived."""


def rehearsed(
    policies: Sequence[PolicyDocument], sites: Callable[[], Iterable[Held]], question: Question
) -> list[dict[str, Any]]:
    """What each of the policies alone says of all sites, as `replay` prints it; `sites` is asked once a policy.

    Of `question` count registry, actions, day and key. Raises LogUnusableError.
    """
    return [replay_log(_registered(sites(), question), replace(question, policies=(each,))) for each in policies]


def _registered(sites: Iterable[Held], question: Question) -> Iterator[Held]:
    for site, facts, tally in sites:
        if question.registry is not None and site not in question.registry.names:
            raise LogUnusableError(f"{site} is in the log but not in the registry given: give the one of the service.")
        yield site, facts, tally


def rehearsed_on(
    path: Path, policies: Sequence[PolicyDocument], registry: Registry | None, key: bytes | None, as_of: int | None
) -> list[dict[str, Any]]:
    """The same of the SQLite log in a file, as it stands at one moment."""
    with _looked_into(path) as log:
        actions = decided(path.name, log.actions())
        question = Question((), registry, actions, as_of=as_of, key=key or DEFAULT_KEY)
        return rehearsed(policies, lambda: ((site, log.facts(site), log.tally(site)) for site in log.sites()), question)


def rehearsed_on_kafka(
    connection: Connection,
    policies: Sequence[PolicyDocument],
    registry: Registry | None,
    key: bytes | None,
    as_of: int | None,
) -> list[dict[str, Any]]:
    """The same of the logs of all registered sites on Kafka, one after another; what comes meanwhile may count or not.

    Raises CannotReachError, and as a log does that cannot be read.
    """
    check(connection)
    heard = Decisions()

    def hear(records: list[ConsumerRecord]) -> None:
        for record in records:
            heard.take(record)

    asyncio.run(read_whole(connection, {ACTIONS: hear}))
    actions = decided(ACTIONS, heard.records())
    question = Question((), registry, actions, as_of=as_of, key=key or DEFAULT_KEY)
    names = sorted(registry.names) if registry else []
    return rehearsed(policies, lambda: (_held(connection, site) for site in names), question)


def _held(connection: Connection, site: str) -> Held:
    log = KafkaLog(connection, site, DEFAULT_KEY)
    while True:
        facts: list[bytes] = []
        try:
            return site, facts, asyncio.run(log.read(facts.extend)).tally
        except LogChangedError:  # what was erased is known now, and left out
            continue


@contextmanager
def _looked_into(path: Path) -> Iterator[SqliteLog]:
    log = SqliteLog(path, read_only=True)
    try:
        yield log
    finally:
        log.close()


def decided(where: str, records: Iterable[bytes]) -> tuple[act.Action, ...]:
    """What people decided, as a log keeps it. Raises LogUnusableError."""
    found = []
    for record in records:
        action = act.decode_action(record)
        if not isinstance(action, act.ActionEnvelope):
            raise LogUnusableError(f"{where} holds an action this version cannot read. Use the newest version.")
        found.append(action)
    return tuple(found)
