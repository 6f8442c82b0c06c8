"""Facts: accepted messages in the packed form in which a site's state holds them.

A fact is lossless but for the patient, whose record it lies in: its canonical body can be written from it at any time,
which is how two versions of one identity are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from monitor.core.days import instant
from monitor.core.jsontext import canonical_json
from monitor.core.vocabulary import Vocabulary, decimal_text
from schemas import inbound as msg
from schemas.parts import Concept

Identity = str | tuple[str, str]
"""The `event_id`, with the source before it where the message names one."""


class Rest(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is kept and never interpreted: the texts of the concepts in order, the extensions as canonical JSON."""

    texts: tuple[str | None, ...]
    extensions: str | None


class Fact(msgspec.Struct, array_like=True, frozen=True, gc=False, kw_only=True):
    """Days are ordinals, instants microseconds since 1970, concepts and doses indexes of the vocabulary."""

    event_id: str
    source: str | None
    version: int | None
    first_recorded: int  # of the copies of this body: the first receipt stays
    last_recorded: int  # it counts from the last, unless the site restamps
    rest: Rest | None


class Retraction(Fact, tag=0, frozen=True, gc=False):
    retracts: str  # the type of message


class Treatment(Fact, frozen=True, gc=False):
    """What belongs to a course."""

    treatment_id: str


class Ordered(Treatment, tag=1, frozen=True, gc=False):
    drug: int
    indications: tuple[int, ...]
    dose: int
    planned: int | None


class Cancelled(Treatment, tag=2, frozen=True, gc=False):
    day: int


class Started(Treatment, tag=3, frozen=True, gc=False):
    drug: int
    indications: tuple[int, ...]
    dose: int
    day: int
    at: int | None
    order_id: str | None


class Changed(Treatment, tag=4, frozen=True, gc=False):
    day: int
    dose: int | None
    indications: tuple[int, ...] | None


class Stopped(Treatment, tag=5, frozen=True, gc=False):
    day: int
    reason: str | None


class Screened(Fact, tag=6, frozen=True, gc=False):
    test: int
    collected: int
    resulted: int
    outcome: str | None
    value: str | None
    unit: str | None
    comparator: str | None


class Prevented(Fact, tag=7, frozen=True, gc=False):
    infection: str
    started: int
    ended: int | None


class AdverseEvent(Fact, tag=8, frozen=True, gc=False):
    term: int
    onset: str | None
    seriousness: tuple[str, ...]
    grade: int | None
    outcome: str | None
    ended: str | None
    action_taken: str | None
    suspects: tuple[str, ...] | None
    relatedness: str | None


class ConditionSpan(msgspec.Struct, array_like=True, frozen=True, gc=False):
    concept: int
    since: str | None
    until: str | None


class Profile(Fact, tag=9, frozen=True, gc=False):
    birth_year: int | None
    sex: str | None
    conditions: tuple[ConditionSpan, ...] | None
    died: int | None


class Contact(Fact, tag=10, frozen=True, gc=False):
    seen: int
    days_supplied: int | None


class FeedStatus(Fact, tag=11, frozen=True, gc=False):
    feed: str
    complete_through: int


class Merged(Fact, tag=12, frozen=True, gc=False):
    other: bytes  # the pseudonym of merged_patient_id


AnyFact = (
    Retraction
    | Ordered
    | Cancelled
    | Started
    | Changed
    | Stopped
    | Screened
    | Prevented
    | AdverseEvent
    | Profile
    | Contact
    | FeedStatus
    | Merged
)

_pack = msgspec.msgpack.Encoder().encode
_unpack_all = msgspec.msgpack.Decoder(list[AnyFact]).decode


def pack(fact: AnyFact) -> bytes:
    """One fact as bytes; packed facts may be concatenated."""
    return _pack(fact)


def unpack(packed: bytes, count: int) -> list[AnyFact]:
    """The `count` facts whose packed forms were concatenated."""
    return _unpack_all(b"\xdd" + count.to_bytes(4, "big") + packed)


def identity_of(fact: Fact) -> Identity:
    return fact.event_id if fact.source is None else (fact.source, fact.event_id)


def coded_in(fact: AnyFact) -> Iterator[tuple[str, int]]:
    """(kind, concept) of each coded concept of a fact."""
    if isinstance(fact, Ordered | Started):
        yield "drug", fact.drug
    if isinstance(fact, Ordered | Started | Changed):
        yield from (("indication", each) for each in fact.indications or ())
    elif isinstance(fact, Screened):
        yield "test", fact.test
    elif isinstance(fact, AdverseEvent):
        yield "term", fact.term
    elif isinstance(fact, Profile):
        yield from (("condition", each.concept) for each in fact.conditions or ())


class FactWriter:
    """Turns validated messages into facts, with one site's pseudonyms and one process's vocabulary."""

    def __init__(self, vocabulary: Vocabulary, pseudonym: Callable[[str], bytes]) -> None:
        self.vocabulary = vocabulary
        self.pseudonym = pseudonym

    def fact(self, message: Any) -> AnyFact:
        """The fact of a message (a model of `schemas.inbound`)."""
        recorded = instant(message.recorded_at)
        envelope = (message.event_id, message.source, message.version, recorded, recorded)
        return _WRITERS[type(message)](self, message, envelope)

    def concepts(self, concepts: tuple[Concept, ...]) -> tuple[int, ...]:
        concept = self.vocabulary.concept
        return (concept(concepts[0]),) if len(concepts) == 1 else tuple([concept(each) for each in concepts])


Envelope = tuple[str, str | None, int | None, int, int]


