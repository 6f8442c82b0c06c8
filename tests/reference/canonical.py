"""RFC 8785 canonical JSON of a body, numbers written from their decimals."""

import json
from decimal import Decimal
from typing import Any


def canonical(value: Any) -> str:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return decimal_text(value)
    return json.dumps(value, ensure_ascii=False)


def decimal_text(value: Decimal) -> str:
    """As ECMAScript prints a number, with all digits of the text: plain from 1e-6 to 1e21, else with an exponent."""
    sign, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(str(digit) for digit in digits).lstrip("0")
    if not text:
        return "0"
    exponent += len(text) - len(text.rstrip("0"))
    text = text.rstrip("0")
    point = len(text) + exponent
    return ("-" if sign else "") + placed(text, point)


def placed(text: str, point: int) -> str:
    """Digits with the decimal point after the first `point` of them."""
    if len(text) <= point <= 21:
        return text + "0" * (point - len(text))
    if 0 < point <= 21:
        return text[:point] + "." + text[point:]
    if -6 < point <= 0:
        return "0." + "0" * -point + text
    power = point - 1
    mantissa = text[0] + ("." + text[1:] if len(text) > 1 else "")
    return f"{mantissa}e{'+' if power > 0 else '-'}{abs(power)}"
