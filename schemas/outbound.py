"""What the monitor publishes: contract, section 3."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from schemas.parts import (
    Day,
    EventId,
    Identifier,
    Infection,
    Instant,
    Message,
    NotEmpty,
    SchemaNumber,
    SiteName,
    Source,
    WholeNumber,
)
from schemas.rules import Reason

Decision = Literal[
    "screening_complete", "hold", "cancelled", "lapsed",
    "compliant", "awaiting_evidence", "violation",
    "unassessable", "withdrawn",
]  # fmt: skip
FindingName = Literal[
    "excluded", "positive", "indeterminate", "missing", "expired", "late", "conflicting", "treated", "waived"
]
CaseKind = Literal["violation", "unassessable", "started_on_hold"]
Flag = Literal["dose_above_label", "two_of_one_class", "differs_from_order"]


class Out(Message):
    """What every value carries."""

    schema_: SchemaNumber = Field(1, alias="schema", description="version of this contract")


class AnswerKey(Message):
    """Key of `jakwatch.v1.out.<site>`."""

    treatment_id: Identifier = Field(description="the course")
    kind: Literal["order", "start"] = Field(description="what is judged")


class Finding(Message):
    """What the gate says of one infection."""

    finding: FindingName = Field(description="the result")
    row: WholeNumber | None = Field(
        None, description="place, from 0, of the row of the policy that was hit, if any was"
    )
    evidence: tuple[EventId, ...] = Field(
        (), description="`event_id`s of the results, preventions and waivers it rests on"
    )
    ask_for: tuple[NotEmpty, ...] = Field((), description="tests to ask for")
    marks: tuple[Literal["same_day", "documented_late"], ...] = Field((), description="what to know of the evidence")


class Answer(Out):
    """The current decision of an order or a start. No answer, or one past its `valid_until`: not complete."""

    site: SiteName = Field(description="whose course")
    treatment_id: Identifier = Field(description="the course")
    kind: Literal["order", "start"] = Field(description="what was judged")
    decision: Decision = Field(description="the answer; whatever is not `screening_complete` releases nothing")
    findings: dict[Infection, Finding] = Field(description="the finding per infection")
    flags: tuple[Flag, ...] = Field((), description="what else was seen")
    reasons: tuple[NotEmpty, ...] = Field((), description="why: `<infection>:<finding>` and other reasons")
    policy_version: WholeNumber | None = Field(description="version of the policy that judged; null where none could")
    decided_at: Instant = Field(description="when it was decided")
    valid_until: Day | None = Field(description="last day on which the answer would still hold; null: until it changes")
    dose_on: Day | None = Field(
        None,
        description="day of the first dose that was judged; of an order where that is not the day of the answer",
    )
    cases: dict[CaseKind, Instant] = Field(
        {}, description="why a person must close it, and since when without interruption"
    )


class FactKey(Message):
    """Key of a message in `jakwatch.v1.facts.<site>`."""

    source: Source | None = Field(None, description="the message's `source`")
    event_id: EventId = Field(description="the message's `event_id`")
    version: WholeNumber | None = Field(None, description="the message's `version`")
    recorded_at: Instant = Field(description="the message's `recorded_at`")
    digest: NotEmpty = Field(description="keyed digest of the body")


class Fact(Out):
    """An accepted message, pseudonymous: the system of record."""

    site: SiteName = Field(description="whose message")
    received_at: Instant = Field(description="when it arrived; on Kafka the record's append time")
    pseudonym: NotEmpty | None = Field(None, description="stands for `patient_id`; none in a `feed_status`")
    merged_pseudonym: NotEmpty | None = Field(None, description="stands for `merged_patient_id`")
    message: dict[str, Any] = Field(description="the message as it was validated, without identifiers of a patient")


class Position(Out):
    """How far a site's inbound topic has been read, beside its facts and in one transaction with them."""

    topic: NotEmpty = Field(description="the inbound topic")
    offset: WholeNumber = Field(description="the next offset to read")


class RejectedKey(Message):
    """Key of `jakwatch.v1.rejected.<site>`: where the record came from."""

    topic: NotEmpty = Field(description="the topic it arrived in")
    offset: WholeNumber = Field(description="its offset there")


class RejectedHeaders(Out):
    """Headers beside the original bytes of a rejected record; they hold no value of it."""

    reason: Reason = Field(description="why it was rejected")
    path: str = Field(description="the field, empty where the whole message is meant")
    rule: NotEmpty = Field(description="the rule it breaks")
    rejected_at: Instant = Field(description="when")


OUTBOUND: dict[str, type[BaseModel]] = {
    "answer_key": AnswerKey,
    "answer": Answer,
    "fact_key": FactKey,
    "fact": Fact,
    "position": Position,
    "rejected_key": RejectedKey,
    "rejected_headers": RejectedHeaders,
}
