"""The messages a hospital sends: contract, section 1. Attribute names are the contract's field names.

One union, told apart by `type`. The discriminator is a plain field: one that is called, or none at all,
costs up to twelve times as much. What pydantic does not see is judged elsewhere: duplicate keys and numbers
longer than a double by `schemas.proof` and `schemas.careful`, dates in the future and the site by the decoder.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, model_validator
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from schemas.parts import (
    Concept,
    Condition,
    Day,
    Dose,
    EventId,
    HappenedAt,
    HappenedInYear,
    HappenedOn,
    HappenedPartly,
    Identifier,
    Infection,
    Instant,
    Message,
    Quantity,
    SchemaNumber,
    SiteName,
    Source,
    WholeNumber,
)


class Envelope(Message):
    """What every message carries."""

    schema_: SchemaNumber = Field(
        1, alias="schema", description="version of this contract; a newer one is rejected as `newer_schema`"
    )
    source: Source | None = Field(
        None, description="the system within the site (lab, pharmacy): `event_id`s of two systems may collide"
    )
    event_id: EventId = Field(description="identity within site and source; a correction repeats it")
    version: WholeNumber | None = Field(
        None, description="of the versions of one identity the largest stands; absent counts as 0"
    )
    status: Literal["final", "entered_in_error"] = Field(
        "final", description="`entered_in_error` retracts: it repeats `event_id`, and its body may be left out"
    )
    recorded_at: Instant = Field(description="when the source recorded this version")
    site: SiteName | None = Field(
        None, description="needed where a file has no topic to take it from; elsewhere it must be the channel's"
    )
    extensions: dict[str, Any] | None = Field(
        None, description="the hospital's own; kept with the fact, never interpreted, never shown"
    )


class PatientEnvelope(Envelope):
    """The envelope of all messages about a patient."""

    patient_id: Identifier = Field(description="the site's own identifier of the patient; stored as a pseudonym only")


Indications = Annotated[tuple[Concept, ...], Field(min_length=1)]
TreatmentId = Annotated[Identifier, Field(description="identity of the course within the site")]


class TreatmentOrdered(PatientEnvelope):
    """A course is ordered; the gate answers `screening_complete` or `hold`."""

    type: Literal["treatment_ordered"]
    treatment_id: TreatmentId
    drug: Concept = Field(description="what is to be given")
    indications: Indications = Field(description="what for; at least one")
    dose: Dose = Field(description="how much")
    planned_start_on: Day | None = Field(None, description="planned day of the first dose; may lie ahead")


class TreatmentCancelled(PatientEnvelope):
    """The order lapses."""

    type: Literal["treatment_cancelled"]
    treatment_id: TreatmentId
    cancelled_on: HappenedOn = Field(description="day on which the order was cancelled")


class TreatmentStarted(PatientEnvelope):
    """The first dose was given. A start after a stop under the same `treatment_id` resumes the course."""

    type: Literal["treatment_started"]
    treatment_id: TreatmentId
    drug: Concept = Field(description="what is given")
    indications: Indications = Field(description="what for; at least one")
    dose: Dose = Field(description="how much")
    started_on: HappenedOn = Field(description="day of the first dose")
    started_at: HappenedAt | None = Field(None, description="instant of the first dose; decides cases of the same day")
    order_id: Identifier | None = Field(None, description="the `treatment_id` of the order where the two differ")


class TreatmentChanged(PatientEnvelope):
    """Dose or indications change within a course."""

    type: Literal["treatment_changed"]
    treatment_id: TreatmentId
    changed_on: HappenedOn = Field(description="first day of the new state")
    dose: Dose | None = Field(None, description="the new dose")
    indications: Indications | None = Field(None, description="the new indications")


class TreatmentStopped(PatientEnvelope):
    """The last dose was given."""

    type: Literal["treatment_stopped"]
    treatment_id: TreatmentId
    last_dose_on: HappenedOn = Field(description="day of the last dose; the course exposes through it")
    reason: Literal["adverse_event", "lack_of_efficacy", "remission", "patient_choice", "other"] | None = Field(
        None, description="why it was stopped"
    )


def _given(field: str, json_type: str) -> JsonDict:
    return {"required": [field], "properties": {field: {"type": json_type}}}


class ScreeningResult(PatientEnvelope):
    """A test result: exactly one of `outcome` and `quantity`."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_given("outcome", "string"), _given("quantity", "object")]})

    type: Literal["screening_result"]
    test: Concept = Field(description="which test")
    collected_on: HappenedOn = Field(description="day the specimen was taken; its validity counts from here")
    resulted_at: HappenedAt = Field(description="instant the result was known; evidence must precede the first dose")
    outcome: Literal["positive", "negative", "indeterminate", "not_done"] | None = Field(
        None, description="the result as a word"
    )
    quantity: Quantity | None = Field(None, description="the result as a number, read by the policy's cut-off")

    @model_validator(mode="after")
    def _one_result(self) -> ScreeningResult:
        if (self.outcome is None) is (self.quantity is None):
            raise PydanticCustomError("one_result", "needs exactly one of outcome and quantity")
        return self


