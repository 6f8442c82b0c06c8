"""The policy and the site of the random histories, in the variants under which every rule has its say."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument

HERE = Path(__file__).parent
SITES = """
registry: {name: histories, version: 1, effective_from: 2024-12-01}
sites:
  lisbon:
    zone: Europe/Lisbon
    go_live: 2025-04-01
    ids: {trim: true, leading_zeros: keep}
    feeds:
      treatment: {from: 2024-01-01, silent_after_days: 2}
      screening: {from: 2024-01-01, silent_after_days: 2, results_after_hours: 36}
      adverse_event: {from: 2025-03-01, silent_after_days: 14, complete_after_days: 30}
"""
VARIANTS: dict[str, Callable[[dict[str, Any]], None]] = {
    "as it stands": lambda _: None,
    "exposure as denominator": lambda doc: doc["counting"].update(denominator="exposure"),
    "episodes of 20 days": lambda doc: doc["counting"].update(one_episode_days=20),
    "the latest result clears": lambda doc: doc.update(several_results="latest"),
    "flags that block": lambda doc: doc["flags"].update(blocking=["dose_above_label", "two_of_one_class"]),
}


def policy_document(variant: str) -> dict[str, Any]:
    """The parsed policy of the histories, changed as a variant says."""
    document: dict[str, Any] = copy.deepcopy(yaml.safe_load((HERE / "policy.yaml").read_text()))
    VARIANTS[variant](document)
    return document


def sites_document(restamps: bool) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(SITES)
    document["sites"]["lisbon"]["restamps"] = restamps
    return document


@pytest.fixture(scope="session")
def policy() -> PolicyDocument:
    return PolicyDocument.model_validate(policy_document("as it stands"))


@pytest.fixture(scope="session")
def registry() -> Registry:
    return Registry((RegistryDocument.model_validate(sites_document(restamps=False)),))
