"""What of a site's log goes when a patient is erased, the same for every kind of log.

Facts that name the patient go, and the answers of courses that no other fact names. Of what was rejected nobody made
sure whose it is: where its bytes name the patient it goes too, and the rest when its time is over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

KEEP_REJECTED_DAYS = 30  # contract, section 3
K = TypeVar("K")


class _Message(msgspec.Struct):
    treatment_id: str | None = None


class _Fact(msgspec.Struct):
    """As much of `records.FactRecord` as is asked for here."""

    pseudonym: str | None
    merged_pseudonym: str | None
    message: _Message
    received_at: str

    def names(self, pseudonym: str) -> bool:
        return pseudonym in (self.pseudonym, self.merged_pseudonym)


_read = msgspec.json.Decoder(_Fact).decode


@dataclass(frozen=True, slots=True)
class Going(Generic[K]):
    """The facts that go, by what their log finds them by, and the courses that they alone name."""

    facts: list[K]
    treatment_ids: frozenset[str]


def what_goes(records: Callable[[], Iterable[tuple[K, bytes]]], pseudonym: str, until: str | None = None) -> Going[K]:
    """What goes of a site with a patient; `records` gives all of its facts, and is asked for them twice.

    `until`: the instant at which it was decided, as `records.instant_text` writes it; what came later stays.
    """

    def goes(fact: _Fact) -> bool:
        return fact.names(pseudonym) and (until is None or fact.received_at <= until)

    facts: list[K] = []
    named: set[str | None] = set()
    for key, record in records():
        fact = _read(record)
        if goes(fact):
            facts.append(key)
            named.add(fact.message.treatment_id)
    for _, record in records():
        fact = _read(record)
        if not goes(fact):
            named.discard(fact.message.treatment_id)
    return Going(facts, frozenset(each for each in named if each is not None))


_PATIENT = re.compile(rb'"(?:merged_)?patient_id"\s*:\s*("(?:[^"\\]|\\.)*"|[-+.0-9a-zA-Z]+)')


def patients_named(raw: bytes) -> set[str]:
    """The patient ids in the bytes of a message that was rejected, whatever is wrong with it."""
    return {_text(each.decode("utf-8", "replace")) for each in _PATIENT.findall(raw)}


def _text(written: str) -> str:
    if not written.startswith('"'):
        return written
    try:
        return str(json.loads(written, strict=False))
    except ValueError:
        return written[1:-1]
