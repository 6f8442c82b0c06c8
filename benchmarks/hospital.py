"""Sites as a live process holds them: judged with every batch, the cube attached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.lives import LAST_DAY
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.cube import Cube
from monitor.core.decode import Decoded, decode
from monitor.core.gate import CompiledPolicy
from monitor.core.given import Intake, Judgement
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument
from monitor.core.rates import Rates, SiteCounts
from monitor.core.rows import Rows
from monitor.core.state import SiteState
from monitor.core.vocabulary import Vocabulary
from monitor.policyfile import default_policy_path, load_policies

SITE = "site-01"


def default_policy() -> PolicyDocument:
    """The policy that comes with the product."""
    return load_policies([default_policy_path()])[0]


class Process:
    """What the sites of one process share: vocabulary and compiled policy."""

    def __init__(self, policy: PolicyDocument) -> None:
        self.intake = Intake(Vocabulary())
        meaning = Meaning(policy, self.intake.vocabulary)
        self.contributions = Contributions(policy, meaning, LevelSets(), Rows())
        self.judgement = Judgement((CompiledPolicy(policy, meaning),), self.contributions)
        self.rates = Rates(self.contributions)

    def hospital(self) -> Hospital:
        """Another site without patients."""
        return Hospital(self)


class Hospital:
    """One site."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.state = SiteState(SITE, process.intake)
        self.state.judge_by(process.judgement)

    @property
    def cube(self) -> Cube:
        """The counts."""
        if self.state.cube is None:
            raise RuntimeError("a hospital is always judged with its cube")
        return self.state.cube

    def load(self, messages: Iterable[bytes]) -> None:
        """Take in a history without judging it; a message that is not valid raises."""
        for raw in messages:
            decoded = decode(raw, SITE)
            if not isinstance(decoded, Decoded):
                raise ValueError(f"the load has a line that is {decoded.reason}: {decoded.path} {decoded.rule}")
            self.state.load(decoded)

    def settle(self) -> None:
        """Judge everyone, and bring the counts into order."""
        self.state.settle(LAST_DAY, lambda _: None)
        self.cube.fold()

    def take_and_apply(self, batch: Sequence[bytes]) -> None:
        """What a live process does with a batch, but for storing it."""
        self.state.apply(self.state.take(batch, LAST_DAY))
        self.state.count()

    def warm(self, batch: Sequence[bytes]) -> None:
        """Let caches be as after a batch of these messages, and keep nothing of it."""
        self.state.take(batch, LAST_DAY)

    def rows(self, as_of: int) -> list[dict[str, Any]]:
        """All rate rows of a day."""
        rates = self.process.rates
        return rates.rows(rates.table([SiteCounts(self.cube, self.state.observed_end())], as_of))
