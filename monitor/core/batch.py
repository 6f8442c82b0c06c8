"""What a batch of messages comes to before anything of it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from monitor.core import facts as f
from monitor.core.decision import Decision
from monitor.core.decode import Rejection
from monitor.core.facts import AnyFact
from monitor.core.ledger import Ledger


@dataclass(slots=True)
class Signs:
    """How many messages came, and when the latest of all and of each feed were recorded (instants)."""

    messages: int = 0
    last_recorded: int | None = None
    heard: dict[str, int] = field(default_factory=dict)  # feed -> when its latest message was recorded

    def note(self, fact: AnyFact) -> None:
        self.messages += 1
        recorded = fact.last_recorded
        if self.last_recorded is None or recorded > self.last_recorded:
            self.last_recorded = recorded
        feed = _FEED_OF_TYPE.get(fact.retracts) if isinstance(fact, f.Retraction) else _FEED_OF.get(type(fact))
        if feed is not None and recorded > self.heard.get(feed, _NEVER):
            self.heard[feed] = recorded

    def add(self, other: Signs) -> None:
        """Take in the signs of further messages."""
        self.messages += other.messages
        if other.last_recorded is not None:
            self.last_recorded = max(other.last_recorded, self.last_recorded or other.last_recorded)
        for feed, recorded in other.heard.items():
            self.heard[feed] = max(recorded, self.heard.get(feed, recorded))


_NEVER = -(1 << 63)
_FEED_OF_TYPE = {
    "treatment_ordered": "treatment", "treatment_cancelled": "treatment", "treatment_started": "treatment",
    "treatment_changed": "treatment", "treatment_stopped": "treatment",
    "screening_result": "screening", "adverse_event": "adverse_event",
}  # fmt: skip
_FEED_OF: dict[type, str] = {
    f.Ordered: "treatment", f.Cancelled: "treatment", f.Started: "treatment", f.Changed: "treatment",
    f.Stopped: "treatment", f.Screened: "screening", f.AdverseEvent: "adverse_event",
}  # fmt: skip


class News(NamedTuple):
    """A valid message of a batch."""

    place: int  # in the batch
    patient: bytes
    fact: AnyFact


@dataclass(frozen=True, slots=True)
class Taken:
    """What a batch of messages comes to, before anything of it is kept: `SiteState.apply` keeps it."""

    facts: list[News]
    repeated: list[News]  # pure repetitions, which bring nothing
    signs: Signs  # of all messages taken, repetitions included
    rejections: list[tuple[int, Rejection]]  # (place in the batch, why)
    draft: Ledger
    decisions: list[Decision] = field(default_factory=list)  # of all courses of everyone touched: one row a course
    revised: set[str] = field(default_factory=set)  # courses of which a fact was taken back: without a decision, gone
    touched: set[bytes] = field(default_factory=set)  # everyone judged
    failed: set[bytes] = field(default_factory=set)  # of them, those on whom the gate failed
    generation: int = 0  # of the state it was taken from

    @property
    def duplicates(self) -> int:
        return len(self.repeated)
