"""What a site's state is given to work with: how to read messages, what people settled, what records are judged by."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.core.contribution import Contributions
from monitor.core.gate import CompiledPolicy
from monitor.core.registry import Registry
from monitor.core.screening import Waiver
from monitor.core.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Settlement:
    """A person's word on a conflict: the body with this digest stands among all that were known at that instant."""

    source: str | None
    event_id: str
    digest: str
    at: int
    action_id: str


@dataclass(frozen=True, slots=True)
class Intake:
    """What turns messages into facts: the same for all sites of a process."""

    vocabulary: Vocabulary
    registry: Registry | None = None
    key: bytes = b"jakwatch"  # of the pseudonyms; live processes have a secret one
    settlements: tuple[Settlement, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What records are judged by: the policies in the order of their first day, and the one in force for the rates."""

    policies: tuple[CompiledPolicy, ...]
    contributions: Contributions
    waivers: tuple[Waiver, ...] = ()
