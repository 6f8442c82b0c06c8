"""Who is told what and when, where one process calls people itself: groups, repeats, what waits, and the words."""

from __future__ import annotations

import asyncio
import json
import random
import re
from dataclasses import replace

import msgspec
import pytest

from monitor.alerting.alerts import Alert, Links, Standing, fingerprint, standing_at
from monitor.alerting.groups import ROUTES, Group, Plan, Timing, planned, route_of
from monitor.alerting.past import WINDOWS, Past
from monitor.alerting.rules import RULES, Moment
from monitor.alerting.state import State, StateFile
from monitor.alerting.texts import payload, subject, text
from monitor.alerting.words import Number
from monitor.metrics import catalogue as c
from tests.data.alert_cases import case, feed, rejecting, shown
from tests.unit.alert_files import ALERTMANAGER, BY_NAME, read
from tests.unit.test_alerts_routing import receivers, seconds

LIFE = Timing()
PAGE = "https://jakwatch.example"
BY_RULE = {rule.name: rule for rule in RULES}


def alert(name="JakwatchStartedUnscreened", since=0.0, until=None, **labels):
    rule = BY_RULE[name]
    full = {"alertname": name, "severity": rule.severity, "team": rule.team, **({"site": "lisbon"} | labels)}
    said = {"summary": rule.summary, "description": "At lisbon: 1.", "resolved": rule.resolved, "list_url": PAGE}
    return Alert(full, said, since, until)


def standing(*alerts):
    return Standing(alerts={each.fingerprint: each for each in alerts})


class Line:
    """Time, and what is told as it passes."""

    def __init__(self, timing=LIFE):
        self.plan = Plan(Standing(), {}, ())
        self.timing = timing
        self.reached = 0
        self.told = []  # (second, message)

    def until(self, end, *alerts):
        """These are so in the seconds up to `end`; what was so before has ended, where it is not among them."""
        step = 1 if end - self.reached < HOUR else 10
        for now in range(self.reached, end, step):
            known = {key: each if each.until is not None else replace(each, until=float(now))
                     for key, each in self.plan.standing.alerts.items()}  # fmt: skip
            so = replace(self.plan.standing, alerts=known | standing(*alerts).alerts)
            self.plan = planned(so, self.plan.groups, now, self.timing)
            self.told += [(now, each) for each in self.plan.messages]
        self.reached = end
        return self


def names(message):
    return [(each.name, each.until is None) for each in message.alerts]


UNSCREENED, ON_HOLD = alert(), alert("JakwatchStartedOnHold")
HOUR, DAY = 3_600, 86_400


# Groups


def test_alerts_of_one_hospital_are_one_message_after_a_short_wait():
    told = Line().until(60, UNSCREENED, ON_HOLD).told
    assert [(at, names(message)) for at, message in told] == [
        (10, [("JakwatchStartedOnHold", True), ("JakwatchStartedUnscreened", True)])
    ]
    assert told[0][1].group == '{}/{severity="critical",team="safety"}:{site="lisbon"}'


def test_two_hospitals_are_two_messages():
    told = Line().until(60, UNSCREENED, alert(site="madrid")).told
    assert {message.labels["site"] for _, message in told} == {"lisbon", "madrid"}


def test_what_is_new_in_a_group_is_told_when_the_group_is_looked_at_again():
    told = Line().until(30, UNSCREENED).until(600, UNSCREENED, ON_HOLD).told
    assert [(at, len(message.alerts)) for at, message in told] == [(10, 1), (310, 2)]


def test_what_goes_on_is_told_again_after_a_day():
    assert [at for at, _ in Line().until(2 * DAY, UNSCREENED).told] == [10, 10 + DAY]


def test_what_goes_on_is_told_again_after_as_long_as_somebody_wants():
    told = Line(Timing(repeat=HOUR)).until(2 * HOUR + 60, UNSCREENED).told
    assert [at for at, _ in told] == [10, 10 + HOUR, 10 + 2 * HOUR]


def test_the_end_is_told_once_and_then_forgotten():
    line = Line().until(30, UNSCREENED).until(DAY)
    assert [(at, names(message)) for at, message in line.told[1:]] == [(310, [("JakwatchStartedUnscreened", False)])]
    assert line.plan.standing == Standing()
    assert line.plan.groups == {}


def test_what_ends_before_it_is_told_is_not_told():
    assert Line().until(5, UNSCREENED).until(HOUR).told == []


