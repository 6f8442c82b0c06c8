"""Hospitals that are alive: three years that end yesterday, the registry that goes with them, and what goes on now.

Pure like the rest of the demo: nothing here reads a clock, `today` and `now` are given. The paper's two patients have a
site of their own that was live from the beginning, so that they are answered; the hospitals went live two months ago.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from heapq import heappop, heappush
from operator import itemgetter
from random import Random
from typing import NamedTuple

from monitor.demo.build import Message
from monitor.demo.calendar import MINUTES_A_DAY, Calendar
from monitor.demo.cases import ZONE as CASES_ZONE
from monitor.demo.cases import paper_cases
from monitor.demo.desk import Site
from monitor.demo.hospitals import REGISTRY, SITES, Ways, arrivals, as_line, describe, registered
from monitor.demo.stories import Step, stories
from monitor.demo.telling import FEEDS, Treated, day_at, feed_status, moment_at

YEARS_OF_HISTORY = timedelta(1096)
LIVE_DAYS = timedelta(61)
WAYS = Ways(last_comers=0, silent=60, careless=0.2)
CASES_SITE = "paper"
CASES_BEGIN = date(2025, 2, 1)  # before the first message of the paper's cases
ALIVE_EVERY_DAYS = 7
FRESH_DAYS = 150  # somebody seen this recently is still treated

SECONDS_A_MESSAGE = 2.5
FIRST_STORY_AFTER = 1.0
VOUCHED_AFTER, VOUCHED_APART = 4.0, 0.8
LONGEST_GAP = 10.0  # seconds: while nobody asks, as on a machine that sleeps, the hospitals stand still


# What has been


def history(today: date, *, patients_per_site: int = 100, seed: int = 1, sites: Sequence[str] = SITES) -> list[Message]:
    """Three years of messages in the order in which they arrived, all of them before midnight UTC of `today`.

    With the paper's cases on their real dates, at the site `paper`, as far as these lie before `today`. Of three or
    more sites the last has been silent about adverse events for two months.
    """
    first, last = _span(today)
    midnight = today.toordinal() * MINUTES_A_DAY
    sent = [*arrivals(seed, sites, patients_per_site, first, last, WAYS), *_cases(first, last)]
    return [message for minute, _, message in sorted(sent, key=itemgetter(0, 1)) if minute < midnight]


def registry_text(today: date, sites: Sequence[str] = SITES) -> str:
    """The registry (YAML) of these sites and the paper's: the hospitals live for two months, before that historical."""
    first, last = _span(today)
    head = REGISTRY.format(start=min(first, CASES_BEGIN))
    live = today - LIVE_DAYS
    hospitals = "".join(registered(site, first, live) for site in describe(sites, first, last, WAYS))
    return head + hospitals + registered(_CASES, CASES_BEGIN, CASES_BEGIN)


_CASES = Site(CASES_SITE, CASES_ZONE, False, False, False, CASES_BEGIN.toordinal(), None)


def _span(today: date) -> tuple[date, date]:
    return today - YEARS_OF_HISTORY, today - timedelta(1)


def _minute(message: Message) -> int:
    """The instant of recording, in minutes as the calendar counts them in UTC."""
    at = datetime.fromisoformat(message["recorded_at"]).astimezone(UTC)
    return at.toordinal() * MINUTES_A_DAY + at.hour * 60 + at.minute


def _cases(first: date, last: date) -> Iterator[tuple[int, int, Message]]:
    """The paper's cases at their own site, which has said ever since that it lives."""
    for number, message in enumerate(paper_cases()):
        yield _minute(message), number, {**message, "site": CASES_SITE}
    calendar = Calendar(CASES_ZONE)
    since = max(first, date.fromisoformat(paper_cases()[-1]["recorded_at"][:10]))
    for day in range(since.toordinal() + ALIVE_EVERY_DAYS, last.toordinal() + 1, ALIVE_EVERY_DAYS):
        for number, feed in enumerate(FEEDS):
            said = {"type": "feed_status", "site": CASES_SITE, "event_id": f"{feed}-{day}", "feed": feed}
            said |= {"recorded_at": calendar.instant(day, 360), "complete_through": calendar.day(day - 1)}
            yield calendar.utc_minute(day, 360), number, said


def treated(messages: Iterable[Message]) -> tuple[Treated, ...]:
    """Those whom the hospitals of a history still treat at its end: stories about them go on with `Living`."""
    roll = _Roll()
    for message in messages:
        roll.read(message)
    return tuple(roll.still())


