"""Small stories that go on at the demo hospitals while one watches: each a few messages, told some seconds apart.

What a story is about is drawn when it begins. A step may promise what the monitor answers once it is told: the tests
hold it to that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import NamedTuple

from monitor.demo import medicine
from monitor.demo import telling as say
from monitor.demo.build import Message, concept
from monitor.demo.desk import Site
from monitor.demo.garbage import GARBAGE
from monitor.demo.medicine import ANTI_HBC, ANTI_HCV, HBSAG, HBV_DNA, HIV, IGRA, Event
from monitor.demo.screening import CHEST_XRAY
from monitor.demo.telling import Saying, Treated

TESTS = (HBSAG, ANTI_HBC, ANTI_HCV, HIV, IGRA)
LONGEST_GARBAGE = 1_000  # bytes; the demo need not fill the disk
RUBBISH = [line for line in GARBAGE if len(line) < LONGEST_GARBAGE]
ABOVE_LABEL_MG = 45  # of upadacitinib, for joints
LATE_DAYS = (35, 200)  # how long ago the onset of a late report lies: where pages already take reports as complete


class Step(NamedTuple):
    """What is told `after` seconds of its story, and the answer (kind, decision) of its course from then on."""

    after: float
    says: Saying
    promise: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What happens to one patient of a site, or to a message on its way; steps in the order in which they are told."""

    kind: str
    site: str
    steps: tuple[Step, ...]


HOLD, COMPLETE, CANCELLED = ("order", "hold"), ("order", "screening_complete"), ("order", "cancelled")
COMPLIANT, AWAITING, VIOLATION = ("start", "compliant"), ("start", "awaiting_evidence"), ("start", "violation")


# Who it is about


class _Scene:
    """One new patient of a story, and the steps of which stories of new patients are made."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        disease = rng.choices(list(medicine.SHARE_OF_DISEASES), list(medicine.SHARE_OF_DISEASES.values()))[0]
        plan = rng.choice(medicine.PLANS[disease])
        self._condition = rng.choice(medicine.DISEASES[disease])
        self._born = rng.randrange(1966, 2003)
        dose = {"amount": plan.steps[0][1], "unit": "mg", "per_day": plan.per_day}
        drug = concept(*medicine.DRUGS[plan.drug][0])
        self.course: Message = {"drug": drug, "indications": [concept(self._condition)], "dose": dose}

    def ordered(self, at: float = 0.0, promise: tuple[str, str] = HOLD) -> list[Step]:
        """Who the patient is, and the order."""
        return [
            Step(at, partial(say.profile, self._born, [self._condition])),
            Step(at + 1.0, partial(say.order, self.course), promise),
        ]

    def results(
        self, at: float, tests: Sequence[str] = TESTS, last: tuple[str, str] | None = None, ago: int = 1
    ) -> list[Step]:
        """Clean results one by one, out so many days ago; after the last of them `last` is the answer."""
        steps, clock = [], at
        for test in tests:
            steps.append(Step(clock, say.result(test, ago=ago), last if test == tests[-1] else None))
            clock += self.rng.uniform(3.0, 5.0)
        return steps

    def started(
        self, at: float, promise: tuple[str, str] = COMPLIANT, *, ago: int = 0, ordered: bool = True
    ) -> list[Step]:
        """The first dose, so many days ago."""
        return [Step(at, partial(say.start, self.course, ago, ordered), promise)]


def without(*tests: str) -> tuple[str, ...]:
    """The usual tests but these."""
    return tuple(test for test in TESTS if test not in tests)


# The stories of new patients


def _screened(scene: _Scene) -> list[Step]:
    """Ordered before anything is known, held, screened, complete, started."""
    resent = [Step(44.0, say.result(HIV))] if scene.rng.random() < 0.25 else []  # noqa: PLR2004 - a quarter
    contact = [Step(72.0, say.contact)]
    return [*scene.ordered(), *scene.results(16.0, last=COMPLETE), *resent, *scene.started(56.0), *contact]


def _papers_first(scene: _Scene) -> list[Step]:
    """Screened before the order: complete at once."""
    return [*scene.results(0.0), *scene.ordered(25.0, COMPLETE), *scene.started(45.0)]


def _latent_tuberculosis(scene: _Scene) -> list[Step]:
    """A positive IGRA, no sign of active disease, a month of prevention that ran elsewhere."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(IGRA), HOLD, ago=36),
        Step(36.0, say.result(IGRA, "positive", ago=36), HOLD),
        Step(42.0, say.result(CHEST_XRAY, ago=36), HOLD),
        Step(54.0, say.prevention, COMPLETE),
        *scene.started(66.0),
    ]


