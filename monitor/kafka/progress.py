"""How far files were published, kept in a small file beside them, so that the next run goes on there.

A file is known by what its confirmed lines hold, not by its date: one that has grown is gone on with, one that has
changed before that place is noticed. Lines that were refused are tried again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import msgspec

SCHEMA = 1
SECONDS_BETWEEN = 0.2  # what is confirmed in between is published twice after a crash, which changes nothing


class ProgressError(Exception):
    """What was noted does not fit what is published; the text says what to do."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """How far a file was published: the last line that was confirmed or refused, and the sum of all up to it."""

    lines: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    refused: tuple[int, ...] = ()


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    schema: int = SCHEMA
    cluster: str
    site: str | None
    files: dict[str, Done]


class Reading:
    """One file on its way: which of its lines are still to be sent, and how far it was got."""

    def __init__(self, file: str, before: Done, kept_in: Path | None) -> None:
        self.file = file
        self._before = before
        self._kept_in = kept_in
        self._refused = set(before.refused)
        self._number = 0
        self._sum = hashlib.sha256()
        self._is_known = False

    def is_due(self, number: int, raw: bytes) -> bool:
        """Whether the next line is still to be sent. Raises ProgressError where another file was confirmed so far."""
        if number > self._before.lines:
            self.check_end()
        self._sum.update(raw + b"\n")
        self._number = number
        return number > self._before.lines or number in self._before.refused

    def check_end(self) -> None:
        """The end of what was published before, or of the file. Raises ProgressError where it is not what was."""
        if self._is_known:
            return
        self._is_known = True
        if self._sum.hexdigest() != self._before.sha256:
            raise ProgressError(
                f"{shown(self.file)}: its first {self._before.lines:,} lines are not those that {self._kept_in} "
                "says were published. Give each file another --resume FILE, or remove that one to begin anew"
            )

    def finish(self, sent: set[int], refused: set[int]) -> None:
        """Lines were confirmed, but for those refused."""
        self._refused = (self._refused - sent) | refused

    @property
    def done(self) -> Done:
        refused = tuple(sorted(self._refused))
        if self._number <= self._before.lines:
            return Done(lines=self._before.lines, sha256=self._before.sha256, refused=refused)
        return Done(lines=self._number, sha256=self._sum.hexdigest(), refused=refused)


class Progress:
    """Of all files of a run; without a path nothing is kept."""

    def __init__(self, path: Path | None, cluster: str, site: str | None) -> None:
        self._path = path
        self._cluster = cluster
        self._site = site
        self._files: dict[str, Done] = {}
        self._written = time.monotonic()
        if path is not None and not path.parent.is_dir():
            raise ProgressError(f"{path}: there is no folder {path.parent}; make it, or name another file")
        if path is not None and path.exists():
            self._files = self._read(path)

    def reading(self, file: str) -> Reading:
        return Reading(file, self._files.get(file, Done()), self._path)

    def note(self, reading: Reading) -> None:
        """What was confirmed; on disk with the next that comes a moment later."""
        if self._path is None:
            return
        self._files[reading.file] = reading.done
        if time.monotonic() - self._written >= SECONDS_BETWEEN:
            self.write()

    def write(self) -> None:
        """All that was noted, whole or not at all."""
        if self._path is None or not self._files:
            return
        kept = _Kept(cluster=self._cluster, site=self._site, files=self._files)
        beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
        self._written = time.monotonic()

    def _read(self, path: Path) -> dict[str, Done]:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            raise ProgressError(f"{path}: is no record of what was published; give one, or a new name") from None
        if kept.schema > SCHEMA:
            raise ProgressError(f"{path}: was written by a later version of jakwatch; use that one, or name a new file")
        if (kept.cluster, kept.site) != (self._cluster, self._site):
            raise ProgressError(
                f"{path}: says what was published with another --site or to another Kafka; name a new file for this one"
            )
        return kept.files


def shown(file: str) -> str:
    """A file as a person is told of it."""
    return "standard input" if file == "-" else file
