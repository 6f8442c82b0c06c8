"""What people decided: contract, section 3. Append-only; decisions depend on them, so `replay` takes them too."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from schemas.careful import as_json, read_object
from schemas.parts import (
    MAX_BYTES,
    Day,
    EventId,
    Identifier,
    Infection,
    Instant,
    Message,
    NotEmpty,
    SchemaNumber,
    Sha256,
    SiteName,
    Source,
    WholeNumber,
)
from schemas.rules import Rejection, first_error


class ActionEnvelope(Message):
    """What every action carries."""

    schema_: SchemaNumber = Field(1, alias="schema", description="version of this contract")
    action_id: EventId = Field(description="identity of the action")
    at: Instant = Field(description="when it was decided")
    by: NotEmpty = Field(description="who decided")
    role: NotEmpty = Field(description="in which role")
    reason: NotEmpty = Field(description="why")


class CloseCase(ActionEnvelope):
    """A case is dealt with; a new violation of the course reopens it."""

    action: Literal["close_case"]
    site: SiteName = Field(description="whose case")
    treatment_id: Identifier = Field(description="of which course")
    kind: NotEmpty = Field(description="which case of it: `violation`, `unassessable` or `started_on_hold`")


class SettleConflict(ActionEnvelope):
    """Of two bodies under one version one stands."""

    action: Literal["settle_conflict"]
    site: SiteName = Field(description="whose message")
    source: Source | None = Field(None, description="the message's `source`, if it has one")
    event_id: EventId = Field(description="the message's `event_id`")
    digest: NotEmpty = Field(description="keyed digest of the body that stands")


class SignWaiver(ActionEnvelope):
    """An infection need not be excluded: for one course, or until a day, or both."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["treatment_id"]}, {"required": ["ends_on"]}]})

    action: Literal["sign_waiver"]
    site: SiteName = Field(description="where")
    infection: Infection = Field(description="which infection")
    treatment_id: Identifier | None = Field(None, description="for this course")
    ends_on: Day | None = Field(None, description="last day of the waiver")

    @model_validator(mode="after")
    def _bounded(self) -> SignWaiver:
        if self.treatment_id is None and self.ends_on is None:
            raise PydanticCustomError("unbounded_waiver", "needs treatment_id or ends_on")
        return self


class Activate(ActionEnvelope):
    """A version of the policy or of the site registry may come into force: decided before its first day, or in vain."""

    action: Literal["activate"]
    what: Literal["policy", "sites"] = Field(description="of what")
    version: WholeNumber = Field(description="which version")
    sha256: Sha256 = Field(description="hash of its content, so that nothing else is activated")
    effective_from: Day | None = Field(
        None,
        description="its first day, filled in by the service: from then on a process without it stops judging; "
        "where it is not said, at once",
    )


class ReviewSignal(ActionEnvelope):
    """A person looked at a signal."""

    action: Literal["review_signal"]
    cohort: NotEmpty | None = Field(None, description="of which cohort")
    aesi: NotEmpty | None = Field(None, description="of which class of special interest")


class Erase(ActionEnvelope):
    """All that is held of a patient is to go."""

    action: Literal["erase"]
    site: SiteName = Field(description="whose patient")
    pseudonym: NotEmpty = Field(description="the patient's pseudonym, as `jakwatch pseudonym` tells it")
    gone_by: Day | None = Field(
        None,
        description="filled in by the service: the day on which also what was rejected, and cannot be told to be of "
        "the patient, is gone",
    )


Action = CloseCase | SettleConflict | SignWaiver | Activate | ReviewSignal | Erase
ACTIONS: dict[str, type[ActionEnvelope]] = {
    get_args(model.model_fields["action"].annotation)[0]: model for model in get_args(Action)
}
actions: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Field(discriminator="action")])


def decode_action(raw: bytes) -> Action | Rejection:
    """The action in `raw`, or why it is none, judged like messages are. Never raises, whatever the bytes."""
    if len(raw) > MAX_BYTES:
        return Rejection("too_large", "", f"must have at most {MAX_BYTES} bytes")
    value: dict[str, Any] | Rejection = read_object(raw, "action", ACTIONS)
    if isinstance(value, Rejection):
        return value
    try:
        return actions.validate_json(as_json(value))
    except ValidationError as error:
        return Rejection("invalid", *first_error(error, skip=1))