def _old_hepatitis(scene: _Scene) -> list[Step]:
    """Antibodies against the core of hepatitis B: the viral load is asked for, and is below the limit."""
    below = {"value": 10, "unit": "IU/mL", "comparator": "<"}
    return [
        *scene.ordered(),
        *scene.results(15.0, without(ANTI_HBC), HOLD),
        Step(34.0, say.result(ANTI_HBC, "positive"), HOLD),
        Step(50.0, say.result(HBV_DNA, below, old=1), COMPLETE),
        *scene.started(62.0),
    ]


def _indeterminate(scene: _Scene) -> list[Step]:
    """An indeterminate IGRA holds until it is repeated."""
    again = say.result(IGRA, ago=1, old=1, event_id="*-igra-again")
    unclear = Step(15.0, say.result(IGRA, "indeterminate", ago=4), HOLD)
    return [
        *scene.ordered(),
        unclear,
        *scene.results(20.0, without(IGRA), HOLD),
        Step(48.0, again, COMPLETE),
        *scene.started(60.0),
    ]


def _expired(scene: _Scene) -> list[Step]:
    """A hepatitis B result of the year before last holds until there is a fresh one."""
    fresh = say.result(HBSAG, event_id="*-hbsag-fresh")
    return [
        Step(0.0, say.result(HBSAG, ago=400)),
        *scene.ordered(2.0),
        *scene.results(18.0, without(HBSAG), HOLD),
        Step(44.0, fresh, COMPLETE),
        *scene.started(56.0),
    ]


def _misfiled(scene: _Scene) -> list[Step]:
    """The HIV result is filed under somebody else until the laboratory notices."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(HIV), HOLD),
        Step(34.0, say.result(HIV, patient_id="*-q"), HOLD),
        Step(52.0, say.result(HIV, version=2), COMPLETE),
        *scene.started(64.0),
    ]


def _contradictory(scene: _Scene) -> list[Step]:
    """One HIV result, recorded at one instant as positive and as negative: no evidence until a later version."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(HIV), HOLD),
        Step(34.0, say.result(HIV, "positive")),
        Step(34.0, say.result(HIV), HOLD),
        Step(54.0, say.result(HIV, version=2), COMPLETE),
        *scene.started(66.0),
    ]


def _under_another_number(scene: _Scene) -> list[Step]:
    """The results came under the number of a first visit; the two are merged."""
    theirs = [
        Step(15.0 + 4.0 * number, say.result(test, patient_id="*-t"), HOLD if test == IGRA else None)
        for number, test in enumerate(TESTS)
    ]
    return [*scene.ordered(), *theirs, Step(50.0, say.merge, COMPLETE), *scene.started(60.0)]


def _refused(scene: _Scene) -> list[Step]:
    """Hepatitis B is found; the order is cancelled."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(HBSAG), HOLD),
        Step(34.0, say.result(HBSAG, "positive"), HOLD),
        Step(60.0, say.cancel, CANCELLED),
    ]


def _evidence_on_its_way(scene: _Scene) -> list[Step]:
    """Started on a hold; the missing result was out in time and arrives later."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(HIV), HOLD),
        *scene.started(36.0, AWAITING),
        Step(62.0, say.result(HIV), COMPLIANT),
    ]


def _unscreened(scene: _Scene) -> list[Step]:
    """A start of last week, told today, with no papers at all."""
    return scene.started(0.0, VIOLATION, ago=6, ordered=False)


def _found_papers(scene: _Scene) -> list[Step]:
    """The same, but the papers are found: all was excluded in time."""
    return [*_unscreened(scene), *scene.results(25.0, last=COMPLIANT, ago=9)]


def _learnt_too_late(scene: _Scene) -> list[Step]:
    """Started before hepatitis B came back, and it came back positive."""
    return [
        *scene.ordered(),
        *scene.results(15.0, without(HBSAG), HOLD),
        *scene.started(36.0, AWAITING),
        Step(58.0, say.result(HBSAG, "positive"), VIOLATION),
    ]


def _taken_back(scene: _Scene) -> list[Step]:
    """The laboratory takes an HIV result back after the start, and stands by it again."""
    return [
        *scene.results(0.0, ago=9),
        *scene.started(25.0, ago=6, ordered=False),
        Step(40.0, partial(say.withdraw_result, HIV, 2), VIOLATION),
        Step(70.0, say.result(HIV, ago=9, version=3), COMPLIANT),
    ]


def _above_label(scene: _Scene) -> list[Step]:
    """A dose that no indication of the patient allows: flagged, not held."""
    dose = {"amount": ABOVE_LABEL_MG, "unit": "mg", "per_day": 1}
    joints = [concept(medicine.DISEASES["RA"][0])]
    scene.course = {"drug": concept(*medicine.DRUGS["upadacitinib"][0]), "indications": joints, "dose": dose}
    return [*scene.results(0.0), *scene.ordered(24.0, COMPLETE), *scene.started(40.0)]


