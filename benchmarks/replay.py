"""Replay of a file, in lines per CPU-second, against validating the same lines with the product's own models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import messages
from benchmarks.harness import Case, Measure, Setting, fresh, timed
from benchmarks.table import Goal, Report, Row
from monitor.core.decode import decode
from monitor.policyfile import default_policy_path, load_policies
from monitor.replay import Question, quiet_memory, replay_lines
from schemas.inbound import inbound

SMALL_POLICY = Path(__file__).parents[1] / "tests" / "property" / "policy.yaml"
VALIDATE, DECODE = "validate_json", "decode alone"
GOAL = Goal("at least 0.25 x validate_json (stretch 0.4 x)", at_least=0.25)


def run(setting: Setting) -> Report:
    """Start-up, reading the file and compiling the models are left out on both sides."""
    count = setting.size(200_000, quick=2_000)
    path = setting.folder / "replay.jsonl"
    messages.write(path, count)
    file = {"path": str(path)}
    policies = {"replay, default policy": default_policy_path(), "replay, small policy": SMALL_POLICY}
    cases = [Case(VALIDATE, prepare_validation, file), Case(DECODE, prepare_decoding, file)]
    cases += [Case(what, prepare_replay, file | {"policy": str(at)}) for what, at in policies.items() if at.exists()]
    found = fresh(cases, setting)
    rows = []
    for case in cases:
        seconds = [each["cpu"] for each in found[case.name]]
        against = [one["cpu"] / own for one, own in zip(found[VALIDATE], seconds, strict=True)]
        rows.append(Row(
            case.name, "lines/CPU-s", [count / each for each in seconds], against if case.name != VALIDATE else (),
            GOAL if "default" in case.name else None,
        ))  # fmt: skip
    return Report(f"replay: {count:,} lines of one site", rows, [_sizes(found)])


def against_replay(setting: Setting, name: str, count: int, other: Case, goal: Goal) -> list[Row]:
    """Lines per CPU-second of replay and of another way with the same lines, written to `name` in the run's folder."""
    path = setting.folder / name
    messages.write(path, count)
    replayed = Case("replay", prepare_replay, {"path": str(path), "policy": str(default_policy_path())})
    cases = [replayed, other._replace(options=other.options | {"path": str(path), "folder": str(setting.folder)})]
    found = {case: [each["cpu"] for each in measured] for case, measured in fresh(cases, setting).items()}
    ratios = [one / own for one, own in zip(found[replayed.name], found[other.name], strict=True)]
    theirs, ours = ([count / each for each in found[case.name]] for case in cases)
    return [Row(replayed.name, "lines/CPU-s", theirs), Row(other.name, "lines/CPU-s", ours, ratios, goal)]


def _sizes(found: dict[str, list[dict[str, float]]]) -> str:
    sizes = [f"{name}: {each[0]['rows']:,.0f} rate rows" for name, each in found.items() if "rows" in each[0]]
    return "; ".join(sizes)


def read(path: str) -> list[bytes]:
    """The lines of a file, without their ends."""
    return Path(path).read_bytes().splitlines()


def prepare_validation(path: str) -> Measure:
    """What any program must pay that takes these messages with these models."""
    lines, validate = read(path), inbound.validate_json
    quiet_memory()

    def work() -> None:
        for raw in lines:
            validate(raw)

    return lambda: timed(work)


def prepare_decoding(path: str) -> Measure:
    """The part of replay that says whether a line is a message."""
    lines = read(path)
    quiet_memory()

    def work() -> None:
        for raw in lines:
            decode(raw)

    return lambda: timed(work)


def prepare_replay(path: str, policy: str) -> Measure:
    """All of `jakwatch replay` but reading and printing."""
    lines = read(path)
    question = Question(load_policies([policy]))
    quiet_memory()
    result: dict[str, Any] = {}
    return lambda: timed(lambda: result.update(replay_lines(lines, question))) | {"rows": float(len(result["rates"]))}
