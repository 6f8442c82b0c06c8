"""Every query of every dashboard, asked of a real Prometheus that scrapes a real demo."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from monitor.metrics import catalogue as c
from tests.integration.dashboard_questions import QUESTIONS, Question, panels
from tests.integration.live import Live, until
from tests.integration.scraping import Scraping, Series

PATIENTS = ("--patients", "30")
SOME_RULES = """\
groups:
  - name: some
    rules:
      - alert: SomethingFires
        expr: max by (site) (jakwatch_cases_open) > 0
        labels: {severity: critical, team: safety}
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraping]:
    folder = tmp_path_factory.mktemp("demo")
    with Live(folder, *PATIENTS, command="demo") as live:
        assert live.post("lisbon", b"this is no message")[0] == 400  # the invented hospitals send only good ones
        targets = {"jakwatch-view": live.url.split("/")[2]}
        with Scraping(folder, targets, SOME_RULES) as scraping:
            until(lambda: scraping.ask("ALERTS"), "a rule is evaluated")
            yield scraping


def chosen(prometheus: Scraping) -> dict[str, str]:
    """What a person would choose: of the cohorts with a reference the one with most events; all classes, all sites."""
    events = f'{c.EVENTS.name}{{window="{c.CUMULATIVE}",estimator="EAER"}}'
    most = prometheus.ask(f"topk(1, sum by (cohort) ({events} and on (cohort) {c.REFERENCE.name}))")
    return {
        "$cohort": most[0]["metric"]["cohort"], "$aesi": ".*", "$site": ".*", "$window": c.CUMULATIVE,
        "$estimator": "EAER", "$__rate_interval": "8s", "$__range": "1m",
    }  # fmt: skip


def asked(prometheus: Scraping, question: Question, choice: dict[str, str]) -> Series:
    query = question.query
    for variable, value in choice.items():
        query = query.replace(variable, value)
    assert "$" not in query
    return prometheus.ask_over_time(query) if question.over_time else prometheus.ask(query)


def test_every_panel_finds_what_the_demo_exports(prometheus: Scraping) -> None:
    choice, empty = chosen(prometheus), set[tuple[str, str, str]]()
    for question in QUESTIONS:
        series = asked(prometheus, question, choice)
        if not series and not question.is_of_kafka and not question.is_of_alerting:  # asked where all processes are
            empty.add((question.dashboard, question.panel, question.query))
    assert empty == set()


def test_a_panel_with_one_number_gets_one(prometheus: Scraping) -> None:
    choice = chosen(prometheus)
    for dashboard, panel in panels("stat"):
        (target,) = panel["targets"]
        found = asked(prometheus, Question(dashboard, panel["title"], target["expr"], over_time=False), choice)
        assert len(found) <= 1, panel["title"]


def test_the_columns_of_a_table_meet_in_one_line(prometheus: Scraping) -> None:
    """Grafana joins the answers by the labels they share: a query with other labels would make lines of its own."""
    choice = chosen(prometheus)
    for dashboard, panel in panels("table"):
        mine = [each for each in QUESTIONS if each[:2] == (dashboard, panel["title"])]
        rows = [series["metric"] for question in mine for series in asked(prometheus, question, choice)]
        labels = {frozenset(row) for row in rows}
        widest = max(labels, key=len, default=frozenset())
        assert all(each <= widest for each in labels), panel["title"]


def test_every_choice_offers_what_there_is(prometheus: Scraping) -> None:
    assert set(prometheus.values_of("site", c.PATIENTS.name)) == {"lisbon", "porto", "ponta-delgada", "madrid", "paper"}
    assert set(prometheus.values_of("estimator", c.EVENTS.name)) == set(c.ESTIMATOR.values)
    for label in ("cohort", "aesi", "window"):
        assert prometheus.values_of(label, c.EVENTS.name)
