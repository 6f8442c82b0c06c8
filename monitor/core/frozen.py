"""A site's ledger as plain values and back: what was read once need not be read again."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from monitor.core.facts import Identity
from monitor.core.ledger import History, Ledger, Sheet
from monitor.core.vocabulary import Codings, Vocabulary


class Frozen(msgspec.Struct, frozen=True, array_like=True):
    """All of a ledger, and the codes and doses that its facts name by number."""

    codings: list[Codings]
    doses: list[tuple[Decimal, Decimal]]
    restamps: bool
    sheets: dict[bytes, Sheet]
    identities: list[tuple[Identity, bytes | None, History | None]]  # one body, or all of them
    claims: dict[str, bytes | tuple[bytes, ...]]
    links: dict[bytes, tuple[tuple[Identity, bytes], ...]]
    contests: dict[bytes, frozenset[Identity]]
    classes: dict[str, int]


def freeze(ledger: Ledger) -> Frozen:
    """The ledger as it is. It shares what it holds with it: write it down before the ledger changes."""
    return Frozen(
        ledger.vocabulary.codings,
        ledger.vocabulary.doses,
        ledger.restamps,
        ledger.sheets,
        [
            (identity, None, known) if isinstance(known, History) else (identity, known, None)
            for identity, known in ledger.identities.items()
        ],
        ledger.claims,
        ledger.links,
        ledger.contests,
        dict(ledger.classes),
    )


def thaw(frozen: Frozen, ledger: Ledger) -> bool:
    """Fill an empty ledger, if its process numbers codes and doses as the one did that froze it; whether it could."""
    if frozen.restamps != ledger.restamps or not _agree(frozen, ledger.vocabulary):
        return False
    ledger.sheets.update(frozen.sheets)
    for identity, one, every in frozen.identities:
        known = every if one is None else one
        if known is not None:
            ledger.identities[identity] = known
    ledger.claims.update(frozen.claims)
    ledger.links.update(frozen.links)
    ledger.contests.update(frozen.contests)
    ledger.classes.update(frozen.classes)
    ledger.touched.update(frozen.sheets)
    return True


def _agree(frozen: Frozen, vocabulary: Vocabulary) -> bool:
    """Whether one numbering goes on where the other ends; then the process knows both."""
    known = min(len(frozen.codings), len(vocabulary.codings)), min(len(frozen.doses), len(vocabulary.doses))
    if frozen.codings[: known[0]] != vocabulary.codings[: known[0]]:
        return False
    if frozen.doses[: known[1]] != vocabulary.doses[: known[1]]:
        return False
    vocabulary.extend(frozen.codings[known[0] :], frozen.doses[known[1] :])
    return True