def _rest(message: Any, concepts: tuple[Concept, ...] = ()) -> Rest | None:
    extensions = message.extensions
    if extensions is None:
        for concept in concepts:
            if concept.text is not None:
                break
        else:
            return None
    return Rest(tuple([c.text for c in concepts]), None if extensions is None else canonical_json(extensions))


def _ordinal(day: Any) -> int | None:
    return None if day is None else day.toordinal()


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else instant(moment)


def _retraction(_: FactWriter, m: msg.Retraction, e: Envelope) -> Retraction:
    return Retraction(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=None, retracts=m.type
    )


def _ordered(w: FactWriter, m: msg.TreatmentOrdered, e: Envelope) -> Ordered:
    return Ordered(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4],
        rest=_rest(m, (m.drug, *m.indications)),
        treatment_id=m.treatment_id, drug=w.vocabulary.concept(m.drug), indications=w.concepts(m.indications),
        dose=w.vocabulary.dose(m.dose), planned=_ordinal(m.planned_start_on),
    )  # fmt: skip


def _cancelled(_: FactWriter, m: msg.TreatmentCancelled, e: Envelope) -> Cancelled:
    return Cancelled(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        treatment_id=m.treatment_id, day=m.cancelled_on.toordinal(),
    )  # fmt: skip


def _started(w: FactWriter, m: msg.TreatmentStarted, e: Envelope) -> Started:
    return Started(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4],
        rest=_rest(m, (m.drug, *m.indications)),
        treatment_id=m.treatment_id, drug=w.vocabulary.concept(m.drug), indications=w.concepts(m.indications),
        dose=w.vocabulary.dose(m.dose), day=m.started_on.toordinal(), at=_us(m.started_at), order_id=m.order_id,
    )  # fmt: skip


def _changed(w: FactWriter, m: msg.TreatmentChanged, e: Envelope) -> Changed:
    return Changed(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4],
        rest=_rest(m, m.indications or ()),
        treatment_id=m.treatment_id, day=m.changed_on.toordinal(),
        dose=None if m.dose is None else w.vocabulary.dose(m.dose),
        indications=None if m.indications is None else w.concepts(m.indications),
    )  # fmt: skip


def _stopped(_: FactWriter, m: msg.TreatmentStopped, e: Envelope) -> Stopped:
    return Stopped(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        treatment_id=m.treatment_id, day=m.last_dose_on.toordinal(), reason=m.reason,
    )  # fmt: skip


def _screened(w: FactWriter, m: msg.ScreeningResult, e: Envelope) -> Screened:
    quantity = m.quantity
    return Screened(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m, (m.test,)),
        test=w.vocabulary.concept(m.test), collected=m.collected_on.toordinal(), resulted=instant(m.resulted_at),
        outcome=m.outcome, value=None if quantity is None else decimal_text(quantity.value),
        unit=None if quantity is None else quantity.unit, comparator=None if quantity is None else quantity.comparator,
    )  # fmt: skip


def _prevented(_: FactWriter, m: msg.Prevention, e: Envelope) -> Prevented:
    return Prevented(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        infection=m.infection, started=m.started_on.toordinal(), ended=_ordinal(m.ended_on),
    )  # fmt: skip


def _adverse_event(w: FactWriter, m: msg.AdverseEvent, e: Envelope) -> AdverseEvent:
    return AdverseEvent(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m, (m.term,)),
        term=w.vocabulary.concept(m.term), onset=m.onset_on, seriousness=m.seriousness, grade=m.grade,
        outcome=m.outcome, ended=m.ended_on, action_taken=m.action_taken, suspects=m.suspect_treatment_ids,
        relatedness=m.relatedness,
    )  # fmt: skip


def _profile(w: FactWriter, m: msg.PatientProfile, e: Envelope) -> Profile:
    listed = m.conditions
    spans = None
    if listed is not None:
        spans = tuple([ConditionSpan(w.vocabulary.concept(c.concept), c.since, c.until) for c in listed])
    return Profile(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4],
        rest=_rest(m, tuple([c.concept for c in listed or ()])),
        birth_year=m.birth_year, sex=m.sex, conditions=spans, died=_ordinal(m.died_on),
    )  # fmt: skip


def _contact(_: FactWriter, m: msg.PatientContact, e: Envelope) -> Contact:
    return Contact(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        seen=m.seen_on.toordinal(), days_supplied=m.days_supplied,
    )  # fmt: skip


def _feed_status(_: FactWriter, m: msg.FeedStatus, e: Envelope) -> FeedStatus:
    return FeedStatus(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        feed=m.feed, complete_through=m.complete_through.toordinal(),
    )  # fmt: skip


def _merged(w: FactWriter, m: msg.PatientMerged, e: Envelope) -> Merged:
    return Merged(
        event_id=e[0], source=e[1], version=e[2], first_recorded=e[3], last_recorded=e[4], rest=_rest(m),
        other=w.pseudonym(m.merged_patient_id),
    )  # fmt: skip


_WRITERS: dict[type, Callable[[FactWriter, Any, Envelope], AnyFact]] = {
    msg.Retraction: _retraction,
    msg.TreatmentOrdered: _ordered,
    msg.TreatmentCancelled: _cancelled,
    msg.TreatmentStarted: _started,
    msg.TreatmentChanged: _changed,
    msg.TreatmentStopped: _stopped,
    msg.ScreeningResult: _screened,
    msg.Prevention: _prevented,
    msg.AdverseEvent: _adverse_event,
    msg.PatientProfile: _profile,
    msg.PatientContact: _contact,
    msg.FeedStatus: _feed_status,
    msg.PatientMerged: _merged,
}
