"""Canonical JSON (RFC 8785), numbers as the decimals of their text instead of doubles."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from monitor.core.vocabulary import decimal_text


def canonical_json(value: Any) -> str:
    """RFC 8785 text of a JSON value: keys in UTF-16 order, no white space, numbers as plain shortest decimals."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{_text(key)}:{canonical_json(value[key])}" for key in keys) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, str):
        return _text(value)
    return decimal_text(Decimal(str(value)))


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
