"""Exposed and at-risk days of one record as disjoint pieces, each with the set of cohort levels it counts in.

Exposure runs from first to last dose, both included; at risk adds a tail after a reported last dose, by drug and AESI.
AESIs with the same tails share their pieces: a *tail class*. In levels that name a dose the tail ends when the drug is
taken again. Nobody is followed beyond death or last contact plus grace.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from monitor.core.cohorts import Cohorts, LevelSets, Situation
from monitor.core.course import Episode, State
from monitor.core.days import FOR_EVER
from monitor.core.meaning import Meaning
from monitor.core.person import Person
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record

Piece = tuple[int, int, int]
"""(first day, day after the last, level set)"""


class Tails:
    """The tail in days after a reported last dose, by tail class and drug."""

    def __init__(self, policy: PolicyDocument) -> None:
        by_aesi = [tuple(_tail(policy, drug, aesi_name) for drug in policy.drugs) for aesi_name in policy.aesis]
        classes = sorted(set(by_aesi), key=lambda tails: (-by_aesi.count(tails), tails))
        self.class_of = [classes.index(tails) for tails in by_aesi]
        self.by_drug = [dict(zip(policy.drugs, tails, strict=True)) for tails in classes] or [{}]
        self.count = len(self.by_drug)
        self.unlike_first = {drug: self._unlike_first(drug) for drug in policy.drugs}

    def _unlike_first(self, drug: str) -> set[int]:
        """The tail classes in which a drug has another tail than in the first, the commonest."""
        return {at for at, tails in enumerate(self.by_drug) if tails[drug] != self.by_drug[0][drug]}


def _tail(policy: PolicyDocument, drug: str, aesi: str) -> int:
    days = policy.aesis[aesi].tail_days.get(drug, policy.drugs[drug].tail_days.days)
    return FOR_EVER if days == "for_ever" else int(days)


class Taken(msgspec.Struct, frozen=True, gc=False):
    """An episode of a drug the policy knows, in a course that counts."""

    drug: str
    episode: Episode


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """What one record was exposed to and at risk of. `at_risk` and `any_drug` are by tail class."""

    exposed: list[Piece]
    at_risk: list[list[Piece]]
    any_drug: list[list[tuple[int, int]]]
    first_dose: int | None  # of any course of a known drug, also of one that exposes no day

    def is_at_risk(self, tail_class: int, day: int) -> bool:
        """At risk under any known drug, whatever the cohorts."""
        spans = self.any_drug[tail_class]
        at = bisect_right(spans, (day, FOR_EVER)) - 1
        return at >= 0 and day < spans[at][1]

    def earliest_at_risk(self, tail_class: int, first: int, last: int) -> int | None:
        """The earliest such day from `first` through `last`."""
        days = [max(first, a) for a, b in self.any_drug[tail_class] if max(first, a) < b and max(first, a) <= last]
        return min(days, default=None)


class Exposures:
    """Computes exposure under one policy."""

    def __init__(self, policy: PolicyDocument, meaning: Meaning, cohorts: Cohorts, tails: Tails) -> None:
        self.policy = policy
        self.meaning = meaning
        self.cohorts = cohorts
        self.tails = tails

    def of(self, record: Record, zone: ZoneInfo | None) -> Exposure:
        known = tuple(self._known(record))
        first_dose = min((each.episode.first for each in known), default=None)
        taken = tuple(each for each in known if each.episode.exposes)
        if not taken:
            return Exposure([], [[] for _ in self.tails.by_drug], [[] for _ in self.tails.by_drug], first_dose)
        person = Person(record, self.meaning, zone)
        limit = person.last_day(self.policy) + 1
        situations = _Situations(self, person)
        days = [piece for each in taken for piece in situations.exposed(each, limit)]
        exposed = disjoint(days, self.cohorts.sets)
        at_risk: list[list[Piece]] = []
        any_drug: list[list[tuple[int, int]]] = []
        unlike_first = {tail_class for each in taken for tail_class in self.tails.unlike_first[each.drug]}
        for tail_class, by_drug in enumerate(self.tails.by_drug):
            if tail_class and tail_class not in unlike_first:
                at_risk.append(at_risk[0])  # as for nearly all: a drug has its tail for nearly all AESIs
                any_drug.append(any_drug[0])
                continue
            tails = [piece for each in taken for piece in situations.tail(each, by_drug[each.drug], limit, taken)]
            at_risk.append(disjoint(days + tails, self.cohorts.sets) if tails else exposed)
            any_drug.append(_joined([_followed(each, by_drug[each.drug], limit) for each in taken]))
        return Exposure(exposed, at_risk, any_drug, first_dose)

    def _known(self, record: Record) -> Iterable[Taken]:
        for course in record.courses.values():
            for episode in () if course.two_patients else course.episodes:
                drug = self.meaning.drug[episode.start.drug].value
                if drug is not None:
                    yield Taken(drug, episode)


class _Situations:
    """The situations of one person over time."""

    def __init__(self, exposures: Exposures, person: Person) -> None:
        self.cohorts = exposures.cohorts
        self.meaning = exposures.meaning
        self.person = person
        self.turning = sorted({*person.birthdays(self.cohorts.ages.thresholds), *person.span_days()})
        self.nothing_known = not self.turning and person.record.birth_year is None

    def exposed(self, taken: Taken, limit: int) -> Iterable[Piece]:
        for state in taken.episode.states:
            end = min(state.end, limit)
            if state.first < end:
                for first, last, (every, _) in self._pieces(taken.drug, state, state.first, end):
                    yield first, last, every

    def tail(self, taken: Taken, days: int, limit: int, all_taken: tuple[Taken, ...]) -> Iterable[Piece]:
        """The days after a reported last dose, in the last state; where a dose is named until the drug is taken."""
        episode = taken.episode
        if episode.last_dose is None:
            return
        end = min(episode.end + days, limit)
        if episode.end >= end:
            return
        retaken = _taken_again(taken, all_taken) if len(all_taken) > 1 else FOR_EVER
        for first, last, (every, doseless) in self._pieces(taken.drug, episode.states[-1], episode.end, end, retaken):
            yield first, last, every if first < retaken else doseless

    def _pieces(
        self, drug: str, state: State, first: int, end: int, cut: int = FOR_EVER
    ) -> Iterable[tuple[int, int, tuple[int, int]]]:
        """[first, end) cut where the situation changes, with the sets of all levels and of those that name no dose."""
        if self.nothing_known and cut >= end:  # of most patients nothing but their treatment
            return ((first, end, self._only_treatment(drug, state)),)
        own = self.meaning.diseases(state.indications)
        cuts = sorted(day for day in (*self.turning, cut) if first < day < end)
        spans = zip((first, *cuts), (*cuts, end), strict=True)
        return [(a, b, self.cohorts.of(self._situation(drug, state.dose, own, a))) for a, b in spans]

    def _only_treatment(self, drug: str, state: State) -> tuple[int, int]:
        key = (drug, state.dose, state.indications)
        known = self.cohorts.of_treatment.get(key)
        if known is None:
            own = self.meaning.diseases(state.indications)
            situation = Situation(drug, state.dose, own, own, self.cohorts.ages.bracket(None))
            known = self.cohorts.of_treatment[key] = self.cohorts.of(situation)
        return known

    def _situation(self, drug: str, dose: int, own: int, day: int) -> Situation:
        person = self.person
        diseases = own | person.diseases_on(day)
        age = self.cohorts.ages.bracket(person.age_on(day))
        return Situation(drug, dose, diseases, diseases | person.history_on(day), age)


def _taken_again(taken: Taken, all_taken: tuple[Taken, ...]) -> int:
    """The first day after the episode on which the drug is taken, by this course or another."""
    end = taken.episode.end
    again = [
        max(other.episode.first, end)
        for other in all_taken
        if other is not taken and other.drug == taken.drug and other.episode.end > end
    ]
    return min(again, default=FOR_EVER)


def _followed(taken: Taken, tail_days: int, limit: int) -> tuple[int, int]:
    episode = taken.episode
    end = FOR_EVER if episode.last_dose is None else episode.end + tail_days
    return episode.first, min(end, limit)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same days as spans in order that do not overlap."""
    if len(spans) == 1:
        return spans
    joined: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if joined and first <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        elif first < end:
            joined.append((first, end))
    return joined


def disjoint(pieces: list[Piece], sets: LevelSets) -> list[Piece]:
    """The same days as pieces that do not overlap, in order; where some did, their sets are united."""
    pieces = sorted([piece for piece in pieces if piece[0] < piece[1]])
    if all(one[1] <= other[0] for one, other in pairwise(pieces)):
        return pieces
    days = sorted({day for first, end, _ in pieces for day in (first, end)})
    united: list[Piece] = []
    running: list[Piece] = []
    waiting = iter([*pieces, (FOR_EVER, FOR_EVER, 0)])
    coming = next(waiting)
    for first, end in pairwise(days):
        running = [piece for piece in running if piece[1] > first]
        while coming[0] <= first:
            running.append(coming)
            coming = next(waiting)
        if running:
            both = running[0][2]
            for _, _, levels in running[1:]:
                both = sets.union(both, levels)
            united.append((first, end, both))
    return united


def level_set_on(pieces: list[Piece], day: int) -> int:
    """The level set of the piece a day lies in, of pieces in order that do not overlap; 0 outside all."""
    at = bisect_right(pieces, (day, FOR_EVER, 0)) - 1
    return pieces[at][2] if at >= 0 and day < pieces[at][1] else 0
