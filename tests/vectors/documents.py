"""What a file of known answers holds, told by its content: JSON, a trace or bodies in JSON lines, or links."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vectors.check import Document

_BLOCK_FIELDS = {"dir", "sess", "block"}
_FURTHER_BODY_FIELDS = {"form", "sent_or_received"}
"""One of them stands in every body, beside its case and its text or bytes."""
_LINK_STARTS = ("simplex:/", "https://")
_COMPANION_SUFFIXES = {".jsonl", ".txt"}


@dataclass(frozen=True, slots=True)
class LinkText:
    """The links of one conversation, one a line; ``None`` where there was no short link."""

    lines: tuple[str, ...]

    @property
    def links(self) -> tuple[str, ...]:
        """The lines that are links."""
        return tuple(line for line in self.lines if line != "None")


@dataclass(frozen=True, slots=True)
class Trace:
    """Blocks between a client and a relay, decrypted and without padding, in order.

    Attributes:
        blocks: One JSON object a block.
        others: Traces beside this one: the key of a sender may stand only in its peer's.
        links: Links beside this trace.
    """

    blocks: tuple[dict[str, Any], ...]
    others: tuple[Trace, ...] = ()
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bodies:
    """What an app sent in named situations, one JSON object a body, in order."""

    records: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Events:
    """Messages between members of a group, one a line: an envelope, or an array of them."""

    lines: tuple[Any, ...]


def parse_document(content: bytes) -> Document:
    """What the bytes hold; anything that is no JSON, no trace, no bodies and no links raises `ValueError`."""
    text = content.decode("utf-8")
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if lines and all(line == "None" or line.startswith(_LINK_STARTS) for line in lines):
        return LinkText(lines)
    try:
        document = json.loads(text)
    except ValueError:
        found = tuple(json.loads(line) for line in lines)
        if found and all(map(_is_block, found)):
            return Trace(found)
        if found and all(map(_is_body, found)):
            return Bodies(found)
        if found and all(map(_is_event, found)):
            return Events(found)
        raise
    if _is_body(document):
        return Bodies((document,))
    if _is_event(document):
        return Events((document,))
    return Trace((document,)) if _is_block(document) else document


def _is_event(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(item, dict) and _is_event(item) for item in value)
    return isinstance(value, dict) and value.keys() >= {"event", "params"} and "case" not in value


def _is_body(value: object) -> bool:
    if not isinstance(value, dict) or "case" not in value:
        return False
    return not value.keys().isdisjoint(_FURTHER_BODY_FIELDS) and not value.keys().isdisjoint({"raw", "b64"})


def _is_block(value: object) -> bool:
    return isinstance(value, dict) and value.keys() >= _BLOCK_FIELDS


def read_document(path: Path) -> Document:
    """The document in a file, compressed if it ends in .gz; a trace comes with those and the links beside it."""
    content = path.read_bytes()
    document = parse_document(gzip.decompress(content) if path.suffix == ".gz" else content)
    if not isinstance(document, Trace):
        return document
    beside = list(_documents_beside(path))
    return Trace(
        document.blocks,
        tuple(other for other in beside if isinstance(other, Trace)),
        tuple(link for other in beside if isinstance(other, LinkText) for link in other.links),
    )


def _documents_beside(path: Path) -> Iterable[Document]:
    for other in sorted(path.parent.iterdir()):
        if other == path or other.suffix not in _COMPANION_SUFFIXES or not other.is_file():
            continue
        try:
            yield parse_document(other.read_bytes())
        except ValueError:
            continue  # some other text; it is not what was asked for
