"""A single machine calls people itself: from a message that a hospital sends to the call, over outages of both ends.

One story, told by one process that is killed and started again: each test is a promise about a part of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from monitor.alerting.state import StateFile
from monitor.alerting.watching import FILE
from tests.integration import alert_story
from tests.integration.called import Mailbox, Receiver
from tests.integration.desk import POLICY
from tests.integration.live import Live, until
from tests.integration.ward import start

PACE = "300"  # everything but the repeat is so many times faster than in life
SECRET = "Zs3-s3cr3t"  # noqa: S105  part of the addresses that are called
TO, FROM = "safety@example.org", "jakwatch@example.org"
SITES = alert_story.SITES + "  evora: {zone: Europe/Lisbon, go_live: 2020-01-01, feeds: {}}\n"


@dataclass
class Story:
    """What happened, as far as the tests ask for it."""

    live: Live
    receiver: Receiver
    mailbox: Mailbox
    heard: dict[str, int] = field(default_factory=dict)  # how much was heard when something was over
    seconds_to_page: float = 0.0
    closed_at: float = 0.0
    not_ready: tuple[int, int] = (0, 0)  # heartbeats heard when it began to be in trouble, and when that was told

    def over(self, what: str) -> None:
        self.receiver.some_time()
        self.heard[what] = len(self.receiver.heard)

    def waiting(self, *channels: str) -> int:
        """How many messages are still to be sent, as it has noted: killed before that note it may send one twice."""
        state = StateFile(self.live.data / FILE).read()
        return sum(len(state.waiting[channel]) for channel in channels)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("called")
    (folder / "sites.yaml").write_text(SITES)
    with closing(Receiver()) as receiver, closing(Mailbox()) as mailbox:
        options = [
            "--sites", folder / "sites.yaml", "--policy", POLICY, "--alerts-pace", PACE,
            "--alerts-webhook", f"http://{receiver.address}/page?token={SECRET}",
            "--alerts-heartbeat", f"http://{receiver.address}/beat/{SECRET}",
            "--alerts-mail", TO, "--alerts-from", FROM, "--smtp", f"127.0.0.1:{mailbox.port}",
            "--alerts-runbooks", "https://books.example/runbooks/",
        ]  # fmt: skip
        with Live(folder, *options) as live:
            told = Story(live, receiver, mailbox)
            for happens in (nobody_is_called, a_case, forty_cases, the_process_is_killed, it_ends_well_and_is_back,
                            a_case_while_nobody_listens, it_takes_nothing_in, all_is_dealt_with):  # fmt: skip
                happens(told)
                told.over(happens.__name__)
            yield told


# What happens


def nobody_is_called(told: Story) -> None:
    alert_story.nothing_to_call_for(told.live)


def a_case(told: Story) -> None:
    begun = time.monotonic()
    alert_story.one_case_at_lisbon(told.live)
    told.seconds_to_page = told.receiver.waits_for("lisbon").at - begun


def forty_cases(told: Story) -> None:
    alert_story.forty_cases_at_madrid(told.live)
    told.receiver.waits_for("madrid")
    told.mailbox.waits_for(lambda letter: "madrid" in letter.content["Subject"])


def the_process_is_killed(told: Story) -> None:
    until(lambda: told.waiting("webhook", "mail") == 0, "it has noted what it told")
    told.live.kill9()
    told.live.restart()


def it_ends_well_and_is_back(told: Story) -> None:
    assert told.live.terminate() == 0
    told.live.start()


def a_case_while_nobody_listens(told: Story) -> None:
    """The process is killed while the message waits, and the receiver refuses before it takes anything again."""
    told.receiver.close()
    assert told.live.post("evora", start("Zq7-late"))[0] == 200
    until(lambda: "alerts by webhook: " in told.live.stderr, "the message waits")
    told.mailbox.waits_for(lambda letter: "evora" in letter.content["Subject"])
    until(lambda: told.waiting("mail") == 0, "it has noted what it told by mail")
    told.live.kill9()
    told.receiver.answer = 500
    told.receiver.open()
    told.live.restart()
    until(lambda: told.receiver.refused > 1, "it is tried again and again")
    told.receiver.answer = 200
    told.receiver.waits_for("evora")


def it_takes_nothing_in(told: Story) -> None:
    log = told.live.data / "log.sqlite"
    log.rename(told.live.data / "elsewhere")
    until(lambda: told.live.get("readyz")[0] == 503, "the process says that it takes nothing")
    before = len(told.receiver.beats)
    told.receiver.waits_for(None)
    told.not_ready = (before, len(told.receiver.beats))
    (told.live.data / "elsewhere").rename(log)
    told.receiver.waits_for(None, "resolved")


def all_is_dealt_with(told: Story) -> None:
    told.closed_at = time.monotonic()
    alert_story.all_dealt_with(told.live)
    for site in ("lisbon", "madrid"):
        told.receiver.waits_for(site, "resolved")
        told.mailbox.waits_for(lambda letter, site=site: f"{site}: no longer" in letter.content["Subject"])


# What is promised of it


def test_an_unscreened_start_calls_somebody_within_seconds(story: Story) -> None:
    assert story.seconds_to_page < alert_story.PAGE_WITHIN


def test_neither_history_nor_a_start_that_may_still_be_proved_nor_a_held_order_calls_anybody(story: Story) -> None:
    assert story.heard["nobody_is_called"] == 0
    assert {each.site for each in story.receiver.heard} == {"lisbon", "madrid", "evora", None}


def test_a_call_says_what_is_so_and_where_to_look(story: Story) -> None:
    [alert] = story.receiver.of("lisbon")[0].content["alerts"]
    assert alert["labels"] == {
        "alertname": "JakwatchStartedUnscreened", "severity": "critical", "team": "safety", "site": "lisbon",
        "kind": "violation",
    }  # fmt: skip
    assert alert["annotations"]["description"].startswith("At lisbon: 1 open case(s)")
    assert alert["annotations"]["runbook_url"] == "https://books.example/runbooks/JakwatchStartedUnscreened.md"
    assert alert["generatorURL"].startswith("http://127.0.0.1:")
    assert alert["generatorURL"].endswith("/#cases")


def test_forty_cases_of_one_hospital_are_one_call_and_one_mail(story: Story) -> None:
    [message] = story.receiver.of("madrid")
    assert message.content["alerts"][0]["annotations"]["description"].startswith("At madrid: 40 open case(s)")
    assert [
        letter for letter in story.mailbox.letters if "madrid: Treatment" in letter.content["Subject"]
    ].__len__() == 1


def test_no_death_and_no_return_of_the_process_calls_anybody_or_ends_anything(story: Story) -> None:
    """By `kill -9`, and by being asked to end."""
    assert story.heard["forty_cases"] == story.heard["the_process_is_killed"] == story.heard["it_ends_well_and_is_back"]
    assert [each for each in story.receiver.heard if each.status == "resolved" and each.at < story.closed_at
            and each.site is not None] == []  # fmt: skip


def test_a_message_that_nobody_takes_is_sent_until_somebody_does_and_then_no_more(story: Story) -> None:
    """Over the death of the process, too. Who was reached all the while is not told twice."""
    assert len(story.receiver.of("evora")) == 1
    assert len([each for each in story.mailbox.letters if "evora" in each.content["Subject"]]) == 1


def test_a_process_that_takes_nothing_in_says_so_and_its_heartbeat_stays_away(story: Story) -> None:
    message = story.receiver.of(None)[0]
    assert message.names() == {"JakwatchNotReady"}
    before, after = story.not_ready
    assert after - before <= 1  # one may have been on its way


def test_a_case_that_was_dealt_with_is_no_longer_observed_never_closed(story: Story) -> None:
    for site in ("lisbon", "madrid"):
        [message] = story.receiver.of(site, "resolved")
        [alert] = message.content["alerts"]
        assert alert["annotations"]["resolved"].startswith("No longer observed.")
        assert "closed" not in message.raw.decode().lower()


def test_the_mail_says_what_the_webhook_says(story: Story) -> None:
    letter = story.mailbox.waits_for(lambda each: "lisbon" in each.content["Subject"])
    assert (letter.sender, letter.to, letter.content["To"]) == (FROM, [TO], TO)
    assert letter.content["Subject"] == "jakwatch, lisbon: Treatment was started without complete screening"
    assert "At lisbon: 1 open case(s) of a first dose before all four infections were excluded." in letter.text
    assert "What to do: https://books.example/runbooks/JakwatchStartedUnscreened.md" in letter.text
    assert len({each.content["Message-ID"] for each in story.mailbox.letters}) == len(story.mailbox.letters)


def test_nothing_that_is_told_or_kept_names_a_patient_or_a_course(story: Story) -> None:
    letters = "".join(f"{letter.content}" for letter in story.mailbox.letters).encode()
    kept = (story.live.data / "alerts.json").read_bytes()
    everything = b"".join(each.raw for each in story.receiver.heard) + letters + kept
    status, overview = story.live.get("v1/overview")
    assert status == 200
    assert "Zq7-wait" in str(overview)  # the mark is one that the program knows
    assert b"Zq7" not in everything
    assert b"treatment_id" not in everything


def test_no_secret_of_an_address_is_logged_or_kept(story: Story) -> None:
    assert "alerts by webhook: " in story.live.stderr
    assert SECRET not in story.live.stderr
    assert SECRET.encode() not in (story.live.data / "alerts.json").read_bytes()
    assert SECRET.encode() not in b"".join(each.raw for each in story.receiver.heard)


def test_only_its_owner_reads_what_is_kept(story: Story) -> None:
    assert (story.live.data / "alerts.json").stat().st_mode & 0o077 == 0


# The repeat


def test_what_goes_on_is_told_again_after_the_interval_and_not_before(tmp_path: Path) -> None:
    (tmp_path / "sites.yaml").write_text(SITES)
    with closing(Receiver()) as receiver:
        options = ["--sites", tmp_path / "sites.yaml", "--policy", POLICY, "--alerts-pace", "1000",
                   "--alerts-webhook", f"http://{receiver.address}/", "--alerts-repeat", str(2 / 3600)]  # fmt: skip
        with Live(tmp_path, *options) as live:
            assert live.post("lisbon", start("Zq7-bad"))[0] == 200
            until(lambda: len(receiver.of("lisbon")) >= 3, "it is told again")
    times = [each.at for each in receiver.of("lisbon")]
    assert min(later - earlier for earlier, later in pairwise(times)) > 1.9
    assert len({each.content["alerts"][0]["startsAt"] for each in receiver.of("lisbon")}) == 1
