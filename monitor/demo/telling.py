"""What the demo hospitals say while one watches: each message is written when its moment comes, of today and yesterday.

Everything here says something of a `Moment`; who is meant, and what happens to them, is told in `monitor.demo.stories`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from monitor.demo.build import Message, concept, instant
from monitor.demo.desk import Site

FEEDS = ("treatment", "screening", "adverse_event")


class Treated(NamedTuple):
    """Somebody whom a hospital already treats, from the day `since` (`date.toordinal()`)."""

    site: str
    patient_id: str
    treatment_id: str
    since: int


class Moment(NamedTuple):
    """When, where and in which story a step is told.

    Days count from the one on which the story began, so that one which crosses midnight does not contradict itself.
    """

    site: Site
    story: str  # every identifier of the story begins with it
    began: date
    now: datetime  # with the offset of the site's zone

    @property
    def patient_id(self) -> str:
        return f"{self.story}-p"

    @property
    def treatment_id(self) -> str:
        return f"{self.story}-c"

    @property
    def order_id(self) -> str:
        """The course the order names; hospitals with numbers of their own for orders give it another one."""
        return f"{self.treatment_id}-o" if self.site.own_order_ids else self.treatment_id

    def day(self, ago: int = 0) -> str:
        return (self.began - timedelta(ago)).isoformat()

    def time(self, ago: int, clock: str) -> str:
        """The wall-clock time HH:MM so many days ago."""
        return instant(self.day(ago), clock, self.site.zone)

    def tell(self, kind: str, event: str, version: int = 1, /, **body: Any) -> Message:
        """One message of the story; a hospital that states no versions is understood by what it recorded later."""
        numbered = {"version": version} if self.site.states_versions else {}
        recorded_at = self.now.isoformat(timespec="microseconds")
        envelope = {"type": kind, "site": self.site.name, "event_id": f"{self.story}-{event}", **numbered}
        return {**envelope, "recorded_at": recorded_at, "patient_id": self.patient_id, **body}


Saying = Callable[[Moment], Message | bytes]


def profile(born: int, conditions: Sequence[str], moment: Moment) -> Message:
    said = [{"concept": concept(code)} for code in conditions]
    return moment.tell("patient_profile", "profile", birth_year=born, sex="female", conditions=said)


def order(course: Message, moment: Moment) -> Message:
    said = {"treatment_id": moment.order_id, **course, "planned_start_on": moment.day()}
    return moment.tell("treatment_ordered", "order", **said)


def cancel(moment: Moment) -> Message:
    return moment.tell("treatment_cancelled", "cancel", treatment_id=moment.order_id, cancelled_on=moment.day())


def start(course: Message, ago: int, ordered: bool, moment: Moment) -> Message:
    extra = {"order_id": moment.order_id} if ordered and moment.site.own_order_ids else {}
    said = {"treatment_id": moment.treatment_id, **course, **extra}
    return moment.tell("treatment_started", "start", **said, started_on=moment.day(ago))


def stop(moment: Moment) -> Message:
    said = {"treatment_id": moment.treatment_id, "last_dose_on": moment.day(), "reason": "adverse_event"}
    return moment.tell("treatment_stopped", "stop", **said)


def contact(moment: Moment) -> Message:
    return moment.tell("patient_contact", "contact", seen_on=moment.day(), days_supplied=28)


def _result(
    test: str, outcome: str | Message, resulted: int, collected: int, version: int, more: Message, moment: Moment
) -> Message:
    """A result of `resulted` days ago, taken `collected` days ago; `more` is said beside or instead."""
    said: Message = {"source": "lab", "test": concept(test), "collected_on": moment.day(collected)}
    said |= {"resulted_at": moment.time(resulted, "16:40")}
    said |= {"outcome": outcome} if isinstance(outcome, str) else {"quantity": outcome}
    return moment.tell("screening_result", test.partition(":")[2], version, **said) | _named(moment, more)


def _named(moment: Moment, more: Message) -> Message:
    """`more`, with the story's name where an identifier is written as `*-something`."""
    starred = ((key, value) for key, value in more.items() if isinstance(value, str))
    return more | {key: value.replace("*", moment.story) for key, value in starred}


def withdraw_result(test: str, version: int, moment: Moment) -> Message:
    said = {"source": "lab", "status": "entered_in_error"}
    return moment.tell("screening_result", test.partition(":")[2], version, **said)


def prevention(moment: Moment) -> Message:
    return moment.tell("prevention", "prevention", infection="tuberculosis", started_on=moment.day(35))


def merge(moment: Moment) -> Message:
    return moment.tell("patient_merged", "merge", merged_patient_id=f"{moment.story}-t")


def event(body: Message, ago: int, action: str, version: int, more: Message, moment: Moment) -> Message:
    said = {"treatment_id": moment.treatment_id, **more}
    suspect = said.pop("treatment_id")
    told = body | {"onset_on": moment.day(ago), "action_taken": action, "suspect_treatment_ids": [suspect]}
    return moment.tell("adverse_event", "event", version, **told | said)


def event_of(who: Treated, body: Message, ago: int, version: int, more: Message, moment: Moment) -> Message:
    """An event of somebody treated for long, not before the day after the first dose."""
    since = (moment.began - date.fromordinal(who.since)).days
    of_them = {"patient_id": who.patient_id, "treatment_id": who.treatment_id}
    return event(body, max(0, min(ago, since - 1)), "none", version, of_them | more, moment)


def withdraw_event(who: Treated, version: int, moment: Moment) -> Message:
    return moment.tell("adverse_event", "event", version, status="entered_in_error", patient_id=who.patient_id)


def contact_of(who: Treated, moment: Moment) -> Message:
    return contact(moment) | {"patient_id": who.patient_id}


def garbage(line: bytes, _: Moment) -> bytes:
    return line


def feed_status(feed: str, moment: Moment) -> Message:
    """The feed has sent everything up to yesterday."""
    said = moment.tell("feed_status", f"{feed}-{moment.day()}", feed=feed, complete_through=moment.day(1))
    del said["patient_id"]
    return said


def result(
    test: str, outcome: str | Message = "negative", *, ago: int = 1, old: int = 2, version: int = 1, **more: Any
) -> Saying:
    """Says a result that was out `ago` days ago, of a specimen taken `old` days before that."""
    return partial(_result, test, outcome, ago, ago + old, version, more)


def day_at(site: Site, instant: datetime) -> date:
    """The local day of an instant (aware)."""
    return instant.astimezone(ZoneInfo(site.zone)).date()


def moment_at(site: Site, story: str, began: date, now: datetime) -> Moment:
    """The moment `now` (aware) of a story that began on a local day."""
    return Moment(site, story, began, now.astimezone(ZoneInfo(site.zone)))
