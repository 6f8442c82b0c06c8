"""One site as a replica has read it so far: its facts into a state, its answers as they stand, and how far that is."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiokafka.structs import ConsumerRecord

from monitor.core.ledger import SITE
from monitor.kafka import wire
from monitor.kafka.names import topic
from monitor.keeper import Keeper
from monitor.records import Answer, Course, read_answer

_SUMS = 1 << 128


class _FactKey(msgspec.Struct, frozen=True):
    event_id: str
    source: str | None = None


_read_fact_key = msgspec.json.Decoder(_FactKey).decode
_sorted_json = msgspec.json.Encoder(order="sorted").encode


class Contents:
    """What was read of a topic, without the order in which it came: where that ends, and the sum of it."""

    def __init__(self) -> None:
        self.offset = 0  # behind the last record that was read; the broker's own marks do not count
        self._sum = 0

    def read(self, record: ConsumerRecord) -> None:
        self.offset = record.offset + 1

    def add(self, key: bytes, value: bytes) -> None:
        self._sum = (self._sum + _number(key, value)) % _SUMS

    def remove(self, key: bytes, value: bytes) -> None:
        self._sum = (self._sum - _number(key, value)) % _SUMS

    @property
    def told(self) -> tuple[int, str]:
        return self.offset, f"{self._sum:032x}"


def _number(key: bytes, value: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(key + b"\0" + value, digest_size=16).digest())


class Followed:
    """One site. `erased`: keys of facts that are known to be erased, and up to which offset."""

    def __init__(self, keeper: Keeper, erased: Mapping[bytes, int]) -> None:
        self.keeper = keeper
        self.site = keeper.site
        self.facts, self.out = Contents(), Contents()
        self.answers: dict[Course, bytes] = {}
        self.versions: Counter[int] = Counter()  # of the policy, that judged what the answers say
        self.meta: dict[str, str] = {}
        self.written_at: int | None = None  # when the owner wrote last that it read on (instant)
        self.erased = dict(erased)
        self.must_reread = False  # something that was taken in is to be forgotten

    @property
    def position(self) -> int | None:
        """Up to where the owner has read the site's inbound topic; None where it never did."""
        return self.keeper.position.get(topic("in", self.site))

    # What comes

    def take(self, facts: Iterable[ConsumerRecord], answers: Iterable[ConsumerRecord]) -> None:
        """Take in records of the two topics; those that were read before change nothing.

        Whom they touch is neither judged nor counted yet. Raises LogUnusableError, and ValueError or a MsgspecError
        that names fields.
        """
        facts = [each for each in facts if each.offset >= self.facts.offset]
        self.keeper.restore([each.value for each in facts if self._is_new_fact(each)])
        for record in facts:
            self.facts.read(record)
            if record.key[:1] != b"{":
                self._note(record)
            elif record.value is None:
                self._forget(record)
        for record in answers:
            if record.offset >= self.out.offset:
                self.out.read(record)
                self._hear(record)

    def _is_new_fact(self, record: ConsumerRecord) -> bool:
        if record.key[:1] != b"{" or record.value is None or record.offset < self.erased.get(record.key, 0):
            return False
        self.facts.add(record.key, record.value)
        return True

    def _note(self, record: ConsumerRecord) -> None:
        if record.key == wire.POSITION and record.value is not None:
            read = wire.read_position(record.value)
            self.keeper.stand_at(read.tally, {read.topic: read.offset})
            self.written_at = record.timestamp * 1000
        elif record.key == wire.META and record.value is not None:
            self.meta = wire.read_meta(record.value)

    def _forget(self, record: ConsumerRecord) -> None:
        """A fact was erased. The state cannot take it out again: if it was taken in, the site is to be read anew."""
        if self.erased.get(record.key, -1) >= record.offset:
            return
        self.erased[record.key] = record.offset
        key = _read_fact_key(record.key)
        known = self.keeper.state.ledger.identities.get(
            key.event_id if key.source is None else (key.source, key.event_id)
        )
        self.must_reread |= known is not None

    def _hear(self, record: ConsumerRecord) -> None:
        course = wire.read_course(record.key)
        before = self.answers.pop(course, None)
        if before is not None:
            self.out.remove(record.key, before)
            self._count_version(read_answer(before), -1)
        if record.value is None:
            self.keeper.drop(course)
            return
        answer = read_answer(record.value)
        self.keeper.stand(answer)
        self.answers[course] = record.value
        self.out.add(record.key, record.value)
        self._count_version(answer, 1)

    def _count_version(self, answer: Answer, number: int) -> None:
        if answer.policy_version is not None:
            self.versions[answer.policy_version] += number

    def defer(self) -> None:
        """Whom anything has touched is counted step by step, before somebody looks."""
        self.keeper.state.defer()

    # What it is

    def said_of(self, treatment_id: str) -> list[Answer]:
        """The standing answers of a course: of its order, of its start."""
        found = (self.answers.get((treatment_id, kind)) for kind in ("order", "start"))
        return [read_answer(record) for record in found if record is not None]

    def digest(self) -> str:
        """Of all that is held of the site, SHA-256 in hexadecimal: the same wherever it was read up to these offsets.

        Every record that came in is in it; and what the state made of them, as far as that can be said shortly.
        """
        state = self.keeper.state
        held: dict[str, Any] = {
            "facts": self.facts.told,
            "answers": self.out.told,
            "position": self.position,
            "tally": self.keeper.tally,
            "classes": +state.classes(),
            "patients": len(state.ledger.sheets) - (SITE in state.ledger.sheets),
            "decisions": sorted((*course, count) for course, count in self.keeper.decisions.items() if count),
        }
        return hashlib.sha256(_sorted_json(held)).hexdigest()
