"""What someone who connects a hospital wants to know of the messages taken: how many, from when, do they fit together?

It keeps a number per patient and course, never an identifier or any other value of a message.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date

from monitor.core.days import instant
from monitor.core.decode import AnyMessage, Decoded, Rejection, SitesLike, normalise
from schemas import inbound as msg
from schemas.parts import Concept, happened_type

_STANDARD = {"drug": ("atc", "rxnorm"), "test": ("loinc",), "term": ("icd10", "meddra", "snomed")}
_FEW = 0.1  # of the messages: above it a lack is worth a line


@dataclass
class Row:
    """The messages of one type: how many, how many of them retractions, the days they tell of (ISO, may be partial)."""

    messages: int = 0
    retractions: int = 0
    first: str = ""
    last: str = ""

    def note(self, message: AnyMessage) -> None:
        self.messages += 1
        if isinstance(message, msg.Retraction):
            self.retractions += 1
            return
        day = _day(message)
        self.first = min(self.first or day, day)
        self.last = max(self.last, day)


@dataclass
class Survey:
    """Counts what was decoded, and looks whether it fits together."""

    sites: SitesLike | None = None
    rows: dict[str, Row] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    by_site: Counter[str] = field(default_factory=Counter)
    _patients: dict[str, Counter[int]] = field(default_factory=dict)  # per type: messages by patient
    _courses: dict[str, Counter[int]] = field(default_factory=dict)  # per type: messages by course
    _merged: list[tuple[int, int]] = field(default_factory=list)
    _coded: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def note(self, result: Decoded | Rejection) -> None:
        """Count one line."""
        if isinstance(result, Rejection):
            self.rejected[result.reason] += 1
            return
        message, site = result
        kind = str(message.__dict__["type"])
        self.by_site[site] += 1
        self.rows.setdefault(kind, Row()).note(message)
        if not isinstance(message, msg.Retraction):
            self._relate(message, site, kind)

    def _relate(self, message: msg.InboundMessage, site: str, kind: str) -> None:
        if isinstance(message, msg.FeedStatus):
            return
        patient = self._patient(message, site, message.patient_id)
        self._patients.setdefault(kind, Counter())[patient] += 1
        course = message.__dict__.get("treatment_id")
        if course is not None:
            self._courses.setdefault(kind, Counter())[hash((site, course))] += 1
        if isinstance(message, msg.PatientMerged):
            self._merged.append((patient, self._patient(message, site, message.merged_patient_id)))
        for name, standard in _STANDARD.items():
            concept = message.__dict__.get(name)
            if concept is not None:
                self._coded[name, _has_one_of(concept, standard)] += 1

    def _patient(self, message: msg.InboundMessage, site: str, patient_id: str) -> int:
        """A number for a patient; two of a million patients share one by a chance of one in ten million."""
        entry = None if self.sites is None else self.sites.entry(site, instant(message.recorded_at))
        return hash((site, normalise(patient_id, entry)))

    @property
    def messages(self) -> int:
        return sum(row.messages for row in self.rows.values())

    def hints(self) -> Iterator[str]:
        """What an integrator should look at, the most important first."""
        if not self.messages:
            yield "no message was taken" if self.rejected else "there is no message"
            return
        yield from self._ids_that_do_not_meet()
        yield from self._codes_of_no_standard()
        yield from self._what_is_missing()

    def _ids_that_do_not_meet(self) -> Iterator[str]:
        one = _union(self._merged)
        for kind, many, others, other in (
            ("treatment_started", "starts", ("screening_result",), "a screening result"),
            ("adverse_event", "adverse events", ("treatment_started",), "a start"),
            ("screening_result", "screening results", ("treatment_started", "treatment_ordered"), "an order or start"),
        ):
            known = {one(patient) for each in others for patient in self._patients.get(each, ())}
            mine = self._patients.get(kind, Counter[int]())
            alone = sum(count for patient, count in mine.items() if one(patient) not in known)
            yield from _lack(alone, mine.total(), many, f"{other} of the same patient", "do your ids match?")
        begun = self._courses.get("treatment_started", Counter())
        for kind, many in (("treatment_changed", "changes"), ("treatment_stopped", "stops")):
            mine = self._courses.get(kind, Counter())
            alone = sum(count for course, count in mine.items() if course not in begun)
            yield from _lack(
                alone, mine.total(), many, "a start of the same treatment_id", "does a course keep its id?"
            )

    def _codes_of_no_standard(self) -> Iterator[str]:
        for name, standard in _STANDARD.items():
            coded, others = self._coded[name, True], self._coded[name, False]
            advice = "the policy must know your own codes (jakwatch policy explain) or they count as unmapped"
            yield from _lack(others, coded + others, f"{name}s", f"a code of {' or '.join(standard)}", advice)

    def _what_is_missing(self) -> Iterator[str]:
        for kind, consequence in (
            ("treatment_started", "nobody is exposed, no rate can be given"),
            ("screening_result", "no infection can be excluded"),
            ("adverse_event", "every rate is zero"),
            ("feed_status", "a feed that is quiet and one that is broken look the same"),
            ("patient_profile", "cohorts by age or history stay empty"),
        ):
            if kind not in self.rows:
                yield f"no {kind}: {consequence}"


def _lack(lacking: int, of: int, many: str, what: str, advice: str) -> Iterator[str]:
    if of == 1:
        many = many.removesuffix("s")
    if of and lacking == of:
        yield f"{of:,} {many}, none with {what}: {advice}"
    elif of and lacking > _FEW * of:
        yield f"{of:,} {many}, {lacking:,} of them without {what}: {advice}"


def _has_one_of(concept: Concept, systems: Iterable[str]) -> bool:
    return any(coding.system in systems for coding in concept.codings)


def _union(pairs: Iterable[tuple[int, int]]) -> Callable[[int], int]:
    """Gives numbers that are connected by pairs one number."""
    parent: dict[int, int] = {}

    def root(one: int) -> int:
        while (up := parent.get(one, one)) != one:
            one = up
        return one

    for one, other in pairs:
        parent[root(one)] = root(other)
    return root


def _day(message: msg.InboundMessage) -> str:
    """The day a message tells of: the first of its fields that says something happened, else when it was recorded."""
    for name in _DAYS[type(message)]:
        value = message.__dict__[name]
        if value is not None:
            return str(value)
    return message.recorded_at.date().isoformat()


_DAYS = {
    model: [name for name, each in model.model_fields.items() if happened_type(each) in (date, str)]
    for model in msg.INBOUND.values()
}