class Prevention(PatientEnvelope):
    """Preventive or curative therapy of an infection that was found."""

    type: Literal["prevention"]
    infection: Infection = Field(description="of which infection")
    started_on: HappenedOn = Field(description="first day")
    ended_on: HappenedOn | None = Field(None, description="last day")


class AdverseEvent(PatientEnvelope):
    """A reported adverse event."""

    type: Literal["adverse_event"]
    term: Concept = Field(description="what happened")
    onset_on: HappenedPartly | None = Field(None, description="day of onset, or the month or year it is known to")
    seriousness: tuple[
        Literal[
            "death", "life_threatening", "hospitalisation", "disability", "congenital_anomaly", "medically_important"
        ],
        ...,
    ] = Field(description="the regulatory criteria it meets; empty: not serious")
    grade: Annotated[int, Field(ge=1, le=5)] | None = Field(None, description="severity (CTCAE)")
    outcome: (
        Literal["recovered", "recovering", "not_recovered", "recovered_with_sequelae", "fatal", "unknown"] | None
    ) = Field(None, description="how it ended")
    ended_on: HappenedPartly | None = Field(None, description="its last day, or the month or year")
    action_taken: Literal["none", "dose_reduced", "drug_interrupted", "drug_stopped"] | None = Field(
        None, description="what was done with the drug"
    )
    suspect_treatment_ids: tuple[Identifier, ...] | None = Field(
        None, description="the courses suspected; may be empty"
    )
    relatedness: Literal["related", "possible", "unlikely", "not_related"] | None = Field(
        None, description="the reporter's judgement"
    )


class PatientProfile(PatientEnvelope):
    """What is known of a patient. Of several profiles the latest recorded speaks, field by field."""

    type: Literal["patient_profile"]
    birth_year: HappenedInYear | None = Field(None, description="age is the year that counts less this")
    sex: Literal["female", "male", "other", "unknown"] | None = Field(None, description="as registered")
    conditions: tuple[Condition, ...] | None = Field(
        None, description="diseases and history; replaces the list given before"
    )
    died_on: HappenedOn | None = Field(None, description="day of death; of several the earliest")


class PatientContact(PatientEnvelope):
    """A visit or a dispensing; keeps an open course alive."""

    type: Literal["patient_contact"]
    seen_on: HappenedOn = Field(description="day of the contact")
    days_supplied: Annotated[int, Field(ge=0, le=36_525)] | None = Field(
        None, description="days of treatment handed out, from `seen_on` on"
    )


class FeedStatus(Envelope):
    """The feed lives, and has sent everything up to a day. Names no patient."""

    type: Literal["feed_status"]
    feed: Literal["treatment", "screening", "adverse_event"] = Field(description="which feed")
    complete_through: HappenedOn = Field(description="last day that is complete")


class PatientMerged(PatientEnvelope):
    """Two identifiers are one person: the record is the union over all that are connected."""

    type: Literal["patient_merged"]
    merged_patient_id: Identifier = Field(description="the other identifier of the same person")


InboundMessage = (
    TreatmentOrdered
    | TreatmentCancelled
    | TreatmentStarted
    | TreatmentChanged
    | TreatmentStopped
    | ScreeningResult
    | Prevention
    | AdverseEvent
    | PatientProfile
    | PatientContact
    | FeedStatus
    | PatientMerged
)
INBOUND: dict[str, type[Envelope]] = {
    get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(InboundMessage)
}
inbound: TypeAdapter[InboundMessage] = TypeAdapter(Annotated[InboundMessage, Field(discriminator="type")])


class Retraction(Message):
    """A message with `status: entered_in_error`, of whatever type, with or without its body."""

    type: str
    source: str | None
    event_id: str
    version: int | None
    recorded_at: Instant
    patient_id: str | None
    site: str | None
    extensions: dict[str, Any] | None = None
