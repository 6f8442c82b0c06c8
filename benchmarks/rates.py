"""All rate rows of a day: 300 cells of cohort and AESI over ten years, at days nobody asked for before."""

from __future__ import annotations

from functools import partial
from itertools import islice, product
from random import Random
from statistics import median

from benchmarks import messages
from benchmarks.harness import Case, Measure, Measurement, Setting, kept, timed
from benchmarks.hospital import Process, default_policy
from benchmarks.lives import LAST_DAY, Lives
from benchmarks.messages import DAYS, FIRST_DAY
from benchmarks.table import Goal, Report, Row
from monitor.core.policy import Cohort, PolicyDocument
from monitor.replay import quiet_memory

GOAL = Goal("within 20 ms", at_most=20.0)
ASKED = 20  # days a repetition
COHORTS, AESIS = 20, 15
CUT, WHOLE = "300 cells", "default policy"


def run(setting: Setting) -> Report:
    """A policy of 300 cells, and the default one; each after a batch of news and then for one day after the other."""
    count = setting.size(100_000, quick=2_000)
    cases = [Case(name, prepare, {"count": count, "cut": name == CUT}) for name in (CUT, WHOLE)]
    found = kept(cases, setting)
    rows = []
    for case in cases:
        mine = found[case.name]
        name = f"{case.name}, {mine[0]['rows']:,.0f} rows"
        goal = GOAL if case.name == CUT else None
        rows.append(Row(f"{name}: any day", "ms", [1e3 * each["later"] for each in mine], goal=goal))
        rows.append(Row(f"{name}: slowest day", "ms", [1e3 * each["slowest"] for each in mine]))
        rows.append(Row(f"{name}: first after news", "ms", [1e3 * each["first"] for each in mine]))
    notes = [
        f"CPU of table + rows; {ASKED} random days a repetition, of which the median and the slowest",
        "news: a batch of up to 1,000 messages was applied, whose markers the first question brings into order",
    ]
    return Report(f"rates: all rows of a day, {count:,} messages of ten years", rows, notes)


def three_hundred_cells() -> PolicyDocument:
    """The default policy cut to fifteen AESIs and twenty undivided cohorts."""
    policy = default_policy()
    cohorts = {name: cohort for name, cohort in policy.cohorts.items() if cohort.split_by is None}
    for drug, disease in product(policy.drugs, policy.diseases):
        cohorts.setdefault(f"{drug}_{disease}", Cohort(drug=drug, disease=(disease,)))
    content = dict(policy) | {
        "cohorts": dict(islice(cohorts.items(), COHORTS)),
        "aesis": dict(islice(policy.aesis.items(), AESIS)),
        "references": (),
    }
    return PolicyDocument.model_construct(**content)  # of parts that are validated


def prepare(count: int, cut: bool) -> Measure:
    """A site with ten years of messages."""
    quiet_memory()
    site, lives, rng = Process(three_hundred_cells() if cut else default_policy()).hospital(), Lives(), Random(1)  # noqa: S311
    site.load(messages.lines(count))
    site.settle()
    patients = min(1_000, round(count / messages.FACTS_A_PATIENT))

    def measure() -> Measurement:
        site.take_and_apply([lives.more(each) for each in range(patients)])
        first = timed(lambda: site.rows(LAST_DAY))["cpu"]
        days = [FIRST_DAY + rng.randrange(DAYS) for _ in range(ASKED)]
        later = [timed(partial(site.rows, day))["cpu"] for day in days]
        rows = float(len(site.rows(LAST_DAY)))
        return {"first": first, "later": median(later), "slowest": max(later), "rows": rows}

    return measure
