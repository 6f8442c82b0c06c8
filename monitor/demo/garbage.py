"""Lines that are no messages, each with the reason for which the contract rejects it, whatever the site."""

from __future__ import annotations

from collections.abc import Mapping

_CONTACT = (
    b'{"type":"patient_contact","site":"lisbon","event_id":"g-1","recorded_at":"2025-03-10T08:00:00Z",'
    b'"patient_id":"0000001","seen_on":"2025-03-10"}'
)
_TOO_LONG = 66_000


def _contact(old: bytes, new: bytes) -> bytes:
    if old not in _CONTACT:
        raise ValueError(f"{old!r} does not occur in the line it should spoil")
    return _CONTACT.replace(old, new)


# line -> reason
GARBAGE: Mapping[bytes, str] = {
    b"\x00": "not_json",
    b"PK\x03\x04\x14\x00\x08": "not_json",
    b"event_id;patient_id;onset": "not_json",
    _CONTACT[:80]: "not_json",
    b"\xef\xbb\xbf" + _CONTACT: "not_json",
    _contact(b"g-1", b"g-\xff"): "not_json",
    _contact(b'"seen_on":"2025-03-10"', b'"seen_on":"2025-03-10","days_supplied":NaN'): "not_json",
    _contact(b"g-1", b"\\ud800"): "not_json",
    b"[" * 30_000: "not_json",
    b"[" * 80 + b"]" * 80: "not_json",
    _contact(b"g-1", b"g" * _TOO_LONG): "too_large",
    b"a" * _TOO_LONG: "too_large",
    _contact(b"{", b'{"schema":999,'): "newer_schema",
    _contact(b"patient_contact", b"patient_visit"): "unknown_type",
    b"[]": "invalid",
    b"null": "invalid",
    b"{}": "invalid",
    _contact(b"seen_on", b"seen_at"): "invalid",
    _contact(b',"seen_on":"2025-03-10"', b""): "invalid",
    _contact(b"2025-03-10T08:00:00Z", b"2025-03-10T08:00:00"): "invalid",
    _contact(b'"seen_on":"2025-03-10"', b'"seen_on":"2025-02-30"'): "invalid",
    _contact(b'"seen_on":"2025-03-10"', b'"seen_on":"2025-03-10","days_supplied":1e400'): "invalid",
    _contact(b'"event_id":"g-1"', b'"event_id":"g-1","event_id":"g-2"'): "invalid",
    _contact(b'"event_id":"g-1"', b'"event_id":7'): "invalid",
    _contact(b'"seen_on":"2025-03-10"', b'"seen_on":"2025-05-10"'): "in_the_future",
}
