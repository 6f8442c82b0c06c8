"""What goes on for alerts in one process while what it looks at, or whom it calls, does not behave."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace

import pytest

from monitor.alerting.channels import NotDeliveredError
from monitor.alerting.groups import Message, Timing
from monitor.alerting.watching import FILE, Settings, Watched, Watching
from tests.data.alert_cases import case, shown, site

PACE = 2_000.0
WITHIN = 20.0  # seconds, on a busy machine


@dataclass
class Ear:
    """A receiver in memory. `refuses`: hospitals of which it takes nothing; `is_away`: it takes nothing at all."""

    name: str = "webhook"
    heard: list[Message] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    is_away: bool = False

    async def send(self, message: Message, page: str) -> None:
        place = message.labels.get("site", "")
        self.asked.append(place)
        if self.is_away or place in self.refuses:
            raise NotDeliveredError("not now", is_unreachable=self.is_away)
        self.heard.append(message)


@dataclass
class World:
    """What a process looks at: everything, nothing (`hangs`), or something that fails."""

    cases: tuple = ()
    hangs: bool = False
    fails: Exception | None = None
    trouble: str | None = None
    looks: int = 0
    last: object = None

    async def look(self):
        self.looks += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails is not None:
            raise self.fails
        self.last = replace(shown(time.time() / 60), cases=self.cases, sites=(site("lisbon"), site("madrid")))
        return self.last

    def watching(self, folder, *ears, **settings):
        watched = Watched(self.look, lambda: self.last, lambda: self.trouble, lambda: "http://127.0.0.1:1/")
        return Watching(Settings(ears, timing=Timing(PACE), **settings), folder, watched)


async def until(holds, what):
    end = time.monotonic() + WITHIN
    while not holds():
        assert time.monotonic() < end, f"it did not come to this: {what}"
        await asyncio.sleep(0.005)


def lived(watching, story):
    """A process in which a story is told, which then ends."""

    async def life():
        going = asyncio.create_task(watching.go_on())
        try:
            await story()
        finally:
            going.cancel()
            with suppress(asyncio.CancelledError):
                await going

    asyncio.run(life())


def an_old(where="lisbon"):
    """A case that has been one for an hour."""
    return case(time.time() / 60 - 60, where=where)


def test_the_end_of_the_process_tells_nobody_anything(tmp_path):
    ear, world = Ear(), World(cases=(an_old(),))

    async def story():
        await until(lambda: ear.heard, "it is told")

    lived(world.watching(tmp_path, ear), story)
    assert [each.is_firing for each in ear.heard] == [True]


def test_what_is_known_is_not_told_again_after_a_restart(tmp_path):
    ear, world = Ear(), World(cases=(an_old(),))
    first = world.watching(tmp_path, ear)

    async def told():
        await until(lambda: ear.heard and not first.state.waiting["webhook"], "it is told")

    async def looked():
        looks = world.looks
        await until(lambda: world.looks > looks + 50, "it was looked often enough")

    lived(first, told)
    lived(world.watching(tmp_path, ear), looked)
    assert len(ear.heard) == 1


def test_a_hospital_whose_messages_are_refused_holds_up_no_other(tmp_path):
    ear = Ear(refuses={"lisbon"})
    world = World(cases=(an_old(), an_old("madrid")))

    async def story():
        await until(lambda: ear.heard and ear.asked.count("lisbon") > 3, "madrid is told, lisbon tried again")
        ear.refuses.clear()
        await until(lambda: len(ear.heard) > 1, "lisbon is told")

    lived(world.watching(tmp_path, ear), story)
    assert [each.labels["site"] for each in ear.heard] == ["madrid", "lisbon"]
    assert ear.asked.count("madrid") == 1


def test_where_nobody_answers_the_others_are_not_tried_each_time(tmp_path):
    ear = Ear(is_away=True)
    world = World(cases=(an_old(), an_old("madrid")))

    async def story():
        await until(lambda: len(ear.asked) > 3, "it is tried again")

    lived(world.watching(tmp_path, ear), story)
    assert set(ear.asked) == {"lisbon"}


def test_what_ended_while_nobody_took_it_is_still_told(tmp_path):
    """That there was a case, and that it is no longer observed."""
    ear, world = Ear(is_away=True), World(cases=(an_old(),))

    async def story():
        await until(lambda: ear.asked, "it is tried")
        world.cases = ()
        asked, looks = len(ear.asked), world.looks
        await until(lambda: world.looks > looks + 50 and len(ear.asked) > asked, "the end was seen")
        ear.is_away = False
        await until(lambda: ear.heard, "somebody hears of it")

    lived(world.watching(tmp_path, ear), story)
    assert ear.heard[-1].alerts[0].until is not None


def test_where_nothing_new_can_be_seen_what_was_seen_last_is_judged(tmp_path, caplog):
    """And that it is old."""
    ear, world = Ear(), World(cases=(an_old(),))
    watching = world.watching(tmp_path, ear)

    async def story():
        await until(lambda: ear.heard, "the case is told")
        world.last = replace(world.last, computed_at=shown(time.time() / 60 - 10).computed_at)
        world.hangs = True
        await until(lambda: any(each.receiver == "platform" for each in ear.heard), "that it is old is told")
        assert watching.ails() == "nothing new was seen for long"

    lived(watching, story)
    assert {each.alerts[0].name for each in ear.heard} == {"JakwatchStartedUnscreened", "JakwatchNumbersStale"}
    assert all(each.is_firing for each in ear.heard)
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_a_look_that_fails_is_no_reason_to_stop(tmp_path):
    ear, world = Ear(), World(fails=RuntimeError("of a patient"))

    async def story():
        await until(lambda: world.looks > 3, "it looks again")
        world.cases, world.fails = (an_old(),), None
        await until(lambda: ear.heard, "it sees again")

    lived(world.watching(tmp_path, ear), story)
    assert len(ear.heard) == 1


def test_a_bug_is_told_without_its_text_and_stops_nothing(tmp_path, caplog):
    ear, world = Ear(), World(cases=(replace(an_old(), since="of a patient"),))

    async def story():
        await until(lambda: world.looks > 3, "it looks again")
        world.cases = (an_old(),)
        await until(lambda: ear.heard, "it judges again")

    lived(world.watching(tmp_path, ear), story)
    assert "a bug keeps them from being judged: ValueError in monitor/" in caplog.text
    assert "of a patient" not in caplog.text


@pytest.mark.parametrize("trouble", [None, "the disk is full"])
def test_the_process_ails_where_it_says_so_itself(tmp_path, trouble):
    world = World(trouble=trouble)
    watching = world.watching(tmp_path, Ear())
    assert watching.ails() == "nothing new was seen for long"

    async def story():
        await until(lambda: watching.ails() == trouble, "it says how it is")

    lived(watching, story)


def test_the_process_ails_while_alerts_are_not_delivered(tmp_path):
    ear, world = Ear(is_away=True), World(cases=(an_old(),))
    watching = world.watching(tmp_path, ear)

    async def story():
        await until(lambda: watching.ails() == "alerts are not delivered", "it is noticed")
        ear.is_away = False
        await until(lambda: watching.ails() is None, "all is well")

    lived(watching, story)


def test_the_process_ails_where_it_cannot_keep_what_was_told(tmp_path):
    (tmp_path / FILE).mkdir()
    ear, world = Ear(), World(cases=(an_old(),))
    watching = world.watching(tmp_path, ear)

    async def story():
        await until(lambda: ear.heard, "it is told all the same")
        assert watching.ails() is not None

    lived(watching, story)
