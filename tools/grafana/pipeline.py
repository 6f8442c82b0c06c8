"""Pipeline: whether the monitor itself lives, keeps up, and says the same everywhere."""

from __future__ import annotations

from monitor.metrics import catalogue as c
from tools.grafana import panels as p
from tools.grafana.common import OF_ALERTING, YES_IS_GOOD, alerts, site
from tools.grafana.promql import age, each, selector

JOBS = 'job=~"jakwatch.*"'


def dashboard(variables: tuple[p.Json, ...], links: tuple[p.Json, ...]) -> p.Dashboard:
    """Where whoever is on call for the platform looks first."""
    return p.Dashboard(
        "jakwatch-pipeline", "jakwatch: pipeline",
        "Processes, owners of sites, lag, replicas, the way from publishing to an alert",
        (*variables, site()),
        (
            p.Row("Does it work at all?", _alive()),
            p.Row("Workers: is every site read?", (_workers(), _lag())),
            p.Row("Replicas: do the pages show all of it, and all the same?", (_replicas(), _behind())),
            p.Row("Processes", (_processes(), _memory(), _cpu(), _scrapes())),
            p.Row("Alerts: do they reach anybody?", (*_alerting(), alerts())),
        ),
        since="now-24h",
        links=links,
    )  # fmt: skip


def _alive() -> tuple[p.Panel, ...]:
    return (
        p.stat(
            "Processes that answer",
            "Processes that Prometheus reaches. None: nothing is monitored, tell the safety officer and restore it.",
            f"sum(up{{{JOBS}}})", levels=((0, p.BAD), (1, p.GOOD)),
        ),
        p.stat(
            "Processes that do not",
            "Processes that Prometheus should reach and does not. Look at their logs and restart them.",
            f"sum(1 - up{{{JOBS}}})", levels=((0, p.GOOD), (1, p.BAD)),
        ),
        p.stat(
            "Last canary",
            "How long ago an invented patient, published on purpose, came out as a violation: it proves the way from "
            "publisher to replica, not lists and alerts. Above a quarter of an hour something there stands still.",
            age(c.CANARY), p.SECONDS, levels=((0, p.GOOD), (900, p.WARN), (1800, p.BAD)), empty="no canary",
        ),
        p.stat(
            "Sites without an owner",
            "Sites whose messages nobody takes in. For minutes during a restart, never for longer.",
            f"count(max by (site) ({selector(c.OWNED)}) == 0) or 0 * count({selector(c.OWNED)})",
            levels=((0, p.GOOD), (1, p.BAD)), empty=p.ON_KAFKA,
        ),
        p.stat(
            "Sets of rules in use",
            "How many different sets of policy, registry and pseudonym key the processes go by. More than one: some "
            "judge by other rules, redeploy those that were left behind.",
            f"count(count by (policies, registries, key) ({selector(c.RULES)}))",
            levels=((0, p.GOOD), (2, p.BAD)), empty=p.ON_KAFKA,
        ),
        p.stat(
            "Age of these numbers",
            "How long ago the clinical numbers were computed.",
            age(c.COMPUTED), p.SECONDS, levels=((0, p.GOOD), (300, p.WARN), (900, p.BAD)),
        ),
    )  # fmt: skip


def _alerting() -> tuple[p.Panel, ...]:
    rules, messages = (f"round(sum(increase({name}[$__range])))" for name in OF_ALERTING)
    return (
        p.stat(
            "Messages not delivered",
            "How often Alertmanager gave up within the time shown. Any: somebody may not have heard of a case; its log "
            "names the way and the error, and what fires now stands below.",
            messages, levels=((0, p.GOOD), (1, p.BAD)), width=12, empty="Alertmanager is not scraped",
        ),
        p.stat(
            "Rules that failed",
            "How often Prometheus could not evaluate a rule within the time shown. Any: an alert may be missing; its "
            "page of rules names the rule and the error.",
            rules, levels=((0, p.GOOD), (1, p.BAD)), width=12, empty="Prometheus does not scrape itself",
        ),
    )  # fmt: skip


def _by_site(metric: c.Metric, name: str) -> p.Query:
    return p.Query(each(metric, "site", site="$site"), name)


