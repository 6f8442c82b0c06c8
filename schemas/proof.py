"""Proof, from counts, that a parser which takes the last of duplicate keys and rounds numbers hid nothing of a text.

Each key and each text value of a JSON text brings two quotes. A duplicate key brings two more than the parsed message
accounts for. So does an escaped quote inside a text, which is innocent: what cannot be proved here is read carefully.
One count over the bytes is all this costs, whatever the white space between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from schemas import inbound as msg
from schemas.parts import Concept, Condition, Quantity

_WHOLE = Decimal(1)
# Up to 15 digits come back from a double as they went in.
_AMOUNT, _PER_DAY, _VALUE = (
    re.compile(rb'"' + name + rb'"\s*:\s*-?[0-9.]{1,15}\s*[,}]') for name in (b"amount", b"per_day", b"value")
)


def nothing_is_hidden(raw: bytes, message: msg.InboundMessage) -> bool:
    """Whether `message` is all that its text says: no key twice, no number that a double rounds.

    Extensions may hold anything and are never vouched for.
    """
    values = message.__dict__  # of a missing name, getattr() costs as much here as all the rest
    if values["extensions"] is not None:
        return False
    given = message.__pydantic_fields_set__  # the keys of the top level, those of null among them
    texts = 3 + (values["source"] is not None) + (values["site"] is not None) + ("status" in given)
    if raw.count(b'"') != 2 * (len(given) + texts + _BODY[type(message)](values)):
        return False
    dose = values.get("dose")
    if dose is not None:
        return _is_exact(dose.amount, raw, _AMOUNT) and _is_exact(dose.per_day, raw, _PER_DAY)
    quantity = values.get("quantity")
    return quantity is None or _is_exact(quantity.value, raw, _VALUE)


def _is_exact(number: Decimal, raw: bytes, text: re.Pattern[bytes]) -> bool:
    """Integers are never rounded, and only they come as Decimals without an exponent. Others must be short."""
    return number.same_quantum(_WHOLE) or text.search(raw) is not None


# What the body of each type holds: the texts among its own fields, `patient_id` included, and the keys and texts of
# the objects in them. The keys of its own fields are counted above.


def _concept(concept: Concept) -> int:
    return 4 * len(concept.codings) + len(concept.__pydantic_fields_set__) + (concept.text is not None)


def _concepts(concepts: tuple[Concept, ...]) -> int:
    return _concept(concepts[0]) if len(concepts) == 1 else sum(map(_concept, concepts))


_DOSE = 4  # three keys and the unit


def _quantity(quantity: Quantity) -> int:
    return len(quantity.__pydantic_fields_set__) + 1 + (quantity.comparator is not None)


def _condition(condition: Condition) -> int:
    known = (condition.since is not None) + (condition.until is not None)
    return len(condition.__pydantic_fields_set__) + _concept(condition.concept) + known


def _ordered(values: dict[str, Any]) -> int:
    planned = values["planned_start_on"] is not None
    return 2 + _concept(values["drug"]) + _concepts(values["indications"]) + _DOSE + planned


def _started(values: dict[str, Any]) -> int:
    more = (values["started_at"] is not None) + (values["order_id"] is not None)
    return 3 + _concept(values["drug"]) + _concepts(values["indications"]) + _DOSE + more


def _changed(values: dict[str, Any]) -> int:
    dose, indications = values["dose"], values["indications"]
    return 3 + (0 if dose is None else _DOSE) + (0 if indications is None else _concepts(indications))


def _stopped(values: dict[str, Any]) -> int:
    return 3 + (values["reason"] is not None)


def _screened(values: dict[str, Any]) -> int:
    quantity = values["quantity"]
    return 3 + _concept(values["test"]) + (1 if quantity is None else _quantity(quantity))  # else: the outcome


def _prevented(values: dict[str, Any]) -> int:
    return 3 + (values["ended_on"] is not None)


def _adverse_event(values: dict[str, Any]) -> int:
    words = (values["outcome"] is not None) + (values["action_taken"] is not None) + (values["relatedness"] is not None)
    days = (values["onset_on"] is not None) + (values["ended_on"] is not None)
    suspects = values["suspect_treatment_ids"]
    listed = len(values["seriousness"]) + (0 if suspects is None else len(suspects))
    return 1 + _concept(values["term"]) + words + days + listed


def _profile(values: dict[str, Any]) -> int:
    conditions = values["conditions"]
    texts = (values["sex"] is not None) + (values["died_on"] is not None)
    return 1 + texts + (0 if conditions is None else sum(map(_condition, conditions)))


_BODY: dict[type, Callable[[dict[str, Any]], int]] = {
    msg.TreatmentOrdered: _ordered,
    msg.TreatmentCancelled: lambda _: 3,
    msg.TreatmentStarted: _started,
    msg.TreatmentChanged: _changed,
    msg.TreatmentStopped: _stopped,
    msg.ScreeningResult: _screened,
    msg.Prevention: _prevented,
    msg.AdverseEvent: _adverse_event,
    msg.PatientProfile: _profile,
    msg.PatientContact: lambda _: 2,
    msg.FeedStatus: lambda _: 2,
    msg.PatientMerged: lambda _: 2,
}
