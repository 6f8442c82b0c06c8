"""Versions of a policy that judge alike, the first in force, and a machine that is given some of them."""

from __future__ import annotations

from datetime import date
from typing import Any

from monitor.core.policy import PolicyDocument
from monitor.core.registry import Registry, RegistryDocument
from monitor.sites import Rules
from schemas import actions as act
from tests.data.one_machine import OneMachine
from tests.data.one_patient import REGISTRY
from tests.property.conftest import policy_document

TOMORROW = date(2025, 5, 13)
SOME_HASH = "0f" * 32


def policy_of(version: int, begins: date, **head: Any) -> PolicyDocument:
    document = policy_document("as it stands")
    document["policy"] |= {"version": version, "effective_from": begins} | head
    return PolicyDocument.model_validate(document)


FIRST, SECOND, THIRD = (
    policy_of(number, begins) for number, begins in enumerate((date(2024, 1, 1), TOMORROW, date(2025, 6, 1)), 1)
)
POLICIES = (FIRST, SECOND, THIRD)


def activation(machine: OneMachine, policy: PolicyDocument = SECOND, **said: Any) -> act.Activate:
    signed = machine.signed()
    del signed["site"]
    what = {"action": "activate", "what": "policy", "version": policy.policy.version, "sha256": policy.sha256}
    return act.Activate.model_validate(signed | what | said)


def given(machine: OneMachine, *policies: PolicyDocument, registry: Registry | None = REGISTRY) -> OneMachine:
    """The same log, opened by a process that is given these."""
    machine.rules = Rules(policies, registry, machine.rules.key)
    machine.reopen()
    return machine


def two_registries() -> Registry:
    assert REGISTRY is not None
    document = REGISTRY.versions[0].model_dump(by_alias=True)
    document["registry"] |= {"version": 2, "effective_from": TOMORROW}
    return Registry((*REGISTRY.versions, RegistryDocument.model_validate(document)))