def _stopped_for_an_event(scene: _Scene) -> list[Step]:
    """Treated for three weeks elsewhere, all of it told at once; then an event ends it."""
    body = {"term": concept("icd10:B02.9"), "seriousness": [], "grade": 2, "outcome": "recovering"}
    return [
        *scene.results(0.0, ago=25),
        *scene.started(24.0, ago=21, ordered=False),
        Step(38.0, partial(say.event, body, 2, "drug_stopped", 1, {})),
        Step(42.0, say.stop, COMPLIANT),
    ]


NEW_PATIENTS: dict[Callable[[_Scene], list[Step]], float] = {  # how often, of a hundred stories or so
    _screened: 30,
    _papers_first: 10,
    _latent_tuberculosis: 6,
    _old_hepatitis: 5,
    _indeterminate: 4,
    _expired: 4,
    _misfiled: 4,
    _contradictory: 3,
    _under_another_number: 2,
    _refused: 3,
    _evidence_on_its_way: 4,
    _unscreened: 1.5,
    _found_papers: 3,
    _learnt_too_late: 0.5,
    _taken_back: 2,
    _above_label: 1,
    _stopped_for_an_event: 3,
}
ABOUT_EVENTS = {_stopped_for_an_event}


# The stories of those treated for long, and of no patient


def _draw_event(rng: Random) -> Message:
    event: Event = rng.choices(medicine.EVENTS, [each.per_100_patient_years for each in medicine.EVENTS])[0]
    serious = rng.random() < event.serious
    criteria = [rng.choice(medicine.CRITERIA)] if serious else []
    return {"term": concept(event.code), "seriousness": criteria, "grade": 3 if serious else rng.choice((1, 2))}


def _recent_event(rng: Random, who: Treated) -> list[Step]:
    """An event of these days, and how it went on."""
    ago, body = rng.randrange(8), _draw_event(rng)
    better = body | {"outcome": "recovered"}
    return [
        Step(0.0, partial(say.event_of, who, body | {"outcome": "recovering"}, ago, 1, {})),
        Step(40.0, partial(say.event_of, who, better, ago, 2, {})),
    ]


def _late_report(rng: Random, who: Treated) -> list[Step]:
    """An event of months ago, reported now: it counts in the window of its onset. Half are repetitions, taken back."""
    said = partial(say.event_of, who, _draw_event(rng) | {"outcome": "recovered"}, rng.randrange(*LATE_DAYS), 1, {})
    withdrawn = Step(45.0, partial(say.withdraw_event, who, 2))
    return [Step(0.0, said)] + ([withdrawn] if rng.random() < 0.5 else [])  # noqa: PLR2004 - half


def _visit(_: Random, who: Treated) -> list[Step]:
    """Somebody comes for the next box."""
    return [Step(0.0, partial(say.contact_of, who))]


TREATED: dict[Callable[[Random, Treated], list[Step]], float] = {_recent_event: 8, _late_report: 10, _visit: 12}
GARBAGE_WEIGHT = 5.0


def stories(seed: int, sites: Sequence[Site], treated: Sequence[Treated] = ()) -> Iterator[Story]:
    """An endless supply of stories, the first of them a held order; a site that is silent tells of no adverse event.

    `treated` are those whom the hospitals already treat: without them there are only stories of new patients.
    """
    rng = Random(f"{seed} stories")  # noqa: S311 - invented patients, no secret
    speaking = [site.name for site in sites if site.silent_from is None]
    by_site = [each for each in treated if each.site in speaking]
    yield Story("screened", sites[0].name, _told(_screened(_Scene(rng))))
    weights = (sum(NEW_PATIENTS.values()), sum(TREATED.values()) if by_site else 0.0, GARBAGE_WEIGHT)
    while True:
        kind = rng.choices(("new", "treated", "garbage"), weights)[0]
        if kind == "new":
            yield _of_a_new_patient(rng, sites, speaking)
        elif kind == "treated":
            yield _of_the_treated(rng, by_site)
        else:
            line = partial(say.garbage, rng.choice(RUBBISH))
            yield Story("garbage", rng.choice(sites).name, (Step(0.0, line),))


def _of_a_new_patient(rng: Random, sites: Sequence[Site], speaking: Sequence[str]) -> Story:
    plot = rng.choices(list(NEW_PATIENTS), list(NEW_PATIENTS.values()))[0]
    names = speaking if plot in ABOUT_EVENTS else [site.name for site in sites]
    return Story(plot.__name__[1:], rng.choice(names), _told(plot(_Scene(rng))))


def _of_the_treated(rng: Random, treated: Sequence[Treated]) -> Story:
    who, plot = rng.choice(treated), rng.choices(list(TREATED), list(TREATED.values()))[0]
    return Story(plot.__name__[1:], who.site, _told(plot(rng, who)))


def _told(steps: list[Step]) -> tuple[Step, ...]:
    return tuple(sorted(steps, key=lambda step: step.after))
