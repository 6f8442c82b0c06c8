"""Snapshots: what a site's log said up to some fact, in a file, so that only the rest is read when it is taken over.

A cache and nothing else: one that is missing, damaged, of another version, another key or another numbering of codes is
left aside, and the log is read from its beginning. Pseudonymous as the log is, and for its owner's eyes alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
from hashlib import sha256
from pathlib import Path

import msgspec

from monitor import __version__
from monitor.core.frozen import Frozen, freeze, thaw
from monitor.core.given import Settlement
from monitor.core.state import SiteState
from monitor.log.kafka import Standing
from monitor.records import Tally

log = logging.getLogger("jakwatch")

FORMAT = 1
LEAST_NEW = 5_000  # facts; fewer are read as quickly as a file is
GROWTH = 5  # and a fifth of all, so that writing costs no more than a few times what it saves


class _Content(msgspec.Struct, frozen=True, array_like=True):
    format: int
    program: str
    key: str  # fingerprint of the pseudonym key
    settlements: int  # a hash of what people had settled: conflicts stand by it
    at: int  # instant
    last: tuple[int, bytes]
    facts: int
    position: int | None
    tally: Tally
    meta: dict[str, str]
    ledger: Frozen


_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(_Content).decode


class Snapshots:
    """The files of one worker, one a site. Without a folder there are none."""

    def __init__(self, folder: Path | None, key_mark: str) -> None:
        self._folder = folder
        self._key = key_mark
        self._taken: dict[str, int] = {}  # site -> facts that its file holds
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def is_due(self, site: str, facts: int) -> bool:
        """Whether enough is new for another file."""
        new = facts - self._taken.get(site, 0)
        return self._folder is not None and new >= max(LEAST_NEW, facts // GROWTH)

    def save(self, state: SiteState, standing: Standing, settlements: tuple[Settlement, ...], at: int) -> bytes | None:
        """The content of a snapshot of now; `keep` puts it into its file."""
        if self._folder is None or standing.last is None:
            return None
        return _write(
            _Content(
                FORMAT, __version__, self._key, _mark(settlements), at, standing.last, standing.facts,
                standing.position, standing.tally, standing.meta, freeze(state.ledger),
            )
        )  # fmt: skip

    def keep(self, site: str, content: bytes, facts: int) -> None:
        """Whole or not at all. May be called from another thread."""
        if self._folder is None:
            return
        new = self._folder / f".{site}.new"
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.rename(self._folder / f"{site}.snapshot")
        self._taken[site] = facts

    def load(self, state: SiteState, settlements: tuple[Settlement, ...], erased_at: int | None) -> Standing | None:
        """Fill an empty state; where its log is to be read on. None: from the beginning, and the state is empty."""
        content = self._content(state.site)
        if content is None:
            return None
        if erased_at is not None and erased_at >= content.at:
            self.forget(state.site)
            return None
        fits = (content.format, content.program, content.key) == (FORMAT, __version__, self._key)
        if not fits or content.settlements != _mark(settlements) or not thaw(content.ledger, state.ledger):
            return None
        self._taken[state.site] = content.facts
        return Standing(content.position, content.tally, content.meta, {}, content.facts, content.last)

    def _content(self, site: str) -> _Content | None:
        try:
            return _read((self._folder / f"{site}.snapshot").read_bytes()) if self._folder else None
        except FileNotFoundError:
            return None
        except (msgspec.MsgspecError, OSError):
            log.warning("%s: its snapshot cannot be read; the log is read from its beginning", site)
            return None

    def forget(self, site: str) -> None:
        """Remove the file: it holds what is no longer to be held, or what does not agree with the log."""
        self._taken.pop(site, None)
        if self._folder is not None:
            for name in (f"{site}.snapshot", f".{site}.new"):
                with contextlib.suppress(FileNotFoundError):
                    (self._folder / name).unlink()


def _mark(settlements: tuple[Settlement, ...]) -> int:
    """A number that tells sets of settlements apart, in every process the same."""
    said = _write(sorted((each.at, each.action_id, each.digest) for each in settlements))
    return int.from_bytes(sha256(said).digest()[:7])
