"""Every alert fires at least once on what the program itself says: a real `jakwatch run`, and the text of its metrics.

What no process can be brought to say in a test (a worker without a broker, a case of last week) is told by the values
that workers, replicas and overviews are made of, written by the program's own exposition.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from benchmarks import scrape
from monitor.demo.build import concept
from monitor.demo.cases import SCREENING_TESTS
from monitor.metrics.exposition import Exposition
from monitor.metrics.platform import ReplicaState, RulesInUse, SiteOfReplica, SiteOfWorker, WorkerState
from monitor.overview import Case, Overview, SiteActivity
from tests.integration.alarm import Alarm, Exporter
from tests.integration.desk import POLICY
from tests.integration.live import Live, until
from tests.integration.scraping import free_port
from tests.integration.ward import SITES, day, order, prescribed, said_on, start
from tests.unit.alert_files import BY_NAME, OF_SAFETY
from tests.unit.test_alerts_routing import receivers

FAILING = """\
groups:
  - name: failing
    rules: [{record: failing, expr: "sum by (site) (jakwatch_site_owned) * on () jakwatch_site_owned"}]
"""
A_WEEK_AGO = timedelta(days=8)
OLD, NEW = RulesInUse("old", "r", "k"), RulesInUse("new", "r", "k")


def instant(ago: timedelta = timedelta(0)) -> str:
    return (datetime.now(UTC) - ago).isoformat()


def overview(computed: str, has_more: bool = False) -> Overview:
    """Open cases of last week at evora, a positive one and one on which the program failed; then the like of today."""
    found = [("violation", A_WEEK_AGO), ("unassessable", A_WEEK_AGO), ("violation", timedelta(0))][
        : 3 if has_more else 2
    ]
    positive = {"findings": {"hiv": {"finding": "positive"}}}
    cases = [Case("evora", f"Zq7-{at}", kind, instant(ago), positive) for at, (kind, ago) in enumerate(found)]
    empty = scrape.overview(next(scrape.rows_anew(10)))
    site = SiteActivity("evora", "UTC", day(0), instant(), {}, {}, 1, {}, instant(timedelta(hours=-2)))
    counts = empty.result | {"unassessable": 1}
    return replace(empty, computed_at=computed, result=counts, cases=tuple(cases), sites=(site,))


def replica(number: int, computed: str, canary: str | None = None, has_more: bool = False) -> bytes:
    """Behind with lisbon, of which each holds something else; the first still reads madrid."""
    lisbon = SiteOfReplica("lisbon", is_loading=False, behind_seconds=900.0, offset=7, digest=number)
    madrid = SiteOfReplica("madrid", is_loading=True, behind_seconds=None, offset=None)
    sites = (lisbon,) if number else (lisbon, madrid)
    return Exposition().render(overview(computed, has_more), ReplicaState(OLD, sites, canary))


def worker(since: str) -> bytes:
    """In trouble, with lisbon paused and late, and porto nobody's."""
    sites = (
        SiteOfWorker("lisbon", is_owned=True, is_paused=True, lag_seconds=900.0),
        SiteOfWorker("porto", is_owned=False),
    )
    return Exposition().render_worker(WorkerState("0", since, "no broker", NEW, sites))


def hiv_test(event_id: str, patient: str, outcome: str) -> bytes:
    found = {"collected_on": day(-10), "resulted_at": f"{day(-9)}T08:00:00Z", "outcome": outcome}
    return said_on(-9, "screening_result", event_id, patient, test=concept(SCREENING_TESTS["hiv"]), **found)


def for_every_reason() -> Iterator[bytes]:
    """What calls somebody, each for another reason."""
    yield from (order("bad"), start("bad", -5))
    yield from (hiv_test("found-h", "found-p", "positive"), start("found", -5))
    yield from (hiv_test("twice", "twice-p", outcome) for outcome in ("negative", "positive"))
    unknown = prescribed("new") | {"drug": {"codings": [{"system": "local", "code": "X"}]}}
    yield said_on(-5, "treatment_ordered", "new-o", "new-p", **unknown, planned_start_on=day(3))
    yield b"no message"


