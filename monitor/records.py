"""The records of a site's log, the same on every kind of log: facts, answers, what was rejected, how far it was read.

A fact is the very text that the site sent, but for the identifiers of the patient, for which pseudonyms stand beside
it: nothing is rounded, reordered or interpreted, and reading it again gives the fact that was judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import msgspec

from monitor.core.days import iso, moment_of
from monitor.core.decision import Decision
from monitor.core.decode import AnyMessage, recall

SCHEMA = 1
_IDENTIFYING = ("patient_id", "merged_patient_id", "site")  # the site stands beside the message

Course = tuple[str, str]
"""(treatment_id, `order` or `start`): what an answer is about."""


class FactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`schemas.outbound.Fact`, with the message left as text."""

    schema: int = SCHEMA
    site: str
    received_at: str
    pseudonym: str | None
    merged_pseudonym: str | None
    message: msgspec.Raw


class Rejected(NamedTuple):
    """What could not be taken: the original bytes, where they came from, and why."""

    raw: bytes
    channel: str  # http, or the file or topic
    place: int  # line of the file or offset, from 0
    reason: str
    path: str
    rule: str


class Tally(msgspec.Struct, frozen=True):
    """What has arrived at a site so far, repetitions and rejections included; instants are microseconds."""

    received: int = 0
    taken: int = 0  # of them, all that were not rejected
    rejected: Mapping[str, int] = {}
    last_received: int | None = None
    last_recorded: int | None = None
    heard: Mapping[str, int] = {}  # feed -> when its latest message was recorded


_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_read_record = msgspec.json.Decoder(FactRecord).decode
_write = msgspec.json.Encoder().encode


def fact_record(site: str, raw: bytes, patient: bytes, other: bytes | None, received_at: int) -> bytes:
    """A message that was accepted, as the log keeps it. `patient` is empty for what has none."""
    fields = _read_fields(raw)
    for name in _IDENTIFYING:
        fields.pop(name, None)
    return _write(
        FactRecord(
            site=site,
            received_at=instant_text(received_at),
            pseudonym=patient.hex() if patient else None,
            merged_pseudonym=other.hex() if other else None,
            message=msgspec.Raw(_write(fields)),
        )
    )


def read_fact(record: bytes) -> AnyMessage:
    """The message of a record, with pseudonyms in hexadecimal where the identifiers stood.

    Raises ValueError where the record is damaged or was written by a later version.
    """
    kept = _read_record(record)
    if kept.schema > SCHEMA:
        raise ValueError(f"the log was written by a later version (schema {kept.schema}); this one reads {SCHEMA}")
    names = {"patient_id": kept.pseudonym, "merged_patient_id": kept.merged_pseudonym}
    head = b",".join(b'"%s":"%s"' % (name.encode(), value.encode()) for name, value in names.items() if value)
    return recall(b"{" + head + b"," * bool(head) + bytes(kept.message)[1:])


@lru_cache(maxsize=64)
def instant_text(at: int) -> str:
    """An instant (microseconds since 1970) in UTC as RFC 3339 text; of one width, so that it sorts as time does."""
    return moment_of(at).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def day_text(day: int) -> str | None:
    """The day of a dose (an ordinal), None where none was judged."""
    return iso(day) if day else None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`schemas.outbound.Answer` on its way to bytes; what it says comes first, when it was said last."""

    schema: int = SCHEMA
    site: str
    treatment_id: str
    kind: str
    decision: str
    findings: dict[str, dict[str, object]] = {}
    flags: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    policy_version: int | None = None
    valid_until: str | None = None
    dose_on: str | None = None
    decided_at: str = ""
    cases: dict[str, str] = {}  # kind of case -> instant since which the answer has been one


_read_answer = msgspec.json.Decoder(Answer).decode


def answer_of(site: str, decision: Decision, cases: dict[str, str], decided_at: int, as_of: int) -> Answer:
    """A decision as the site is told it on a day.

    An order that is judged for another day than that one bears it: the day it is planned for, before which the answer
    says nothing, or the day of the dose that was given, after which it says nothing.
    """
    is_of_today = decision.kind == "order" and decision.day == as_of
    return Answer(
        site=site,
        treatment_id=decision.treatment_id,
        kind=decision.kind,
        decision=decision.decision,
        findings={name: msgspec.structs.asdict(found) for name, found in decision.findings.items()},
        flags=decision.flags,
        reasons=decision.reasons,
        policy_version=decision.policy_version,
        valid_until=None if decision.valid_until is None else iso(decision.valid_until),
        dose_on=None if is_of_today else day_text(decision.day),
        decided_at=instant_text(decided_at),
        cases=cases,
    )


def withdrawn(site: str, course: Course, decided_at: int) -> Answer:
    """What is said of a course of which no order or start stands any more."""
    treatment_id, kind = course
    return Answer(
        site=site, treatment_id=treatment_id, kind=kind, decision="withdrawn", decided_at=instant_text(decided_at)
    )


def write_answer(answer: Answer) -> bytes:
    return _write(answer)


def read_answer(record: bytes) -> Answer:
    return _read_answer(record)
