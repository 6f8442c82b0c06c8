"""Snapshots: what a site's log said up to some fact, in a file, so that only the rest is read when it is taken over.

A cache and nothing else: one that is missing, damaged, of another version, another key or another numbering of codes is
left aside, and the log is read from its beginning. Pseudonymous as the log is, and for its owner's eyes alone.

The sites of a process share one numbering. It is kept beside the snapshots and taken up before any site is read: else
the first site that is read from its log would number codes its own way, and no snapshot would agree with that.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from monitor import __version__
from monitor.core.frozen import Frozen, freeze, thaw
from monitor.core.state import SiteState
from monitor.core.vocabulary import Codings, Vocabulary
from monitor.log.kafka import Standing
from monitor.records import Tally

log = logging.getLogger("jakwatch")

FORMAT = 1
LEAST_NEW = 5_000  # facts; fewer are read as quickly as a file is
GROWTH = 5  # and a fifth of all, so that writing costs no more than a few times what it saves
NUMBERING = "numbering"
_DIGEST = 32  # bytes of SHA-256 before the content: a bit that fell over must not become a patient's


class _Content(msgspec.Struct, frozen=True, array_like=True):
    format: int
    program: str
    key: str  # fingerprint of the pseudonym key
    settlements: str  # a hash of what people had settled: conflicts stand by it
    last: tuple[int, bytes]
    facts: int
    position: int | None
    tally: Tally
    meta: dict[str, str]
    ledger: Frozen


class _Numbering(msgspec.Struct, frozen=True, array_like=True):
    codings: list[Codings]
    doses: list[tuple[Decimal, Decimal]]


class Snapshot(NamedTuple):
    """What is to be written to files."""

    site: str
    facts: int
    content: bytes
    numbering: bytes


_write = msgspec.msgpack.Encoder().encode
_read = msgspec.msgpack.Decoder(_Content).decode
_read_numbering = msgspec.msgpack.Decoder(_Numbering).decode


class Snapshots:
    """The files of one worker, one a site. Without a folder there are none.

    `erased`, wherever it is asked for, is the hash (`mark`) of all who were erased of the site. It is in the name of a
    file, so that what was written earlier can be found and removed without reading it.
    """

    def __init__(self, folder: Path | None, key_mark: str) -> None:
        self._folder = None if folder is None else _made(folder)
        self._key = key_mark
        self._taken: dict[str, int] = {}  # site -> facts that its file holds

    def take_up(self, vocabulary: Vocabulary) -> None:
        """Number codes and doses as those did who wrote the snapshots. The vocabulary is still empty."""
        content = None if self._folder is None else _content_of(self._folder / NUMBERING)
        if content is not None:
            with suppress(msgspec.MsgspecError):  # of another version
                numbering = _read_numbering(content)
                vocabulary.extend(numbering.codings, numbering.doses)

    def is_due(self, site: str, facts: int) -> bool:
        """Whether enough is new for another file."""
        new = facts - self._taken.get(site, 0)
        return self._folder is not None and new >= max(LEAST_NEW, facts // GROWTH)

    def taken(self, state: SiteState, standing: Standing) -> Snapshot | None:
        """A snapshot of now; `keep` puts it into its file."""
        if self._folder is None or standing.last is None:
            return None
        content = _Content(
            FORMAT, __version__, self._key, _settled(state), standing.last, standing.facts, standing.position,
            standing.tally, standing.meta, freeze(state.ledger),
        )  # fmt: skip
        numbering = _Numbering(content.ledger.codings, content.ledger.doses)
        return Snapshot(state.site, standing.facts, _write(content), _write(numbering))

    def keep(self, snapshot: Snapshot, erased: str) -> None:
        """Whole or not at all, and not at all where the disk says no. May be called from another thread."""
        if self._folder is None:
            return
        self._taken[snapshot.site] = snapshot.facts  # also where it fails: the next try is when as much is new again
        try:
            _replace(self._folder / NUMBERING, snapshot.numbering)
            _replace(self._file(snapshot.site, erased), snapshot.content)
        except OSError as error:
            log.warning("%s: no snapshot was kept (%s)", snapshot.site, os.strerror(error.errno or 0))

    def load(self, state: SiteState, erased: str) -> Standing | None:
        """Fill an empty state; where its log is to be read on. None: from the beginning, and the state is empty."""
        content = self._content(state.site, erased)
        if content is None or (content.format, content.program, content.key) != (FORMAT, __version__, self._key):
            return None
        if content.settlements != _settled(state) or not thaw(content.ledger, state.ledger):
            return None
        self._taken[state.site] = content.facts
        return Standing(content.position, content.tally, content.meta, {}, content.facts, content.last)

    def _content(self, site: str, erased: str) -> _Content | None:
        content = None if self._folder is None else _content_of(self._file(site, erased))
        try:
            return None if content is None else _read(content)
        except msgspec.MsgspecError:
            return None  # of another version

    def forget(self, site: str) -> None:
        """Remove the files of a site: they hold what is no longer to be held, or what does not agree with the log."""
        self._taken.pop(site, None)
        self._remove(f"{site}.*", lambda _: True)

    def tidy(self, erased: Callable[[str], str]) -> None:
        """Remove all files of sites of which somebody was erased since; and what a worker left that was killed."""
        self._remove("*.new", lambda _: True)
        self._remove("*.snapshot", lambda path: path != self._file(site := path.name.partition(".")[0], erased(site)))

    def _remove(self, names: str, goes: Callable[[Path], bool]) -> None:
        for path in [] if self._folder is None else list(self._folder.glob(names)):
            if goes(path):
                _remove(path)

    def _file(self, site: str, erased: str) -> Path:
        return (self._folder or Path()) / f"{site}.{erased}.snapshot"


def _made(folder: Path) -> Path | None:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        log.warning("no snapshots are kept: %s cannot be used (%s)", folder, os.strerror(error.errno or 0))
        return None
    return folder


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        log.error(
            "%s cannot be removed (%s). Remove it: somebody who was erased may be in it",
            path, os.strerror(error.errno or 0),
        )  # fmt: skip


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(sha256(content).digest() + content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def _content_of(path: Path) -> bytes | None:
    """What a file says, None where there is none or it is damaged."""
    try:
        read = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning("%s cannot be read (%s): logs are read whole", path.name, os.strerror(error.errno or 0))
        return None
    content = read[_DIGEST:]
    if sha256(content).digest() != read[:_DIGEST]:
        log.warning("%s is damaged: logs are read whole", path.name)
        return None
    return content


def mark(said: Iterable[object]) -> str:
    """A word that tells sets apart, in every process the same."""
    return sha256(_write(sorted(map(_write, said)))).hexdigest()[:16]


def _settled(state: SiteState) -> str:
    return mark((each.at, each.action_id, each.digest) for each in state.intake.settlements)
