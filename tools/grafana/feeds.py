"""Feeds: whether hospitals send, whether it is current, and what of it could not be used."""

from __future__ import annotations

from monitor.metrics import catalogue as c
from tools.grafana import panels as p
from tools.grafana.common import DAY, HOUR, alerts, site
from tools.grafana.promql import age, came, each, total

FEED = ("site", "feed")


def dashboard(variables: tuple[p.Json, ...], links: tuple[p.Json, ...]) -> p.Dashboard:
    """Where whoever looks after the interfaces works."""
    return p.Dashboard(
        "jakwatch-feeds", "jakwatch: feeds",
        "Which hospital sends what, how current it is, and what was rejected, contradictory or unknown",
        (*variables, site()),
        (
            p.Row("Does every hospital speak?", (_silence(), _feeds())),
            p.Row("What arrives", (_sites(), _arrivals(), _rejections())),
            p.Row("What could not be used", (_rejected(), _classes(), _unmapped())),
            p.Row("Alerts", (alerts(),)),
        ),
        links=links,
    )  # fmt: skip


def _silence() -> p.Panel:
    return p.timeline(
        "Silent feeds over time",
        "A bar for each feed, red while it is silent for longer than the registry allows. A silent screening feed "
        "makes starts look like violations; days on which the feed of adverse events is silent count in no rate.",
        p.Query(each(c.SILENT, *FEED, site="$site"), "{{site}} {{feed}}"),
        {"0": ("heard", p.GOOD), "1": ("silent", p.BAD)},
    )


def _feeds() -> p.Panel:
    share = f"({age(c.LAST_HEARD, *FEED, site='$site')}) / {each(c.SILENCE_LIMIT, *FEED, site='$site')}"
    return p.table(
        "Feeds",
        "How long ago each feed gave a sign of life, and how long it may be silent. Above 100 % call the hospital's "
        "IT: has the interface stopped, has a right or a certificate ended? A feed without a line never spoke.",
        FEED,
        [
            p.Query(share, "silence used up"),
            p.Query(age(c.LAST_HEARD, *FEED, site="$site"), "last sign of life"),
            p.Query(each(c.SILENCE_LIMIT, *FEED, site="$site"), "may be silent for"),
            p.Query(age(c.COMPLETE_THROUGH, *FEED, site="$site"), "vouched for, until"),
        ],
        sorted_by="silence used up",
        styles={
            "silence used up": p.coloured(((0, p.GOOD), (0.8, p.WARN), (1, p.BAD)), p.SHARE),
            "last sign of life": {"unit": p.SECONDS},
            "may be silent for": {"unit": p.SECONDS},
            "vouched for, until": {"unit": p.SECONDS},
        },
    )


def _sites() -> p.Panel:
    def by_site(metric: c.Metric, name: str) -> p.Query:
        return p.Query(each(metric, "site", site="$site"), name)

    return p.table(
        "Sites",
        "What each hospital has sent. `late by`: how old its newest message was when the last one came. `clock ahead`: "
        "a date in the future shows a wrong clock or time zone at the hospital.",
        ("site",),
        [
            by_site(c.RECEIVED, "messages"),
            p.Query(age(c.LAST_RECEIVED, "site", site="$site"), "last one came"),
            by_site(c.LATENESS, "late by"),
            by_site(c.CLOCK_AHEAD, "clock ahead"),
            p.Query(total(c.REJECTED, "site", site="$site"), "rejected"),
            by_site(c.CONFLICTS, "open conflicts"),
            p.Query(total(c.UNMAPPED_FACTS, "site", site="$site"), "unknown codes"),
            by_site(c.PATIENTS, "patients"),
        ],
        styles={
            "last one came": {"unit": p.SECONDS},
            "late by": p.coloured(((0, p.CALM), (2 * DAY, p.WARN)), p.SECONDS),
            "clock ahead": p.coloured(((0, p.CALM), (HOUR / 4, p.WARN), (HOUR, p.BAD)), p.SECONDS),
            "rejected": p.coloured(((0, p.CALM), (1, p.WARN))),
            "open conflicts": p.coloured(((0, p.CALM), (1, p.WARN))),
            "unknown codes": p.coloured(((0, p.CALM), (1, p.WARN))),
        },
    )


def _arrivals() -> p.Panel:
    return p.trend(
        "Messages that arrived, by the hour",
        "Of each site, in the hour before. A hospital that sends half of what it did last week has lost a part of its "
        "feed, though it is not silent.",
        [p.Query(came(c.RECEIVED, "1h", "site", site="$site"), "{{site}}")],
    )


def _rejections() -> p.Panel:
    return p.trend(
        "Messages that were rejected, by the hour",
        "Of each site, in the hour before. A burst after a release of the hospital's software is a changed interface: "
        "mend it there, then replay what was rejected.",
        [p.Query(came(c.REJECTED, "1h", "site", site="$site"), "{{site}}")],
    )


def _rejected() -> p.Panel:
    return p.table(
        "Rejected messages by reason",
        "All that are kept. `-`: the message does not tell its site. None is lost: each can be shown and replayed with "
        "`jakwatch rejected`.",
        ("site", "reason"),
        [p.Query(f"{each(c.REJECTED, 'site', 'reason', site='$site')} > 0", "messages")],
        width=8,
        sorted_by="messages",
    )


def _classes() -> p.Panel:
    return p.table(
        "Messages by what became of them",
        "`superseded`: a later version stands. `duplicate`: sent again unchanged. `conflicting`: versions contradict "
        "each other and somebody must settle it.",
        ("site", "class"),
        [p.Query(f"{each(c.MESSAGES, 'site', 'class', site='$site')} > 0", "messages")],
        width=8,
        sorted_by="messages",
    )


def _unmapped() -> p.Panel:
    return p.table(
        "Codes that the policy does not know",
        "How often, by hospital and by what the code stands for. An unknown drug is held; an unknown test is no "
        "evidence; an event of an unknown term may be missed. Have the policy extended.",
        ("site", "kind"),
        [p.Query(f"{each(c.UNMAPPED_FACTS, 'site', 'kind', site='$site')} > 0", "occurrences")],
        width=8,
        sorted_by="occurrences",
    )
