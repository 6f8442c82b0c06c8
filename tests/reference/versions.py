"""Which version of a fact stands, what is in conflict, and the class of every message: from the whole history."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from . import registry as sites
from .calendar_days import instant
from .messages import Message


@dataclass(frozen=True)
class Body:
    """One of the different bodies under an identity, with all its copies."""

    copies: tuple[Message, ...]
    counts_from: datetime

    @property
    def message(self) -> Message:
        return self.copies[0]

    @property
    def first_recorded_at(self) -> datetime:
        return min(copy.recorded_at for copy in self.copies)

    @property
    def rank(self) -> tuple[int, datetime, bool, bytes]:
        retracts = self.message.is_retraction
        content = b"" if retracts else self.message.body_without_patient
        return (self.message.stated_version or 0, self.counts_from, retracts, content)


@dataclass(frozen=True)
class Fact:
    """What stands under one identity; a retraction that stands is no fact. `history` is all that was ever said."""

    message: Message
    recorded_at: datetime
    first_recorded_at: datetime
    in_conflict: bool
    history: tuple[Message, ...]

    @property
    def type(self) -> str:
        return self.message.type

    @property
    def patient(self) -> tuple[str, str]:
        return self.message.patient

    @property
    def event_id(self) -> str:
        return self.message.event_id

    @property
    def order(self) -> tuple[datetime, str, str]:
        """Later recorded is larger; what is still equal is ordered by event_id, then source."""
        return (self.recorded_at, self.message.event_id, self.message.source)

    def get(self, field: str) -> Any:
        return self.message.get(field)

    def __getitem__(self, field: str) -> Any:
        return self.message[field]


@dataclass(frozen=True)
class Verdict:
    """Of one identity: the fact that stands, if any, the bodies in open conflict, how many messages of each class."""

    fact: Fact | None
    clashing: tuple[Fact, ...]
    classes: Counter[str]


def judge_identity(messages: list[Message], restamps: bool, settled: list[dict[str, Any]]) -> Verdict:
    bodies = different_bodies(messages, restamps)
    top = max(bodies, key=lambda body: body.rank)
    tied = [body for body in bodies if body.rank == top.rank]
    rivals = [body for body in bodies if body is not top and are_in_conflict(body, top)]
    chosen = settled_body([top, *rivals], settled)
    nothing_stands = chosen is None and len(tied) > 1 and not top.message.is_retraction
    standing = None if nothing_stands else chosen or top
    open_conflict = bool(rivals) and chosen is None
    classes: Counter[str] = Counter(duplicate=len(messages) - len(bodies))
    for body in bodies:
        classes[class_of(body, standing, [top, *rivals])] += 1
    fact = None
    if standing is not None and not standing.message.is_retraction:
        fact = as_fact(standing, messages, open_conflict)
    clashing = tuple(as_fact(body, messages, True) for body in [top, *rivals]) if open_conflict else ()
    return Verdict(fact, clashing, classes)


def different_bodies(messages: list[Message], restamps: bool) -> list[Body]:
    """Retractions of one version are one body. A repetition counts anew from then, unless the site restamps."""
    groups: dict[tuple[bool, int | None, str], list[Message]] = {}
    for message in messages:
        content = "" if message.is_retraction else message.body
        groups.setdefault((message.is_retraction, message.stated_version, content), []).append(message)
    when = min if restamps else max
    return [Body(tuple(copies), when(copy.recorded_at for copy in copies)) for copies in groups.values()]


def are_in_conflict(one: Body, other: Body) -> bool:
    """Two contents under the same stated version, or both without one and recorded at the same instant."""
    if one.message.is_retraction or other.message.is_retraction:
        return False
    if one.message.stated_version is None and other.message.stated_version is None:
        return one.counts_from == other.counts_from
    return one.message.stated_version == other.message.stated_version


def class_of(body: Body, standing: Body | None, in_conflict: list[Body]) -> str:
    if body is standing:
        return "accepted"
    return "conflicting" if any(body is one for one in in_conflict) and len(in_conflict) > 1 else "superseded"


def settled_body(bodies: list[Body], settled: list[dict[str, Any]]) -> Body | None:
    """What a person settled last, if it is one of the bodies in conflict and none of them was recorded later."""
    if len(bodies) < 2:
        return None
    for action in sorted(settled, key=lambda action: (instant(action["at"]), action["action_id"]), reverse=True):
        known = all(body.counts_from <= instant(action["at"]) for body in bodies)
        for body in bodies:
            if known and digest(body.message) == action.get("digest"):
                return body
    return None


def digest(message: Message) -> str:
    """The name of a body in a settlement: SHA-256 of its canonical form (the product's is keyed)."""
    return hashlib.sha256(message.body.encode("utf-8")).hexdigest()


def as_fact(body: Body, messages: list[Message], in_conflict: bool) -> Fact:
    return Fact(body.message, body.counts_from, body.first_recorded_at, in_conflict, tuple(messages))


def judge_all(messages: list[Message], registry: sites.Registry, actions: list[dict[str, Any]]) -> list[Verdict]:
    """One verdict an identity."""
    by_identity: dict[tuple[str, str, str], list[Message]] = {}
    for message in messages:
        by_identity.setdefault(message.identity, []).append(message)
    return [
        judge_identity(group, sites.restamps(registry, identity[0]), settlements(actions, identity))
        for identity, group in sorted(by_identity.items())
    ]


def settlements(actions: list[dict[str, Any]], identity: tuple[str, str, str]) -> list[dict[str, Any]]:
    def names(action: dict[str, Any]) -> tuple[Any, str, Any]:
        return (action.get("site"), action.get("source") or "", action.get("event_id"))

    return [action for action in actions if action["action"] == "settle_conflict" and names(action) == identity]
