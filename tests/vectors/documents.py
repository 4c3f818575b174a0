"""What a file of known answers holds, told by its content: JSON, a trace or bodies in JSON lines, or links."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.vectors.check import Document

_BLOCK_FIELDS = {"dir", "sess", "block"}
_FURTHER_BODY_FIELDS = {"form", "sent_or_received"}
"""One of them stands in every body, beside its case and its text or bytes."""
_LINK_STARTS = ("simplex:/", "https://")
_FILE_LINK_STARTS = ("simplex:/file#", "simplex:/file/#")
_DESCRIPTION_KEYS = {"chunkSize", "digest", "party", "replicas"}
_BLOCK_SIZE = 16_384
_DESCRIBED = ".rcv.yaml"
_CHUNK = re.compile(r"(.+)\.chunk\d+\.bin")
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


@dataclass(frozen=True, slots=True)
class FileLinks:
    """Links to files, one a line."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Description:
    """The description of a file.

    Attributes:
        chunks: What the relay stores, if all of it stands beside the description.
        plain: The file itself, if it does.
    """

    text: str
    chunks: tuple[bytes, ...] = ()
    plain: bytes | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a relay."""

    content: bytes


def parse_document(content: bytes) -> Document:
    """What the bytes hold; anything of no known kind raises `ValueError`."""
    if len(content) == _BLOCK_SIZE and not content.isascii():
        return Block(content)
    text = content.decode("utf-8")
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if lines and all(line.startswith(_FILE_LINK_STARTS) for line in lines):
        return FileLinks(lines)
    if _DESCRIPTION_KEYS <= {line.partition(":")[0] for line in text.splitlines()}:
        return Description(text)
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
    """The document in a file, compressed if it ends in .gz; a trace comes with those and the links beside it.

    A file that is described beside it is read as its description, and so are its chunks.
    """
    chunk = _CHUNK.fullmatch(path.name)
    described = path.with_name((chunk[1] if chunk else path.name) + _DESCRIBED)
    if described.is_file():
        path = described
    content = path.read_bytes()
    document = parse_document(gzip.decompress(content) if path.suffix == ".gz" else content)
    if isinstance(document, Description):
        return _with_file(document, path)
    if not isinstance(document, Trace):
        return document
    beside = list(_documents_beside(path))
    return Trace(
        document.blocks,
        tuple(other for other in beside if isinstance(other, Trace)),
        tuple(link for other in beside if isinstance(other, LinkText) for link in other.links),
    )


def _with_file(document: Description, path: Path) -> Description:
    file = path.with_name(path.name.removesuffix(_DESCRIBED))
    if file == path:
        return document
    chunks = sorted(path.parent.glob(f"{file.name}.chunk*.bin"), key=lambda one: (len(one.name), one.name))
    plain = file.read_bytes() if file.is_file() else None
    return Description(document.text, tuple(one.read_bytes() for one in chunks), plain)


def _documents_beside(path: Path) -> Iterable[Document]:
    for other in sorted(path.parent.iterdir()):
        if other == path or other.suffix not in _COMPANION_SUFFIXES or not other.is_file():
            continue
        try:
            yield parse_document(other.read_bytes())
        except ValueError:
            continue  # some other text; it is not what was asked for
