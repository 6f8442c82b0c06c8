"""What calls somebody: the rules of alerts/rules that one process can ask of itself, asked of an overview.

Names, texts, thresholds and times are those of the rules for Prometheus. A test compares the texts, and one corpus of
cases is told to both. What only an onlooker can say is not here: that the process is dead, or that nobody is reached.
Whoever shall notice that is told by a heartbeat that stays away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from monitor.alerting.past import POSITIVE, Past, positive_findings
from monitor.metrics import catalogue as c
from monitor.metrics.readings import DAY_SECONDS, READERS, Sample
from monitor.overview import Overview

JOB = "jakwatch-run"
BATCH_SECONDS = 300  # what comes so soon after the first is one batch
OPEN_LONG_SECONDS = 7 * DAY_SECONDS
CLOCK_AHEAD_SECONDS, STALE_SECONDS, RESTARTS = 600, 300, 3
_MINUTE, _HOUR = 60, 3_600
Found = tuple[dict[str, str], float]
"""(labels, value) of what is so"""


@dataclass(frozen=True, slots=True)
class Moment:
    """What a condition is asked of."""

    overview: Overview
    past: Past
    now: float  # seconds since 1970
    instance: str = ""  # host:port of the process

    def read(self, metric: c.Metric) -> Iterable[Sample]:
        """What the metrics of this process say now."""
        return READERS[metric](self.overview)

    def over(self, metric: c.Metric) -> dict[tuple[str, ...], list[float]]:
        """What they said within the metric's window."""
        return dict(self.past.over(metric, self.overview, self.now))


Condition = Callable[[Moment], Iterable[Found]]


def _cases(kind: str) -> Condition:
    def find(moment: Moment) -> Iterator[Found]:
        for (site, of), count in moment.read(c.CASES_OPEN):
            if of == kind and count > 0:
                yield {"site": site, "kind": kind}, count

    return find


def _positive(moment: Moment) -> Iterator[Found]:
    yield from (({"site": site}, count) for (site,), count in positive_findings(moment.overview) if count > 0)


def _further(moment: Moment) -> Iterator[Found]:
    """What is newer than all that was known when the window began, whenever it arose."""
    oldest = {labels: min(values) for labels, values in moment.over(c.CASES_OLDEST).items()}
    for labels, values in moment.over(c.CASES_NEWEST).items():
        newest = max(values)
        if newest > values[0] and newest - oldest.get(labels, newest) > BATCH_SECONDS:
            yield dict(zip(("site", "kind"), labels, strict=True)), newest


def _further_positive(moment: Moment) -> Iterator[Found]:
    for (site,), counts in moment.over(POSITIVE).items():
        if counts[-1] > min(counts) > 0:
            yield {"site": site}, counts[-1]


def _open_long(moment: Moment) -> Iterator[Found]:
    for (site, kind), since in moment.read(c.CASES_OLDEST):
        if moment.now - since > OPEN_LONG_SECONDS:
            yield {"site": site, "kind": kind}, moment.now - since


def _above(metric: c.Metric, limit: float = 0) -> Condition:
    """Each sample of a metric that is larger."""
    names = [label.name for label in metric.labels]

    def find(moment: Moment) -> Iterator[Found]:
        for labels, value in moment.read(metric):
            if value > limit:
                yield dict(zip(names, labels, strict=True)), value

    return find


def _rejected(moment: Moment) -> Iterator[Found]:
    most: dict[str, float] = {}
    for (site, _), counts in moment.over(c.REJECTED).items():
        most[site] = max(most.get(site, 0), counts[-1] - min(counts))
    yield from (({"site": site}, count) for site, count in most.items() if count > 0)


def _not_ready(moment: Moment) -> Iterator[Found]:
    yield from (({"job": JOB}, value) for _, value in moment.read(c.READY) if value == 0)


def _stale(moment: Moment) -> Iterator[Found]:
    ages = [moment.now - at for _, at in moment.read(c.COMPUTED)]
    yield from (({}, age) for age in ages if age > STALE_SECONDS)


def _unassessable(moment: Moment) -> Iterator[Found]:
    yield from (({}, max(counts)) for counts in moment.over(c.UNASSESSABLE).values() if max(counts) > 0)


