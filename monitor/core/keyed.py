"""HMAC-SHA-256 under one key, many times: the key's two blocks are hashed once, which halves the cost of each."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256

_BLOCK = 64


def keyed_digest(key: bytes) -> Callable[[bytes], bytes]:
    """The function from a message to its HMAC-SHA-256 (RFC 2104), 32 bytes."""
    padded = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner = sha256(bytes(byte ^ 0x36 for byte in padded))
    outer = sha256(bytes(byte ^ 0x5C for byte in padded))

    def digest(message: bytes) -> bytes:
        inside, outside = inner.copy(), outer.copy()
        inside.update(message)
        outside.update(inside.digest())
        return outside.digest()

    return digest
