"""Which version of an identity stands, and which of its bodies conflict.

The order is the contract's: version (absent is 0), recorded_at, a retraction before content, canonical body. Copies of
one body are one entry here.
"""

from __future__ import annotations

import json
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
    canonical: bytes  # the body without its patient fields: what bodies are compared by


class Standing(NamedTuple):
    """The body that stands (None: of two that differ only in patient fields none does) and those that conflict."""

    body: Body | None
    contested: tuple[Body, ...]  # with the standing one; empty where there is no conflict, or a person settled it
    conflicting: int  # bodies that lost a conflict, settled or not
    superseded: int


Settled = Callable[[tuple[Body, ...]], Body | None]
"""The body in favour of which a person settled the conflict among these, if anybody did."""


def body_of(patient: bytes, fact: AnyFact, vocabulary: Vocabulary) -> Body:
    return Body(patient, fact, canonical_body(fact, vocabulary))


def same_body(one: Body, other: Body) -> bool:
    """Whether two messages of one identity repeat each other, patient fields included; retractions are one body."""
    if one.canonical != other.canonical:  # it holds the version, and whether it retracts
        return False
    return isinstance(one.fact, Retraction) or patients_of(one) == patients_of(other)


def with_body(bodies: tuple[Body, ...], new: Body, *, restamps: bool) -> tuple[Body, ...]:
    """The bodies of an identity after one more message; the very same tuple where it changes nothing."""
    for at, known in enumerate(bodies):
        if same_body(known, new):
            merged = _repeated(known.fact, new.fact, restamps)
            if merged is known.fact:
                return bodies
            return (*bodies[:at], known._replace(fact=merged), *bodies[at + 1 :])
    return (*bodies, new)


def _repeated(known: AnyFact, new: AnyFact, restamps: bool) -> AnyFact:
    """The first receipt stays; it counts from the last, but for a site that stamps its resends anew."""
    first = min(known.first_recorded, new.first_recorded)
    last = first if restamps else max(known.last_recorded, new.last_recorded)
    if (first, last) == (known.first_recorded, known.last_recorded):
        return known
    return msgspec.structs.replace(known, first_recorded=first, last_recorded=last)


def standing(bodies: tuple[Body, ...], settled: Settled) -> Standing:
    """Which of the bodies of one identity stands; a pure function of their set."""
    ranked = sorted(((_rank(body), body) for body in bodies), key=lambda pair: (pair[0], patients_of(pair[1])))
    top_rank, top = ranked[-1]
    tied = [body for each, body in ranked if each == top_rank]
    rivals = [body for each, body in ranked if body is not top and _conflict(top, body, each[1] == top_rank[1])]
    contested = (top, *rivals) if rivals else ()
    chosen = settled(contested) if contested else None
    superseded = len(bodies) - 1 - len(rivals)
    if chosen is not None:
        return Standing(chosen, (), len(rivals), superseded)
    if len(tied) > 1:
        return Standing(None, contested, len(contested), superseded)
    return Standing(top, contested, len(rivals), superseded)


def standing_with(before: Standing, bodies: tuple[Body, ...], settled: Settled) -> Standing:
    """`standing` after the last of `bodies` came; a plainly later version stands without a look at all the others."""
    new, old = bodies[-1].fact, before.body.fact if before.body is not None else None
    if old is not None and (old.version is None) == (new.version is None):
        later = new.last_recorded > old.last_recorded if new.version is None else new.version > (old.version or 0)
        if later:
            return Standing(bodies[-1], (), 0, len(bodies) - 1)
    return standing(bodies, settled)


def _rank(body: Body) -> tuple[int, int, bool, bytes]:
    fact = body.fact
    return fact.version or 0, fact.last_recorded, isinstance(fact, Retraction), body.canonical


def _conflict(top: Body, other: Body, same_time: bool) -> bool:
    """Whether two contents claim the same version: a stated one, or none and the same time of recording."""
    if isinstance(top.fact, Retraction) or isinstance(other.fact, Retraction):
        return False
    if top.fact.version is None:
        return other.fact.version is None and same_time
    return top.fact.version == other.fact.version


def patients_of(body: Body) -> tuple[bytes, bytes]:
    """The patient fields of a body."""
    return body.patient, body.fact.other if isinstance(body.fact, Merged) else b""


def described(body: Body) -> tuple[str, str | None, int]:
    """What tells the bodies of a conflict apart, without a word of the hospital's own: type, outcome, when recorded."""
    fields = json.loads(body.canonical)
    return fields["type"], fields.get("outcome"), body.fact.last_recorded
