"""The log on one machine: an SQLite file in which every transaction is durable before anybody is answered.

Write-ahead logging with `synchronous=FULL`: a commit returns when the disk has it, and a process killed at any moment
leaves either the whole transaction or nothing of it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from monitor.log import LogFullError, LogUnusableError, Transaction
from monitor.records import Course, Rejected, Tally

VERSION = 1
_TRACES = "has_traces"  # noted while erased bytes may still stand in the file
log = logging.getLogger("jakwatch")
_NOT_NOW = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
)  # fmt: skip
_PATIENCE_MS = 5_000  # for another that has the file locked
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


@dataclass(frozen=True, slots=True)
class Erasure:
    """What goes of a site, and the decision that it goes: kept whole or not at all."""

    site: str
    tally: Tally  # without what goes
    action_id: str
    action: bytes
    facts: Sequence[int] = ()  # their numbers, see `numbered_facts`
    treatment_ids: Iterable[str] = ()  # courses whose answers go
    rejected: Sequence[int] = ()  # their numbers, see `numbered_rejections`


class SqliteLog:
    """The logs of all sites in one file, and the actions beside them. For one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """With `read_only` it is the log as it stands at this moment, whatever is written to it meanwhile."""
        self.path = path
        self._inode: int | None = None  # not yet opened
        if not path.exists() and path.with_name(f"{path.name}-wal").exists():  # SQLite would throw it away
            raise LogUnusableError(f"{path} is missing, but its -wal is there. {_DO}")
        with self._usable():
            where = f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"
            self._db = sqlite3.connect(where, uri=True, isolation_level=None, check_same_thread=False)
        try:
            with self._usable():
                self._look() if read_only else self._open()
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

    def _look(self) -> None:
        self._db.execute("BEGIN")  # all that is read from now on is of one moment
        self._tables()
        self._check_version()

    def _tables(self) -> set[str]:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and "tallies" not in tables:
            raise LogUnusableError(f"{self.path} is the file of another program. Use another --data folder.")
        return tables

    def _check_version(self) -> str:
        found = self.meta("version")
        if found != str(VERSION):
            raise LogUnusableError(
                f"{self.path} has version {found} of the log, this program writes {VERSION}. "
                "Use the version of jakwatch that wrote it."
            )
        return found

    def _open(self) -> None:
        tables = self._tables()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON", f"busy_timeout={_PATIENCE_MS}"):
            self._db.execute(f"PRAGMA {pragma}")
        if not tables:
            log.info("%s: a new, empty log is begun", self.path)
            with self._transaction():
                for statement in _TABLES.split(";"):
                    self._db.execute(statement)
                self._db.execute("INSERT INTO meta VALUES ('version', ?)", (str(VERSION),))
        version = self._check_version()
        self.note("version", version)  # a file that cannot be written is found out now, not by the first message

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
            with self._or_full():
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def _or_full(self) -> Iterator[None]:
        """What the disk refuses becomes `LogFullError`."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & _PRIMARY in _NOT_NOW:
                raise LogFullError(f"the log cannot be written: {_words(error)}") from error
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
            forgotten = self._db.execute("DELETE FROM rejected WHERE at < ?", (before,)).rowcount
        if forgotten:
            self._empty_wal()
        return forgotten

    # Erasing

    def numbered_facts(self, site: str) -> Iterator[tuple[int, bytes]]:
        """All facts with the number under which each can be erased."""
        return ((seq, record) for seq, record in self._read("SELECT seq, record FROM facts WHERE site = ?", site))

    def numbered_rejections(self, site: str) -> Iterator[tuple[int, bytes]]:
        """The original bytes of what was rejected, likewise."""
        return ((seq, raw) for seq, raw in self._read("SELECT seq, raw FROM rejected WHERE site = ?", site))

    def erase(self, what: Erasure) -> None:
        """Remove it from what the log holds, and keep the decision; `scrub` then removes it from the file."""
        run = self._db.executemany
        with self._transaction():
            run("DELETE FROM facts WHERE seq = ?", [(number,) for number in what.facts])
            run(
                "DELETE FROM answers WHERE (site, treatment_id) = (?, ?)",
                [(what.site, treatment_id) for treatment_id in what.treatment_ids],
            )
            run("DELETE FROM rejected WHERE seq = ?", [(number,) for number in what.rejected])
            self._db.execute(
                "INSERT OR REPLACE INTO tallies VALUES (?, ?)", (what.site, msgspec.json.encode(what.tally))
            )
            self._db.execute("INSERT INTO actions (action_id, record) VALUES (?, ?)", (what.action_id, what.action))
            self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, '1')", (_TRACES,))

    @property
    def has_traces(self) -> bool:
        """Whether bytes of what was erased may still stand in the file: `scrub` did not come to its end."""
        return self.meta(_TRACES) is not None

    def scrub(self) -> None:
        """Leave no byte in the file but of what the log holds. Costs a copy of the whole; raises LogFullError.

        That deleted rows are overwritten is not enough: where SQLite moved a row to another page, the bytes may be left
        in the gap of the first. So the file is written anew, and what the write-ahead log had of the old one goes.
        """
        with self._or_full():
            self._db.execute("VACUUM")
        if not self._empty_wal():
            raise LogFullError("the log could not be cleared of what was erased: somebody else reads it")
        with self._transaction():
            self._db.execute("DELETE FROM meta WHERE name = ?", (_TRACES,))

    def _empty_wal(self) -> bool:
        """Move all into the main file and cut the other to nothing; whether nobody who reads stood in the way."""
        self._db.execute("PRAGMA busy_timeout=0")  # who reads may read long; orders do not wait for that
        try:
            with self._or_full():
                busy, *_ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self._db.execute(f"PRAGMA busy_timeout={_PATIENCE_MS}")
        return not busy

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
