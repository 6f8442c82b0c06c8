"""A patient `pt` with the course `pt-upa`: papers of 17 April 2025, first dose on 12 May, and a machine that is told.

Of the papers the HIV test of 14 April lasts 60 days; evidence may arrive for two days after the first dose; an order
lapses 60 days after its planned day.
"""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from monitor.core.registry import Registry, RegistryDocument
from monitor.demo.build import Message
from monitor.demo.cases import ATOPIC_DERMATITIS, prescribed, screened, told
from monitor.policyfile import load_policies, load_registry
from monitor.records import Answer
from schemas import actions as act
from tests.data.one_machine import SITE, OneMachine

GOLDEN = Path(__file__).parents[1] / "golden"
POLICY = load_policies([GOLDEN / "policy.yaml"])
REGISTRY = load_registry([GOLDEN / "sites.yaml"])
COURSE = "pt-upa"
LISBON = ZoneInfo("Europe/Lisbon")
EVENING = datetime(2025, 5, 12, 18, tzinfo=LISBON)


def lines(*messages: Message) -> list[bytes]:
    return [json.dumps(message).encode() for message in messages]


def papers(patient: str = "pt") -> list[Message]:
    return screened(patient, "2025-04-14", "2025-04-17")


def start(patient: str = "pt", **fields: Any) -> Message:
    body = prescribed(patient, (ATOPIC_DERMATITIS,), 15) | {"started_on": "2025-05-12"}
    return told("treatment_started", patient, "start", "2025-05-12", **(body | fields))


def order(patient: str = "pt", **fields: Any) -> Message:
    body = prescribed(patient, (ATOPIC_DERMATITIS,), 15) | {"planned_start_on": "2025-05-20"}
    return told("treatment_ordered", patient, "order", "2025-05-12", **(body | fields))


def answered(machine: OneMachine, kind: str = "order", course: str = COURSE) -> Answer:
    answer = machine.answer(course, kind)
    assert answer is not None
    return answer


def told_on(machine: OneMachine, kind: str, last: date) -> list[tuple[str, str]]:
    """What the site is told of the course, and from which day on, until a last day: a midnight at a time."""
    found: list[tuple[str, str]] = []
    while machine.now.astimezone(LISBON).date() <= last:
        machine.equals_replay()
        decision = answered(machine, kind).decision
        if not found or found[-1][1] != decision:
            found.append((str(machine.now.astimezone(LISBON).date()), decision))
        tomorrow = machine.now.astimezone(LISBON).date() + timedelta(1)
        machine.now = datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=LISBON)
    return found


def closing(machine: OneMachine, kind: str = "violation", course: str = COURSE) -> act.CloseCase:
    given = {"action": "close_case", "treatment_id": course, "kind": kind}
    return act.CloseCase.model_validate(machine.signed() | given)


def violated(machine: OneMachine) -> str:
    """A violation; since when."""
    machine.pass_days(5)
    machine.take(lines(start()))
    return answered(machine, "start").cases["violation"]


def of_zones(**zones: str) -> Registry:
    assert REGISTRY is not None
    document = REGISTRY.versions[0].model_dump(by_alias=True)
    site = document["sites"][SITE]
    document["sites"] = {name: site | {"zone": zone} for name, zone in zones.items()}
    return Registry((RegistryDocument.model_validate(document),))
