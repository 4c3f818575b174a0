"""What a known-answer check is, and how it says what differed.

Only smpchat and the standard library may be imported here and in `tests.vectors.formats`: the runner works where no
test library is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = Any
"""Parsed JSON: whatever the file holds."""


class Mismatch(Exception):
    """The code's result is not the known answer; the message says where, in a line."""


@dataclass(frozen=True, slots=True)
class Check:
    """One known answer.

    Attributes:
        name: Where it stands in the file, in words: ``steps[3] decrypt by snd: plaintext``.
        run: Raises if the code disagrees.
    """

    name: str
    run: Callable[[], None]


def equals(name: str, compute: Callable[[], object], expected: object) -> Check:
    """A check that ``compute()`` gives ``expected``."""

    def run() -> None:
        same("result", compute(), expected)

    return Check(name, run)


def failing(name: str, error: Exception) -> Check:
    """A check that raises ``error``."""

    def run() -> None:
        raise error

    return Check(name, run)


def same(what: str, actual: object, expected: object) -> None:
    """Raises `Mismatch` naming ``what`` unless both are equal; long byte strings are not printed whole."""
    if actual != expected or type(actual) is not type(expected):
        raise Mismatch(f"{what}: {_difference(actual, expected)}")


def _difference(actual: object, expected: object) -> str:
    if isinstance(actual, bytes) and isinstance(expected, bytes):
        if len(actual) != len(expected):
            return f"{len(actual)} bytes, expected {len(expected)}"
        at = next(i for i, (a, b) in enumerate(zip(actual, expected, strict=True)) if a != b)
        return f"differs from byte {at} of {len(expected)}: {_some(actual, at)}, expected {_some(expected, at)}"
    return f"{_short(actual)}, expected {_short(expected)}"


def _some(data: bytes, at: int) -> str:
    return data[at : at + 8].hex() + ("…" if len(data) > at + 8 else "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def hexadecimal(text: str) -> bytes:
    """Bytes of a hex field. Raises `ValueError`."""
    return bytes.fromhex(text)