class _Roll:
    """Who began, ended and was seen. In doubt (two patients, a pause, a start taken back) nobody is treated."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str], list[Treated]] = {}
        self._starts: dict[tuple[str, str], tuple[str, str]] = {}  # event -> course
        self._ended: set[tuple[str, str]] = set()
        self._dead: set[tuple[str, str]] = set()
        self._seen: dict[tuple[str, str], int] = {}

    def read(self, message: Message) -> None:
        site, kind = message["site"], message["type"]
        if message.get("status") == "entered_in_error":
            self._ended |= {course for course in [self._starts.get((site, message["event_id"]))] if course}
        elif kind == "treatment_started":
            self._begin(message)
        elif kind == "treatment_stopped":
            self._ended.add((site, message["treatment_id"]))
        elif kind == "patient_contact":
            self._seen[site, message["patient_id"]] = _ordinal(message["seen_on"])
        elif "died_on" in message or message.get("outcome") == "fatal":
            self._dead.add((site, message["patient_id"]))

    def _begin(self, start: Message) -> None:
        course = start["site"], start["treatment_id"]
        self._starts[start["site"], start["event_id"]] = course
        self._begun.setdefault(course, []).append(
            Treated(start["site"], start["patient_id"], start["treatment_id"], _ordinal(start["started_on"]))
        )

    def still(self) -> Iterator[Treated]:
        fresh = max(self._seen.values(), default=0) - FRESH_DAYS
        for course, starts in self._begun.items():
            last = starts[-1]
            patient = last.site, last.patient_id
            if course in self._ended or patient in self._dead or len({each.patient_id for each in starts}) > 1:
                continue
            if max(self._seen.get(patient, 0), last.since) > fresh:
                yield last


def _ordinal(day: str) -> int:
    return date.fromisoformat(day).toordinal()


# What goes on


class _Due(NamedTuple):
    """A step whose time is set; `number` keeps those of one instant in order."""

    at: float
    number: int
    site: Site
    story: str
    began: date
    step: Step


class Living:
    """The hospitals from the first call of `due` on: about one message every 2.5 seconds over all sites, for ever.

    The same calls give the same bytes. Identifiers bear the instant of the first call, so that none comes again after a
    restart in another second. `pace` 2 makes everything happen in half the time. `followed` are patients of the history
    (see `treated`), to whom something may happen too.
    """

    def __init__(
        self, seed: int = 1, sites: Sequence[str] = SITES, pace: float = 1.0, followed: Sequence[Treated] = ()
    ) -> None:
        self._sites = describe(sites, ways=WAYS)
        self._stories = stories(seed, self._sites, followed)
        self._rng = Random(f"{seed} pace")  # noqa: S311 - when invented things happen, no secret
        self._pace = pace
        self._waiting: list[_Due] = []
        self._scheduled = 0
        self._told = 0
        self._next_story = FIRST_STORY_AFTER
        self._elapsed = 0.0
        self._asked: datetime | None = None
        self._started = ""
        self._vouched: dict[str, date] = {}

    def due(self, now: datetime) -> list[tuple[str, bytes]]:
        """What the sites have said since the last call: (site, raw message), in order; `now` is aware.

        Each message is recorded between the last call and `now`, in the offset of its site.
        """
        if now.tzinfo is None:
            raise ValueError("`now` needs a time zone, or nobody knows what day it is at a site")
        self._pass_time(now)
        self._vouch(now)
        while self._next_story <= self._elapsed:
            self._begin(now)
        return list(self._speak(now))

    def _pass_time(self, now: datetime) -> None:
        if self._asked is None:
            self._started = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S")
        else:
            gap = (now - self._asked).total_seconds()
            self._elapsed += min(max(gap, 0.0), LONGEST_GAP) * self._pace
        self._asked = now

    def _vouch(self, now: datetime) -> None:
        """On each new day of a site its feeds say that they live, but for the one that is silent."""
        at = self._elapsed + VOUCHED_AFTER
        for site in [*self._sites, _CASES]:
            today = day_at(site, now)
            if self._vouched.get(site.name) == today:
                continue
            self._vouched[site.name] = today
            for feed in FEEDS if site.silent_from is None else FEEDS[:2]:
                step = Step(0.0, partial(feed_status, feed))
                self._schedule(at, site, f"demo-{self._started}-feed", today, step)
                at += VOUCHED_APART

    def _begin(self, now: datetime) -> None:
        """The next story begins; the longer it is, the longer the one after it waits."""
        story = next(self._stories)
        self._told += 1
        site = next(site for site in self._sites if site.name == story.site)
        began = day_at(site, self._instant(self._next_story, now))
        for step in story.steps:
            self._schedule(self._next_story + step.after, site, f"demo-{self._started}-{self._told}", began, step)
        self._next_story += len(story.steps) * SECONDS_A_MESSAGE * self._rng.uniform(0.6, 1.4)

    def _schedule(self, at: float, site: Site, story: str, began: date, step: Step) -> None:
        self._scheduled += 1
        heappush(self._waiting, _Due(at, self._scheduled, site, story, began, step))

    def _instant(self, at: float, now: datetime) -> datetime:
        """When on the clock the demo's time was `at`, between the last call and this."""
        return now - timedelta(seconds=(self._elapsed - at) / self._pace)

    def _speak(self, now: datetime) -> Iterator[tuple[str, bytes]]:
        while self._waiting and self._waiting[0].at <= self._elapsed:
            due = heappop(self._waiting)
            moment = moment_at(due.site, due.story, due.began, self._instant(due.at, now))
            said = due.step.says(moment)
            yield due.site.name, said if isinstance(said, bytes) else as_line(said)
