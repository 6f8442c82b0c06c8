"""Where the gate takes a shorter way, it says what the plain sentence of the contract says, and keeps nothing."""

from __future__ import annotations

import gc
from datetime import UTC, date, datetime
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.core import facts as f
from monitor.core.course import Episode, State
from monitor.core.days import DAY_US, instant, local_day
from monitor.core.evidence import POSITIVE, Evidence, Reading, Shelf, reader
from monitor.core.labels import Label
from monitor.core.ledger import SITE, History
from monitor.core.meaning import Meaning
from monitor.core.person import Person
from monitor.core.policy import PolicyDocument
from monitor.core.record import Record, record_of, sorted_record
from monitor.core.screening import FirstDose
from monitor.core.versions import Body, Standing
from monitor.core.vocabulary import Vocabulary
from schemas.parts import Coding, Concept, Dose
from tests.property.histories import DAY0, DISEASES, histories
from tests.property.test_laws import AS_OF, state_of

often = settings(max_examples=max(500, settings().max_examples))  # an example costs a millisecond, few hit a border
FIRST = DAY0.toordinal()
OUTCOMES = ("negative", "indeterminate", "positive")
BADNESS = MappingProxyType({outcome: at for at, outcome in enumerate(OUTCOMES)})
few_days = st.integers(FIRST, FIRST + 4)
hours = st.integers(0, 4 * 24).map(lambda hour: hour * DAY_US // 24)


def screened(event_id: str, test: int = 0, outcome: str = "negative", recorded: int = 0) -> f.Screened:
    return f.Screened(
        event_id=event_id, source=None, version=None, first_recorded=recorded, last_recorded=recorded, rest=None,
        test=test, collected=FIRST, resulted=recorded, outcome=outcome, value=None, unit=None, comparator=None,
    )  # fmt: skip


readings = st.lists(
    st.tuples(few_days, few_days, hours, st.sampled_from((*OUTCOMES, POSITIVE))), min_size=2, max_size=6
).map(
    lambda rows: [
        Reading("hiv_ag_ab", outcome, collected, (resulted_on, resulted), screened(f"r{at}"))
        for at, (collected, resulted_on, resulted, outcome) in enumerate(rows)
    ]
)  # fmt: skip
doses = st.builds(FirstDose, st.integers(FIRST + 2, FIRST + 5), st.none() | hours, st.none() | few_days)


def in_time(dose: FirstDose, reading: Reading) -> bool:
    """Known by then at all; resulted on an earlier day, or the same day unless the instant shows that it came after."""
    day, resulted = reading.came
    if dose.known_through is not None and day > dose.known_through:
        return False
    return day < dose.day or (day == dose.day and (dose.at is None or resulted <= dose.at))


@often
@given(results=readings, dose=doses, positive_stands=st.booleans())
def test_the_result_that_speaks_is_found_without_a_look_at_all(
    results: list[Reading], dose: FirstDose, positive_stands: bool
) -> None:
    counting = [each for each in results if in_time(dose, each)]
    shelf = Shelf(list(results))
    count = shelf.until(dose.moment)
    assert count == len(counting)
    if counting:
        positives = [each for each in counting if each.outcome == POSITIVE] if positive_stands else []
        latest_and_worst = max(
            positives or counting, key=lambda each: (each.collected, BADNESS[each.outcome], each.fact.event_id)
        )
        assert shelf.speaking(count, positive_stands) == latest_and_worst
        assert shelf.latest(count).collected == max(each.collected for each in counting)


# St. John's set its clock back at one minute past midnight until 2011: there a later instant may lie on an earlier day.
BACK_AT_MIDNIGHT = instant(datetime(2010, 11, 7, 2, 31, tzinfo=UTC))
recordings = st.integers(-30 * 60, 30 * 60).map(lambda minute: BACK_AT_MIDNIGHT + minute * 60_000_000)


@often
@given(
    told=st.lists(st.tuples(st.sampled_from(OUTCOMES), recordings), min_size=1, max_size=4),
    off=st.integers(-2, 2),
    zone=st.sampled_from((None, "America/St_Johns", "Pacific/Kiritimati", "Pacific/Pago_Pago")).map(
        lambda name: None if name is None else ZoneInfo(name)
    ),
)
def test_documented_late_is_said_of_the_first_report_with_that_outcome(
    policy: PolicyDocument, told: list[tuple[str, int]], off: int, zone: ZoneInfo | None
) -> None:
    vocabulary = Vocabulary()
    test = vocabulary.concept(concept("loinc:56888-1"))
    facts = [screened("same", test, outcome, recorded) for outcome, recorded in told]
    bodies = tuple(Body(b"", fact, b"") for fact in facts)
    record = Record(results=facts[-1:], known={"same": History(bodies, Standing(bodies[-1], (), 0, 0))})
    evidence = Evidence(record, reader(Meaning(policy, vocabulary), zone), zone)
    (standing,) = evidence.clean["hiv_ag_ab"].readings
    day = local_day(BACK_AT_MIDNIGHT, zone) + off
    first = min(recorded for outcome, recorded in told if outcome == standing.outcome)
    assert evidence.was_documented_after(day, standing) is (local_day(first, zone) > day)


def concept(code: str) -> Concept:
    system, name = code.split(":")
    return Concept(codings=(Coding(system=system, code=name),), text=None)


def dose(amount: int) -> Dose:
    return Dose(amount=Decimal(amount), unit="mg", per_day=Decimal(1))


conditions = st.lists(
    st.tuples(
        st.sampled_from(range(len(DISEASES))),
        st.none() | st.sampled_from(("2024", "2025-02", "2025-02-20")),
        st.none() | st.sampled_from(("2025-03", "2025-04-01")),
    ),
    min_size=1,
    max_size=3,
)
states = st.lists(
    st.tuples(st.sampled_from((20, 50, 100)), st.sampled_from((15, 30, 45)), st.sampled_from(range(len(DISEASES)))),
    min_size=1,
    max_size=3,
)


def is_above(label: Label, person: Person, state: State, day: int, first: int) -> bool:
    """No indication of the patient allows the dose on that day; what no source backs does not judge."""
    diseases = label.meaning.diseases(state.indications) | person.diseases_on(day)
    mine = [limit for limit in label.limits if limit.diseases & diseases]
    if not any(limit.judged for limit in label.limits) or (mine and not any(limit.judged for limit in mine)):
        return False
    daily: Fraction = label.meaning.vocabulary.daily_mg[state.dose]
    return not any(daily <= limit.highest(person.age_on(day), day - first) for limit in mine if limit.judged)


@often
@given(
    born=st.sampled_from((None, 1959, 1960, 1990)), had=conditions, given_=states, open_=st.booleans(),
    as_of=st.sampled_from((10, 45, 60, 90, 200)),
)  # fmt: skip
def test_a_dose_is_above_the_label_if_it_is_on_any_exposed_day(
    policy: PolicyDocument, born: int | None, had: list[Any], given_: list[Any], as_of: int, open_: bool
) -> None:
    vocabulary = Vocabulary()
    diseases = [vocabulary.concept(concept(code)) for code in DISEASES]
    meaning = Meaning(policy, vocabulary)
    spans = tuple(f.ConditionSpan(diseases[which], since, until) for which, since, until in had)
    recorded = (date(2025, 1, 20).toordinal() - date(1970, 1, 1).toordinal()) * DAY_US
    profile = f.Profile(
        event_id="p", source=None, version=None, first_recorded=recorded, last_recorded=recorded, rest=None,
        birth_year=born, sex=None, conditions=spans, died=None,
    )  # fmt: skip
    seen = f.Contact(
        event_id="c", source=None, version=None, first_recorded=recorded, last_recorded=recorded, rest=None,
        seen=FIRST + 90, days_supplied=None,
    )  # fmt: skip
    person = Person(sorted_record([profile, seen]), meaning, None)
    episode = an_episode(given_, diseases, vocabulary, open_)
    label = Label(policy, meaning, "upadacitinib")
    last = min(FIRST + as_of, episode.end - 1, person.last_day(policy))
    exposed = [
        (state, day)
        for state in episode.states
        for day in range(state.first, min(state.end, last + 1))
    ]  # fmt: skip
    assert label.ever_above(person, episode, FIRST + as_of) is any(
        is_above(label, person, state, day, FIRST) for state, day in exposed
    )
    for state, day in exposed:
        plain = is_above(label, person, state, day, FIRST)
        assert label.is_above(person, state.indications, state.dose, day, FIRST) is plain


def an_episode(given_: list[Any], diseases: list[int], vocabulary: Vocabulary, open_: bool) -> Episode:
    first, parts = FIRST, []
    for days, mg, which in given_:
        parts.append(State(first, first + days, vocabulary.dose(dose(mg)), (diseases[which],)))
        first += days
    if open_:
        parts[-1] = State(parts[-1].first, 10_000_000, parts[-1].dose, parts[-1].indications)
    start = f.Started(
        event_id="s", source=None, version=None, first_recorded=0, last_recorded=0, rest=None, treatment_id="t", drug=0,
        indications=parts[0].indications, dose=parts[0].dose, day=FIRST, at=None, order_id=None,
    )  # fmt: skip
    return Episode(start, None if open_ else first - 1, tuple(parts))


@settings(max_examples=10)  # a search for cycles looks at all there is
@given(lines=histories())
def test_a_judged_record_is_gone_at_once(policy: PolicyDocument, lines: list[bytes]) -> None:
    """A cycle would wait for Python's search for cycles, which looks rarely because records hold none."""
    state = state_of(policy)
    state.apply(state.take(lines, AS_OF))
    assert state.gate is not None
    assert state.contributions is not None
    gc.collect()
    record = None
    for person in state.ledger.sheets.keys() - {SITE}:
        record = record_of(state.ledger, (person,))
        state.gate.decide(record, AS_OF)
        state.contributions.of(record, None, 0)
    del record
    assert gc.collect() == 0
