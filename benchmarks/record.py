"""What a message costs as its patient's record grows, and that a batch judges each patient once."""

from __future__ import annotations

from benchmarks.harness import Case, Measure, Measurement, Setting, kept, timed
from benchmarks.hospital import Hospital, Process, default_policy
from benchmarks.lives import Lives
from benchmarks.table import Goal, Report, Row
from monitor.replay import quiet_memory

LINEAR = Goal("at most 10 x that at a tenth of the facts", at_most=10.0)
ONCE = Goal("at most 1.5 x taking them in and judging once", at_most=1.5)


def run(setting: Setting) -> Report:
    """Records of 10, 100 and 1,000 facts; then all messages of one patient in one batch, and each in its own."""
    lengths = [4, 40] if setting.quick else [10, 100, 1_000]
    patients = {length: setting.size(max(5, 2_000 // length), quick=2) for length in lengths}
    few = setting.size(200, quick=20, full=1_000)
    shared = {"repetitions": setting.repetitions}
    cases = [Case(_name(each), prepare, {"facts": each, "patients": patients[each]} | shared) for each in lengths]
    burst = Case("bursts", prepare_burst, {"messages": lengths[-1], "few": few})
    found = kept([*cases, burst], setting)
    rows = _by_length([(case.name, [each["message"] for each in found[case.name]]) for case in cases])
    notes = [f"CPU of take + apply, one message for each of {' / '.join(map(str, patients.values()))} patients a batch"]
    title = "record: one message, by the facts its patient has"
    return Report(title, [*rows, *_bursts(found["bursts"], lengths[-1], few)], notes)


def _by_length(costs: list[tuple[str, list[float]]]) -> list[Row]:
    rows = []
    for at, (name, own) in enumerate(costs):
        ratios = [a / b for a, b in zip(own, costs[at - 1][1], strict=True)] if at else ()
        rows.append(Row(name, "us/message", [1e6 * each for each in own], ratios, LINEAR if at else None))
    return rows


def _bursts(found: list[Measurement], messages: int, few: int) -> list[Row]:
    once = [each["batch"] / (each["load"] + each["judge"]) for each in found]
    apart = [each["apart"] / each["together"] for each in found]
    return [
        Row(f"{messages:,} of one patient, one batch", "ms", [1e3 * each["batch"] for each in found], once, ONCE),
        Row(f"{few:,} of one patient, one batch", "ms", [1e3 * each["together"] for each in found]),
        Row(f"{few:,} of one patient, a batch each", "ms", [1e3 * each["apart"] for each in found], apart),
    ]


def _name(facts: int) -> str:
    return f"{facts:,} facts"


def prepare(facts: int, patients: int, repetitions: int) -> Measure:
    """A site of patients with equally long records, enough of them that each is measured once."""
    quiet_memory()
    site, lives = Process(default_policy()).hospital(), Lives()
    waiting = [list(range(first, first + patients)) for first in range(0, repetitions * patients, patients)]
    for patient in range((repetitions + 1) * patients):
        site.load(lives.long(patient, facts))
    site.settle()
    others = list(range(repetitions * patients, (repetitions + 1) * patients))

    def measure() -> Measurement:
        site.warm([lives.more(each) for each in others])
        messages = [lives.more(each) for each in waiting.pop()]
        return {"message": timed(lambda: site.take_and_apply(messages))["cpu"] / patients}

    return measure


def prepare_burst(messages: int, few: int) -> Measure:
    """One patient's whole life arrives at once; the first part of it at once, or message after message."""
    quiet_memory()
    process, lives = Process(default_policy()), Lives()
    life, more = lives.long(0, messages), lives.more(0)
    process.hospital().take_and_apply(life)  # whatever is computed but once is computed now

    def measure() -> Measurement:
        site, loading, slow = (process.hospital() for _ in range(3))
        return {
            "batch": _cpu(site, [life]),
            "judge": _cpu(site, [[more]]),  # one judgement of all of it
            "load": timed(lambda: loading.load(life))["cpu"],
            "together": _cpu(process.hospital(), [life[:few]]),
            "apart": _cpu(slow, [[each] for each in life[:few]]),
        }

    return measure


def _cpu(site: Hospital, batches: list[list[bytes]]) -> float:
    def work() -> None:
        for batch in batches:
            site.take_and_apply(batch)

    return timed(work)["cpu"]
