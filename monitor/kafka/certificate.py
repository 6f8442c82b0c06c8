"""From when to when a certificate is valid: read from the file itself, since TLS tells the far side only."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
_VERSION, _UTC_TIME = 0xA0, 0x17
_LONG = 0x80


class NoCertificateError(Exception):
    """The file holds no certificate that can be read."""


def validity(path: Path) -> tuple[datetime, datetime]:
    """The instants between which the first certificate of a PEM file is valid. Raises NoCertificateError, OSError.

    Source: RFC 5280, section 4.1: Certificate{tbs{[version] serial signature issuer validity ...} ...}.
    """
    try:
        certificate = next(_parts(_der(path.read_text(encoding="latin-1"))))[1]
        parts = [part for part in _parts(next(_parts(certificate))[1]) if part[0] != _VERSION]
        begins, ends = _parts(parts[3][1])
        return _instant(*begins), _instant(*ends)
    except (ValueError, LookupError, StopIteration):
        raise NoCertificateError(f"{path} holds no certificate (PEM)") from None


def _der(text: str) -> bytes:
    begin = text.index(_BEGIN)
    return ssl.PEM_cert_to_DER_cert(text[begin : text.index(_END, begin) + len(_END)])


def _parts(der: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, content) of the elements that stand one after the other."""
    while der:
        tag, length, start = der[0], der[1], 2
        if length & _LONG:
            start += length - _LONG
            length = int.from_bytes(der[2:start], "big")
        yield tag, der[start : start + length]
        der = der[start + length :]


def _instant(tag: int, text: bytes) -> datetime:
    """Years of two digits are those of 1950 to 2049."""
    digits = text.decode("ascii")
    if tag == _UTC_TIME:
        digits = ("19" if digits >= "50" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
