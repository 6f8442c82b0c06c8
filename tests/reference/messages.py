"""One message, or the reason of its rejection: a function of the bytes and of the site's registry entry alone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from . import registry as sites
from .calendar_days import day, first_day, instant, local_day
from .canonical import canonical
from .lines import Rejected, parse
from .shapes import REQUIRED, Bad, checked_message

OWN_SCHEMA = 1
PATIENT_FIELDS = ("patient_id", "merged_patient_id")
HAPPENED_DAYS = (
    "cancelled_on started_on changed_on last_dose_on collected_on onset_on ended_on died_on seen_on complete_through"
).split()
HAPPENED_INSTANTS = ("started_at", "resulted_at")


@dataclass(frozen=True)
class Message:
    """`fields` are all fields in normal form; `patient_id` follows the id rules of the site."""

    site: str
    recorded_at: datetime
    fields: dict[str, Any]

    @property
    def type(self) -> str:
        return str(self.fields["type"])

    @property
    def source(self) -> str:
        return str(self.fields.get("source", ""))

    @property
    def event_id(self) -> str:
        return str(self.fields["event_id"])

    @property
    def identity(self) -> tuple[str, str, str]:
        return (self.site, self.source, self.event_id)

    @property
    def stated_version(self) -> int | None:
        return self.fields.get("version")

    @property
    def is_retraction(self) -> bool:
        return bool(self.fields["status"] == "entered_in_error")

    @property
    def patient(self) -> tuple[str, str]:
        return (self.site, str(self.fields.get("patient_id")))

    @property
    def body(self) -> str:
        """The canonical body with the patient: two messages with the same one say the same."""
        return canonical({key: self.fields[key] for key in self.fields if key not in ("site", "recorded_at")})

    @property
    def body_without_patient(self) -> bytes:
        left_out = ("site", "recorded_at", *PATIENT_FIELDS)
        return canonical({key: self.fields[key] for key in self.fields if key not in left_out}).encode("utf-8")

    def get(self, field: str) -> Any:
        return self.fields.get(field)

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]


def decode(line: bytes, default_site: str | None, registry: sites.Registry) -> Message:
    """The message in a line; Rejected with the first reason, in the contract's order, that holds."""
    value, flawed = parse(line)
    if not isinstance(value, dict):
        raise Rejected("invalid")
    if is_newer(value.get("schema")):
        raise Rejected("newer_schema")
    if not isinstance(value.get("type"), str):
        raise Rejected("invalid")
    if value["type"] not in REQUIRED:
        raise Rejected("unknown_type")
    if flawed:
        raise Rejected("invalid")
    try:
        fields = checked_message(value)
    except Bad:
        raise Rejected("invalid") from None
    return placed(fields, default_site, registry)


def is_newer(schema: Any) -> bool:
    return isinstance(schema, Decimal) and schema.is_finite() and schema == schema.to_integral_value() > OWN_SCHEMA


def placed(fields: dict[str, Any], default_site: str | None, registry: sites.Registry) -> Message:
    """The checked fields at their site, patients by the site's id rules."""
    site = fields.get("site", default_site)
    if site is None:
        raise Rejected("invalid")
    if not sites.knows(registry, site):
        raise Rejected("site_mismatch")
    for key in PATIENT_FIELDS:
        if key in fields:
            fields = fields | {key: sites.normal_id(registry, site, fields[key])}
            if not fields[key]:
                raise Rejected("invalid")
    message = Message(site, instant(fields["recorded_at"]), fields)
    retracted = fields["status"] == "entered_in_error"  # what it denies did not happen
    if not retracted and lies_in_the_future(message, sites.zone(registry, site)):
        raise Rejected("in_the_future")
    return message


def lies_in_the_future(message: Message, zone: ZoneInfo) -> bool:
    """Does something that happened lie, at its earliest, more than a day after it was recorded?"""
    latest_day = local_day(message.recorded_at, zone) + 1
    return any(happened > latest_day for happened in happened_days(message)) or any(
        instant(message[key]) - message.recorded_at > timedelta(hours=24)
        for key in HAPPENED_INSTANTS
        if message.get(key) is not None
    )


def happened_days(message: Message) -> list[int]:
    days = [first_day(message[key]) for key in HAPPENED_DAYS if message.get(key) is not None]
    days += [first_day(found["since"]) for found in message.get("conditions") or [] if "since" in found]
    if message.get("birth_year") is not None:
        days.append(day(f"{message['birth_year']:04d}-01-01"))
    return days
