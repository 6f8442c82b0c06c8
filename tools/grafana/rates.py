"""Rates: events per 100 patient-years with their exact limits, beside what is known from elsewhere."""

from __future__ import annotations

from monitor.metrics import catalogue as c
from tools.grafana import panels as p
from tools.grafana.common import DATE, SCREENING, choice, date
from tools.grafana.promql import each

_COMPARED = {"cohort": "$cohort", "aesi": "$aesi", "estimator": "$estimator"}
CHOSEN = _COMPARED | {"window": "$window"}
_HOW = """\
**One number never stands alone.** Each rate stands beside its events, its patient-years and its exact limits: with \
few events the limits are wide, and nothing follows from a high point alone.

- Rates end at the day up to which reports are complete, and are computed by day of onset: a late report changes the \
past, not today.
- **No rate is tested here.** Whoever looks every day and waits for the limit to pass the reference finds a signal \
that is none, sooner or later. A suspicion belongs before the safety board, with the numbers of this page.
- `EAIR` counts patients with a first event, `EAER` all events. Cohorts overlap: never add them up.
- The reference comes from a trial or registry named in the policy. Its patients were others than these.
"""


def dashboard(variables: tuple[p.Json, ...], links: tuple[p.Json, ...]) -> p.Dashboard:
    """Read once a week, not once an hour."""
    return p.Dashboard(
        "jakwatch-rates", "jakwatch: rates",
        "Exposure-adjusted event rates with exact limits and references, by cohort and class of adverse events",
        (
            *variables,
            choice(c.COHORT, f"label_values({c.EVENTS.name}, cohort)"),
            choice(c.AESI, f'label_values({c.EVENTS.name}{{cohort="$cohort"}}, aesi)'),
            choice(c.WINDOW, f"label_values({c.EVENTS.name}, window)", c.CUMULATIVE),
            choice(c.ESTIMATOR, f"label_values({c.EVENTS.name}, estimator)", "EAER"),  # as references are given
        ),
        (
            p.Row("How to read this", (_words(), *_ground())),
            p.Row("All classes of events in the chosen cohort", (_table(),)),
            p.Row("Rates as they stood over time, with limits and reference", (_course(),)),
            p.Row("What does not count, or not yet", _left_out()),
        ),
        since="now-90d",
        links=links,
    )  # fmt: skip


def _words() -> p.Panel:
    return p.text("How to read rates", "What these numbers say and what they do not.", _HOW, width=12, height=8)


def _ground() -> tuple[p.Panel, ...]:
    return (
        p.stat(
            "Rates end on",
            "The day up to which reports are taken as complete: rates and limits are computed up to it, later days "
            "are provisional and shown nowhere here.",
            date(each(c.COMPLETE_TO)), DATE, width=6,
        ),
        p.stat(
            "Level of the limits",
            "How sure the exact limits are, by the policy: at 95 % one in twenty true rates lies outside its limits.",
            each(c.CONFIDENCE), p.SHARE, width=6,
        ),
        p.stat(
            "Policy in force",
            "The policy by which cohorts, classes of events and days at risk are defined. More than one: processes "
            "disagree, see Pipeline.",
            each(c.POLICY, "name", "version"), name="{{name}} {{version}}", width=6,
        ),
        p.stat(
            "Rows left out",
            "Rows that the budget of series left out, the smallest cohorts first. They are all on the pages of "
            "jakwatch; here they are missing.",
            each(c.ROWS_LEFT_OUT), levels=((0, p.GOOD), (1, p.WARN)), width=6,
        ),
    )  # fmt: skip


def _chosen(metric: c.Metric) -> dict[str, str]:
    return CHOSEN if c.WINDOW in metric.labels else _COMPARED


def _column(metric: c.Metric, name: str) -> p.Query:
    return p.Query(each(metric, "cohort", "aesi", **_chosen(metric)), name)


