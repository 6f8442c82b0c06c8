"""What happens at some hospitals that somebody is to be called for, or nobody, whoever it is that calls."""

from __future__ import annotations

from tests.integration.live import Live
from tests.integration.ward import day, order, results, said_on, start

PAGE_WITHIN = 5.0  # seconds, with test intervals
SITES = f"""\
registry: {{name: alerts, version: 1, effective_from: 2020-01-01, approved_by: tests}}
sites:
  lisbon:
    zone: Europe/Lisbon
    go_live: 2020-01-01
    feeds: {{screening: {{from: 2020-01-01, silent_after_days: 9000, results_after_hours: 0}}}}
  madrid: {{zone: Europe/Madrid, go_live: 2020-01-01, feeds: {{}}}}
  porto:
    zone: Europe/Lisbon
    go_live: 2020-01-01
    feeds: {{screening: {{from: 2020-01-01, silent_after_days: 9000, results_after_hours: 72}}}}
  faro: {{zone: Europe/Lisbon, go_live: {day(0)}, feeds: {{}}}}
"""
_CLOSING = {"action": "close_case", "kind": "violation", "reason": "paused until results are there"}


def nothing_to_call_for(live: Live) -> None:
    """At porto results take three days; at faro what came before today is history. The order at lisbon is only held."""
    assert live.post("porto", start("Zq7-wait"))[0] == 200
    assert live.post("faro", start("Zq7-old"))[0] == 200
    good = [*results("Zq7-good"), order("Zq7-good"), start("Zq7-good")]
    assert live.post("lisbon", [*good, order("Zq7-held")])[0] == 200


def one_case_at_lisbon(live: Live) -> None:
    status, answer = live.post("lisbon", start("Zq7-bad"))
    assert (status, answer["answer"]["decision"]) == (200, "violation")


def forty_cases_at_madrid(live: Live) -> None:
    status, answers = live.post("madrid", [start(f"Zq7-{number}") for number in range(40)])
    assert (status, {answer["decision"] for answer in answers}) == (200, {"violation"})


def all_dealt_with(live: Live) -> None:
    """Of lisbon, a person closes the case; of madrid the starts are taken back."""
    status, _ = live.act(**_CLOSING, site="lisbon", treatment_id="Zq7-bad", by="A. Silva", role="safety officer")
    assert status == 200
    taken_back = [
        said_on(-1, "treatment_started", f"Zq7-{number}-s", f"Zq7-{number}-p", status="entered_in_error", version=1)
        for number in range(40)
    ]
    assert live.post("madrid", taken_back)[0] == 200