def test_what_ends_beside_what_goes_on_is_told_with_it():
    told = Line().until(30, UNSCREENED, ON_HOLD).until(DAY, ON_HOLD).told
    assert [names(message) for _, message in told[1:]] == [
        [("JakwatchStartedOnHold", True), ("JakwatchStartedUnscreened", False)]
    ]


def test_a_case_that_comes_as_another_is_closed_is_told():
    """Of the same kind at the same hospital, and before the end of the other was told."""
    told = Line().until(30, UNSCREENED).until(60).until(HOUR, alert(since=60.0)).told
    assert [(at, names(message)) for at, message in told] == [
        (10, [("JakwatchStartedUnscreened", True)]), (310, [("JakwatchStartedUnscreened", True)])
    ]  # fmt: skip


def test_of_a_further_case_the_end_is_no_news():
    further = alert("JakwatchFurtherCase")
    line = Line().until(900, further).until(2 * HOUR)
    assert [message.receiver for _, message in line.told] == ["safety-page-further"]
    assert line.plan.standing == Standing()


def test_every_further_case_is_told():
    first, second = alert("JakwatchFurtherCase", 0.0), alert("JakwatchFurtherCase", 1_800.0)
    assert len(Line().until(900, first).until(1_800).until(2_700, second).told) == 2


def calls(cases, minutes, look=15):
    """The minutes in which somebody is called about lisbon, where cases come at these: by conditions and routes.

    `look`: seconds between two looks.
    """
    before, past, groups, told = Standing(), Past(), {}, []
    for now in range(0, 60 * minutes, look):
        overview = shown(now / 60, cases=tuple(case(each) for each in cases if 60 * each <= now))
        past = past.and_now(overview, now)
        plan = planned(standing_at(Moment(overview, past, now), before, Links(PAGE)), groups, now, LIFE)
        before, groups = plan.standing, plan.groups
        told += [now / 60 for _ in plan.messages]
    return told


def test_cases_that_come_soon_after_each_other_are_each_told():
    assert [*map(int, calls([10, 24], 200))] == [10, 24]
    assert [*map(int, calls([10, 30, 44, 58, 72], 200))] == [10, 30, 44, 58, 72]


def test_a_case_that_comes_while_the_last_one_is_still_news_is_told_a_quarter_of_an_hour_after_it():
    assert [*map(int, calls([10, 30, 37], 200))] == [10, 30, 45]
    assert [*map(int, calls([10, *range(30, 61, 3)], 200))] == [10, 30, 45, 60]


def test_what_comes_within_five_minutes_is_one_batch_and_one_call():
    assert [*map(int, calls([10 + number / 40 for number in range(40)], 200))] == [10]
    assert [*map(int, calls([10, *(30 + number / 40 for number in range(40))], 200))] == [10, 30]


@pytest.mark.parametrize("seed", range(12))
def test_every_case_that_is_no_part_of_a_batch_is_told_within_seventeen_minutes(seed):
    chance = random.Random(seed)  # noqa: S311  no secret
    cases = sorted({1.0, *(round(chance.uniform(1, 200), 1) for _ in range(chance.choice([3, 12, 40])))})
    told = calls(cases, 230)
    for each in cases:
        of_a_batch = each < cases[0] + 5.3 or any(0 <= each - at < 6 for at in told)
        assert of_a_batch or any(0 <= at - each <= 17 for at in told), (each, cases, told)
    assert len(told) <= 1 + 200 / 10


def test_a_clock_that_is_set_back_keeps_no_page_waiting():
    line = Line().until(30, UNSCREENED)
    [later] = planned(standing(UNSCREENED, ON_HOLD), line.plan.groups, -DAY, LIFE).messages
    assert ("JakwatchStartedOnHold", True) in names(later)


def test_at_another_pace_all_waits_are_shorter_but_for_the_repeat():
    told = Line(Timing(pace=10)).until(60, UNSCREENED).until(2 * HOUR, UNSCREENED).told
    assert [at for at, _ in told] == [1]


# The same as Alertmanager's settings


def test_routes_are_those_of_alertmanager():
    settings = read(ALERTMANAGER)
    root, ends = settings["route"], {each["name"]: _tells_end(each) for each in settings["receivers"]}
    theirs = [
        each | {"of": dict(re.fullmatch(r'(\w+)=~?"(.*)"', m).groups() for m in each["matchers"])}
        for each in root["routes"]
    ]
    theirs = [
        root | each
        for each in [*theirs, root | {"of": {}}]
        if each["receiver"] != "deadman" and ({*each["of"].get("alertname", "").split("|")} & {"", *BY_RULE})
    ]  # the heartbeat stands for the one, and what only a stream can have needs no route here
    assert [(each.receiver, dict(each.of), list(each.by), each.tells_end) for each in ROUTES] == [
        (each["receiver"], each["of"], each["group_by"], ends[each["receiver"]]) for each in theirs
    ]
    assert [(each.wait, each.interval, each.repeat) for each in ROUTES] == [
        tuple(seconds(each[name]) for name in ("group_wait", "group_interval", "repeat_interval")) for each in theirs
    ]


