"""One site as its owner holds it: the state, the standing answers, and what has arrived.

A batch goes three steps: `draft` says what it comes to, the log keeps that, `keep` makes it ours. Whoever dies between
two of them starts again from the log and is at the same point. Answers are level-triggered: at every step what the site
was told is compared with what it should be told, and only the difference is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from monitor import records
from monitor.core import facts as f
from monitor.core.batch import News, Signs, Taken
from monitor.core.cases import cases_of, is_same_case
from monitor.core.days import day_of
from monitor.core.decision import Decision, one_row_a_course
from monitor.core.decode import Rejection
from monitor.core.given import Judgement, Settlement
from monitor.core.state import SiteState
from monitor.log import LogUnusableError, SiteLog, Transaction
from monitor.records import Answer, Course, Rejected, Tally
from schemas.parts import MAX_BYTES

_pack = msgspec.msgpack.Encoder().encode

_NEEDS_SOMEBODY = ("hold", "awaiting_evidence", "unassessable")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message: `accepted`, `duplicate` or `rejected`; of an order or a start, its course."""

    status: str
    rejection: Rejection | None = None
    course: Course | None = None
    is_contested: bool = False  # it contradicts what is on file under the same version
    unmapped: tuple[str, ...] = ()  # kinds of concept that the policy knows none of the codes of: they count as nothing


class Receipt(NamedTuple):
    """What became of a message and, of an order or a start, what is answered now."""

    outcome: Outcome
    answer: Answer | None


@dataclass(frozen=True, slots=True)
class Draft:
    """What a batch, a day or a person's word comes to, before it is kept."""

    transaction: Transaction
    taken: Taken | None
    answers: dict[Course, Answer]  # those that change
    count: int = 0  # of the messages that came

    @property
    def is_all_rejected(self) -> bool:
        """Whether messages came and none could be taken."""
        return 0 < self.count == len(self.transaction.rejections)

    @property
    def is_empty(self) -> bool:
        """Whether nothing arrived and nothing changes."""
        return self.taken is None and not self.answers


class Origin(NamedTuple):
    """Where the messages of a batch come from."""

    channel: str
    places: Sequence[int]  # of each message: line of the file, offset of the topic
    next: int | None = None  # place to go on from, in a channel that is read once in order
    received: Sequence[int] | None = None  # when each arrived, where that was not now
    most_kept: int = MAX_BYTES + 1  # bytes of what is rejected


class _Said(NamedTuple):
    """What the site was told of a course last."""

    content: int  # a hash of it
    decision: str
    basis: int | None = None  # a hash of the decision that was last seen to say the same


