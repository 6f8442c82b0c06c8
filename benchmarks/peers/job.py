"""The job of every peer: parse and validate a message, and keep the patient's open treatments and counts."""

from __future__ import annotations

import json
import time
from typing import Any

from schemas import inbound


def validated(raw: bytes) -> Any:
    """The message, or an exception."""
    return inbound.inbound.validate_json(raw)


def kept(state: dict[str, Any] | None, message: Any) -> dict[str, Any]:
    """What is kept of a patient after a message: open treatments by id, and how many messages of each type came."""
    state = state or {"open": [], "counts": {}}
    treatment, kind = getattr(message, "treatment_id", None), message.type
    if kind == "treatment_started" and treatment not in state["open"]:
        state["open"].append(treatment)
    elif kind == "treatment_stopped" and treatment in state["open"]:
        state["open"].remove(treatment)
    state["counts"][kind] = state["counts"].get(kind, 0) + 1
    return state


class Clock:
    """From the first message to the last: how long, and how much of this process's CPU."""

    def __init__(self) -> None:
        self.begun: tuple[float, float] | None = None

    def note(self) -> None:
        if self.begun is None:
            self.begun = time.perf_counter(), time.process_time()

    def told(self) -> str:
        """As a line of JSON."""
        wall, cpu = self.begun or (0.0, 0.0)
        return json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu})