class Ward:
    """All processes, and the names of the alerts that have fired so far."""

    def __init__(self, folder: Path) -> None:
        (folder / "sites.yaml").write_text(SITES)
        self.live = Live(folder, "--sites", folder / "sites.yaml", "--policy", POLICY)
        self.port = free_port()
        self.replicas, self.worker = (Exporter(), Exporter()), Exporter()
        views = [f"127.0.0.1:{self.port}", *(each.address for each in self.replicas)]
        targets = {"jakwatch-view": views, "jakwatch-monitor": [self.worker.address]}
        self.alarm = Alarm(folder, targets, ("safety", "feeds", "platform", "stream"), FAILING)
        self.alarm.listener.refusing.add("integration")  # whom nothing reaches until it is noticed

    def fired(self, *names: str) -> None:
        """Wait until all of these fire."""
        with suppress(TimeoutError):
            until(lambda: {*names} <= self.alarm.firing(), "they fire")
        assert {*names} - self.alarm.firing() == set()

    def close(self) -> None:
        self.live.kill9()
        for each in (*self.replicas, self.worker):
            each.close()

    # What happens

    def nothing_lives(self) -> None:
        self.fired("JakwatchWatchdog", "JakwatchDown", "JakwatchTargetDown", "JakwatchNoWorker", "JakwatchCanaryFailed")

    def all_is_in_trouble(self) -> None:
        for number, each in enumerate(self.replicas):
            each.text = replica(number, instant(timedelta(hours=1)))
        self.worker.text = worker(instant())
        self.fired(
            "JakwatchNumbersStale", "JakwatchNotReady", "JakwatchSiteWithoutOwner", "JakwatchSiteLagging",
            "JakwatchSitePaused", "JakwatchViewBehind", "JakwatchLoadingLong", "JakwatchDigestsDiffer",
            "JakwatchRulesDiffer", "JakwatchRuleFailing", "JakwatchPatientUnassessable", "JakwatchStartUnassessable",
            "JakwatchCaseOpenLong", "JakwatchSiteClockAhead",
        )  # fmt: skip

    def a_case_joins_those_of_last_week(self) -> None:
        for number, each in enumerate(self.replicas):
            each.text = replica(number, instant(timedelta(hours=1)), has_more=True)
        self.fired("JakwatchFurtherCase", "JakwatchFurtherPositive")

    def a_hospital_lives(self) -> None:
        """It sends what calls somebody, one for each reason."""
        self.live.start(self.port)
        until(lambda: self.alarm.ask('jakwatch_messages_rejected{site="lisbon"}'), "it is scraped")
        assert self.live.post("lisbon", [*for_every_reason()])[0] == 200
        self.fired(
            "JakwatchStartedUnscreened", "JakwatchStartedOnHold", "JakwatchPositiveOnTreatment", "JakwatchConflictOpen",
            "JakwatchUnmappedCodes", "JakwatchFeedSilent", "JakwatchMessagesRejected", "JakwatchNotificationsFailing",
        )  # fmt: skip
        self.alarm.listener.refusing.clear()

    def the_log_is_taken_away(self) -> None:
        (self.live.data / "log.sqlite").rename(self.live.data / "elsewhere")
        until(
            lambda: self.alarm.ask('jakwatch_ready{job="jakwatch-view"} == 0'), "the process says that it takes nothing"
        )
        (self.live.data / "elsewhere").rename(self.live.data / "log.sqlite")

    def the_rest(self) -> None:
        """More cohorts than fit, a worker that starts again and again, and a canary that is seen."""
        for number, each in enumerate(self.replicas):
            each.text = replica(number, instant(), canary=instant(), has_more=True)
        self.replicas[0].text = Exposition(budget=1).render(overview(instant(), has_more=True))
        for minutes in range(1, 6):
            self.worker.text = worker(instant(timedelta(minutes=minutes)))
            fresh = 'changes(jakwatch_live_since_timestamp_seconds{job="jakwatch-monitor"}[30m])'
            until(lambda fresh=fresh, least=minutes: self.alarm.ask(f"{fresh} >= {least}"), "the start is noticed")
        self.fired("JakwatchRatesLeftOut", "JakwatchRestarting", "JakwatchCanarySeen")


@pytest.fixture(scope="module")
def fired(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alarm]:
    ward = Ward(tmp_path_factory.mktemp("fired"))
    with closing(ward), ward.alarm:
        ward.nothing_lives()
        ward.all_is_in_trouble()
        ward.a_case_joins_those_of_last_week()
        ward.a_hospital_lives()
        ward.the_log_is_taken_away()
        ward.the_rest()
        ward.alarm.some_time()
        yield ward.alarm


@pytest.mark.parametrize("name", BY_NAME)
def test_an_alert_fires_on_what_the_program_says(fired: Alarm, name: str) -> None:
    assert fired.ask(f'count_over_time(ALERTS{{alertstate="firing", alertname="{name}"}}[1h])')


@pytest.mark.parametrize("name", OF_SAFETY)
def test_an_alert_of_safety_is_delivered_whatever_else_is_wrong(fired: Alarm, name: str) -> None:
    assert [each for each in fired.listener.to(receivers(name)[0]) if name in each.names()]


def test_no_text_of_any_alert_names_a_patient_or_a_course(fired: Alarm) -> None:
    everything = b"".join(each.raw for each in fired.listener.heard)
    assert [name for name in (b"Zq7", b"found-p", b"bad-p", b"treatment_id") if name in everything] == []


def test_no_alert_of_safety_comes_twice_where_replicas_agree(fired: Alarm) -> None:
    """Both replicas know the cases of evora."""
    pages = [each for each in fired.listener.to("safety-page") if each.site == "evora" and each.status == "firing"]
    alerts = [alert["labels"] for each in pages for alert in each.content["alerts"]]
    assert len(pages) == 1
    assert sorted(alert["alertname"] for alert in alerts) == [
        "JakwatchPositiveOnTreatment", "JakwatchStartUnassessable", "JakwatchStartedUnscreened",
    ]  # fmt: skip
