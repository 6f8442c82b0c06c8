"""Reading the lines that are to be published: whole, and from a pipe as soon as they are written."""

from __future__ import annotations

import select
import zlib
from collections.abc import Callable, Iterator
from itertools import count
from typing import BinaryIO

from monitor.files import FileProblem, is_blank, opened, reason_of
from monitor.kafka.progress import shown
from monitor.kafka.publishing import Line
from monitor.kafka.sending import LONGEST

_TOLD_AFTER_LINES = 1_000
_SKIPPED_AT_ONCE = 1 << 20


def read_whole_lines(path: str, on_bytes: Callable[[int], None] | None = None) -> Iterator[Line | None]:
    """The lines of a file that are not blank, of each at most its first LONGEST + 1 bytes.

    None says that whoever writes to our standard input has written no more yet. `on_bytes` is told how many more bytes
    of the file itself were read.
    """
    try:
        with opened(path) as (stream, position):
            told = 0
            for line in _numbered(stream, is_live=path == "-"):
                yield line
                if on_bytes and line and line.number % _TOLD_AFTER_LINES == 0:
                    now = position()
                    on_bytes(now - told)
                    told = now
            if on_bytes:
                on_bytes(position() - told)
    except (OSError, EOFError, zlib.error) as error:
        raise FileProblem(
            f"{shown(path)}: cannot be read ({reason_of(error)}); give a JSONL file, a .gz of one, or -"
        ) from None


def _numbered(stream: BinaryIO, *, is_live: bool) -> Iterator[Line | None]:
    for number in count(1):
        if is_live and not _stands_ready(stream):
            yield None
        line = stream.readline(LONGEST + 3)  # the longest with CR LF, and one more
        if not line:
            return
        is_too_long = len(line) > LONGEST and not line.endswith(b"\n")
        if is_too_long:
            _skip_line(stream)
        if is_too_long or not is_blank(line):
            yield Line(number, _without_end(line)[: LONGEST + 1])


def _stands_ready(stream: BinaryIO) -> bool:
    """Whether reading would not have to wait for whoever writes; what we hold already is not looked at."""
    try:
        return bool(select.select([stream], [], [], 0)[0])
    except OSError:  # in memory, or where the system cannot say
        return True


def _skip_line(stream: BinaryIO) -> None:
    while rest := stream.readline(_SKIPPED_AT_ONCE):
        if rest.endswith(b"\n"):
            return


def _without_end(line: bytes) -> bytes:
    return line[:-2] if line.endswith(b"\r\n") else line.removesuffix(b"\n")