def _workers() -> p.Panel:
    owners = f"sum by (site) ({selector(c.OWNED, site='$site')})"
    return p.table(
        "Sites at the workers",
        "One owner each is right; two for a moment while a site is handed over. `paused`: too much was rejected in a "
        "row, mend the feed and restart reading. `waits for`: how long the oldest message not yet taken in waits.",
        ("site",),
        [
            p.Query(owners, "owners"),
            _by_site(c.LAG, "waits for"),
            _by_site(c.PAUSED, "paused"),
            _by_site(c.REJECTED_IN_A_ROW, "rejected in a row"),
            _by_site(c.LOADING, "being read"),
        ],
        width=12,
        sorted_by="waits for",
        styles={
            "owners": p.coloured(((0, p.BAD), (1, p.GOOD), (2, p.WARN))),
            "waits for": p.coloured(((0, p.GOOD), (60, p.WARN), (300, p.BAD)), p.SECONDS),
            "paused": p.coloured(((0, p.GOOD), (1, p.BAD))),
            "being read": p.coloured(((0, p.GOOD), (1, p.WARN))),
        },
    )


def _lag() -> p.Panel:
    return p.trend(
        "How long messages wait at the workers",
        "Of each site, the age of the oldest message that no worker has taken in. It falls by itself after a restart; "
        "one site alone that rises is stuck.",
        [p.Query(each(c.LAG, "site", site="$site"), "{{site}}")],
        p.SECONDS,
    )


def _spread(metric: c.Metric) -> str:
    """How far the replicas are apart, by site."""
    chosen = selector(metric, site="$site")
    return f"max by (site) ({chosen}) - min by (site) ({chosen})"


def _replicas() -> p.Panel:
    """Digests are compared as JakwatchDigestsDiffer does, among those that have read equally far."""
    chosen = selector(c.OFFSET, site="$site")
    offset = f'count_values by (job, instance, site) ("offset", {chosen})'
    digest = f"{selector(c.DIGEST, site='$site')} * on (job, instance, site) group_left (offset) {offset}"
    apart = f"max by (site, offset) ({digest}) != bool min by (site, offset) ({digest})"
    differ = f"max by (site) ({apart})"
    return p.table(
        "Sites at the replicas",
        "`behind`: how old the oldest record is that a replica has not read. `apart`: by how many records replicas "
        "differ. `differ`: 1 where two hold different things though they read equally far, which must never be.",
        ("site",),
        [
            _by_site(c.BEHIND, "behind"),
            _by_site(c.LOADING, "being read"),
            p.Query(_spread(c.OFFSET), "apart"),
            p.Query(differ, "differ"),
        ],
        width=12,
        sorted_by="behind",
        styles={
            "behind": p.coloured(((0, p.GOOD), (60, p.WARN), (300, p.BAD)), p.SECONDS),
            "being read": p.coloured(((0, p.GOOD), (1, p.WARN))),
            "differ": p.coloured(((0, p.GOOD), (1, p.BAD))),
        },
    )


def _behind() -> p.Panel:
    return p.trend(
        "How far the replicas are behind",
        "Of each site, at the replica that is furthest behind. What it has not read yet its pages do not show.",
        [p.Query(each(c.BEHIND, "site", site="$site"), "{{site}}")],
        p.SECONDS,
    )


def _processes() -> p.Panel:
    return p.table(
        "Processes",
        "Each process: whether it answers, whether it is ready, since when it serves, which version it is.",
        ("job", "instance", "version"),
        [
            p.Query(f"max by (job, instance) (up{{{JOBS}}})", "answers"),
            p.Query(f"max by (job, instance) ({selector(c.READY)})", "ready"),
            p.Query(f"time() - max by (job, instance) ({selector(c.LIVE_SINCE)})", "serves since"),
            p.Query(f"max by (job, instance, version) ({selector(c.BUILD)})", "runs"),
        ],
        styles={
            "answers": _yes_or_no(),
            "ready": _yes_or_no(),
            "serves since": {"unit": p.SECONDS},
        },
        hidden="runs",
    )


def _yes_or_no() -> p.Json:
    options = {value: {"text": text, "color": colour} for value, (text, colour) in YES_IS_GOOD.items()}
    return {"mappings": [{"type": "value", "options": options}], "custom.cellOptions": {"type": "color-text"}}


def _memory() -> p.Panel:
    return p.trend(
        "Memory",
        "Of each process. It grows with the patients; a slope without new patients is a leak.",
        [p.Query(f"process_resident_memory_bytes{{{JOBS}}}", "{{job}} {{instance}}")],
        "bytes",
        width=8,
    )


def _cpu() -> p.Panel:
    return p.trend(
        "Processor",
        "Cores in use, of each process. Near 1 for long: a worker cannot take more, start another one.",
        [p.Query(f"rate(process_cpu_seconds_total{{{JOBS}}}[$__rate_interval])", "{{job}} {{instance}}")],
        width=8,
    )


def _scrapes() -> p.Panel:
    return p.trend(
        "Series of each scrape",
        "Against the budget, beyond which rates of the smallest cohorts are left out.",
        [p.Query(f"scrape_samples_scraped{{{JOBS}}}", "{{job}} {{instance}}"), p.Query(each(c.BUDGET), "budget")],
        width=8,
    )