def _table() -> p.Panel:
    rate = {"unit": p.unit_of(c.RATE), "decimals": 2}
    return p.table(
        "Rates",
        "A line for each class of adverse events, at the chosen window and estimator. No line: nobody of the cohort "
        "was at risk. No rate: no patient-years. Look at events and patient-years first, then at the limits. "
        "The reference is a published rate that the policy names: of other patients, and no limit of anything.",
        ("cohort", "aesi"),
        [
            _column(c.EVENTS, "events"),
            _column(c.PERSON_YEARS, "patient-years"),
            _column(c.RATE, "rate"),
            _column(c.RATE_LOWER, "lower limit"),
            _column(c.RATE_UPPER, "upper limit"),
            _column(c.REFERENCE, "reference"),
            _column(c.REFERENCE_LOWER, "reference, lower"),
            _column(c.REFERENCE_UPPER, "reference, upper"),
        ],
        height=14,
        sorted_by="events",
        styles={
            "patient-years": {"unit": p.unit_of(c.PERSON_YEARS), "decimals": 1},
            "rate": rate, "lower limit": rate, "upper limit": rate,
            "reference": rate, "reference, lower": rate, "reference, upper": rate,
        },
    )  # fmt: skip


def _line(metric: c.Metric, name: str) -> p.Query:
    return p.Query(each(metric, **_chosen(metric)), name)


def _course() -> p.Panel:
    thin = {"custom.lineWidth": 1, "color": {"mode": "fixed", "fixedColor": "blue"}}
    return p.trend(
        "$aesi in $cohort",
        "The rate and its limits as they stood on each day at which this was computed, not by day of onset. The band "
        "narrows as patient-years add up. A step: late reports came in, or the policy changed.",
        [
            _line(c.RATE_LOWER, "lower limit"),
            _line(c.RATE_UPPER, "upper limit"),
            _line(c.RATE, "rate"),
            _line(c.REFERENCE, "reference"),
        ],
        p.unit_of(c.RATE),
        width=8,
        repeat="aesi",
        styles={
            "lower limit": thin,
            "upper limit": thin | {"custom.fillBelowTo": "lower limit", "custom.fillOpacity": 12},
            "rate": {"custom.lineWidth": 3, "color": {"mode": "fixed", "fixedColor": "dark-blue"}},
            "reference": {
                "custom.lineWidth": 1,
                "custom.lineStyle": {"fill": "dash", "dash": [8, 8]},
                "color": {"mode": "fixed", "fixedColor": "purple"},
            },
        },
    )


def _left_out() -> tuple[p.Panel, ...]:
    return (
        p.trend(
            "Adverse events that count in no rate",
            "By the first reason that is true. `not_observed`: the hospital's feed was silent on that day. A growing "
            "`no_onset_date` or `no_course` is work for the hospital's coding.",
            [p.Query(each(c.UNPLACED_EVENTS, "reason"), "{{reason}}")],
        ),
        p.stat(
            "Counted on an inferred day",
            "Adverse events whose day of onset was given in part only. They count, on the earliest day it may mean.",
            each(c.IMPUTED),
        ),
        p.stat(
            "Facts that wait",
            "Stops and changes of treatment whose start has not been sent: their days are not counted.",
            each(c.WAITING), levels=((0, p.GOOD), (1, p.WARN)),
        ),
        p.stat(
            "Lost to follow-up",
            "Patients with an open course of whom nothing has come for too long: their time ends there.",
            each(c.LOST), links=(SCREENING,),
        ),
        p.table(
            "Codes that the policy does not know",
            "Distinct codes, and how often they occur. Until the policy maps them, events may be missed here: the "
            "pages of jakwatch list them.",
            ("kind",),
            [
                p.Query(each(c.UNMAPPED_CODES, "kind"), "codes"),
                p.Query(f"sum by (kind) ({each(c.UNMAPPED_FACTS, 'kind', 'site')})", "occurrences"),
            ],
            width=12, height=5,
        ),
    )  # fmt: skip
