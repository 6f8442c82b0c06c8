"""The log on one machine: an SQLite file in which every transaction is durable before anybody is answered.

Write-ahead logging with `synchronous=FULL`: a commit returns when the disk has it, and a process killed at any moment
leaves either the whole transaction or nothing of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from monitor.log import LogFullError, LogUnusableError, Transaction
from monitor.records import Course, Rejected, Tally

VERSION = 1
log = logging.getLogger("jakwatch")
_NOT_NOW = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)  # fmt: skip
_PRIMARY = 0xFF  # of an extended result code
_DO = "Put back the copy you trust, or use another --data folder."

_TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE facts (seq INTEGER PRIMARY KEY, site TEXT NOT NULL, record BLOB NOT NULL);
CREATE INDEX facts_of_site ON facts (site);
CREATE TABLE answers (site TEXT, treatment_id TEXT, kind TEXT, record BLOB NOT NULL,
                      PRIMARY KEY (site, treatment_id, kind)) WITHOUT ROWID;
CREATE TABLE rejected (seq INTEGER PRIMARY KEY, site TEXT NOT NULL, at INTEGER NOT NULL, channel TEXT NOT NULL,
                       place INTEGER NOT NULL, reason TEXT NOT NULL, path TEXT NOT NULL, rule TEXT NOT NULL,
                       raw BLOB NOT NULL);
CREATE INDEX rejected_of_channel ON rejected (site, channel);
CREATE INDEX rejected_at ON rejected (at);
CREATE TABLE tallies (site TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE positions (site TEXT, channel TEXT, next INTEGER NOT NULL, PRIMARY KEY (site, channel)) WITHOUT ROWID;
CREATE TABLE actions (seq INTEGER PRIMARY KEY, action_id TEXT NOT NULL UNIQUE, record BLOB NOT NULL);
"""


