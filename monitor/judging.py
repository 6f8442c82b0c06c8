"""The policies of one process, compiled for its vocabulary: what records are judged by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy

from monitor.core.actions import waivers_of
from monitor.core.cohorts import LevelSets
from monitor.core.contribution import Contributions
from monitor.core.gate import CompiledPolicy
from monitor.core.given import Judgement
from monitor.core.meaning import Meaning
from monitor.core.policy import PolicyDocument, policy_in_force
from monitor.core.rows import Rows
from monitor.core.vocabulary import Vocabulary
from schemas import actions as act


class Judging:
    """Versions of the policy that are in force; the gate picks among them by day, the rates go by that of their day."""

    def __init__(self, policies: Sequence[PolicyDocument], vocabulary: Vocabulary) -> None:
        self.policies = tuple(policies)
        self.compiled = tuple(CompiledPolicy(policy, Meaning(policy, vocabulary)) for policy in policies)

    def only(self, policies: Sequence[PolicyDocument]) -> Judging:
        """The same, judging by some of the versions alone; none is compiled again."""
        judging = copy(self)
        judging.policies = tuple(policies)
        judging.compiled = tuple(each for each in self.compiled if any(each.policy is one for one in policies))
        return judging

    def contributions(self, day: int) -> Contributions:
        """What counts records by the policy in force on a day; the sites of a process share one."""
        policy = policy_in_force(self.policies, day)
        meaning = next(each.meaning for each in self.compiled if each.policy is policy)
        return Contributions(policy, meaning, LevelSets(), Rows())

    def contributions_differ(self, held: Contributions, day: int) -> bool:
        """Whether another version of the policy counts on a day than the one that counts so far."""
        return held.policy is not policy_in_force(self.policies, day)

    def of(self, contributions: Contributions, actions: Iterable[act.Action], site: str) -> Judgement:
        """What the records of one site are judged by, the waivers that people signed there included."""
        return Judgement(self.compiled, contributions, waivers_of(actions, site))