def _restarting(moment: Moment) -> Iterator[Found]:
    for begun in moment.over(c.LIVE_SINCE).values():
        changes = sum(one != other for one, other in pairwise(begun))
        if changes > RESTARTS:
            yield {"job": JOB, "instance": moment.instance}, changes


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert. Texts may name the labels and the `{value}` of what was found: hospitals and counts, nobody's data."""

    name: str
    severity: str
    team: str
    finds: Condition
    summary: str
    description: str
    resolved: str = "No longer observed."
    page: str = "/"  # where on the page of the process it is dealt with
    for_seconds: int = 0  # how long it must be so before anybody is called


_LOOK = "No longer observed. Look at the list of {} before you take it as done."
_OF_CASES = (_LOOK.format("cases"), "/#cases")

RULES = (
    Rule(
        "JakwatchStartedUnscreened", "critical", "safety", _cases("violation"),
        "Treatment was started without complete screening",
        "At {site}: {value} open case(s) of a first dose before all four infections were excluded.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchStartUnassessable", "critical", "safety", _cases("unassessable"),
        "A start of treatment could not be judged, so it counts as unscreened",
        "At {site}: {value} open case(s) of a start on which the program failed.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchStartedOnHold", "critical", "safety", _cases("started_on_hold"),
        "Treatment was started although its order was on hold",
        "At {site}: {value} open case(s) of a first dose whose order would have been held that day.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchPositiveOnTreatment", "critical", "safety", _positive,
        "Treatment was started in spite of a positive screening result",
        "At {site}: {value} positive finding(s) behind open cases.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchFurtherCase", "critical", "safety", _further,
        "A further case at a hospital that already had one",
        "At {site}: the newest open case is of {value:moment}.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchFurtherPositive", "critical", "safety", _further_positive,
        "A further positive result at a hospital that already had one",
        "At {site}: {value} positive finding(s) behind open cases; within the last ten minutes there were fewer.",
        *_OF_CASES, for_seconds=_MINUTE,
    ),
    Rule(
        "JakwatchCaseOpenLong", "warning", "safety", _open_long,
        "A case has been open for more than seven days",
        "At {site}: the oldest open case ({kind}) has waited for {value:duration}.",
        *_OF_CASES,
    ),
    Rule(
        "JakwatchConflictOpen", "warning", "safety", _above(c.CONFLICTS),
        "Two messages contradict each other and nobody has said which one stands",
        "At {site}: {value} open conflict(s). Neither message is evidence until one is chosen.",
        _LOOK.format("conflicts"), "/#conflicts", for_seconds=_HOUR,
    ),
    Rule(
        "JakwatchUnmappedCodes", "warning", "safety", _above(c.UNMAPPED_CODES),
        "The policy does not know codes that hospitals send",
        "{value} code(s) of the kind {kind}: what bears them counts as nothing until a policy maps them.",
        _LOOK.format("unmapped codes"), "/#attention", for_seconds=_HOUR,
    ),
    Rule(
        "JakwatchFeedSilent", "warning", "integration", _above(c.SILENT),
        "A hospital's feed says nothing",
        "The {feed} feed of {site} has been silent for longer than the registry allows.",
        page="/#feeds", for_seconds=15 * _MINUTE,
    ),
    Rule(
        "JakwatchMessagesRejected", "warning", "integration", _rejected,
        "A hospital sends messages that cannot be taken",
        "Messages of {site} were rejected within the last day: what they say is not known here.",
        "Nothing more was rejected within a day. What was rejected is missing until the hospital sends it again.",
        page="/#feeds",
    ),
    Rule(
        "JakwatchSiteClockAhead", "warning", "integration", _above(c.CLOCK_AHEAD, CLOCK_AHEAD_SECONDS),
        "A hospital dates its messages in the future",
        "The newest message of {site} is dated {value:duration} after its arrival.",
        page="/#feeds", for_seconds=5 * _MINUTE,
    ),
    Rule(
        "JakwatchNotReady", "critical", "platform", _not_ready,
        "A process cannot do its work",
        "A process of {job} takes nothing in, or cannot show what is there; /readyz says why.",
        for_seconds=5 * _MINUTE,
    ),
    Rule(
        "JakwatchNumbersStale", "critical", "platform", _stale,
        "What is shown was computed long ago",
        "The newest numbers are {value:duration} old, although a process answers.",
        for_seconds=_MINUTE,
    ),
    Rule(
        "JakwatchPatientUnassessable", "critical", "platform", _unassessable,
        "The program failed on a patient",
        "{value} patient(s) cannot be judged: held, and counted nowhere. It is a bug.",
    ),
    Rule(
        "JakwatchRestarting", "warning", "platform", _restarting,
        "A process starts again and again",
        "{job} at {instance} began anew {value} times within half an hour.",
    ),
)  # fmt: skip
