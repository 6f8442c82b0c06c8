"""Messages with `status: entered_in_error`, whose body may be left out; what is there must still be right."""

from __future__ import annotations

import functools
import operator
from typing import Annotated, Any, Literal, Optional

from pydantic import BaseModel, Field, TypeAdapter, create_model
from pydantic.fields import FieldInfo

from schemas.inbound import INBOUND, Envelope, PatientEnvelope, Retraction


def _optional(field: FieldInfo) -> Any:
    """The same field, which may be absent."""
    kept: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return Optional[kept], Field(None, description=field.description)  # noqa: UP045  `|` knows no computed type


def _without_body(model: type[Envelope]) -> type[BaseModel]:
    base = PatientEnvelope if issubclass(model, PatientEnvelope) else Envelope
    fields: dict[str, Any] = {
        name: (field.annotation, ...) if name == "type" else _optional(field)
        for name, field in model.model_fields.items()
        if name not in base.model_fields
    }
    fields["status"] = (Literal["entered_in_error"], ...)
    return create_model(f"{model.__name__}Retracted", __base__=base, **fields)


RETRACTED: dict[str, type[BaseModel]] = {name: _without_body(model) for name, model in INBOUND.items()}
retracted: TypeAdapter[Any] = TypeAdapter(
    Annotated[functools.reduce(operator.or_, RETRACTED.values()), Field(discriminator="type")]  # type: ignore[arg-type]
)


def retraction_of(message: Any) -> Retraction:
    """What remains of a message that is retracted; the body, if any, no longer says anything."""
    return Retraction(
        type=message.type,
        source=message.source,
        event_id=message.event_id,
        version=message.version,
        recorded_at=message.recorded_at,
        patient_id=getattr(message, "patient_id", None),
        site=message.site,
        extensions=message.extensions,
    )
