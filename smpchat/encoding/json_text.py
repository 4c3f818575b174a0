"""Parses JSON from outside: it must be UTF-8, and not nested so deeply that later code would run out of stack."""

from __future__ import annotations

import json
import re
from typing import Any

from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError

MAX_DEPTH = 64
"""Deepest nesting that is accepted; the JSON of apps is less than 10 deep."""

# Matches a bracket, or a string up to its closing quote or the end of the text. The expression never backtracks, so
# matching takes linear time.
_TOKEN = late(r'"(?:[^"\\]|\\.?)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


def parse_json(data: bytes, what: str = "JSON") -> Any:
    """The value in ``data``. Raises `DecodeError` for any bytes that are not valid JSON."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise DecodeError(f"{what} is not UTF-8") from None
    # Check the depth before parsing: the parser calls itself for each bracket, so 100,000 brackets raise
    # RecursionError. When many function calls are already on the stack, even fewer brackets are enough.
    if _depth(text) > MAX_DEPTH:
        raise DecodeError(f"{what} is nested too deeply")
    try:
        return json.loads(text, parse_constant=_no_number)
    # `json.loads` raises ValueError for invalid JSON, and for a number with more than 4,300 digits, because converting
    # such a number would take quadratic time (CVE-2020-10735).
    except ValueError:
        raise DecodeError(f"{what} is not JSON") from None


def _no_number(name: str) -> None:
    # Python would accept NaN and Infinity, and write them into JSON that other programs refuse.
    raise ValueError(f"{name} is not JSON")


def _depth(text: str) -> int:
    deepest = depth = 0
    for token in _TOKEN().finditer(text):
        match token[0]:
            case "[" | "{":
                depth += 1
                deepest = max(deepest, depth)
            case "]" | "}":
                depth -= 1
    return deepest
