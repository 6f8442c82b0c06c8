"""A policy under which the core fails on one code, as it would on whatever nobody thought of.

It is given like any other policy: whoever looks up what `local:fault` means compares it with this one's entry, which
cannot be compared. Nothing of the product is replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from monitor.core.policy import PolicyDocument
from monitor.core.policy_values import Codes

FAULT: dict[str, Any] = {"codings": [{"system": "local", "code": "fault"}]}
SAID = "Zq7-said-by-the-exception"


class _Incomparable(str):
    """A code that raises when it is held against an equal one."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise ArithmeticError(f"{SAID}: {other!r}")

    __hash__ = str.__hash__


class FaultyPolicy(PolicyDocument):
    """A policy with the incomparable code in every code list."""

    def codings(self, codes: Codes) -> Iterator[tuple[str, str]]:
        yield from super().codings(codes)
        yield "local", _Incomparable("fault")


def faulty(policy: PolicyDocument) -> PolicyDocument:
    """The same policy, but for the code on which it fails."""
    return FaultyPolicy.model_construct(**{name: getattr(policy, name) for name in PolicyDocument.model_fields})
