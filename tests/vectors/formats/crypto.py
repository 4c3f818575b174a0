"""Format of ``crypto.json``: primitives, each section a list of cases or a single case."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from tests.vectors.check import Check, Document, equals, hexadecimal


def recognises(document: Document) -> bool:
    """A mapping with at least one section of primitives."""
    return isinstance(document, dict) and "hashes" in document


def checks(document: Document) -> Iterator[Check]:
    """One check per answer."""
    section = document["hashes"]
    message = hexadecimal(section["message"])
    for name in ("sha256", "sha512", "sha3_256", "sha3_384"):
        yield equals(f"hashes: {name}", hashlib.new(name, message).digest, hexadecimal(section[name]))
