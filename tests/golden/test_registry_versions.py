"""Several versions of the registry side by side: what holds is what is in force on the day that is asked for."""

from __future__ import annotations

import copy
import json
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from monitor.core.days import day_of
from monitor.core.registry import Registry, RegistryDocument
from monitor.demo.cases import case_two
from monitor.policyfile import load_policies
from monitor.replay import Question, replay_lines

HERE = Path(__file__).parent


def versions(*changes: dict[str, Any]) -> Registry:
    """The registry of these tests, and further versions of it with another head and other sites."""
    first = yaml.safe_load((HERE / "sites.yaml").read_text())
    documents = [first]
    for change in changes:
        document = copy.deepcopy(first)
        document["registry"] |= change["registry"]
        document["sites"] = change.get("sites", document["sites"])
        documents.append(document)
    return Registry(tuple(RegistryDocument.model_validate(each) for each in documents))


def replayed(registry: Registry, messages: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    policy = load_policies([HERE / "policy.yaml"])
    lines = [json.dumps(each).encode() for each in messages or case_two()]
    return replay_lines(lines, Question(policy, registry, as_of=day_of("2026-01-01")))


def test_a_version_that_is_not_in_force_yet_changes_nothing() -> None:
    sites = yaml.safe_load((HERE / "sites.yaml").read_text())["sites"]
    later = copy.deepcopy(sites)
    later["lisbon"] |= {"go_live": date(2030, 1, 1), "ids": {"trim": True, "leading_zeros": "strip"}}
    day = date(2030, 1, 1)
    change = {"registry": {"version": 99, "effective_from": day}, "sites": later}
    assert replayed(versions(change)) == replayed(versions())


def test_a_site_that_a_later_version_drops_keeps_what_was_said_of_it() -> None:
    sites = yaml.safe_load((HERE / "sites.yaml").read_text())["sites"]
    others = {"porto": copy.deepcopy(sites["lisbon"])}
    dropped = {"registry": {"version": 99, "effective_from": date(2025, 12, 1)}, "sites": others}
    before, after = replayed(versions()), replayed(versions(dropped))
    assert (after["rates"], after["decisions"]) == (before["rates"], before["decisions"])
