"""The ledger of one site: which fact stands for which patient, and the indexes that cross patients.

An identity with one body, as nearly all have, costs one entry; the rest keep all their bodies. A draft is a ledger over
another one: it takes what a batch brings without touching the one beneath, until the batch is safely stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from monitor.core import facts as f
from monitor.core.course import Elsewhere
from monitor.core.facts import AnyFact, Identity, identity_of, pack, unpack
from monitor.core.versions import Body, Settled, Standing, body_of, standing, standing_with, with_body
from monitor.core.vocabulary import Vocabulary

SITE = b""
"""The patient of facts without a patient: `feed_status`."""

K = TypeVar("K")
V = TypeVar("V")


class Overlay(dict[K, V]):
    """A table over another one: `get` falls through to it, nothing else does; writes stay here until `settle`."""

    def __init__(self, beneath: dict[K, V]) -> None:
        super().__init__()
        self.beneath = beneath

    def get(self, key: K, default: Any = None, /) -> Any:
        return self[key] if key in self else self.beneath.get(key, default)

    def settle(self) -> None:
        self.beneath.update(self)
        self.clear()


_PIECE = 1 << 14  # bytes


class Sheet(msgspec.Struct, frozen=True, gc=False):
    """The standing facts of one pseudonym, packed."""

    count: int = 0
    packed: bytes = b""
    versioned: bool = False  # an identity of it has several bodies
    earlier: tuple[bytes, ...] = ()  # full pieces of a long sheet, so that a new fact does not copy them

    def facts(self) -> list[AnyFact]:
        return unpack(b"".join((*self.earlier, self.packed)) if self.earlier else self.packed, self.count)

    def plus(self, fact: AnyFact, versioned: bool) -> Sheet:
        """The sheet with a further fact."""
        full = len(self.packed) > _PIECE
        packed = pack(fact) if full else self.packed + pack(fact)
        earlier = (*self.earlier, self.packed) if full else self.earlier
        return Sheet(self.count + 1, packed, self.versioned or versioned, earlier)


class History(msgspec.Struct, frozen=True):
    """All bodies of an identity that has, or had, more than one, or that is retracted."""

    bodies: tuple[Body, ...]
    standing: Standing


class Ledger:
    """Facts by patient; `add` is the only way in."""

    def __init__(self, vocabulary: Vocabulary, *, restamps: bool = False, settled: Settled = lambda _: None) -> None:
        self.vocabulary = vocabulary
        self.restamps = restamps
        self.settled = settled
        self.sheets: dict[bytes, Sheet] = {}
        self.identities: dict[Identity, bytes | History] = {}
        self.claims: dict[str, bytes | tuple[bytes, ...]] = {}  # treatment_id -> whose facts name it
        self.links: dict[bytes, tuple[tuple[Identity, bytes], ...]] = {}  # merges, from both sides
        self.contests: dict[bytes, frozenset[Identity]] = {}  # whose bodies take part in an open conflict
        self.touched: set[bytes] = set()
        self.revised: set[str] = set()  # courses of which a fact was taken back: they may be gone
        self.classes: Counter[str] = Counter()  # of the bodies, by the state as it is now; a draft counts the change
        self.beneath: Ledger | None = None

    def draft(self) -> Ledger:
        """A ledger that reads through to this one and keeps what it is given to itself."""
        draft = Ledger(self.vocabulary, restamps=self.restamps, settled=self.settled)
        draft.sheets = Overlay(self.sheets)
        draft.identities = Overlay(self.identities)
        draft.claims = Overlay(self.claims)
        draft.links = Overlay(self.links)
        draft.contests = Overlay(self.contests)
        draft.beneath = self
        return draft

    def settle(self) -> None:
        """Hand what a draft was given to the ledger beneath it."""
        for table in (self.sheets, self.identities, self.claims, self.links, self.contests):
            if isinstance(table, Overlay):
                table.settle()
        if self.beneath is not None:
            self.beneath.classes.update(self.classes)
            self.classes.clear()

    def add(self, patient: bytes, fact: AnyFact) -> bool:
        """Take in a fact; whether it is news (another body, or an earlier or later receipt of one)."""
        identity = identity_of(fact)
        known = self.identities.get(identity)
        if known is not None or isinstance(fact, f.Retraction):
            return self._add_version(identity, known, body_of(patient, fact, self.vocabulary))
        self.identities[identity] = patient
        self.classes["accepted"] += 1
        self._post(patient, fact)
        return True

    def _post(self, patient: bytes, fact: AnyFact, versioned: bool = False) -> None:
        """Write a fact that stands on its patient's sheet."""
        sheet = self.sheets.get(patient)
        if sheet is None:
            self.sheets[patient] = Sheet(1, pack(fact), versioned)
        else:
            self.sheets[patient] = sheet.plus(fact, versioned)
        self.touched.add(patient)
        if isinstance(fact, f.Treatment):
            self._claim(patient, fact.treatment_id)
        elif isinstance(fact, f.Merged):
            self._link(patient, fact)

    def _claim(self, patient: bytes, treatment_id: str) -> None:
        known = self.claims.get(treatment_id)
        if known is None or known == ():
            self.claims[treatment_id] = patient
        elif known != patient:
            others = (known,) if isinstance(known, bytes) else known
            if patient not in others:
                self.claims[treatment_id] = tuple(sorted({*others, patient}))
            self.touched.update(others)  # what a course is to one depends on what the facts of the others are

    def _link(self, patient: bytes, fact: f.Merged) -> None:
        identity = identity_of(fact)
        for one, other in ((patient, fact.other), (fact.other, patient)):
            self.links[one] = (*(self.links.get(one) or ()), (identity, other))
        self.touched.update((patient, fact.other))

    def _add_version(self, identity: Identity, known: bytes | History | None, new: Body) -> bool:
        if known is None:
            before: tuple[Body, ...] = ()
        elif isinstance(known, History):
            before = known.bodies
        else:
            before = (body_of(known, self._fact(known, identity), self.vocabulary),)
        bodies = with_body(before, new, restamps=self.restamps)
        if bodies is before:
            return False
        self._restand(identity, known, before, bodies)
        return True

    def _restand(
        self, identity: Identity, known: bytes | History | None, before: tuple[Body, ...], bodies: tuple[Body, ...]
    ) -> None:
        """Let the standing body of an identity take the place of the one that stood."""
        stood = known.standing.body if isinstance(known, History) else before[0] if before else None
        if isinstance(known, History) and len(bodies) > len(before):
            stands = standing_with(known.standing, bodies, self.settled)
        else:
            stands = standing(bodies, self.settled)
        history = self.identities[identity] = History(bodies, stands)
        self._classify(known, -1)
        self._classify(history, 1)
        self._contest(identity, bodies, {body.patient for body in stands.contested})
        self.touched.update(body.patient for body in bodies)
        if stood is not None and not isinstance(stood.fact, f.Retraction):
            self._remove(stood.patient, identity, stood.fact)
        if stands.body is not None and not isinstance(stands.body.fact, f.Retraction):
            self._post(stands.body.patient, stands.body.fact, versioned=True)

    def _classify(self, known: bytes | History | None, sign: int) -> None:
        """Count an identity's bodies, or take them back, so that nobody need look at all identities to know."""
        if isinstance(known, History):
            stands = known.standing
            self.classes["accepted"] += sign * (stands.body is not None)
            self.classes["superseded"] += sign * stands.superseded
            self.classes["conflicting"] += sign * stands.conflicting
            self.classes["open conflicts"] += sign * bool(stands.contested)
        elif known is not None:
            self.classes["accepted"] += sign

    def _contest(self, identity: Identity, bodies: tuple[Body, ...], contesting: set[bytes]) -> None:
        for patient in {body.patient for body in bodies}:
            known = self.contests.get(patient) or frozenset()
            if patient in contesting:
                self.contests[patient] = known | {identity}
            elif known:
                self.contests[patient] = known - {identity}

    def _remove(self, patient: bytes, identity: Identity, fact: AnyFact) -> None:
        left = [each for each in self.facts(patient) if identity_of(each) != identity]
        self.sheets[patient] = Sheet(len(left), b"".join(map(pack, left)), True)
        if isinstance(fact, f.Treatment):
            treatment_id = fact.treatment_id
            self.revised.add(treatment_id)
            known = self.claims.get(treatment_id)
            self.touched.update(known if isinstance(known, tuple) else ())
            if not any(isinstance(each, f.Treatment) and each.treatment_id == treatment_id for each in left):
                self._unclaim(patient, treatment_id)
        elif isinstance(fact, f.Merged):
            self._unlink(patient, identity, fact)

    def _unclaim(self, patient: bytes, treatment_id: str) -> None:
        left = tuple(each for each in self.claimants(treatment_id) if each != patient)
        self.claims[treatment_id] = left[0] if len(left) == 1 else left
        self.touched.update(left)

    def _unlink(self, patient: bytes, identity: Identity, fact: f.Merged) -> None:
        self.touched.update(self.members(patient))
        for one in (patient, fact.other):
            self.links[one] = tuple(link for link in self.links.get(one) or () if link[0] != identity)

    def resettle(self, identity: Identity) -> bool:
        """Let a person's word on a conflict take effect; whether there is such an identity."""
        known = self.identities.get(identity)
        if not isinstance(known, History):
            return False
        self._restand(identity, known, known.bodies, known.bodies)
        return True

    def claimants(self, treatment_id: str) -> tuple[bytes, ...]:
        """All pseudonyms whose standing facts name a course."""
        known = self.claims.get(treatment_id) or ()
        return (known,) if isinstance(known, bytes) else known

    def has_contests(self) -> bool:
        """Whether any identity was ever in conflict."""
        return bool(self.contests) or (isinstance(self.contests, Overlay) and bool(self.contests.beneath))

    def touch_all(self) -> None:
        """Everybody is to be judged anew."""
        self.touched.update(self.sheets)

    def has_merges(self) -> bool:
        """Whether any pseudonym was ever merged with another."""
        return bool(self.links) or (isinstance(self.links, Overlay) and bool(self.links.beneath))

    def facts(self, patient: bytes) -> list[AnyFact]:
        """The standing facts of one pseudonym, in no order."""
        sheet = self.sheets.get(patient)
        return sheet.facts() if sheet else []

    def _fact(self, patient: bytes, identity: Identity) -> AnyFact:
        return next(fact for fact in self.facts(patient) if identity_of(fact) == identity)

    def members(self, patient: bytes) -> tuple[bytes, ...]:
        """All pseudonyms that merges make one person with this one, sorted; itself among them."""
        if not self.links.get(patient):
            return (patient,)
        found, waiting = {patient}, [patient]
        while waiting:
            for _, other in self.links.get(waiting.pop()) or ():
                if other not in found:
                    found.add(other)
                    waiting.append(other)
        return tuple(sorted(found))

    def people(self, touched: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
        """Each person among some pseudonyms once, as all the pseudonyms of that person."""
        if not self.has_merges():
            yield from ((each,) for each in touched if each != SITE)
            return
        done: set[bytes] = set()
        for each in touched:
            if each != SITE and each not in done:
                members = self.members(each)
                done.update(members)
                yield members

    def contested(self, members: tuple[bytes, ...]) -> Iterator[tuple[Identity, History]]:
        """The open conflicts in which a body names one of these pseudonyms, whoever the body is of that stands."""
        for identity in {each for member in members for each in self.contests.get(member) or ()}:
            known = self.identities.get(identity)
            if isinstance(known, History):
                yield identity, known

    def elsewhere(self, members: tuple[bytes, ...], treatment_ids: Iterable[str]) -> dict[str, Elsewhere]:
        """Those of the courses that facts of another person claim too, and what these facts are."""
        shared = {}
        for treatment_id in treatment_ids:
            known = self.claims.get(treatment_id)
            others = [each for each in known if each not in members] if isinstance(known, tuple) else []
            if others:
                shared[treatment_id] = self._claimed(others, treatment_id)
        return shared

    def _claimed(self, patients: list[bytes], treatment_id: str) -> Elsewhere:
        facts = (fact for patient in patients for fact in self.facts(patient) if isinstance(fact, f.Treatment))
        return frozenset(type(fact) for fact in facts if fact.treatment_id == treatment_id)
