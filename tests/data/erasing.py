"""The patient `pt` on the way out: what may be said of it, the decision, and what is left in the files of the log."""

from __future__ import annotations

from typing import Any

from monitor.core.pseudonyms import pseudonymiser
from monitor.demo.build import Message
from monitor.demo.cases import told
from monitor.replay import DEFAULT_KEY
from schemas import actions as act
from tests.data.one_machine import SITE, OneMachine
from tests.data.one_patient import REGISTRY, lines, start

[PSEUDONYM] = pseudonymiser(SITE, DEFAULT_KEY, REGISTRY)("pt")


def merged(patient: str, other: str, name: str = "merge") -> Message:
    return told("patient_merged", patient, name, "2025-05-12", merged_patient_id=other)


def fell_ill(patient: str = "pt", **fields: Any) -> Message:
    body = {"term": {"codings": [{"system": "icd10", "code": "B02.9"}]}, "onset_on": "2025-05-11", "seriousness": []}
    return told("adverse_event", patient, "zoster", "2025-05-12", **(body | fields))


def erasing(machine: OneMachine, pseudonym: str = PSEUDONYM, **said: Any) -> act.Erase:
    return act.Erase.model_validate(machine.signed() | {"action": "erase", "pseudonym": pseudonym} | said)


def bytes_of(machine: OneMachine) -> bytes:
    """All that stands in the files of the log."""
    return b"".join(path.read_bytes() for path in sorted(machine.path.parent.iterdir()))


def traces(machine: OneMachine, *names: str) -> list[str]:
    """Which of some names stand in the files."""
    found = bytes_of(machine)
    return [name for name in names if name.encode() in found]


NAMES = ("pt-upa", "pt-start", "pt-order", "pt-zoster", "pt-hbsag", "pt-hiv", "pt-merge", '"pt"')


def bad(patient: str = "pt", **fields: Any) -> bytes:
    [line] = lines(start(patient, started_on="2025-12-24", **fields))
    return line
