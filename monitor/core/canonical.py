"""The canonical body of a fact: RFC 8785 JSON, numbers as the decimals of their text, without any patient field.

Two bodies of one identity are compared by these bytes; nothing else in the core looks at them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from monitor.core import facts as f
from monitor.core.days import iso, moment_of
from monitor.core.jsontext import canonical_json
from monitor.core.vocabulary import Vocabulary


def canonical_body(fact: f.AnyFact, vocabulary: Vocabulary) -> bytes:
    """The body of a fact as canonical UTF-8 JSON. Retractions are one body, whatever they repeat."""
    body: dict[str, Any] = {"schema": 1, "event_id": fact.event_id, "status": "final"}
    body |= {"source": fact.source, "version": fact.version}
    if isinstance(fact, f.Retraction):
        body["status"] = "entered_in_error"
    else:
        texts = iter(fact.rest.texts if fact.rest else ())
        body["type"], fields = _FIELDS[type(fact)]
        body |= fields(fact, _Concepts(vocabulary, texts))
    if fact.rest and fact.rest.extensions is not None:
        body["extensions"] = json.loads(fact.rest.extensions, parse_float=Decimal)
    return canonical_json({key: value for key, value in body.items() if value is not None}).encode()


class _Concepts:
    """Concepts as the message wrote them, each with the text kept beside the fact."""

    def __init__(self, vocabulary: Vocabulary, texts: Iterator[str | None]) -> None:
        self.vocabulary = vocabulary
        self.texts = texts

    def one(self, index: int) -> dict[str, Any]:
        codings = [{"system": system, "code": code} for system, code in self.vocabulary.codings[index]]
        text = next(self.texts, None)
        return {"codings": codings} if text is None else {"codings": codings, "text": text}

    def many(self, indexes: tuple[int, ...] | None) -> list[dict[str, Any]] | None:
        return None if indexes is None else [self.one(index) for index in indexes]

    def dose(self, index: int | None) -> dict[str, Any] | None:
        if index is None:
            return None
        amount, per_day = self.vocabulary.doses[index]
        return {"amount": amount, "unit": "mg", "per_day": per_day}


def _day(day: int | None) -> str | None:
    return None if day is None else iso(day)


def _instant(at: int | None) -> str | None:
    return None if at is None else moment_of(at).isoformat().replace("+00:00", "Z")


def _quantity(fact: f.Screened) -> dict[str, Any] | None:
    if fact.value is None:
        return None
    quantity: dict[str, Any] = {"value": Decimal(fact.value), "unit": fact.unit}
    return quantity if fact.comparator is None else quantity | {"comparator": fact.comparator}


def _conditions(fact: f.Profile, concepts: _Concepts) -> list[dict[str, Any]] | None:
    if fact.conditions is None:
        return None
    spans = [
        {"concept": concepts.one(span.concept), "since": span.since, "until": span.until} for span in fact.conditions
    ]
    return [{key: value for key, value in span.items() if value is not None} for span in spans]


def _given(fact: f.Ordered | f.Started, concepts: _Concepts) -> dict[str, Any]:
    drug = concepts.one(fact.drug)  # first: the texts come in this order
    given = {"treatment_id": fact.treatment_id, "drug": drug, "indications": concepts.many(fact.indications)}
    return given | {"dose": concepts.dose(fact.dose)}


def _ordered(fact: f.Ordered, concepts: _Concepts) -> dict[str, Any]:
    return _given(fact, concepts) | {"planned_start_on": _day(fact.planned)}


def _cancelled(fact: f.Cancelled, _: _Concepts) -> dict[str, Any]:
    return {"treatment_id": fact.treatment_id, "cancelled_on": iso(fact.day)}


def _started(fact: f.Started, concepts: _Concepts) -> dict[str, Any]:
    when = {"started_on": iso(fact.day), "started_at": _instant(fact.at), "order_id": fact.order_id}
    return _given(fact, concepts) | when


def _changed(fact: f.Changed, concepts: _Concepts) -> dict[str, Any]:
    changed = {"dose": concepts.dose(fact.dose), "indications": concepts.many(fact.indications)}
    return {"treatment_id": fact.treatment_id, "changed_on": iso(fact.day)} | changed


def _stopped(fact: f.Stopped, _: _Concepts) -> dict[str, Any]:
    return {"treatment_id": fact.treatment_id, "last_dose_on": iso(fact.day), "reason": fact.reason}


def _screened(fact: f.Screened, concepts: _Concepts) -> dict[str, Any]:
    when = {"collected_on": iso(fact.collected), "resulted_at": _instant(fact.resulted)}
    return when | {"test": concepts.one(fact.test), "outcome": fact.outcome, "quantity": _quantity(fact)}


def _prevented(fact: f.Prevented, _: _Concepts) -> dict[str, Any]:
    return {"infection": fact.infection, "started_on": iso(fact.started), "ended_on": _day(fact.ended)}


def _adverse_event(fact: f.AdverseEvent, concepts: _Concepts) -> dict[str, Any]:
    return {
        "term": concepts.one(fact.term),
        "onset_on": fact.onset,
        "seriousness": fact.seriousness,
        "grade": fact.grade,
        "outcome": fact.outcome,
        "ended_on": fact.ended,
        "action_taken": fact.action_taken,
        "suspect_treatment_ids": fact.suspects,
        "relatedness": fact.relatedness,
    }


def _profile(fact: f.Profile, concepts: _Concepts) -> dict[str, Any]:
    person = {"birth_year": fact.birth_year, "sex": fact.sex, "died_on": _day(fact.died)}
    return person | {"conditions": _conditions(fact, concepts)}


def _contact(fact: f.Contact, _: _Concepts) -> dict[str, Any]:
    return {"seen_on": iso(fact.seen), "days_supplied": fact.days_supplied}


def _feed_status(fact: f.FeedStatus, _: _Concepts) -> dict[str, Any]:
    return {"feed": fact.feed, "complete_through": iso(fact.complete_through)}


def _merged(_fact: f.Merged, _: _Concepts) -> dict[str, Any]:
    return {}  # whom it merges is a patient field


_FIELDS: dict[type, tuple[str, Callable[[Any, _Concepts], dict[str, Any]]]] = {
    f.Ordered: ("treatment_ordered", _ordered),
    f.Cancelled: ("treatment_cancelled", _cancelled),
    f.Started: ("treatment_started", _started),
    f.Changed: ("treatment_changed", _changed),
    f.Stopped: ("treatment_stopped", _stopped),
    f.Screened: ("screening_result", _screened),
    f.Prevented: ("prevention", _prevented),
    f.AdverseEvent: ("adverse_event", _adverse_event),
    f.Profile: ("patient_profile", _profile),
    f.Contact: ("patient_contact", _contact),
    f.FeedStatus: ("feed_status", _feed_status),
    f.Merged: ("patient_merged", _merged),
}
