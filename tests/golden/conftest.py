"""Runs a few messages through `replay` under the small policy beside this file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from monitor.policyfile import load_policies, load_registry
from monitor.replay import replay_files
from schemas.actions import decode_action

HERE = Path(__file__).parent


class Replayed:
    """A result of `replay`, with the questions that hand-checked cases ask of it."""

    def __init__(self, result: dict[str, Any]) -> None:
        self.result = result

    def decision(self, treatment_id: str, kind: str = "start") -> dict[str, Any]:
        """The one decision of an order or start."""
        found: dict[str, Any]
        [found] = [
            each for each in self.result["decisions"] if (each["treatment_id"], each["kind"]) == (treatment_id, kind)
        ]
        return found

    def verdict(self, treatment_id: str, kind: str = "start") -> str:
        return str(self.decision(treatment_id, kind)["decision"])

    def findings(self, treatment_id: str, kind: str = "start") -> dict[str, str]:
        """Infection -> finding."""
        return {name: each["finding"] for name, each in self.decision(treatment_id, kind)["findings"].items()}

    def not_excluded(self, treatment_id: str, kind: str = "start") -> dict[str, str]:
        """Infection -> finding, of those that are not excluded."""
        return {name: each for name, each in self.findings(treatment_id, kind).items() if each != "excluded"}

    def rate(
        self, cohort: str, aesi: str = "any", estimator: str = "EAER", window: str | int = "cumulative"
    ) -> dict[str, Any]:
        """The one row of a cohort and AESI."""
        found: dict[str, Any]
        wanted = (cohort, aesi, estimator, window)
        [found] = [
            row
            for row in self.result["rates"]
            if (row["cohort"], row["aesi"], row["estimator"], row["window"]) == wanted
        ]
        return found

    def counted(self, cohort: str, aesi: str = "any", estimator: str = "EAER") -> tuple[int, int]:
        """Events and person-days."""
        row = self.rate(cohort, aesi, estimator)
        return row["events"], row["person_days"]


Replay = Callable[..., Replayed]


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Replays messages under this folder's policy and sites; `as_of` is a day as text."""

    def run(
        messages: Iterable[dict[str, Any]],
        as_of: str,
        policy: Path = HERE / "policy.yaml",
        actions: Iterable[dict[str, Any]] = (),
    ) -> Replayed:
        file = tmp_path / "messages.jsonl"
        file.write_text("".join(json.dumps(each) + "\n" for each in messages))
        registry = load_registry([HERE / "sites.yaml"])
        policies = load_policies([policy])
        decided = tuple(decode_action(json.dumps(each).encode()) for each in actions)
        return Replayed(replay_files([str(file)], policies=policies, registry=registry, as_of=as_of, actions=decided))

    return run
