"""What a monitor may know at one moment, made from a replay of the demo hospitals: there to be shown on pages."""

from __future__ import annotations

from monitor.demo import cases, hospitals
from monitor.demo.hospitals import as_line
from monitor.overview import Case, FeedState, Overview, SiteActivity
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import Question, replay_lines


def replay_of_demo():
    everyone = [*cases.paper_cases(), *hospitals.generate(1, patients_per_site=20)]
    return replay_lines(map(as_line, everyone), Question(load_policies([default_policy_path()])))


def replay_of_nothing():
    return replay_lines([], Question(load_policies([default_policy_path()])))


def waiver(**changed):
    """A `sign_waiver` as JSON, for one course unless told otherwise."""
    values = {
        "schema": 1, "action": "sign_waiver", "action_id": "w-1", "at": "2025-11-10T11:12:13Z", "by": "Ana Lopes",
        "role": "physician", "reason": "known carrier", "site": "lisbon", "infection": "hepatitis_b",
        "treatment_id": "c-1", "ends_on": None,
    }  # fmt: skip
    return values | changed


def as_answer(row):
    answer = {name: value for name, value in row.items() if name != "historical"}
    return {"schema": 1, **answer, "policy_version": 1, "decided_at": "2025-12-30T09:30:01.000000Z", "dose_on": None}


def overview_of(result, **changed):
    answers = [as_answer(row) for row in result["decisions"]]
    violations = [each for each in answers if each["decision"] == "violation"]
    values = {
        "computed_at": "2026-01-02T03:04:05.000000Z",
        "live_since": "2026-01-01T00:00:00.000000Z",
        "trouble": None,
        "today": "2026-01-02",
        "result": {name: value for name, value in result.items() if name != "decisions"},
        "cases": tuple(
            Case(each["site"], each["treatment_id"], "violation", "2025-05-06T07:08:09.000000Z", each)
            for each in violations
        ),
        "closed_cases": 0,
        "holds": tuple(each for each in answers if each["decision"] == "hold"),
        "awaiting": (),
        "feeds": (FeedState("lisbon", "treatment", "2023-01-01", None, "2026-01-01", 14, silent=False),),
        "sites": (SiteActivity("lisbon", "Europe/Lisbon", "2026-01-02", None, {"received": 7}, {"invalid": 2}, 3, {}),),
    }
    return Overview(**(values | changed))