class Keeper:
    """Owns one site. For one thread at a time; `at` is always the instant of what happens, in microseconds."""

    def __init__(self, state: SiteState) -> None:
        self.state = state
        self.site = state.site
        self.tally = Tally()
        self.position: dict[str, int] = {}
        self.said: dict[Course, _Said] = {}
        self.open: dict[Course, Answer] = {}  # what needs somebody: holds, starts that wait, cases
        self.decisions: Counter[tuple[str, str]] = Counter()  # (kind, decision) -> courses

    def load(self, log: SiteLog, judgement: Judgement, at: int, as_of: int) -> Draft:
        """Become what the log says; returns what must be mended of the answers, mostly nothing."""
        self.restore(log.facts(self.site))
        self.resume(log.tally(self.site), log.position(self.site), log.answers(self.site))
        return self.judge_all(judgement, at, as_of)

    def restore(self, facts: Iterable[bytes]) -> None:
        """Take in facts that were kept earlier; nothing is judged yet."""
        try:
            with _readable(self.site):
                for record in facts:
                    self.state.restore(records.read_fact(record))
        finally:
            del facts  # an error's traceback would keep open what reads the log

    def resume(self, tally: Tally, position: dict[str, int], answers: Iterable[tuple[Course, bytes]]) -> None:
        """Stand where the log stands."""
        self.stand_at(tally, position)
        try:
            with _readable(self.site):
                self._stand({course: records.read_answer(record) for course, record in answers})
        finally:
            del answers  # likewise

    def stand_at(self, tally: Tally, position: dict[str, int]) -> None:
        """So much had arrived, and so far was read."""
        self.tally, self.position = tally, position
        self.state.signs = Signs(tally.taken, tally.last_recorded, dict(tally.heard))

    def stand(self, answer: Answer) -> None:
        """The site is told this now."""
        self._stand({(answer.treatment_id, answer.kind): answer})

    def drop(self, course: Course) -> None:
        """Nothing is known any more of what the site was told of a course."""
        before = self.said.pop(course, None)
        if before is not None:
            self.decisions[course[1], before.decision] -= 1
        self.open.pop(course, None)

    def judge_all(self, judgement: Judgement, at: int, as_of: int) -> Draft:
        """Judge everybody anew, by these policies."""
        decided: list[Decision] = []
        self.state.judge_by(judgement)
        self.state.settle(as_of, decided.extend)
        return self._answers_only(one_row_a_course(decided), {treatment_id for treatment_id, _ in self.said}, at, as_of)

    def draft(self, messages: Sequence[bytes], origin: Origin, at: int, as_of: int) -> Draft:
        """What a batch would do."""
        taken = self.state.take(messages, as_of, self._is_news)
        answers = self._changes(taken.decisions, self._gone(taken, as_of), at, as_of)
        refused = [
            Rejected(messages[place][: origin.most_kept], origin.channel, origin.places[place], *why)
            for place, why in taken.rejections
        ]
        transaction = Transaction(
            site=self.site,
            tally=self._tally(taken, len(messages), max(origin.received, default=at) if origin.received else at),
            facts=[self._fact(each, messages[each.place], origin, at) for each in taken.facts],
            news=taken.facts,
            answers={course: records.write_answer(answer) for course, answer in answers.items()},
            rejections=refused,
            position={} if origin.next is None else {origin.channel: origin.next},
            at=at,
        )
        return Draft(transaction, taken, answers, len(messages))

    def outcomes(self, draft: Draft) -> list[Outcome]:
        """What becomes of each message of a batch; to be asked before it is kept, by whoever tells the senders."""
        return [] if draft.taken is None else _outcomes(draft.taken, draft.count, self.state.unmapped)

    def _fact(self, each: News, message: bytes, origin: Origin, at: int) -> bytes:
        received = at if origin.received is None else origin.received[each.place]
        return records.fact_record(self.site, message, *_patients(each), received)

    def reassess(self, treatment_ids: Iterable[str], at: int, as_of: int) -> Draft:
        """What time, or a waiver, changes of some courses."""
        asked = set(treatment_ids)
        patients = {each for treatment_id in asked for each in self.state.ledger.claimants(treatment_id)}
        rows = one_row_a_course(self.state.decide(patients, as_of, self._is_news))
        whole = [row for row in rows if row.treatment_id in asked]  # theirs may be claimed by others too
        return self._answers_only(whole, asked, at, as_of)

    def unchanged(self, at: int) -> Transaction:
        """What keeps nothing new, for a log that has something to note."""
        return self._of_answers({}, at)

    def mend(self, at: int, as_of: int) -> Draft:
        """The answers of those on whom the core failed only after they were answered: nothing is released to them."""
        decided = one_row_a_course(self.state.decide(self.state.unheld, as_of))
        return self._answers_only(decided, set(), at, as_of)

    def settle_conflict(self, settlement: Settlement, at: int, as_of: int) -> Draft:
        """What a person's word on a conflict comes to."""
        taken = self.state.settle_conflict(settlement, as_of)
        if taken is None:
            return self._answers_only([], set(), at, as_of)
        answers = self._changes(taken.decisions, self._gone(taken, as_of), at, as_of)
        return Draft(self._of_answers(answers, at), taken, answers)

    def keep(self, draft: Draft) -> None:
        """Make ours what the log has kept."""
        if draft.taken is not None:
            self.state.apply(draft.taken)
        self.tally = draft.transaction.tally
        self.position.update(draft.transaction.position)
        self._stand(draft.answers)

    # Answers

    def is_started(self, treatment_id: str) -> bool:
        """Whether the site was told anything of a start that answers to this order, under its id or naming it."""
        ledger = self.state.ledger
        people = ledger.people(ledger.claimants(treatment_id))
        facts = (fact for members in people for member in members for fact in ledger.facts(member))
        starts = {
            each.treatment_id
            for each in facts
            if isinstance(each, f.Started) and treatment_id == (each.order_id or each.treatment_id)
        }
        return any(self._is_answered((each, "start")) for each in starts)

    def courses(self) -> list[str]:
        """All courses of which there is, or was, something to say."""
        return sorted({treatment_id for treatment_id, _ in self.said}.union(self.state.ledger.claims))

    def _answers_only(self, decisions: list[Decision], asked: set[str], at: int, as_of: int) -> Draft:
        answers = self._changes(decisions, _orders_and_starts(asked) - _decided(decisions), at, as_of)
        return Draft(self._of_answers(answers, at), None, answers)

    def _of_answers(self, answers: dict[Course, Answer], at: int) -> Transaction:
        written = {course: records.write_answer(answer) for course, answer in answers.items()}
        return Transaction(self.site, self.tally, answers=written, at=at)

    def _changes(self, decisions: list[Decision], gone: set[Course], at: int, as_of: int) -> dict[Course, Answer]:
        """The answers that differ from what the site was told; what is gone is withdrawn, never silence."""
        changed: dict[Course, Answer] = {}
        for decision in decisions:
            course = (decision.treatment_id, decision.kind)
            said = self.said.get(course)
            if decision.historical and said is None:
                continue  # what began before go-live is answered to nobody, unless it once was
            basis = hash((_pack(decision), as_of))
            if said is not None and said.basis == basis:
                continue
            answer = records.answer_of(self.site, decision, self._cases(decision, at), at, as_of)
            if said is None or said.content != _content(answer):
                changed[course] = answer
            else:
                self.said[course] = said._replace(basis=basis)
        for course in gone:
            if self._is_answered(course):
                changed[course] = records.withdrawn(self.site, course, at)
        return changed

    def _is_answered(self, course: Course) -> bool:
        said = self.said.get(course)
        return said is not None and said.decision != "withdrawn"

    def _gone(self, taken: Taken, as_of: int) -> set[Course]:
        """What was answered and of which nothing is decided any more, not even for those whom the batch left alone."""
        courses = _orders_and_starts(_courses_of(taken)) - _decided(taken.decisions)
        gone = {course for course in courses if self._is_answered(course)}
        others = {each for treatment_id, _ in gone for each in taken.draft.claimants(treatment_id)} - taken.touched
        return gone - _decided(self.state.decide(others, as_of)) if others else gone

    def _is_news(self, decision: Decision) -> bool:
        """Whether the site would be told something else than so far."""
        said = self.said.get((decision.treatment_id, decision.kind))
        return not decision.historical and (said is None or said.decision != decision.decision)

    def _cases(self, decision: Decision, at: int) -> dict[str, str]:
        """Since when it has been each kind of case."""
        kinds = cases_of(decision)
        if not kinds:
            return {}
        before = self.open.get((decision.treatment_id, decision.kind))
        goes_on = before is not None and is_same_case(decision, *_judged(before))
        known = before.cases if before is not None and goes_on else {}
        return {kind: known.get(kind) or records.instant_text(at) for kind in kinds}

    def _stand(self, answers: dict[Course, Answer]) -> None:
        for course, answer in answers.items():
            before = self.said.get(course)
            if before is not None:
                self.decisions[course[1], before.decision] -= 1
            self.decisions[course[1], answer.decision] += 1
            self.said[course] = _Said(_content(answer), answer.decision)
            if answer.decision in _NEEDS_SOMEBODY or answer.cases:
                self.open[course] = answer
            else:
                self.open.pop(course, None)

    def _tally(self, taken: Taken, received: int, at: int) -> Tally:
        old = self.tally
        after = Signs(old.taken, old.last_recorded, dict(old.heard))
        after.add(taken.signs)
        refused = Counter(why.reason for _, why in taken.rejections)
        return Tally(
            received=old.received + received,
            taken=after.messages,
            rejected=dict(sorted((Counter(old.rejected) + refused).items())),
            last_received=at if received else old.last_received,
            last_recorded=after.last_recorded,
            heard=after.heard,
        )


