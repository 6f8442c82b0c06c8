"""The watched folder: files of messages, one folder per site, each file read once in order.

    FOLDER/<site>/anything.jsonl[.gz]     put here under another name, then renamed (or written within one look)
    FOLDER/<site>/done/                   files that were read; beside one with bad lines a `.rejected.jsonl` says which

How far a file was read stands in the log, in the same transaction as what was read of it: however often the process
dies, each line counts once. A file is known by its name and content, so another one of the same name is another file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from itertools import count, islice
from pathlib import Path

from monitor.files import FileProblem, read_lines
from monitor.keeper import Origin
from monitor.log import LogFullError
from monitor.records import Rejected
from monitor.sites import NotJudgingError, UnknownSiteError
from monitor.writer import BusyError, Writer

LINES = 1_000  # of a transaction
LOOK_SECONDS = 1.0
DONE = "done"
log = logging.getLogger("jakwatch")


class Folder:
    """Reads what appears in a folder, until cancelled."""

    def __init__(self, root: Path, writer: Writer, look_seconds: float = LOOK_SECONDS) -> None:
        self.root = root
        self.writer = writer
        self.look_seconds = look_seconds
        self._seen: dict[Path, tuple[int, int]] = {}  # size and time of a file at the last look
        self._told: set[Path] = set()  # what was complained of, once

    async def watch(self) -> None:
        """Look again and again. A file that cannot be read waits, the others go on."""
        with suppress(LogFullError, OSError):  # what is left is forgotten at the next start
            await self.writer.run(self._forget_gone)
        while True:
            for path in await asyncio.to_thread(self._looked):
                try:
                    await self._read(path)
                    self._told.discard(path)
                except UnknownSiteError:
                    self._complain(path, f"no site {path.parent.name!r} is registered")
                except FileProblem as problem:
                    self._complain(path, str(problem))
                except OSError as error:
                    self._complain(path, error.strerror or type(error).__name__)
                except UnicodeEncodeError:
                    self._complain(path, "its name is no UTF-8; rename it")
                except (LogFullError, NotJudgingError, BusyError):
                    self._complain(path, "the log takes nothing now; it is tried again")
            await asyncio.sleep(self.look_seconds)

    def _forget_gone(self) -> None:
        """Forget how far files were read that are gone: the process died between moving one away and forgetting it."""
        machine = self.writer.machine
        for site, keeper in machine.keepers.items():
            for channel in list(keeper.position):
                if not (self.root / site / channel.rpartition(" ")[0]).is_file():
                    machine.forget_position(site, channel)

    def _complain(self, path: Path, why: str) -> None:
        if path not in self._told:
            self._told.add(path)
            name = path.relative_to(self.root) if path.is_relative_to(self.root) else path
            log.warning("%s waits: %s", name, why)

    def _looked(self) -> list[Path]:
        try:
            return self._settled()
        except OSError as error:
            self._complain(Path(error.filename or self.root), error.strerror or type(error).__name__)
            return []

    def _settled(self) -> list[Path]:
        """The files that have not changed since the last look: whoever writes them is done."""
        found = {path: state for path in self._files() if (state := _size_and_time(path)) is not None}
        settled = [path for path, state in sorted(found.items()) if self._seen.get(path) == state]
        self._seen = found
        return settled

    def _files(self) -> Iterator[Path]:
        for path in (*self.root.glob("*"), *self.root.glob("*/*")):
            if path.name.startswith(".") or not path.is_file():
                continue
            if path.parent != self.root and path.name.endswith((".jsonl", ".jsonl.gz")):
                yield path
            elif not path.name.endswith((".tmp", ".part")):
                self._complain(path, "files are read from a folder named like the site, and end in .jsonl or .jsonl.gz")

    async def _read(self, path: Path) -> None:
        site, channel = path.parent.name, await asyncio.to_thread(_channel, path)
        machine = self.writer.machine
        begin = await self.writer.run(lambda: machine.keeper(site).position.get(channel, 0))
        lines = ((number - 1, raw) for _, number, raw in read_lines([str(path)]) if number > begin)
        while batch := await asyncio.to_thread(lambda: list(islice(lines, LINES))):
            places, messages = zip(*batch, strict=True)
            await self.writer.read_on(site, messages, Origin(channel, places, places[-1] + 1))
        await self.writer.run(lambda: self._finish(path, site, channel))

    def _finish(self, path: Path, site: str, channel: str) -> None:
        """Move the file away, then forget how far it was read: dying in between, it is merely moved again."""
        done = path.parent / DONE
        done.mkdir(exist_ok=True)
        name = _free_name(done, path.name)
        machine = self.writer.machine
        by_line = {each.place: each for each in machine.log.rejections(site, channel)}  # it may have come before
        rejected = [_told(each) for _, each in sorted(by_line.items())]
        if rejected:
            (done / f"{name}.rejected.jsonl").write_text("".join(rejected), encoding="utf-8")
        path.rename(done / name)
        machine.forget_position(site, channel)


def _size_and_time(path: Path) -> tuple[int, int] | None:
    """None where it has just been renamed or removed."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_size, stat.st_mtime_ns


def _told(rejected: Rejected) -> str:
    """Which line was rejected and why, as one line; never what stood in it."""
    why = {"reason": rejected.reason, "path": rejected.path, "rule": rejected.rule}
    return json.dumps({"line": rejected.place + 1, **why}) + "\n"


def _free_name(folder: Path, name: str) -> str:
    """The name, or the first `2-name`, `3-name`, ... that no file has."""
    names = (name if number == 1 else f"{number}-{name}" for number in count(1))
    return next(each for each in names if not (folder / each).exists())


def _channel(path: Path) -> str:
    """The name under which a file's position is kept: its own, and what is in it."""
    with path.open("rb") as file:
        return f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}"
