"""What one record adds to the counts: a pure function of record, policy and registry, without any `as_of`.

Person-time is a +1 on its first day and a -1 on the day after its last; events are a 1 on their day. Each such marker
belongs to a row: what is counted, of which AESI or tail class, in which set of cohort levels. Adding the markers of all
records and summing over days gives every rate; taking back a record's old markers leaves nothing of it behind.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from monitor.core import facts as f
from monitor.core.cohorts import Cohorts, LevelSets
from monitor.core.course import Course
from monitor.core.days import local_day, partial_days
from monitor.core.exposure import Exposure, Exposures, Piece, Tails, level_set_on
from monitor.core.meaning import Mapped, Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record
from monitor.core.rows import DAY_BITS, Cells, Measure, Rows

FULL_DATE = len("YYYY-MM-DD")
_MANY = 8  # pieces, from which a set finds one sooner than a look at each


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """`markers`: row, day and sign packed in int64; the rest is empty for most patients."""

    markers: bytes = b""
    tallies: tuple[tuple[str, int], ...] = ()
    unmapped: tuple[tuple[str, int], ...] = ()  # (kind, concept) of each occurrence
    spread: tuple[tuple[int, ...], ...] = ()  # events at risk on several days, by AESI: their days
    listed: bytes = b""  # facts without effect, packed: see `listed_in`
    steps: tuple[tuple[int, int, int, int], ...] = ()  # (AESI, level set, day of the first event, risk - exposed days)


UNASSESSABLE = Contribution(tallies=(("unassessable", 1),))


_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[tuple[str, str, str]]).decode


def listed_in(contribution: Contribution) -> list[tuple[str, str, str]]:
    """(what, treatment_id, event_id) of each fact of a record that has no effect."""
    return _unpack(contribution.listed) if contribution.listed else []


class Contributions:
    """Computes contributions under one policy."""

    def __init__(self, policy: PolicyDocument, meaning: Meaning, sets: LevelSets, rows: Rows) -> None:
        self.policy = policy
        self.meaning = meaning
        self.sets = sets
        self.rows = rows
        self.cells = Cells(sets)
        self.tails = Tails(policy)
        self.cohorts = Cohorts(policy, meaning, sets)
        self.exposures = Exposures(policy, meaning, self.cohorts, self.tails)
        self.aesis = tuple(policy.aesis.values())
        self._members: dict[tuple[int, bool, str | None, str | None, bool], tuple[int, ...]] = {}
        self.lookups: dict[str, Mapping[int, Mapped[Any]]] = {
            "drug": meaning.drug, "indication": meaning.disease, "test": meaning.test, "term": meaning.term,
            "condition": meaning.disease,
        }  # fmt: skip
        self.also_died_on = tuple(at for at, aesi in enumerate(self.aesis) if aesi.also_died_on)

    def of(self, record: Record, zone: ZoneInfo | None, observed_from: int) -> Contribution:
        """The contribution of a record at a site whose adverse events are complete from a day on (0: always were)."""
        exposure = self.exposures.of(record, zone)
        return _Counting(self, record, zone, observed_from, exposure).contribution()

    def aesis_of(self, event: f.AdverseEvent, stopped_for_it: bool) -> tuple[int, ...]:
        """The AESIs all of whose criteria an event meets."""
        key = (event.term, bool(event.seriousness), event.outcome, event.action_taken, stopped_for_it)
        found = self._members.get(key)
        if found is None:
            listed = self.meaning.term[event.term].value or frozenset()
            found = self._members[key] = tuple(at for at in sorted(listed) if self._meets(at, *key[1:]))
        return found

    def _meets(self, aesi: int, serious: bool, outcome: str | None, action: str | None, stopped_for_it: bool) -> bool:
        rule = self.aesis[aesi]
        stopped = rule.action_taken == "drug_stopped" and stopped_for_it
        return (
            (rule.serious is None or rule.serious == (serious or outcome == "fatal"))
            and rule.outcome in (None, outcome)
            and (rule.action_taken in (None, action) or stopped)
        )


class _Placed(NamedTuple):
    """An adverse event of one AESI on its day; identity breaks ties of a day."""

    day: int
    event_id: str
    source: str


class _Counting:
    """One record on its way into markers."""

    def __init__(
        self, rules: Contributions, record: Record, zone: ZoneInfo | None, observed_from: int, exposure: Exposure
    ) -> None:
        self.rules = rules
        self.record = record
        self.zone = zone
        self.observed_from = observed_from
        self.exposure = exposure
        self.exposed = _observed(exposure.exposed, observed_from)
        self.at_risk = _observed_classes(exposure.at_risk, observed_from)
        self.markers = array("q")
        self.tallies: dict[str, int] = defaultdict(int)
        self.spread: list[tuple[int, ...]] = []
        self.steps: list[tuple[int, int, int, int]] = []

    def contribution(self) -> Contribution:
        self._person_time()
        self._unobserved_levels()
        placed = self._place_events()
        for aesi, events in placed.items():
            self._count(aesi, events)
        self._lost()
        self._tally()
        unmapped = self._concepts()
        tallies = tuple(sorted(self.tallies.items()))
        without_effect = [each for course in self.record.courses.values() for each in course.without_effect()]
        listed = _pack(without_effect) if without_effect else b""
        steps = tuple(self.steps)
        return Contribution(self.markers.tobytes(), tallies, unmapped, tuple(self.spread), listed, steps)

    def _mark(self, row: int, day: int, away: int = 0) -> None:
        if day >> DAY_BITS:
            raise ValueError("a day lies beyond those that a marker can hold")
        self.markers.append((row << DAY_BITS | day) << 1 | away)

    def _span(self, measure: Measure, of: int, piece: Piece, away: int = 0) -> None:
        first, end, levels = piece
        if end >> DAY_BITS:
            raise ValueError("a day lies beyond those that a marker can hold")
        row = self.rules.rows[measure, of, levels] << DAY_BITS
        self.markers.extend(((row | first) << 1 | away, (row | end) << 1 | away ^ 1))

    def _difference(self, measure: Measure, of: int, pieces: list[Piece], known: list[Piece]) -> None:
        """The pieces, given that `known` is counted elsewhere: for most patients one piece or none."""
        if pieces == known:
            return
        for away, which, others in ((0, pieces, known), (1, known, pieces)):
            other = set(others) if len(others) > _MANY else others
            for piece in which:
                if piece[2] and piece not in other:
                    self._span(measure, of, piece, away)

    def _person_time(self) -> None:
        """Exposure; the tails beyond it; and what tail classes have beside the commonest."""
        self._difference(Measure.EXPOSED, 0, self.exposed, [])
        common = self.at_risk[0]
        self._difference(Measure.TAIL, 0, common, self.exposed)
        for tail_class, pieces in enumerate(self.at_risk[1:], 1):
            if pieces is not common:
                self._difference(Measure.TAIL, tail_class, pieces, common)

    def _unobserved_levels(self) -> None:
        for pieces in self.exposure.at_risk if self.observed_from else ():
            for first, _, levels in pieces:
                if levels and first < self.observed_from:
                    self._mark(self.rules.rows[Measure.PRESENT, 0, levels], first)

    # Adverse events

    def _place_events(self) -> dict[int, list[_Placed]]:
        """The day of every event in each of its AESIs; what is at risk in none is tallied as unplaced."""
        placed: dict[int, list[_Placed]] = {}
        fatal = False
        for event in self.record.events:
            fatal = fatal or event.outcome == "fatal"
            aesis = self.rules.aesis_of(event, self._stopped_for(event))
            if event.onset is None:
                self.tallies["no_onset_date"] += 1
                continue
            days = self._days(event, event.onset, aesis)
            self._unplaced(partial_days(event.onset)[0], aesis, days)
            for aesi, day in zip(aesis, days, strict=True):
                placed.setdefault(aesi, []).append(_Placed(day, event.event_id, event.source or ""))
        died = self.record.died
        if died is not None and not fatal and self.rules.also_died_on:
            self._unplaced(died, self.rules.also_died_on, [died] * len(self.rules.also_died_on))
            for aesi in self.rules.also_died_on:
                placed.setdefault(aesi, []).append(_Placed(died, "", ""))
        return placed

    def _stopped_for(self, event: f.AdverseEvent) -> bool:
        """Whether a course the event is suspected of was stopped for an adverse event."""
        courses = (self.record.courses.get(each) for each in event.suspects or ())
        return any(course is not None and _stopped_for_event(course) for course in courses)

    def _days(self, event: f.AdverseEvent, onset: str, aesis: tuple[int, ...]) -> list[int]:
        """A partial onset means the earliest possible day at risk, not after its report; else the first possible."""
        if len(onset) == FULL_DATE:
            return [partial_days(onset)[0]] * len(aesis)
        self.tallies["imputed"] += 1
        first, last = partial_days(onset)
        last = min(last, local_day(event.last_recorded, self.zone))
        classes = self.rules.tails.class_of
        found = [self.exposure.earliest_at_risk(classes[aesi], first, last) for aesi in aesis]
        return [first if day is None else day for day in found]

    def _unplaced(self, possible: int, aesis: tuple[int, ...], days: list[int]) -> None:
        """Note an event for `unplaced` if it is at risk in none of its AESIs; `possible`: its first possible day."""
        exposure, classes = self.exposure, self.rules.tails.class_of
        if exposure.first_dose is None:
            self.tallies["no_course"] += 1
            return
        at_risk = {day for aesi, day in zip(aesis, days, strict=True) if exposure.is_at_risk(classes[aesi], day)}
        if len(at_risk) == 1:
            self._mark(self.rules.rows[Measure.PLACED, 0, 0], at_risk.pop())
        elif at_risk:
            self.spread.append(tuple(sorted(at_risk)))
        elif max(days, default=possible) < exposure.first_dose:
            self.tallies["before_first_dose"] += 1
        else:
            self.tallies["not_at_risk"] += 1

    def _count(self, aesi: int, events: list[_Placed]) -> None:
        """The events of one AESI in every cohort at risk on their day, and what the first of a cohort ends."""
        pieces = self.at_risk[self.rules.tails.class_of[aesi]]
        seen = 0
        firsts: list[tuple[int, int]] = []  # (day, the levels whose first event it is)
        sets, rows = self.rules.sets, self.rules.rows
        if len(events) > 1:
            events = _episodes(sorted(events), self.rules.policy.counting.one_episode_days)
        for event in events:
            levels = level_set_on(pieces, event.day)
            if not levels:
                continue
            self._mark(rows[Measure.EVENTS, aesi, levels], event.day)
            first = sets.less(levels, seen)
            if first:
                seen = sets.union(seen, first)
                firsts.append((event.day, first))
                self._mark(rows[Measure.FIRSTS, aesi, first], event.day)
        if firsts:
            self._after_firsts(aesi, firsts, pieces)

    def _after_firsts(self, aesi: int, firsts: list[tuple[int, int]], at_risk: list[Piece]) -> None:
        """The person-time of each level after the day of its first event, which the free time does not have."""
        exposed = self._after(self.exposed, firsts)
        self._difference(Measure.EXPOSED_AFTER_FIRST, aesi, exposed, [])
        self._difference(Measure.TAIL_AFTER_FIRST, aesi, self._after(at_risk, firsts), exposed)
        if self.rules.policy.counting.denominator == "exposure":
            for day, levels in firsts:
                self._step(aesi, levels, day, at_risk)

    def _after(self, pieces: list[Piece], firsts: list[tuple[int, int]]) -> list[Piece]:
        """The parts of the pieces in levels that had their first event on an earlier day; both are in order of days."""
        sets, seen, at = self.rules.sets, 0, 0
        after: list[Piece] = []
        for start, end, here in pieces:
            first = start
            while first < end:
                while at < len(firsts) and firsts[at][0] < first:
                    seen = sets.union(seen, firsts[at][1])
                    at += 1
                last = end if at == len(firsts) else min(end, firsts[at][0] + 1)
                if seen:
                    after.append((first, last, sets.both(here, seen)))
                first = last
        return after

    def _step(self, aesi: int, levels: int, day: int, at_risk: list[Piece]) -> None:
        """Who has the event counts with days at risk instead of exposed days: the difference through that day."""
        for level in sorted(self.rules.sets.sets[levels]):
            days = self._days_in(at_risk, level, day) - self._days_in(self.exposed, level, day)
            if days:
                self.steps.append((aesi, self.rules.sets.of(frozenset((level,))), day, days))

    def _days_in(self, pieces: list[Piece], level: int, through: int) -> int:
        sets = self.rules.sets.sets
        return sum(
            min(end, through + 1) - first for first, end, here in pieces if first <= through and level in sets[here]
        )

    # What is listed beside the rates

    def _lost(self) -> None:
        """Lost from the day after contact plus grace, with a course open, until known to have died."""
        if not any(self._is_open(course) for course in self.record.courses.values()):
            return
        lost_on = self.record.last_contact + self.rules.policy.counting.lost_after_silent_days + 1
        row = self.rules.rows[Measure.LOST, 0, 0]
        if self.record.died is None:
            self._mark(row, lost_on)
        elif self.record.died > lost_on:
            self._mark(row, lost_on)
            self._mark(row, self.record.died, 1)

    def _is_open(self, course: Course) -> bool:
        """A course of a known drug without a reported last dose."""
        last = course.episodes[-1] if course.episodes else None
        return (
            last is not None and last.last_dose is None and self.rules.meaning.drug[last.start.drug].value is not None
        )

    def _tally(self) -> None:
        courses = self.record.courses.values()
        waiting = sum(len(course.stops) + len(course.changes) for course in courses if not course.started)
        if waiting:
            self.tallies["waiting"] += waiting

    def _concepts(self) -> tuple[tuple[str, int], ...]:
        """The occurrences of unmapped concepts; codings that disagree are tallied as conflicts."""
        unmapped = []
        for kind, concepts in _coded(self.record):
            lookup = self.rules.lookups[kind]
            for concept in concepts:
                mapped = lookup[concept]
                if mapped.unmapped:
                    unmapped.append((kind, concept))
                elif mapped.conflict:
                    self.tallies["conflicts"] += 1
        return tuple(sorted(unmapped)) if unmapped else ()


def _observed(pieces: list[Piece], from_day: int) -> list[Piece]:
    if not pieces or pieces[0][0] >= from_day:
        return pieces
    return [(max(first, from_day), end, levels) for first, end, levels in pieces if end > from_day]


def _observed_classes(classes: list[list[Piece]], from_day: int) -> list[list[Piece]]:
    """The same by tail class; classes that share their pieces still do."""
    common = _observed(classes[0], from_day)
    return [common if pieces is classes[0] else _observed(pieces, from_day) for pieces in classes]


def _episodes(events: list[_Placed], one_episode_days: int) -> list[_Placed]:
    """Without the reports within so many days of the last one that counted; 0: each counts."""
    if not one_episode_days:
        return events
    kept = events[:1]
    for event in events[1:]:
        if event.day - kept[-1].day > one_episode_days:
            kept.append(event)
    return kept


def _stopped_for_event(course: Course) -> bool:
    return any(stop.reason == "adverse_event" for stop in course.stops)


def _coded(record: Record) -> Iterator[tuple[str, Sequence[int]]]:
    """The coded concepts of the standing facts, each as often as it occurs, by their kind."""
    for course in record.courses.values():
        given: list[f.Ordered | f.Started] = [*course.orders, *course.starts]
        for fact in given:
            yield "drug", (fact.drug,)
            yield "indication", fact.indications
        for change in course.changes:
            yield "indication", change.indications or ()
    yield "test", [result.test for result in record.results]
    yield "term", [event.term for event in record.events]
    for profile in record.profiles:
        yield "condition", [condition.concept for condition in profile.conditions or ()]
