"""Which version of an identity stands, and which of its bodies conflict.

The order is the contract's: version (absent is 0), recorded_at, a retraction before content, canonical body. Copies of
one body are one entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from monitor.core.canonical import canonical_body
from monitor.core.facts import AnyFact, Merged, Retraction
from monitor.core.vocabulary import Vocabulary


class Body(NamedTuple):
    """One distinct body of an identity: whose it says it is, and the fact with the patient left out."""

    patient: bytes
    fact: AnyFact


class Standing(NamedTuple):
    """The body that stands (None: of two that differ only in patient fields none does) and those that conflict."""

    body: Body | None
    contested: tuple[Body, ...]  # with the standing one; empty where there is no conflict, or a person settled it
    conflicting: int  # bodies that lost a conflict, settled or not
    superseded: int


Settled = Callable[[Body, tuple[Body, ...]], bool]
"""Says whether a person settled the conflict among these bodies in favour of this one."""


def same_body(one: Body, other: Body, vocabulary: Vocabulary) -> bool:
    """Whether two messages of one identity repeat each other, patient fields included; retractions are one body."""
    if one.fact.version != other.fact.version or isinstance(one.fact, Retraction) != isinstance(other.fact, Retraction):
        return False
    if isinstance(one.fact, Retraction):
        return True
    return _patients(one) == _patients(other) and _canonical(one, vocabulary) == _canonical(other, vocabulary)


def with_body(bodies: tuple[Body, ...], new: Body, vocabulary: Vocabulary, *, restamps: bool) -> tuple[Body, ...]:
    """The bodies of an identity after one more message; the very same tuple where it changes nothing."""
    for at, known in enumerate(bodies):
        if same_body(known, new, vocabulary):
            merged = _repeated(known.fact, new.fact, restamps)
            if merged is known.fact:
                return bodies
            return (*bodies[:at], Body(known.patient, merged), *bodies[at + 1 :])
    return (*bodies, new)


def _repeated(known: AnyFact, new: AnyFact, restamps: bool) -> AnyFact:
    """The first receipt stays; it counts from the last, but for a site that stamps its resends anew."""
    first = min(known.first_recorded, new.first_recorded)
    last = first if restamps else max(known.last_recorded, new.last_recorded)
    if (first, last) == (known.first_recorded, known.last_recorded):
        return known
    return msgspec.structs.replace(known, first_recorded=first, last_recorded=last)


def standing(bodies: tuple[Body, ...], vocabulary: Vocabulary, settled: Settled) -> Standing:
    """Which of the bodies of one identity stands; a pure function of their set."""

    def rank(body: Body) -> tuple[int, int, bool, bytes]:
        fact = body.fact
        return fact.version or 0, fact.last_recorded, isinstance(fact, Retraction), _canonical(body, vocabulary)

    ranked = sorted(((rank(body), body) for body in bodies), key=lambda pair: (pair[0], _patients(pair[1])))
    top_rank, top = ranked[-1]
    tied = [body for each, body in ranked if each == top_rank]
    rivals = [body for each, body in ranked if body is not top and _conflict(top, body, each[1] == top_rank[1])]
    contested = (top, *rivals) if rivals else ()
    chosen = next((body for body in contested if settled(body, contested)), None)
    superseded = len(bodies) - 1 - len(rivals)
    if chosen is not None:
        return Standing(chosen, (), len(rivals), superseded)
    if len(tied) > 1:
        return Standing(None, contested, len(contested), superseded)
    return Standing(top, contested, len(rivals), superseded)


def _conflict(top: Body, other: Body, same_time: bool) -> bool:
    """Whether two contents claim the same version: a stated one, or none and the same time of recording."""
    if isinstance(top.fact, Retraction) or isinstance(other.fact, Retraction):
        return False
    if top.fact.version is None:
        return other.fact.version is None and same_time
    return top.fact.version == other.fact.version


def _patients(body: Body) -> tuple[bytes, bytes]:
    return body.patient, body.fact.other if isinstance(body.fact, Merged) else b""


def _canonical(body: Body, vocabulary: Vocabulary) -> bytes:
    return canonical_body(body.fact, vocabulary)
