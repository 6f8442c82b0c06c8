"""The alerts as their files say them: rules, what promtool tests of them, runbooks, and the two programs' settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[2]
ALERTS = PROJECT / "alerts"
RULE_FILES = sorted((ALERTS / "rules").glob("*.yaml"))
TEST_FILES = sorted((ALERTS / "tests").glob("*.yaml"))
RUNBOOKS = sorted((ALERTS / "runbooks").glob("*.md"))
PROMETHEUS = PROJECT / "deploy" / "prometheus" / "prometheus.yml"
ALERTMANAGER = PROJECT / "deploy" / "alertmanager" / "alertmanager.yml"
LINKS = {name: f"https://{name}.example" for name in ("runbooks", "grafana", "jakwatch")}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


RULES = [rule for path in RULE_FILES for group in read(path)["groups"] for rule in group["rules"]]
BY_NAME = {rule["alert"]: rule for rule in RULES if "alert" in rule}
OF_SAFETY = [name for name, rule in BY_NAME.items() if rule["labels"]["team"] == "safety"]


def run(program: str, *arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """What promtool or amtool says."""
    found = shutil.which(program)
    if found is None:
        pytest.fail(f"There is no {program}. `make test` installs it.")
    command = [found, *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, text=True, check=False, cwd=PROJECT)


# What an expression speaks of

_STRING = re.compile(r'"[^"]*"')
_WORD = re.compile(r"[a-z_][a-z0-9_:]*")
_SELECTOR = re.compile(r"([a-z_][a-z0-9_:]*)\{([^}]*)\}")
_OFFSET = re.compile(r"\boffset\s+\d+[a-z]+")
_MADE = re.compile(r'count_values[^"]*"(\w+)"')
_OVER = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_FUNCTIONS = {
    "absent", "and", "by", "changes", "count", "count_values", "delta", "increase", "last_over_time", "max",
    "max_over_time", "min", "min_over_time", "on", "or", "rate", "sum", "time", "unless", "vector",
}  # fmt: skip


def metrics_of(expression: str) -> set[str]:
    """Names of series; what no function and no label is."""
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", _OVER.sub("", _OFFSET.sub("", _STRING.sub('""', expression))))
    return {word for word in _WORD.findall(bare) if word not in _FUNCTIONS}


def labels_of(expression: str) -> set[str]:
    """Labels that it selects, keeps or matches by."""
    matched = {each for _, inner in _SELECTOR.findall(expression) for each in re.findall(r"(\w+)\s*(?:=|!)", inner)}
    named = {each.strip() for over in _OVER.findall(expression) for each in over.split(",") if each.strip()}
    return (matched | named) - {*_MADE.findall(expression)}  # what it makes of a value itself nobody need know
