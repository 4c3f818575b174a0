"""Seeds: every string in the known answers, as bytes if it is hex; each target takes those that it can read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "vectors" / "data"
_HEX = re.compile(r"(?:[0-9a-f]{2}){4,10000}")
_LONGEST = 4_000
"""Bytes: a full link with the keys of a KEM."""
_MOST = 24
"""Of one target, of different lengths."""
_TRIED = 300
"""Strings that a target is given to find some that it reads."""


@cache
def known(*, text: bool) -> tuple[bytes, ...]:
    """Each once, shortest first: texts, or what is written in hex."""
    found: set[bytes] = set()
    for path in sorted(DATA.glob("*.json")):
        for string in _strings(json.loads(path.read_text(encoding="utf-8"))):
            if bool(_HEX.fullmatch(string)) != text and len(string) <= 2 * _LONGEST:
                found.add(string.encode() if text else bytes.fromhex(string))
    return tuple(sorted(found, key=lambda data: (len(data), data)))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)


def tried(*, text: bool) -> Sequence[bytes]:
    """Some of each length."""
    return spread(known(text=text), _TRIED)


def spread(found: Sequence[bytes], most: int = _MOST) -> list[bytes]:
    """A few of them, from the shortest to the longest."""
    step = -(-len(found) // most)
    return list(found[:: step or 1])
