"""JSON from outside: Only UTF-8, and not nested deeper than a limit, so that later code does not run out of stack."""

from __future__ import annotations

import json
import re
from typing import Any

from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError

MAX_DEPTH = 64
"""Deepest nesting that is accepted; apps nest less than 10 deep."""

# A string to its closing quote or the end, or a bracket. The pattern always finds an end, so it takes linear time.
_TOKEN = late(r'"(?:[^"\\]|\\.?)*(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)


def parse_json(data: bytes, what: str = "JSON") -> Any:
    """The value that ``data`` holds. Raises `DecodeError`, whatever the bytes."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise DecodeError(f"{what} is not UTF-8") from None
    # Before the parser, which calls itself for each bracket: 100,000 of them end in
    # RecursionError, and less the deeper its caller stands.
    if _depth(text) > MAX_DEPTH:
        raise DecodeError(f"{what} is nested too deeply")
    try:
        return json.loads(text, parse_constant=_no_number)
    # Not only of what is no JSON: also of a number with more than 4,300 digits, whose conversion
    # would take quadratic time (CVE-2020-10735).
    except ValueError:
        raise DecodeError(f"{what} is not JSON") from None


def _no_number(name: str) -> None:
    # Python would take NaN and Infinity, and write them again into what others refuse to read.
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
