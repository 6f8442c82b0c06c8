"""Screening: who was treated before the papers were there, at which site, for want of what."""

from __future__ import annotations

from monitor.metrics import catalogue as c
from tools.grafana import panels as p
from tools.grafana.common import CASES_PAGE, DAY, HOUR, alerts, site
from tools.grafana.overview import AWAITING, COMPLIANCE, COMPLIANT_ENOUGH
from tools.grafana.promql import each, selector, total


def dashboard(variables: tuple[p.Json, ...], links: tuple[p.Json, ...]) -> p.Dashboard:
    """Where the safety officer works off cases."""
    return p.Dashboard(
        "jakwatch-screening", "jakwatch: screening",
        "HIV, hepatitis B, hepatitis C and tuberculosis ruled out before the first dose: compliance, cases, holds",
        (*variables, site()),
        (
            p.Row("Compliance", _compliance()),
            p.Row("Cases that a person must close", (_cases(), _cases_of_time())),
            p.Row("What is missing", (_findings("start", "cases"), _findings("order", "orders on hold"))),
            p.Row("Orders and starts by their answer", (_courses("order"), _courses("start"))),
            p.Row("Alerts", (alerts(),)),
        ),
        links=links,
    )  # fmt: skip


def _decided(decision: str) -> str:
    return total(c.COURSES, site="$site", kind="start", decision=decision)


def _compliance() -> tuple[p.Panel, ...]:
    judged, compliant = each(c.STARTS_JUDGED, "site", site="$site"), each(c.STARTS_COMPLIANT, "site", site="$site")
    return (
        p.stat(
            "Compliance",
            "Compliant starts of all that were judged. Starts before a site's go-live count nowhere here.",
            COMPLIANCE, p.SHARE, levels=COMPLIANT_ENOUGH, empty="no start judged",
        ),
        p.stat(
            "Compliant starts", "Numerator: each infection was ruled out, treated or waived before the first dose.",
            total(c.STARTS_COMPLIANT, site="$site"),
        ),
        p.stat(
            "Starts judged", "Denominator: starts that are compliant, a violation or could not be judged.",
            total(c.STARTS_JUDGED, site="$site"),
        ),
        p.stat(
            "Violations",
            "Starts without proof before the first dose, closed cases among them: evidence that comes later does not "
            "undo a dose.",
            _decided("violation"), levels=((0, p.GOOD), (1, p.BAD)),
        ),
        p.stat(
            "Could not be judged", "Starts on which the program failed: held as violations until that is mended.",
            _decided("unassessable"), levels=((0, p.GOOD), (1, p.BAD)),
        ),
        p.stat(
            "Awaiting evidence", "Starts within the site's usual delay of results: not judged yet.",
            AWAITING, levels=((0, p.GOOD), (1, p.WARN)),
        ),
        p.trend(
            "Compliance by site",
            "A hospital that falls needs a call, not a reminder: look below at what is missing there.",
            [p.Query(f"{compliant} / ({judged} > 0)", "{{site}}")], p.SHARE, width=24,
        ),
    )  # fmt: skip


def _cases() -> p.Panel:
    by = ("site", "kind")
    return p.table(
        "Open cases by site and kind",
        "Oldest first. `violation`: a dose without proof. `started_on_hold`: its order would have been held. "
        "`unassessable`: the program failed. Open the pages of jakwatch to see which courses, and to close them.",
        by,
        [
            p.Query(f"{each(c.CASES_OPEN, *by, site='$site')} > 0", "open cases"),
            p.Query(f"time() - min by (site, kind) ({selector(c.CASES_OLDEST, site='$site')})", "oldest"),
            p.Query(f"time() - {each(c.CASES_NEWEST, *by, site='$site')}", "newest"),
        ],
        width=12,
        sorted_by="oldest",
        styles={
            "open cases": {"links": [CASES_PAGE.json()]},
            "oldest": p.coloured(((0, p.CALM), (4 * HOUR, p.WARN), (DAY, p.BAD)), p.SECONDS),
            "newest": {"unit": p.SECONDS},
        },
    )


def _cases_of_time() -> p.Panel:
    return p.trend(
        "Open cases by site",
        "Cases that wait for a person, of all kinds. Closing one lowers the line; only people close cases.",
        [p.Query(total(c.CASES_OPEN, "site", site="$site"), "{{site}}")],
    )


def _findings(kind: str, what: str) -> p.Panel:
    by = ("infection", "finding", "site")
    return p.table(
        f"Findings behind {what}",
        f"What keeps {what} from being complete, the most frequent first. `missing`: ask the hospital for the result. "
        "`positive`: a result speaks for the infection. `late`: the proof came after the dose.",
        by,
        [p.Query(f"{each(c.FINDINGS, *by, site='$site', kind=kind)} > 0", what)],
        width=12,
        sorted_by=what,
    )


def _courses(kind: str) -> p.Panel:
    return p.trend(
        f"Each {kind} by its current answer",
        f"How the answers to all {kind}s are distributed now, and were. Courses before go-live are not among them.",
        [p.Query(f"{total(c.COURSES, 'decision', site='$site', kind=kind)} > 0", "{{decision}}")],
        stacked=True,
    )
