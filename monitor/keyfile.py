"""The pseudonym key: made on the first start, in a file that only its owner reads.

Whoever has it can tell whether a known identifier is among the pseudonyms, so it never stands beside the log in a
backup that others read, and it is never printed.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

_BYTES = 32


class KeyProblem(Exception):
    """The key cannot be used; the text says why and what to do."""


def pseudonym_key(path: Path, *, may_make: bool) -> bytes:
    """The key in a file. Where there is none it is made, if it `may_make` one: not beside a log that has another."""
    if not path.exists():
        if not may_make:
            raise KeyProblem(
                f"{path} is missing, but there is a log. Put the key back: with a new one every patient would count as "
                "somebody else."
            )
        _make(path)
    if path.stat().st_mode & 0o077:
        raise KeyProblem(f"{path} can be read by others than its owner. Do next: chmod 600 {path}")
    return read_key(path)


def _make(path: Path) -> None:
    """Whole or not at all: a key cut short by a crash would be no key."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_hex(_BYTES) + "\n")
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # or a log might outlive its key
    finally:
        os.close(folder)


def read_key(path: Path) -> bytes:
    """The key in a file. Raises KeyProblem where there is none in it."""
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _BYTES:
        raise KeyProblem(f"{path} holds no key: {2 * _BYTES} hexadecimal digits are expected. Put the right file back.")
    return key
