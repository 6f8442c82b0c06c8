"""The fields of each type of message, and a check for each; a check returns the value in its normal form or raises Bad.

Normal form: dates stay text, instants become text in UTC, integers become int, other numbers stay decimals of the text.
A `null` says that an optional field has no value.
"""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from .calendar_days import day, first_day, instant

Check = Callable[[Any], Any]


class Bad(Exception):
    """A field is missing, unknown or ill-typed."""


def need(condition: bool) -> None:
    if not condition:
        raise Bad


def text(shortest: int = 1, longest: int = 65_536) -> Check:
    def check(value: Any) -> str:
        need(isinstance(value, str) and shortest <= len(value) <= longest)
        return str(value)

    return check


def printable(value: Any) -> str:
    need(isinstance(value, str) and 1 <= len(value) <= 128 and value.isprintable())
    return str(value)


def site_name(value: Any) -> str:
    need(isinstance(value, str) and re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", value) is not None)
    return str(value)


def choice(*allowed: str) -> Check:
    def check(value: Any) -> str:
        need(isinstance(value, str) and value in allowed)
        return str(value)

    return check


def integer(lowest: int, highest: int | None = None) -> Check:
    def check(value: Any) -> int:
        need(isinstance(value, Decimal) and value == value.to_integral_value())
        need(lowest <= value and (highest is None or value <= highest))
        return int(value)

    return check


def any_number(value: Any) -> Decimal:
    need(isinstance(value, Decimal))
    return Decimal(value)


def number_from_zero(value: Any) -> Decimal:
    need(isinstance(value, Decimal) and value >= 0)
    return Decimal(value)


def number_above_zero(value: Any) -> Decimal:
    need(isinstance(value, Decimal) and value > 0)
    return Decimal(value)


def full_date(value: Any) -> str:
    return checked_by(day, value)


def partial_date(value: Any) -> str:
    return checked_by(first_day, value)


def checked_by(reader: Callable[[str], int], value: Any) -> str:
    need(isinstance(value, str))
    try:
        reader(value)
    except ValueError:
        raise Bad from None
    return str(value)


def moment(value: Any) -> str:
    need(isinstance(value, str))
    try:
        return in_utc(instant(value))
    except ValueError:
        raise Bad from None


def in_utc(value: datetime) -> str:
    """`2026-01-31T09:30:00Z`, with as many digits of the second as there are."""
    whole = value.replace(microsecond=0, tzinfo=None).isoformat()
    return whole + (f".{value.microsecond:06d}".rstrip("0") if value.microsecond else "") + "Z"


def list_of(check: Check, fewest: int = 0) -> Check:
    def check_list(value: Any) -> list[Any]:
        need(isinstance(value, list) and len(value) >= fewest)
        return [check(item) for item in value]

    return check_list


def anything(value: Any) -> Any:
    return value


def free_object(value: Any) -> dict[str, Any]:
    need(isinstance(value, dict))
    return dict(value)


def object_of(required: dict[str, Check], optional: dict[str, Check]) -> Check:
    def check(value: Any) -> dict[str, Any]:
        return checked_object(value, required, optional)

    return check


def checked_object(value: Any, required: dict[str, Check], optional: dict[str, Check]) -> dict[str, Any]:
    need(isinstance(value, dict) and set(value) <= set(required) | set(optional) and set(required) <= set(value))
    found = {key: check(value[key]) for key, check in required.items()}
    found |= {key: check(value[key]) for key, check in optional.items() if value.get(key) is not None}
    return found


CONCEPT = object_of(
    {"codings": list_of(object_of({"system": text(), "code": text()}, {}), fewest=1)}, {"text": text(shortest=0)}
)
DOSE = object_of({"amount": number_from_zero, "unit": choice("mg"), "per_day": number_above_zero}, {})
QUANTITY = object_of({"value": any_number, "unit": text()}, {"comparator": choice("<", ">", "<=", ">=")})
CONDITION = object_of({"concept": CONCEPT}, {"since": partial_date, "until": partial_date})
INDICATIONS = list_of(CONCEPT, fewest=1)
IDENTIFIER = text(1, 128)
SERIOUSNESS = choice(
    "death", "life_threatening", "hospitalisation", "disability", "congenital_anomaly", "medically_important"
)

REQUIRED: dict[str, dict[str, Check]] = {
    "treatment_ordered": {"treatment_id": IDENTIFIER, "drug": CONCEPT, "indications": INDICATIONS, "dose": DOSE},
    "treatment_cancelled": {"treatment_id": IDENTIFIER, "cancelled_on": full_date},
    "treatment_started": {
        "treatment_id": IDENTIFIER,
        "drug": CONCEPT,
        "indications": INDICATIONS,
        "dose": DOSE,
        "started_on": full_date,
    },
    "treatment_changed": {"treatment_id": IDENTIFIER, "changed_on": full_date},
    "treatment_stopped": {"treatment_id": IDENTIFIER, "last_dose_on": full_date},
    "screening_result": {"test": CONCEPT, "collected_on": full_date, "resulted_at": moment},
    "prevention": {"infection": choice("tuberculosis", "hepatitis_b", "hepatitis_c", "hiv"), "started_on": full_date},
    "adverse_event": {"term": CONCEPT, "seriousness": list_of(SERIOUSNESS)},
    "patient_profile": {},
    "patient_contact": {"seen_on": full_date},
    "feed_status": {"feed": choice("treatment", "screening", "adverse_event"), "complete_through": full_date},
    "patient_merged": {"merged_patient_id": IDENTIFIER},
}
OPTIONAL: dict[str, dict[str, Check]] = {
    "treatment_ordered": {"planned_start_on": full_date},
    "treatment_cancelled": {},
    "treatment_started": {"started_at": moment, "order_id": IDENTIFIER},
    "treatment_changed": {"dose": DOSE, "indications": INDICATIONS},
    "treatment_stopped": {
        "reason": choice("adverse_event", "lack_of_efficacy", "remission", "patient_choice", "other"),
    },
    "screening_result": {
        "outcome": choice("positive", "negative", "indeterminate", "not_done"),
        "quantity": QUANTITY,
    },
    "prevention": {"ended_on": full_date},
    "adverse_event": {
        "onset_on": partial_date,
        "grade": integer(1, 5),
        "outcome": choice("recovered", "recovering", "not_recovered", "recovered_with_sequelae", "fatal", "unknown"),
        "ended_on": partial_date,
        "action_taken": choice("none", "dose_reduced", "drug_interrupted", "drug_stopped"),
        "suspect_treatment_ids": list_of(IDENTIFIER),
        "relatedness": choice("related", "possible", "unlikely", "not_related"),
    },
    "patient_profile": {
        "birth_year": integer(1, 9999),
        "sex": choice("female", "male", "other", "unknown"),
        "conditions": list_of(CONDITION),
        "died_on": full_date,
    },
    "patient_contact": {"days_supplied": integer(0)},
    "feed_status": {},
    "patient_merged": {},
}
ENVELOPE_REQUIRED: dict[str, Check] = {"type": text(), "event_id": printable, "recorded_at": moment}
ENVELOPE_OPTIONAL: dict[str, Check] = {
    "source": text(1, 40),
    "version": integer(0),
    "site": site_name,
    "extensions": free_object,
}
WITH_DEFAULT: dict[str, Check] = {"schema": integer(1, 1), "status": choice("final", "entered_in_error")}


def checked_message(value: dict[str, Any]) -> dict[str, Any]:
    """All fields of a message of a known type in normal form, defaults filled in; Bad if one is not as it should be."""
    value = dict[str, Any]({"schema": Decimal(1), "status": "final"}) | value
    required = ENVELOPE_REQUIRED | WITH_DEFAULT
    optional = ENVELOPE_OPTIONAL | OPTIONAL[value["type"]]
    if value["type"] != "feed_status":
        required = required | {"patient_id": IDENTIFIER}
    if value["status"] == "entered_in_error":
        optional = optional | REQUIRED[value["type"]]
    else:
        required = required | REQUIRED[value["type"]]
    found = checked_object(value, required, optional)
    if found["type"] == "screening_result":
        kinds = ("outcome" in found) + ("quantity" in found)
        need(kinds == 1 or (kinds == 0 and found["status"] == "entered_in_error"))
    return found
