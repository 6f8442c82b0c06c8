"""Overview: who must act now, and whether the page can be believed."""

from __future__ import annotations

from monitor.metrics import catalogue as c
from tools.grafana import panels as p
from tools.grafana.common import CASES_PAGE, DATE, DAY, FEEDS, FIRING, HOUR, SCREENING, alerts, date, site
from tools.grafana.promql import age, each, selector, total

COMPLIANCE = f"{total(c.STARTS_COMPLIANT, site='$site')} / ({total(c.STARTS_JUDGED, site='$site')} > 0)"
AWAITING = total(c.COURSES, site="$site", kind="start", decision="awaiting_evidence")
SHOWING = (  # workers are ready too, but show nothing
    f"count({selector(c.READY)} == 1 and on (job, instance) {selector(c.COMPUTED)}) or 0 * count({selector(c.READY)})"
)
COMPLIANT_ENOUGH = ((0, p.BAD), (0.95, p.WARN), (1, p.GOOD))


def dashboard(variables: tuple[p.Json, ...], links: tuple[p.Json, ...]) -> p.Dashboard:
    """The first page anybody opens."""
    return p.Dashboard(
        "jakwatch-overview", "jakwatch: overview",
        "Is anybody treated without proof of screening, who must act now, and can these numbers be believed?",
        (*variables, site()),
        (
            p.Row("Who must act now", _now()),
            p.Row("Can this page be believed?", _believable()),
            p.Row("Where", (_sites(), alerts())),
            p.Row("How it went", _past()),
        ),
        links=links,
    )  # fmt: skip


def _now() -> tuple[p.Panel, ...]:
    return (
        p.stat(
            "Open cases",
            "What a person must close: a dose given without proof of screening, a course that could not be judged, a "
            "start whose order would have been held. Any number but 0 is somebody's work today: open the list, call "
            "the site, close the case with a reason.",
            total(c.CASES_OPEN, site="$site"), levels=((0, p.GOOD), (1, p.BAD)), links=(CASES_PAGE,),
        ),
        p.stat(
            "Oldest open case",
            "For how long the oldest case has waited for a person. Empty: no case is open, or nothing is known.",
            f"time() - min({selector(c.CASES_OLDEST, site='$site')})", p.SECONDS,
            levels=((0, p.GOOD), (4 * HOUR, p.WARN), (DAY, p.BAD)), links=(CASES_PAGE,), empty="no open case",
        ),
        p.stat(
            "Orders on hold",
            "Orders that were not started and whose screening is not complete. The hospital has been told which "
            "papers are missing; a number that grows means that nobody brings them.",
            total(c.HOLDS, site="$site"), levels=((0, p.GOOD), (1, p.WARN)), links=(SCREENING,),
        ),
        p.stat(
            "Starts awaiting evidence",
            "Doses given whose results may still be on their way: the site's usual delay has not passed. They become "
            "compliant or a case by themselves.",
            AWAITING, levels=((0, p.GOOD), (1, p.WARN)), links=(SCREENING,),
        ),
        p.stat(
            "Screening compliance",
            "Of all starts that were judged, the share with proof before the first dose. One that could not be judged "
            "is not compliant; those awaiting evidence are not counted yet.",
            COMPLIANCE, p.SHARE, levels=COMPLIANT_ENOUGH, links=(SCREENING,), empty="no start judged",
        ),
        p.stat(
            "Alerts",
            "Alerts that fire now. `unknown`: Prometheus evaluates no rules, so nobody would be alerted.",
            f'count({FIRING}) or 0 * count(ALERTS{{alertstate="firing"}})', levels=((0, p.GOOD), (1, p.BAD)),
        ),
    )  # fmt: skip


