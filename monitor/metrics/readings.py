"""What an overview says, metric by metric; the rates are written by `monitor.metrics.rates`, for they are many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any

from monitor.metrics import catalogue as c
from monitor.overview import FeedState, Overview, ReferenceRate, SiteActivity

DAY_SECONDS = 86_400
Sample = tuple[tuple[str, ...], float]
"""(values of the labels, in the catalogue's order; number)"""
Reader = Callable[[Overview], Iterable[Sample]]

_DECISIONS = {"order": c.ORDER_DECISIONS, "start": c.START_DECISIONS}
_JUDGED = ("compliant", "violation", "unassessable")


def samples(overview: Overview, loading: Collection[str] = ()) -> Iterator[tuple[c.Metric, list[Sample]]]:
    """Each metric that has a reader, in the catalogue's order; nothing that the sites still `loading` would falsify.

    Half a site would say 0 where there are cases, and a feed to be silent that is not. So there is no sample, neither
    of such a site nor of all together, and whoever watches goes on with what was said last.
    """
    for metric in c.CATALOGUE:
        if metric in READERS:
            yield metric, [each for each in READERS[metric](overview) if _is_whole(metric, each, loading)]


def _is_whole(metric: c.Metric, sample: Sample, loading: Collection[str]) -> bool:
    if not loading or metric in c.OF_PROCESS:
        return True
    names = [label.name for label in metric.labels]
    return c.SITE.name in names and sample[0][names.index(c.SITE.name)] not in {*loading, c.NO_SITE}


def moment(text: str) -> float:
    """An instant, or the midnight in UTC with which a day begins, in seconds since 1970."""
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def preset(allowed: Iterable[str], counts: Mapping[str, int]) -> Iterator[tuple[str, int]]:
    """A count for every value a label may have; what it does not know is together `other`."""
    known = tuple(allowed)
    yield from ((value, counts.get(value, 0)) for value in known)
    other = sum(count for value, count in counts.items() if value not in known)
    if other:
        yield c.OTHER, other


def _only(value: float | None) -> list[Sample]:
    return [] if value is None else [((), value)]


def _when(text: str | None) -> list[Sample]:
    return [] if text is None else [((), moment(text))]


def _sites(overview: Overview) -> list[str]:
    """All sites that anything is known of."""
    named = {site.site for site in overview.sites} | {feed.site for feed in overview.feeds}
    return sorted(named | {case.site for case in overview.cases} | {answer["site"] for answer in overview.holds})


def _by_site(number: Callable[[SiteActivity], int]) -> Reader:
    return lambda overview: [((site.site,), number(site)) for site in overview.sites]


def _by_feed(number: Callable[[FeedState], float]) -> Reader:
    return lambda overview: [((feed.site, feed.feed), number(feed)) for feed in overview.feeds]


def _feed_days(day: Callable[[FeedState], str | None]) -> Reader:
    def read(overview: Overview) -> Iterator[Sample]:
        for feed in overview.feeds:
            if (text := day(feed)) is not None:
                yield (feed.site, feed.feed), moment(text)

    return read


def _tally(name: str) -> Reader:
    return lambda overview: _only(overview.result[name])


def _cases_open(overview: Overview) -> Iterator[Sample]:
    for site in _sites(overview):
        kinds = Counter(case.kind for case in overview.cases if case.site == site)
        yield from (((site, kind), count) for kind, count in preset(c.CASE_KIND.values, kinds))


def _since(which: Callable[[Iterable[float]], float]) -> Reader:
    """Since when the first, or the last, of the open cases has been one."""

    def read(overview: Overview) -> Iterator[Sample]:
        found: dict[tuple[str, ...], list[float]] = {}
        for case in overview.cases:
            kind = case.kind if case.kind in c.CASE_KIND.values else c.OTHER
            found.setdefault((case.site, kind), []).append(moment(case.since))
        yield from ((key, which(moments)) for key, moments in sorted(found.items()))

    return read


def _holds(overview: Overview) -> Iterator[Sample]:
    by_site = Counter(answer["site"] for answer in overview.holds)
    yield from (((site,), by_site[site]) for site in _sites(overview))


def _findings(overview: Overview) -> Iterator[Sample]:
    keys = product(_sites(overview), c.COURSE_KIND.values, c.INFECTION.values)
    found: dict[tuple[str, ...], Counter[str]] = {key: Counter() for key in keys}
    starts = {(case.site, case.treatment_id): case.answer for case in overview.cases}  # one may be cases of two kinds
    of_cases = [("start", site, answer) for (site, _), answer in starts.items()]
    of_holds = [("order", answer["site"], answer) for answer in overview.holds]
    for kind, site, answer in of_cases + of_holds:
        for infection, finding in _open_findings(answer):
            found.setdefault((site, kind, infection), Counter())[finding] += 1
    for key, counts in found.items():
        yield from (((*key, finding), count) for finding, count in preset(c.FINDING.values, counts))


def _open_findings(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for infection, given in answer["findings"].items():
        if given["finding"] not in c.CLEARED:
            yield infection if infection in c.INFECTION.values else c.OTHER, given["finding"]


def _courses(overview: Overview) -> Iterator[Sample]:
    for site in overview.sites:
        for kind in c.COURSE_KIND.values:
            mine = {decision: count for (of, decision), count in site.answers.items() if of == kind}
            yield from (((site.site, kind, each), count) for each, count in preset(_DECISIONS[kind], mine))


def _judged(site: SiteActivity) -> int:
    return sum(site.answers.get(("start", decision), 0) for decision in _JUDGED)


def _messages(overview: Overview) -> Iterator[Sample]:
    for site in overview.sites:
        counts = {name: count for name, count in site.messages.items() if name != "received"}
        yield from (((site.site, name), count) for name, count in preset(c.CLASS.values, counts))


def _received(overview: Overview) -> Iterator[Sample]:
    """Of no site: what the whole has more than its sites."""
    counts = {site.site: site.messages.get("received", 0) for site in overview.sites}
    yield from (((site,), count) for site, count in counts.items())
    yield (c.NO_SITE,), max(0, overview.result["messages"]["received"] - sum(counts.values()))


def _rejected(overview: Overview) -> Iterator[Sample]:
    rest = Counter(overview.result["messages"]["rejected"])
    for site in overview.sites:
        rest.subtract(site.rejected)
        yield from (((site.site, reason), count) for reason, count in preset(c.REASON.values, site.rejected))
    yield from (((c.NO_SITE, reason), count) for reason, count in preset(c.REASON.values, +rest))


def _unplaced(overview: Overview) -> Iterator[Sample]:
    counts = preset(c.UNPLACED_REASON.values, overview.result["unplaced"])
    yield from (((reason,), count) for reason, count in counts)


def _conflicts(overview: Overview) -> Iterator[Sample]:
    by_site = Counter(each["site"] for each in overview.result["open_conflicts"])
    yield from (((site,), by_site[site]) for site in sorted({*_sites(overview), *by_site}))


def _delay(seconds: Callable[[float], float]) -> Reader:
    """Of each site: from when its newest message was recorded to when the last one arrived."""

    def read(overview: Overview) -> Iterator[Sample]:
        for site in overview.sites:
            if site.last_received is not None and site.last_recorded is not None:
                yield (site.site,), max(0, seconds(moment(site.last_received) - moment(site.last_recorded)))

    return read


def _references(number: Callable[[ReferenceRate], float | None]) -> Reader:
    def read(overview: Overview) -> Iterator[Sample]:
        for each in overview.references:
            if (value := number(each)) is not None:
                yield (each.cohort, each.aesi, each.estimator, each.source), value

    return read


def _unmapped_facts(overview: Overview) -> Iterator[Sample]:
    """Of no site: what the whole has more than its sites."""
    rest = Counter[str]()
    for row in overview.result["unmapped"]:
        rest[row["kind"]] += row["count"]
    for site in overview.sites:
        rest.subtract(site.unmapped)
        yield from (((site.site, kind), count) for kind, count in preset(c.CODE_KIND.values, site.unmapped))
    yield from (((c.NO_SITE, kind), count) for kind, count in preset(c.CODE_KIND.values, +rest))


def _unmapped_codes(overview: Overview) -> Iterator[Sample]:
    counts = Counter(row["kind"] for row in overview.result["unmapped"])
    yield from (((kind,), count) for kind, count in preset(c.CODE_KIND.values, counts))


def _info(name: str, *fields: str) -> Reader:
    def read(overview: Overview) -> list[Sample]:
        given = overview.result[name]
        return [] if given is None else [(tuple(str(given[field]) for field in fields), 1)]

    return read


READERS: dict[c.Metric, Reader] = {
    c.REFERENCE: _references(lambda each: each.rate),
    c.REFERENCE_LOWER: _references(lambda each: each.lower),
    c.REFERENCE_UPPER: _references(lambda each: each.upper),
    c.CONFIDENCE: lambda overview: _only(overview.result["policy"]["confidence"]),
    c.CASES_OPEN: _cases_open,
    c.CASES_OLDEST: _since(min),
    c.CASES_NEWEST: _since(max),
    c.CASES_CLOSED: lambda overview: _only(overview.closed_cases),
    c.HOLDS: _holds,
    c.FINDINGS: _findings,
    c.COURSES: _courses,
    c.STARTS_JUDGED: _by_site(_judged),
    c.STARTS_COMPLIANT: _by_site(lambda site: site.answers.get(("start", "compliant"), 0)),
    c.SILENT: _by_feed(lambda feed: int(feed.silent)),
    c.LAST_HEARD: _feed_days(lambda feed: feed.last_heard),
    c.SILENCE_LIMIT: _by_feed(lambda feed: feed.silent_after_days * DAY_SECONDS),
    c.COMPLETE_THROUGH: _feed_days(lambda feed: feed.complete_through),
    c.LAST_RECEIVED: lambda overview: [
        ((site.site,), moment(site.last_received)) for site in overview.sites if site.last_received is not None
    ],
    c.LATENESS: _delay(lambda old: old),
    c.CLOCK_AHEAD: _delay(lambda old: -old),
    c.PATIENTS: _by_site(lambda site: site.patients),
    c.RECEIVED: _received,
    c.MESSAGES: _messages,
    c.REJECTED: _rejected,
    c.UNPLACED_EVENTS: _unplaced,
    c.IMPUTED: _tally("imputed"),
    c.WAITING: _tally("waiting"),
    c.CONFLICTS: _conflicts,
    c.LOST: _tally("lost_to_follow_up"),
    c.UNASSESSABLE: _tally("unassessable"),
    c.UNMAPPED_CODES: _unmapped_codes,
    c.UNMAPPED_FACTS: _unmapped_facts,
    c.BUILD: lambda overview: [((overview.result["program"].removeprefix("jakwatch "),), 1)],
    c.POLICY: _info("policy", "name", "version", "sha256"),
    c.REGISTRY: _info("sites", "version", "sha256"),
    c.AS_OF: lambda overview: _when(overview.result["as_of"]),
    c.COMPLETE_TO: lambda overview: _when(overview.result["complete_to"]),
    c.COMPUTED: lambda overview: _when(overview.computed_at),
    c.READY: lambda overview: _only(int(overview.trouble is None)),
    c.LIVE_SINCE: lambda overview: _when(overview.live_since),
}