class SqliteLog:
    """The logs of all sites in one file, and the actions beside them. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._inode: int | None = None  # not yet opened
        if not path.exists() and path.with_name(f"{path.name}-wal").exists():  # SQLite would throw it away
            raise LogUnusableError(f"{path} is missing, but its -wal is there. {_DO}")
        with self._usable():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with self._usable():
                self._open()
            self._inode = path.stat().st_ino
        except BaseException:
            self._db.close()
            raise

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """What SQLite finds wrong with the file becomes `LogUnusableError`."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            raise LogUnusableError(f"{self.path} cannot be used as a log: {_words(error)}. {_DO}") from None

    def _open(self) -> None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "tallies" not in tables:
            raise LogUnusableError(f"{self.path} is the file of another program. Use another --data folder.")
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", "busy_timeout=5000"):
            self._db.execute(f"PRAGMA {pragma}")
        if not tables:
            log.info("%s: a new, empty log is begun", self.path)
            with self._transaction():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('version', ?)", (str(VERSION),))
        found = self.meta("version")
        if found != str(VERSION):
            raise LogUnusableError(
                f"{self.path} has version {found} of the log, this program writes {VERSION}. "
                "Use the version of jakwatch that wrote it."
            )
        self.note("version", found)  # a file that cannot be written is found out now, not by the first message

    def close(self) -> None:
        self._db.close()

    def is_there(self) -> bool:
        """Whether the file still stands under its name: a removed one takes everything, and all of it is lost."""
        try:
            return self._inode in (None, self.path.stat().st_ino)
        except OSError:
            return False

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing; what the disk refuses becomes `LogFullError`."""
        if not self.is_there():
            raise LogFullError("the file of the log is gone")
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.OperationalError as error:
            self._roll_back()
            if error.sqlite_errorcode & _PRIMARY in _NOT_NOW:
                raise LogFullError(f"the log cannot be written: {_words(error)}") from error
            raise
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def _read(self, asked: str, *given: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query. Raises LogUnusableError where the file is damaged."""
        with self._usable():
            yield from self._db.execute(asked, given)

    def meta(self, name: str) -> str | None:
        """What is noted of the log as a whole."""
        return next((str(value) for (value,) in self._read("SELECT value FROM meta WHERE name = ?", name)), None)

    def note(self, name: str, value: str) -> None:
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))

    # What a site's log holds: see `SiteLog`

    def sites(self) -> list[str]:
        return [site for (site,) in self._read("SELECT site FROM tallies ORDER BY site")]

    def facts(self, site: str) -> Iterator[bytes]:
        return (record for (record,) in self._read("SELECT record FROM facts WHERE site = ? ORDER BY seq", site))

    def answers(self, site: str) -> Iterator[tuple[Course, bytes]]:
        rows = self._read("SELECT treatment_id, kind, record FROM answers WHERE site = ?", site)
        return (((treatment_id, kind), record) for treatment_id, kind, record in rows)

    def answer(self, site: str, course: Course) -> bytes | None:
        """The standing answer of one course."""
        asked = "SELECT record FROM answers WHERE (site, treatment_id, kind) = (?, ?, ?)"
        return next((record for (record,) in self._read(asked, site, *course)), None)

    def tally(self, site: str) -> Tally:
        kept = self._read("SELECT record FROM tallies WHERE site = ?", site)
        try:
            return next((msgspec.json.decode(record, type=Tally) for (record,) in kept), Tally())
        except msgspec.MsgspecError:
            raise LogUnusableError(f"{self.path}: what is noted of {site} cannot be read. {_DO}") from None

    def position(self, site: str) -> dict[str, int]:
        rows = self._read("SELECT channel, next FROM positions WHERE site = ?", site)
        return {str(channel): int(place) for channel, place in rows}

    def forget_position(self, site: str, channel: str) -> None:
        """To be called when what was read through a channel is gone, so that its name may come again."""
        with self._transaction():
            self._db.execute("DELETE FROM positions WHERE site = ? AND channel = ?", (site, channel))

    def rejections(self, site: str, channel: str) -> Iterator[Rejected]:
        kept = "SELECT raw, channel, place, reason, path, rule FROM rejected"
        rows = self._read(f"{kept} WHERE site = ? AND channel = ? ORDER BY place", site, channel)
        return (Rejected(*row) for row in rows)

    def append(self, transaction: Transaction) -> None:
        t, run = transaction, self._db.executemany
        with self._transaction():
            run("INSERT INTO facts (site, record) VALUES (?, ?)", [(t.site, record) for record in t.facts])
            run(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                [(t.site, *course, record) for course, record in t.answers.items()],
            )
            run(
                "INSERT INTO rejected VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(t.site, t.at, r.channel, r.place, r.reason, r.path, r.rule, r.raw) for r in t.rejections],
            )
            run(
                "INSERT OR REPLACE INTO positions VALUES (?, ?, ?)",
                [(t.site, channel, place) for channel, place in t.position.items()],
            )
            self._db.execute("INSERT OR REPLACE INTO tallies VALUES (?, ?)", (t.site, msgspec.json.encode(t.tally)))

    def forget_rejected(self, before: int) -> int:
        """Remove the original bytes of what was rejected before an instant; returns of how many messages."""
        with self._transaction():
            return self._db.execute("DELETE FROM rejected WHERE at < ?", (before,)).rowcount

    # What people decided

    def actions(self) -> Iterator[bytes]:
        """All actions in the order in which they were decided."""
        return (record for (record,) in self._read("SELECT record FROM actions ORDER BY seq"))

    def add_action(self, action_id: str, record: bytes) -> None:
        """Keep an action: durable when this returns."""
        with self._transaction():
            self._db.execute("INSERT INTO actions (action_id, record) VALUES (?, ?)", (action_id, record))


def _words(error: sqlite3.Error) -> str:
    """SQLite's words for a result code; they name no value that was to be written."""
    return str(error)