def _believable() -> tuple[p.Panel, ...]:
    return (
        p.stat(
            "Age of these numbers",
            "How long ago they were computed. Above a few minutes nothing here is current: see Pipeline.",
            age(c.COMPUTED), p.SECONDS, levels=((0, p.GOOD), (300, p.WARN), (900, p.BAD)),
        ),
        p.stat(
            "Pages that answer",
            "Processes that show all sites as they are. None: what stands on this page is old or missing.",
            SHOWING, levels=((0, p.BAD), (1, p.GOOD)),
        ),
        p.stat(
            "Silent feeds",
            "Feeds of hospitals that have been silent for longer than they may. What they do not tell cannot be "
            "judged or counted: call the hospital's IT.",
            total(c.SILENT, site="$site"), levels=((0, p.GOOD), (1, p.WARN)), links=(FEEDS,),
        ),
        p.stat(
            "Sites not read yet",
            "Hospitals whose past a process still reads: until it has, their cases and patients are missing here. For "
            "minutes after a start, never for longer.",
            total(c.LOADING, site="$site"), levels=((0, p.GOOD), (1, p.WARN)), empty=p.ON_KAFKA,
        ),
        p.stat(
            "Patients that failed",
            "Patients on whom the program itself failed. They are held and counted nowhere: whoever runs it must act.",
            each(c.UNASSESSABLE), levels=((0, p.GOOD), (1, p.BAD)),
        ),
        p.stat(
            "Reports complete up to",
            "The day up to which reports of adverse events are taken as complete. Rates end there.",
            date(each(c.COMPLETE_TO)), DATE,
        ),
    )  # fmt: skip


def _sites() -> p.Panel:
    judged, compliant = each(c.STARTS_JUDGED, "site", site="$site"), each(c.STARTS_COMPLIANT, "site", site="$site")
    return p.table(
        "Sites",
        "Each hospital by itself, those with open cases first. A hospital without a line has sent nothing yet.",
        ("site",),
        [
            p.Query(total(c.CASES_OPEN, "site", site="$site"), "open cases"),
            p.Query(each(c.HOLDS, "site", site="$site"), "orders on hold"),
            p.Query(f"{compliant} / ({judged} > 0)", "compliance"),
            p.Query(judged, "starts judged"),
            p.Query(each(c.CONFLICTS, "site", site="$site"), "open conflicts"),
            p.Query(total(c.SILENT, "site", site="$site"), "silent feeds"),
            p.Query(age(c.LAST_RECEIVED, "site", site="$site"), "last message"),
            p.Query(each(c.PATIENTS, "site", site="$site"), "patients"),
        ],
        sorted_by="open cases",
        styles={
            "open cases": p.coloured(((0, p.GOOD), (1, p.BAD))),
            "orders on hold": p.coloured(((0, p.GOOD), (1, p.WARN))),
            "compliance": p.coloured(COMPLIANT_ENOUGH, p.SHARE),
            "open conflicts": p.coloured(((0, p.GOOD), (1, p.WARN))),
            "silent feeds": p.coloured(((0, p.GOOD), (1, p.WARN))),
            "last message": {"unit": p.SECONDS},
        },
    )


def _past() -> tuple[p.Panel, ...]:
    return (
        p.trend(
            "Open cases by kind",
            "A line that stays up is a case that nobody closes. A course may be a case of several kinds.",
            [p.Query(total(c.CASES_OPEN, "kind", site="$site"), "{{kind}}")],
        ),
        p.trend(
            "Orders on hold and starts awaiting evidence",
            "Work that waits for papers. Both go up and down by the day; neither should only grow.",
            [p.Query(total(c.HOLDS, site="$site"), "orders on hold"), p.Query(AWAITING, "starts awaiting evidence")],
        ),
        p.timeline(
            "Alerts over time",
            "When which alert fired, of which site. Gaps beside no alert may be times at which Prometheus was away.",
            p.Query(f"max by (alertname, site) ({FIRING})", "{{alertname}} {{site}}"),
            {"1": ("firing", p.BAD)},
        ),
    )
