"""What may be so at hospitals, and who must be called then: told to our own conditions and to Prometheus' rules alike.

A story says for every minute from 1970 on what a process shows, and at some minutes all alerts that must fire then, no
more and no fewer. No minute lies on the very edge of a window: versions of Prometheus differ by one sample there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor.alerting.rules import JOB
from monitor.overview import Case, FeedState, Overview, SiteActivity

DAY, WEEK = 1_440, 7 * 1_440  # minutes
INSTANCE = "jakwatch.example"
Alert = tuple[str, dict[str, str]]


@dataclass(frozen=True)
class Story:
    """`at` says what is shown at a minute, None while there is no process; `expected`: minute -> what fires."""

    name: str
    at: Callable[[int], Overview | None]
    expected: dict[int, list[Alert]]
    step: int = 1  # minutes between two looks

    @property
    def minutes(self) -> range:
        return range(0, max(self.expected) + 1, self.step)


def instant(minute: float) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)).isoformat()


def alert(name: str, **labels: str) -> Alert:
    return f"Jakwatch{name}", labels


# What is shown


def shown(minute: int, **changed: Any) -> Overview:
    """At lisbon and madrid nothing is wrong, unless it is said otherwise; `result` is changed by its parts."""
    result = {
        "as_of": "1970-01-01", "complete_to": "1970-01-01", "program": "jakwatch 0",
        "policy": {"name": "tests", "version": 1, "sha256": "0", "confidence": 0.95}, "sites": None,
        "messages": {"received": 0, "rejected": {}}, "rates": [], "unplaced": {}, "imputed": 0, "waiting": 0,
        "conflicts": 0, "lost_to_follow_up": 0, "unassessable": 0, "unmapped": [], "open_conflicts": [],
    }  # fmt: skip
    values = {
        "computed_at": instant(minute), "live_since": instant(-5), "trouble": None, "today": "1970-01-01", "cases": (),
        "closed_cases": 0, "holds": (), "awaiting": (), "feeds": (), "sites": (site("lisbon"), site("madrid")),
    }  # fmt: skip
    return Overview(**(values | changed | {"result": result | changed.get("result", {})}))


def site(name: str, **changed: Any) -> SiteActivity:
    values = {
        "site": name, "zone": "UTC", "today": "1970-01-01", "last_received": None, "messages": {}, "rejected": {},
        "patients": 1, "answers": {},
    }  # fmt: skip
    return SiteActivity(**(values | changed))


def case(since: float, kind: str = "violation", where: str = "lisbon", **findings: str) -> Case:
    answer = {"findings": {infection: {"finding": found} for infection, found in findings.items()}}
    return Case(where, f"course-{since}", kind, instant(since), answer)


def result_at(minute: int, arrives: int) -> str:
    return "positive" if minute >= arrives else "missing"


def feed(*, silent: bool, where: str = "lisbon") -> FeedState:
    return FeedState(where, "screening", "1970-01-01", None, "1970-01-01", 2, silent)


def clocks(ahead_seconds: float) -> tuple[SiteActivity, ...]:
    return (site("lisbon", last_received=instant(0), last_recorded=instant(ahead_seconds / 60)),)


def with_cases(*cases: Case) -> Callable[[int], Overview]:
    """Each from when it is one."""
    return lambda minute: shown(minute, cases=tuple(each for each in cases if each.since <= instant(minute)))


def since(begins: int, ends: float = float("inf"), **changed: Any) -> Callable[[int], Overview]:
    """All is well, but for some time."""
    return lambda minute: shown(minute, **(changed if begins <= minute < ends else {}))


def rejecting(counts: dict[int, int], reason: str = "not_json") -> Callable[[int], Overview]:
    """Minute -> how many messages of lisbon were rejected until then."""

    def at(minute: int) -> Overview:
        count = counts[max(begins for begins in counts if begins <= minute)]
        whole = {"messages": {"received": count, "rejected": {reason: count}}}
        return shown(minute, sites=(site("lisbon", rejected={reason: count}), site("madrid")), result=whole)

    return at


def restarted(*minutes: int) -> Callable[[int], Overview]:
    return lambda minute: shown(minute, live_since=instant(max(each for each in (-5, *minutes) if each <= minute)))


UNSCREENED = alert("StartedUnscreened", site="lisbon", kind="violation")
UNASSESSABLE = alert("StartUnassessable", site="lisbon", kind="unassessable")
ON_HOLD = alert("StartedOnHold", site="lisbon", kind="started_on_hold")
POSITIVE = alert("PositiveOnTreatment", site="lisbon")
FURTHER = alert("FurtherCase", site="lisbon", kind="violation")
FURTHER_POSITIVE = alert("FurtherPositive", site="lisbon")
OPEN_LONG = alert("CaseOpenLong", site="lisbon", kind="violation")
CONFLICT = alert("ConflictOpen", site="lisbon")
SILENT = alert("FeedSilent", site="lisbon", feed="screening")
REJECTED = alert("MessagesRejected", site="lisbon")
AHEAD = alert("SiteClockAhead", site="lisbon")
NOT_READY = alert("NotReady", job=JOB)
STALE = alert("NumbersStale")
BUG = alert("PatientUnassessable")
RESTARTING = alert("Restarting", job=JOB, instance=INSTANCE)

_UNMAPPED = [{"kind": kind, "system": "local", "code": code, "count": 3} for kind, code in ("da", "db", "tc")]
_KINDS = {"d": "drug", "t": "test"}
_UNMAPPED = {"unmapped": [row | {"kind": _KINDS[row["kind"]]} for row in _UNMAPPED]}
_ORDER = {"site": "lisbon", "findings": {"hiv": {"finding": "positive"}}}

STORIES = (
    # Patients
    Story("nothing is wrong", since(0), {0: [], 30: []}),
    Story("a first dose before screening is complete", with_cases(case(3)), {2: [], 3: [UNSCREENED], 9: [UNSCREENED]}),
    Story("a start on which the program failed", with_cases(case(3, "unassessable")), {2: [], 3: [UNASSESSABLE]}),
    Story("a start whose order was on hold", with_cases(case(3, "started_on_hold")), {2: [], 3: [ON_HOLD]}),
    Story(
        "a start may be two cases, and one finding of it is positive",
        with_cases(case(3, hiv="positive"), case(3, "started_on_hold", hiv="positive"), case(2.5, hiv="missing")),
        {2: [], 3: [UNSCREENED, ON_HOLD, POSITIVE]},
    ),
    Story(
        "forty cases of one hospital", with_cases(*(case(number / 40 + 3) for number in range(40))),
        {2: [], 4: [UNSCREENED], 20: [UNSCREENED]},
    ),
    Story(
        "two hospitals", with_cases(case(3), case(5, where="madrid")),
        {4: [UNSCREENED], 5: [UNSCREENED, alert("StartedUnscreened", site="madrid", kind="violation")]},
    ),
    Story(
        "what is closed is no longer observed", since(3, 8, cases=(case(3),)),
        {7: [UNSCREENED], 8: [], 20: []},
    ),
    Story(
        "orders on hold and starts that may still be proved call nobody",
        since(3, holds=(_ORDER,), awaiting=(_ORDER,), closed_cases=7), {9: []},
    ),
    Story(
        "one case more, beside an old one", with_cases(case(3.0021), case(60.5)),
        {60: [UNSCREENED], 61: [UNSCREENED, FURTHER], 69: [UNSCREENED, FURTHER], 73: [UNSCREENED]},
    ),
    Story(
        "one case more, within five minutes", with_cases(case(3), case(7.9)),
        {7: [UNSCREENED], 8: [UNSCREENED], 15: [UNSCREENED], 19: [UNSCREENED]},
    ),
    Story(
        "one case more, just after five minutes", with_cases(case(3), case(8.1)),
        {8: [UNSCREENED], 9: [UNSCREENED, FURTHER], 17: [UNSCREENED, FURTHER], 21: [UNSCREENED]},
    ),
    Story(
        "cases soon after each other", with_cases(*(case(minute) for minute in (9.5, 23.5, 29.5, 43.5))),
        {10: [UNSCREENED], 22: [UNSCREENED], 24: [UNSCREENED, FURTHER], 30: [UNSCREENED, FURTHER],
         38: [UNSCREENED, FURTHER], 42: [UNSCREENED], 44: [UNSCREENED, FURTHER], 56: [UNSCREENED]},
    ),
    Story(
        "forty cases more, beside an old one", with_cases(case(3), *(case(number / 40 + 60) for number in range(40))),
        {59: [UNSCREENED], 61: [UNSCREENED, FURTHER], 69: [UNSCREENED, FURTHER], 73: [UNSCREENED]},
    ),
    Story(
        "one case more, where the other is of another kind", with_cases(case(3), case(60.5, "unassessable")),
        {62: [UNSCREENED, UNASSESSABLE]},
    ),
    Story(
        "one case more, and the old one is closed at once",
        lambda minute: shown(minute, cases=(case(60.5),) if minute > 61 else (case(3), case(60.5))[: 1 + minute // 61]),
        {61: [UNSCREENED, FURTHER], 62: [UNSCREENED, FURTHER], 69: [UNSCREENED, FURTHER], 73: [UNSCREENED]},
    ),
    Story(
        "one case more, itself closed at once",
        lambda minute: shown(minute, cases=(case(-600), case(59.5))[: 1 + minute // 60] if minute < 63 else ()),
        {59: [UNSCREENED], 62: [UNSCREENED, FURTHER], 64: [FURTHER], 68: [FURTHER], 73: []},
    ),
    Story(
        "the newest of two cases is closed, and then comes another",
        lambda minute: shown(minute, cases=(case(3), *((case(40.5),) if 41 <= minute < 70 else ()),
                                            *((case(80.5),) if minute > 80 else ()))),
        {41: [UNSCREENED, FURTHER], 60: [UNSCREENED], 71: [UNSCREENED], 81: [UNSCREENED, FURTHER], 93: [UNSCREENED]},
    ),
    Story(
        "one case more while the process is gone",
        lambda minute: None if 10 <= minute < 40 else with_cases(case(3), case(15.5))(minute),
        {9: [UNSCREENED], 39: [UNSCREENED], 40: [UNSCREENED, FURTHER], 48: [UNSCREENED, FURTHER], 52: [UNSCREENED]},
    ),
    Story(
        "the first two cases while the process is gone",
        lambda minute: None if 10 <= minute < 40 else with_cases(case(13.5), case(25.5))(minute),
        {9: [], 40: [UNSCREENED], 45: [UNSCREENED], 52: [UNSCREENED]},
    ),
    Story(
        "the process is gone for long, and there is nothing new",
        lambda minute: None if 75 <= minute < 105 else with_cases(case(3), case(60.5))(minute),
        {61: [UNSCREENED, FURTHER], 74: [UNSCREENED], 104: [UNSCREENED], 105: [UNSCREENED], 110: [UNSCREENED]},
    ),
    Story(
        "one positive result more, for a case that is open already",
        lambda minute: shown(minute, cases=(case(3, hiv="positive", tuberculosis=result_at(minute, 30)),)),
        {29: [UNSCREENED, POSITIVE], 30: [UNSCREENED, POSITIVE], 31: [UNSCREENED, POSITIVE, FURTHER_POSITIVE],
         38: [UNSCREENED, POSITIVE, FURTHER_POSITIVE], 42: [UNSCREENED, POSITIVE]},
    ),
    Story(
        "one positive result more while the process is gone",
        lambda minute: None if 10 <= minute < 40 else shown(
            minute, cases=(case(3, hiv="positive", tuberculosis=result_at(minute, 30)),)),
        {9: [UNSCREENED, POSITIVE], 41: [UNSCREENED, POSITIVE, FURTHER_POSITIVE], 52: [UNSCREENED, POSITIVE]},
    ),
    Story(
        "two positive results at once", with_cases(case(3, hiv="positive", tuberculosis="positive")),
        {3: [UNSCREENED, POSITIVE], 5: [UNSCREENED, POSITIVE], 14: [UNSCREENED, POSITIVE]},
    ),
    Story(
        "one of two positive results is done with",
        lambda minute: shown(
            minute, cases=(case(3, hiv="positive", tuberculosis="positive" if minute < 30 else "excluded"),)),
        {30: [UNSCREENED, POSITIVE], 31: [UNSCREENED, POSITIVE], 38: [UNSCREENED, POSITIVE]},
    ),
    Story(
        "a case of a week", with_cases(case(7 - WEEK)),
        {6: [UNSCREENED], 7: [UNSCREENED], 8: [UNSCREENED, OPEN_LONG]},
    ),
    Story(
        "a case of many weeks, and a young one", with_cases(case(-100_000), case(-90)),
        {5: [UNSCREENED, OPEN_LONG]},
    ),
    Story(
        "an open conflict", since(3, result={"open_conflicts": [{"site": "lisbon"}, {"site": "lisbon"}]}),
        {4: [], 62: [], 63: [CONFLICT], 90: [CONFLICT]},
    ),
    Story(
        "a conflict that is settled within the hour and another",
        lambda minute: shown(minute, result={"open_conflicts": [{"site": "lisbon"}] if minute != 40 else []}),
        {59: [], 70: [], 99: [], 101: [CONFLICT]},
    ),
    Story(
        "codes that nobody knows", since(3, result=_UNMAPPED),
        {62: [], 63: [alert("UnmappedCodes", kind="drug"), alert("UnmappedCodes", kind="test")]},
    ),
    Story(
        "the process is gone for a while",
        lambda minute: None if 10 <= minute < 30 else with_cases(case(3))(minute),
        {9: [UNSCREENED], 20: [UNSCREENED], 30: [UNSCREENED]},
    ),
    # Feeds
    Story(
        "a silent feed", since(3, 40, feeds=(feed(silent=True),)),
        {17: [], 18: [SILENT], 39: [SILENT], 40: []},
    ),
    Story("a feed that speaks", since(3, feeds=(feed(silent=False),)), {30: []}),
    Story(
        "rejected messages", rejecting({0: 0, 30: 2}), {25: [], 30: [REJECTED], 1_400: [REJECTED], 1_500: []}, step=5,
    ),
    Story("messages that were rejected before", rejecting({0: 5}), {0: [], 60: []}, step=5),
    Story(
        "messages that are rejected again and again", rejecting({0: 5, 30: 6, 700: 9}),
        {60: [REJECTED], 1_600: [REJECTED], 2_200: []}, step=5,
    ),
    Story(
        "what was rejected is erased", rejecting({0: 5, 30: 6, 60: 4}),
        {35: [REJECTED], 65: []}, step=5,
    ),
    Story("a clock that is ten minutes ahead", since(3, sites=clocks(600)), {30: []}),
    Story("a clock that is more than ten minutes ahead", since(3, sites=clocks(601.5)), {7: [], 8: [AHEAD]}),
    Story("a clock that is weeks ahead", since(3, sites=clocks(2_000_000)), {8: [AHEAD]}),
    # The process
    Story("it takes nothing in", since(3, 30, trouble="full"), {7: [], 8: [NOT_READY], 29: [NOT_READY], 30: []}),
    Story("it takes nothing in for a moment", since(3, 7, trouble="full"), {6: [], 8: [], 20: []}),
    Story(
        "nothing new is computed", lambda minute: shown(min(minute, 10)),
        {15: [], 16: [], 17: [STALE], 30: [STALE]},
    ),
    Story(
        "the program fails on a patient", since(3, 10, result={"unassessable": 2}),
        {2: [], 3: [BUG], 12: [BUG], 23: [BUG], 26: []},
    ),
    Story("three restarts in half an hour", restarted(3, 6, 9), {12: []}),
    Story(
        "four restarts in half an hour", restarted(3, 6, 9, 12),
        {11: [], 12: [RESTARTING], 30: [RESTARTING], 40: []},
    ),
)  # fmt: skip