@contextmanager
def _readable(site: str) -> Iterator[None]:
    """A record that is damaged, or of a later version, is said to be so; the texts name fields, never a value."""
    try:
        yield
    except (ValueError, msgspec.MsgspecError) as damage:
        raise LogUnusableError(
            f"the log of {site} holds what this version cannot read ({damage}). "
            "Use the newest version; if that cannot read it either, put back the copy you trust."
        ) from None


def _content(answer: Answer) -> int:
    """A hash of what an answer says, whenever it was said."""
    return hash(records.write_answer(msgspec.structs.replace(answer, decided_at="")))


def _orders_and_starts(treatment_ids: Iterable[str]) -> set[Course]:
    return {(treatment_id, kind) for treatment_id in treatment_ids for kind in ("order", "start")}


def _decided(decisions: Iterable[Decision]) -> set[Course]:
    return {(decision.treatment_id, decision.kind) for decision in decisions}


def _judged(before: Answer) -> tuple[int, list[str]]:
    """The day of the dose that an answer to a start judged, and what it found positive."""
    positive = [name for name, found in before.findings.items() if found["finding"] == "positive"]
    return 0 if before.dose_on is None else day_of(before.dose_on), positive


def _courses_of(taken: Taken) -> set[str]:
    """The courses that may have lost their row: what was taken back, and what has a new fact or a new owner.

    A new fact can be enough: of two starts with no stop between the earlier stands, and it may be of an unknown drug.
    """
    found = taken.revised | {each.fact.treatment_id for each in taken.facts if isinstance(each.fact, f.Treatment)}
    for members in taken.draft.people(taken.touched):
        sheets = [taken.draft.sheets.get(member) for member in members]
        if len(members) > 1 or any(sheet.versioned for sheet in sheets if sheet):  # facts may stand that did not
            facts = (fact for member in members for fact in taken.draft.facts(member))
            found |= {fact.treatment_id for fact in facts if isinstance(fact, f.Treatment)}
    return found


def _patients(each: News) -> tuple[bytes, bytes | None]:
    return each.patient, each.fact.other if isinstance(each.fact, f.Merged) else None


def _outcomes(taken: Taken, count: int, unmapped: Callable[[f.AnyFact], tuple[str, ...]]) -> list[Outcome]:
    found: list[Outcome | None] = [None] * count
    for place, why in taken.rejections:
        found[place] = Outcome("rejected", why)
    for status, messages in (("accepted", taken.facts), ("duplicate", taken.repeated)):
        for place, patient, fact in messages:
            contested = f.identity_of(fact) in (taken.draft.contests.get(patient) or ())
            found[place] = Outcome(status, None, _course(fact), contested, unmapped(fact))
    return list(_all_told(found))


def _all_told(found: list[Outcome | None]) -> Iterator[Outcome]:
    """Each message ends in exactly one outcome."""
    for place, outcome in enumerate(found):
        if outcome is None:
            raise RuntimeError(f"nobody said what became of message {place} of a batch")
        yield outcome


def _course(fact: f.AnyFact) -> Course | None:
    if isinstance(fact, f.Ordered | f.Cancelled):
        return fact.treatment_id, "order"
    return (fact.treatment_id, "start") if isinstance(fact, f.Started) else None