def _tells_end(receiver):
    return (receiver.get("webhook_configs") or receiver["email_configs"])[0]["send_resolved"]


@pytest.mark.parametrize("name", BY_RULE)
def test_an_alert_goes_where_alertmanager_would_send_it(name):
    assert [route_of({"alertname": name, **BY_NAME[name]["labels"]}).receiver] == receivers(name)


def test_no_alert_of_one_process_would_silence_another():
    """So there is nothing here like Alertmanager's inhibition."""
    for rule in read(ALERTMANAGER)["inhibit_rules"]:
        sources, targets = ({name for name in BY_RULE if name in str(rule[side])}
                            for side in ("source_matchers", "target_matchers"))  # fmt: skip
        assert not (sources and targets)


def test_a_fingerprint_is_that_of_prometheus():
    """As a real Alertmanager 0.25 computed it."""
    labels = alert(kind="violation").labels
    assert fingerprint(labels) == fingerprint(dict(reversed(labels.items()))) == "d2ba10969f5d21f2"
    assert fingerprint({"alertname": "a"}) != fingerprint({"alertnam": "ea"})


# Conditions over time


def held(minutes_silent, interrupted_at=None):
    """What stands where a feed was silent from the first minute on, but for one."""
    before, past = Standing(), Past()
    for minute in range(minutes_silent + 1):
        overview = shown(minute, feeds=(feed(silent=minute != interrupted_at),))
        past = past.and_now(overview, 60 * minute)
        before = standing_at(Moment(overview, past, 60 * minute), before, Links(PAGE))
    return before


def test_a_condition_must_hold_without_interruption():
    assert [each.name for each in held(15).firing] == ["JakwatchFeedSilent"]
    assert held(14).firing == []
    assert held(20, interrupted_at=10).firing == []


def test_an_alert_dates_from_when_it_began_to_fire():
    assert [each.since for each in held(40).firing] == [15 * 60.0]


def test_what_was_said_lately_does_not_grow_without_end():
    story, past = rejecting({minute: minute for minute in range(3_000)}), Past()
    for minute in range(3_000):
        past = past.and_now(story(minute), 60.0 * minute)
    longest = max(len(each.said) for each in past.series)
    assert longest <= 102
    [values] = [values for (site, reason), values in past.over(c.REJECTED, story(2_999), 60.0 * 2_999)
                if (site, reason) == ("lisbon", "not_json")]  # fmt: skip
    assert 1_440 <= values[-1] - values[0] <= 1_440 + WINDOWS[c.REJECTED] / 60 / 100


@pytest.mark.parametrize(
    ("value", "how", "said"),
    [
        (3.0, "", "3"), (123_456.0, "", "123456"), (300.9, "duration", "5m 0s"), (3_600, "duration", "1h 0m 0s"),
        (694_861, "duration", "8d 1h 1m 1s"), (59, "duration", "59s"), (0.0, "moment", "1970-01-01 00:00:00 +0000 UTC"),
        (1_767_323_045.06, "moment", "2026-01-02 03:04:05.06 +0000 UTC"),
    ],
)  # fmt: skip
def test_numbers_are_spelled_as_prometheus_spells_them(value, how, said):
    assert f"{Number(value):{how}}" == said


# What waits


def message(*alerts, at=0.0, before=None):
    groups = before or {key: Group(0.0) for key in planned(standing(*alerts), {}, at - 1e6, LIFE).groups}
    [found] = planned(standing(*alerts), groups, at, LIFE).messages
    return found


def state_with(*messages):
    found = State().for_channels(["webhook"])
    for each in messages:
        found = found.after(Plan(Standing(), {}, (each,)), Past())
    return found


def test_a_message_waits_in_every_channel_until_that_one_has_it():
    told = message(UNSCREENED)
    waiting = State().for_channels(["mail", "webhook"]).after(Plan(Standing(), {}, (told,)), Past())
    assert waiting.delivered("mail", told).waiting == {"mail": (), "webhook": (told,)}


