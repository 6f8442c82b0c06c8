"""Reading what a person names on the command line: lines of plain or gzipped files, or of standard input.

Memory stays bounded whatever a file holds: a line longer than a message may be is cut where its excess shows.
"""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from schemas.parts import MAX_BYTES

if TYPE_CHECKING:
    from monitor.core.registry import Registry

_CHUNK = 1 << 20


class FileProblem(Exception):
    """A file that a person named cannot be read; the text says which and what to do."""


def read_lines(paths: Sequence[str], on_bytes: Callable[[int], None] | None = None) -> Iterator[tuple[str, int, bytes]]:
    """Yield (file name, line number from 1, line without its end) of every line that is not blank.

    `-` is standard input, `.gz` is unpacked. A line of more than 65,536 bytes comes as its first 65,537.
    `on_bytes` is told how many more bytes of the file itself were read, for a progress bar.
    """
    for path in paths:
        name = "standard input" if path == "-" else path
        try:
            with opened(path) as (stream, position):
                told = 0
                for number, line in enumerate(_split(stream), 1):
                    if not is_blank(line):
                        yield name, number, line
                    if on_bytes and number % 4096 == 0:
                        now = position()
                        on_bytes(now - told)
                        told = now
                if on_bytes:
                    on_bytes(position() - told)
        except (OSError, EOFError, zlib.error) as error:
            raise FileProblem(
                f"{name}: cannot be read ({reason_of(error)}); give a JSONL file, a .gz of one, or -"
            ) from None


def total_bytes(paths: Sequence[str]) -> int | None:
    """Bytes of all files together, or None where standard input or something else without a size is among them."""
    sizes = [Path(path).stat().st_size if path != "-" and Path(path).is_file() else None for path in paths]
    return None if None in sizes else sum(cast("list[int]", sizes))


def read_registry(paths: Sequence[str]) -> Registry | None:
    """The site registry of the files named, None where none is."""
    if not paths:
        return None
    from monitor.policyfile import load_registry  # noqa: PLC0415  whoever names no registry waits for no YAML

    return load_registry(list(paths))


@contextmanager
def opened(path: str) -> Iterator[tuple[BinaryIO, Callable[[], int]]]:
    """The byte stream of a path, and how many bytes of the file underneath have been read."""
    if path == "-":
        yield sys.stdin.buffer, lambda: 0
        return
    with Path(path).open("rb") as raw:
        if path.endswith(".gz") and not raw.peek(1):
            raise EOFError  # even nothing, packed, has some bytes: this one was cut off before the first
        yield cast("BinaryIO", gzip.GzipFile(fileobj=raw) if path.endswith(".gz") else raw), raw.tell


def _split(stream: BinaryIO) -> Iterator[bytes]:
    """Lines without their ends; an over-long one is cut to 65,537 bytes, its rest skipped without being held."""
    limit = MAX_BYTES + 2  # the longest allowed line with CR LF
    while line := stream.readline(limit + 1):
        if len(line) > limit and not line.endswith(b"\n"):
            line = _head(line[: MAX_BYTES + 1], stream)
        yield _without_end(line)


def _head(head: bytes, stream: BinaryIO) -> bytes:
    """The head of an over-long line whose rest is skipped; what is blank only so far does not pass for a blank line."""
    blank = is_blank(head)
    while rest := stream.readline(_CHUNK):
        blank = blank and is_blank(rest)
        if rest.endswith(b"\n"):
            break
    return head[:-1] + b"?" if is_blank(head) and not blank else head


def is_blank(line: bytes) -> bool:
    return not line.strip(b" \t\r\n")


def _without_end(line: bytes) -> bytes:
    if line.endswith(b"\n"):
        line = line[:-2] if line.endswith(b"\r\n") else line[:-1]
    return line[: MAX_BYTES + 1]


def reason_of(error: Exception) -> str:
    """Why, without the text of a library: it may quote what was read."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "it is cut short" if isinstance(error, EOFError) else "damaged gzip data"
