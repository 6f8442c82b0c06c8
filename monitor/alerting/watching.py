"""The process that watches itself: looks every few seconds, keeps what is to be told, sends it until it is taken.

That the process ends, however it does, is told to nobody from here: an alert goes on in the file until a later process
has looked. Whoever wants to hear of the end listens to the heartbeat, which stays away then.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from monitor import faults
from monitor.alerting.alerts import Links, standing_at
from monitor.alerting.channels import Channel, NotDeliveredError, asked
from monitor.alerting.groups import Plan, Timing, planned
from monitor.alerting.past import Past
from monitor.alerting.rules import STALE_SECONDS, Moment
from monitor.alerting.state import State, StateFile
from monitor.metrics.readings import moment
from monitor.overview import Overview

FILE = "alerts.json"
EVERY_SECONDS, HEARTBEAT_SECONDS = 15.0, 60.0
LOOK_SECONDS = 60.0  # then what was seen last is judged, and that it is old
FIRST_SECONDS, LONGEST_SECONDS = 1.0, 300.0  # between two attempts to deliver
UNDELIVERED_SECONDS = 600.0  # after which the heartbeat stays away
log = logging.getLogger("jakwatch")


@dataclass(frozen=True, slots=True)
class Settings:
    """Who is told, and how often."""

    channels: tuple[Channel, ...]
    heartbeat: str | None = field(default=None, repr=False)  # an URL, which may hold a secret
    page: str | None = None  # where people see the pages; None: where they are served
    runbooks: str | None = None
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Watched:
    """What is looked at. `look` may wait for long; `last` is what was seen last, however old."""

    look: Callable[[], Awaitable[Overview]]
    last: Callable[[], Overview | None]
    trouble: Callable[[], str | None]
    url: Callable[[], str]  # under which the pages are served


class Watching:
    """All that goes on for alerts in one process, over the folder where its state is kept."""

    def __init__(
        self, settings: Settings, folder: Path, watched: Watched, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings = settings
        self.watched = watched
        self.clock = clock
        self.file = StateFile(folder / FILE)
        self.state = State()
        self._seen_at: float | None = None  # when what was judged last was so
        self._is_blind = False
        self._first = asyncio.Event()
        self._failing: dict[str, float] = {}  # channel -> since when
        self._queued = {each.name: asyncio.Event() for each in settings.channels}
        self._heartbeat_fails = False

    async def go_on(self) -> None:
        """Until cancelled."""
        self.state = self.file.read().for_channels(self._queued)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch())
            for channel in self.settings.channels:
                tasks.create_task(self._deliver(channel))
            if self.settings.heartbeat is not None:
                tasks.create_task(self._beat(self.settings.heartbeat))

    @property
    def links(self) -> Links:
        page = (self.settings.page or self.watched.url()).rstrip("/")
        return Links(page, self.settings.runbooks and self.settings.runbooks.rstrip("/"))

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(self.settings.timing.short(seconds))

    # Looking

    async def _watch(self) -> None:
        """Whatever fails, it goes on: but then the heartbeat stays away."""
        while True:
            try:
                if (overview := await self._seen()) is not None:
                    await self._heed(overview)
            except Exception as error:  # noqa: BLE001  a bug here must neither end the process nor pass unseen
                log.error("alerts: a bug keeps them from being judged: %s", faults.summary(error))
            await self._pause(EVERY_SECONDS)

    async def _seen(self) -> Overview | None:
        """What is so; where it takes too long to know, what was seen last."""
        try:
            async with asyncio.timeout(self.settings.timing.short(LOOK_SECONDS)):
                found = await self.watched.look()
        except Exception as error:  # noqa: BLE001  whatever it is, whoever is to be called is called
            self._tell_of_sight(error)
            return self.watched.last()
        self._tell_of_sight(None)
        return found

    def _tell_of_sight(self, error: Exception | None) -> None:
        if error is not None and not self._is_blind:
            log.error("alerts: nothing new can be seen (%s); what was seen last is judged", type(error).__name__)
        self._is_blind = error is not None

    async def _heed(self, overview: Overview) -> None:
        """Keep what is to be told of it, then have it sent."""
        plan, past = await asyncio.to_thread(self._judged, overview, self.state)
        self.state = self.state.after(plan, past)
        await self.file.write(self.state)
        for event in (*self._queued.values(), self._first):
            event.set()
        self._seen_at = moment(overview.computed_at)

    def _judged(self, overview: Overview, state: State) -> tuple[Plan, Past]:
        """In a thread: many cases take a while."""
        now, links, timing = self.clock(), self.links, self.settings.timing
        past = state.past.and_now(overview, now)
        moment = Moment(overview, past, now, urlsplit(links.page).netloc.rpartition("@")[2])
        standing = standing_at(moment, state.standing, links, timing.pace)
        return planned(standing, state.groups, now, timing), past

    # Delivering

    async def _deliver(self, channel: Channel) -> None:
        pause = FIRST_SECONDS
        while True:
            while not self.state.waiting[channel.name]:
                self._queued[channel.name].clear()
                await self._queued[channel.name].wait()
            if await self._try(channel):
                pause = FIRST_SECONDS
            else:
                await self._pause(pause)
                pause = min(2 * pause, LONGEST_SECONDS)

    async def _try(self, channel: Channel) -> bool:
        """Send what is next of each group; whether all of it was taken."""
        problem: NotDeliveredError | None = None
        for message in self.state.next_in(channel.name):
            try:
                await channel.send(message, self.links.page)
            except NotDeliveredError as error:
                problem = error
                if error.is_unreachable:
                    break
            else:
                self.state = self.state.delivered(channel.name, message)
                await self.file.write(self.state)
        self._tell_of(channel, problem)
        return problem is None

    def _tell_of(self, channel: Channel, problem: NotDeliveredError | None) -> None:
        waiting = len(self.state.waiting[channel.name])
        if problem is None:
            if self._failing.pop(channel.name, None) is not None:
                log.info("alerts by %s are delivered again", channel.name)
        elif channel.name not in self._failing:
            self._failing[channel.name] = self.clock()
            log.error("alerts by %s: %s; sent again until it is taken (waiting: %d)", channel.name, problem, waiting)

    # The heartbeat

    def ails(self) -> str | None:
        """Why somebody might not be called who should be; None: all is well."""
        now, short = self.clock(), self.settings.timing.short
        if self._seen_at is None or now - self._seen_at > short(STALE_SECONDS):
            return "nothing new was seen for long"
        if any(now - since > short(UNDELIVERED_SECONDS) for since in self._failing.values()):
            return "alerts are not delivered"
        return self.watched.trouble() or self.file.trouble

    async def _beat(self, url: str) -> None:
        await self._first.wait()
        while True:
            if self.ails() is None:
                try:
                    await asked("GET", url)
                    self._tell_of_beat(None)
                except NotDeliveredError as error:
                    self._tell_of_beat(error)
            await self._pause(HEARTBEAT_SECONDS)

    def _tell_of_beat(self, problem: NotDeliveredError | None) -> None:
        if problem is not None and not self._heartbeat_fails:
            log.error("the heartbeat of alerts is not taken: %s", problem)
        self._heartbeat_fails = problem is not None