def test_a_message_that_waits_gives_way_to_one_that_says_all_of_it_and_to_no_other():
    one, both, other = message(UNSCREENED), message(UNSCREENED, ON_HOLD, at=300.0), message(ON_HOLD, at=600.0)
    assert state_with(one, both).waiting["webhook"] == (both,)
    assert state_with(both, other).waiting["webhook"] == (both, other)
    elsewhere = message(alert(site="madrid"))
    assert state_with(one, elsewhere).waiting["webhook"] == (one, elsewhere)


def test_of_each_group_the_first_that_waits_is_sent_next():
    both, other, elsewhere = message(UNSCREENED, ON_HOLD), message(ON_HOLD, at=600.0), message(alert(site="madrid"))
    assert state_with(both, other, elsewhere).next_in("webhook") == [both, elsewhere]


def test_a_new_channel_is_told_of_everything_and_a_known_one_of_nothing_twice():
    known = replace(State().for_channels(["webhook"]), groups={"a group": Group(1.0, {"f": 0.0}, 1.0)})
    assert known.for_channels(["webhook"]).groups == known.groups
    assert known.for_channels(["mail", "webhook"]).groups == {}


def test_the_state_comes_back_from_its_file_as_it_was(tmp_path):
    line = Line().until(30, UNSCREENED, alert("JakwatchFurtherCase"))
    past = Past().and_now(shown(3), 180.0)
    state = State().for_channels(["webhook"]).after(replace(line.plan, messages=(line.told[0][1],)), past)
    file = StateFile(tmp_path / "alerts.json")
    asyncio.run(file.write(state))
    assert StateFile(file.path).read() == state
    assert [path.name for path in tmp_path.iterdir()] == ["alerts.json"]


@pytest.mark.parametrize("content", [b"", b"{", b'{"version": 99}', b'{"standing": 1}', b"\xff\xfe"])
def test_a_file_that_cannot_be_read_begins_anew(tmp_path, content):
    (tmp_path / "alerts.json").write_bytes(content)
    assert StateFile(tmp_path / "alerts.json").read() == State()


def test_a_disk_that_takes_nothing_is_no_reason_to_be_silent(tmp_path, caplog):
    file = StateFile(tmp_path / "missing" / "alerts.json")
    asyncio.run(file.write(State()))
    assert file.trouble is not None
    (tmp_path / "missing").mkdir()
    asyncio.run(file.write(State()))
    assert file.trouble is None
    assert msgspec.json.decode(file.path.read_bytes(), type=State) == State()
    assert [record.levelname for record in caplog.records] == ["ERROR"]


# Words


def test_a_mail_says_what_is_so_what_to_do_and_where_it_is():
    told = replace(UNSCREENED, annotations=UNSCREENED.annotations | {"runbook_url": "https://books.example/x.md"})
    letter = text(message(told, at=60.0))
    assert subject(message(told)) == "jakwatch, lisbon: Treatment was started without complete screening"
    assert letter.splitlines()[:5] == [
        "JakwatchStartedUnscreened (critical), since 1970-01-01 00:00 UTC",
        "Treatment was started without complete screening.",
        "At lisbon: 1.",
        "What to do: https://books.example/x.md",
        f"Where it is: {PAGE}",
    ]


def test_several_things_are_counted_in_the_subject():
    assert subject(message(UNSCREENED, ON_HOLD)) == "jakwatch, lisbon: 2 things need somebody"


def test_the_end_is_told_as_no_longer_observed_never_as_closed():
    ended = replace(UNSCREENED, until=60.0)
    told = replace(message(UNSCREENED), alerts=(ended,))
    assert subject(told) == "jakwatch, lisbon: no longer observed: JakwatchStartedUnscreened"
    said = f"{subject(told)} {text(told)} {json.dumps(payload(told, PAGE))}".lower()
    assert "no longer observed. look at the list of cases" in said
    assert "closed" not in said


def test_the_webhook_speaks_of_all_alerts_and_of_what_they_have_in_common():
    said = payload(replace(message(UNSCREENED), alerts=(UNSCREENED, replace(ON_HOLD, until=60.5))), PAGE)
    assert (said["version"], said["status"], said["receiver"]) == ("4", "firing", "safety-page")
    assert said["commonLabels"] == {"severity": "critical", "team": "safety", "site": "lisbon"}
    assert said["commonAnnotations"].keys() == {"description", "resolved", "list_url"}
    assert [(each["status"], each["endsAt"]) for each in said["alerts"]] == [
        ("firing", "0001-01-01T00:00:00Z"), ("resolved", "1970-01-01T00:01:00.500Z")
    ]  # fmt: skip
