"""The description of a file: where its chunks are, and how to decrypt them, in YAML (xftp-wire 4).

A description comes from the sender of the file, who may be hostile. So `read_description` first checks the length of
the text. Then it reads the YAML as a stream of events, and accepts only lists, mappings and texts: it refuses YAML's
references, which can turn a few bytes into many. No number may be larger than the largest file needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from smpchat.crypto.box import KEY_SIZE, NONCE_SIZE
from smpchat.crypto.errors import KeyFormatError
from smpchat.crypto.keys import Ed25519PrivateKey
from smpchat.encoding.patterns import late
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import from_base64url, to_base64url
from smpchat.protocol.address import FileServer, checked_file_server, format_server
from smpchat.protocol.xftp.commands import CHUNK_SIZES
from smpchat.xftp.chunks import MAX_ENCRYPTED

MAX_TEXT = 256 * 1024
"""Longest description in characters; the description of the largest file that an app sends has some 37,000."""
MAX_CHUNKS = 1025
"""Maximum number of chunks of a file: the largest file would have this many if it were cut into chunks of 1 MiB. Apps
use at most 257 chunks."""
MAX_REPLICAS = 4
"""Maximum number of copies of one chunk; all known software makes one (xftp-wire trap 21)."""
MAX_ID = 255
DIGEST_SIZE, CHUNK_DIGEST_SIZE = 64, 32
_MAX_DEPTH = 5
_MAX_FIELDS = 64
"""Maximum number of keys of a mapping; newer descriptions may have keys that we do not know."""

_SIZE = late(r"([0-9]{1,12})(gb|mb|kb)?")
_UNITS = (("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10), ("", 1))


class Party(StrEnum):
    """Who uses a description: the keys and ids in it belong to the file's sender, or to a recipient."""

    RECIPIENT = "recipient"
    SENDER = "sender"


class DescribedReplica(Record):
    """One copy of a chunk, at one relay."""

    server: FileServer
    replica_id: bytes
    key: Ed25519PrivateKey


class DescribedChunk(Record):
    """A chunk. ``number`` counts from 1, ``size`` is in bytes, and ``digest`` is the SHA-256 of the chunk."""

    number: int
    size: int
    digest: bytes
    replicas: tuple[DescribedReplica, ...]


class Redirect(Record):
    """A redirect: the described file contains only the description of another file. ``size`` and ``digest`` are the
    number of bytes and the SHA-512 of all chunks of that other file together."""

    size: int
    digest: bytes


class FileDescription(Record):
    """The description of a file.

    Attributes:
        size: The number of bytes of all chunks together.
        digest: SHA-512 of all chunks together.
        key, nonce: Key and nonce with which the file was encrypted before it was cut into chunks.
        chunks: All chunks, in the order of their numbers.
    """

    size: int
    digest: bytes
    key: bytes = field(repr=False)
    nonce: bytes = field(repr=False)
    chunks: tuple[DescribedChunk, ...]
    redirect: Redirect | None = None
    party: Party = Party.RECIPIENT


# -- reading ----------------------------------------------------------------------------------------------------------


def read_description(text: str, party: Party = Party.RECIPIENT) -> FileDescription:
    """Parse the text of a description.

    Args:
        party: Who is to use the description: the file's sender or a recipient. The text must name the same party.
    Raises:
        DecodeError: The text is not a description, or describes an impossible file. `DecodeError.what` says
            what is wrong with the text, and begins with a small letter.
    """
    if len(text) > MAX_TEXT:
        raise DecodeError(f"the description has {len(text):,} characters, and the limit is {MAX_TEXT:,}")
    found = _mapping(_tree(text), "a description")
    if _text(found, "party") != party:
        raise DecodeError(f"the description is not for a {party.value}")
    size = _file_size(found, "size")
    digest = _bytes(_text(found, "digest"), DIGEST_SIZE, "digest")
    key = _bytes(_text(found, "key"), KEY_SIZE, "key")
    nonce = _bytes(_text(found, "nonce"), NONCE_SIZE, "nonce")
    chunks = _chunks(found, _chunk_size(_text(found, "chunkSize")))
    if sum(chunk.size for chunk in chunks) != size:
        raise DecodeError("the sizes of the chunks do not add up to the size of the file")
    return FileDescription(size, digest, key, nonce, chunks, _redirect(found), party)


def _tree(text: str) -> Any:
    """Parse a YAML document into mappings, lists and texts."""
    import yaml

    # PyYAML's C loader is ten times as fast, with the same result, but not every PyYAML was built with it.
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        events = _Events(yaml.parse(text, Loader=loader))
        events.expect(yaml.StreamStartEvent)
        events.expect(yaml.DocumentStartEvent)
        tree = events.node(_MAX_DEPTH)
        events.expect(yaml.DocumentEndEvent)
        events.expect(yaml.StreamEndEvent)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, DecodeError):
            raise
        raise DecodeError("it is not YAML") from None
    return tree


class _Events:
    """Makes a tree from a stream of YAML events, and refuses any YAML that descriptions do not need."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events: Iterator[Any] = iter(events)

    def expect(self, kind: type[Any]) -> None:
        if not isinstance(next(self._events, None), kind):
            raise DecodeError("the description is not one YAML document")

    def node(self, depth: int) -> Any:
        return self._of(next(self._events, None), depth)

    def _of(self, event: Any, depth: int) -> Any:
        import yaml

        if depth == 0:
            raise DecodeError("lists or mappings in the description are nested too deeply")
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise DecodeError("the description contains references, which are not allowed")
        if isinstance(event, yaml.ScalarEvent):
            return str(event.value)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(event := next(self._events, None), yaml.SequenceEndEvent):
                if len(items) > MAX_CHUNKS * MAX_REPLICAS:
                    raise DecodeError("a list in the description is too long")
                items.append(self._of(event, depth - 1))
            return items
        if isinstance(event, yaml.MappingStartEvent):
            found: dict[str, Any] = {}
            while not isinstance(event := next(self._events, None), yaml.MappingEndEvent):
                key = self._of(event, depth - 1)
                if not isinstance(key, str) or key in found or len(found) >= _MAX_FIELDS:
                    raise DecodeError(
                        "a mapping in the description has too many keys, a repeated key, or a key that is not a text"
                    )
                found[key] = self.node(depth - 1)
            return found
        raise DecodeError("the description is cut off")


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DecodeError(f"{what} must be a mapping")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise DecodeError(f"{what} must be a list")
    return value


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str):
        raise DecodeError(f"{name} is missing" if value is None else f"{name} must be a text")
    return value


def _bytes(text: str, size: int, what: str) -> bytes:
    data = from_base64url(text, what)
    if len(data) != size:
        raise DecodeError(f"{what} has {len(data)} bytes instead of {size}")
    return data


def _size(text: str, what: str) -> int:
    match = _SIZE().fullmatch(text)
    if not match:
        raise DecodeError(f"{what} is not a size")
    return int(match[1]) * dict(_UNITS)[match[2] or ""]


def _file_size(found: dict[str, Any], name: str) -> int:
    size = _size(_text(found, name), name)
    if not 0 < size <= MAX_ENCRYPTED:
        raise DecodeError(f"the file has {size:,} bytes, and the limit is {MAX_ENCRYPTED:,}")
    return size


def _chunk_size(text: str) -> int:
    size = _size(text, "the size of a chunk")
    if size not in CHUNK_SIZES:
        raise DecodeError(f"{size:,} bytes is not a valid size for a chunk")
    return size


def _redirect(found: dict[str, Any]) -> Redirect | None:
    if "redirect" not in found:
        return None
    value = _mapping(found["redirect"], "redirect")
    text = _text(value, "size")
    # The size in a redirect is a plain number, unlike all other sizes (xftp-wire trap 8).
    if not (text.isascii() and text.isdecimal() and len(text) <= 12):
        raise DecodeError("the description leads to a second one, whose size is not a number")
    if not 0 < int(text) <= MAX_ENCRYPTED:
        raise DecodeError("the description leads to a second one, which is too large")
    return Redirect(int(text), _bytes(_text(value, "digest"), DIGEST_SIZE, "digest"))


class _Gathered:
    """What has been read so far about one chunk. In a description, each replica of the chunk has a line of its own."""

    def __init__(self) -> None:
        self.replicas: list[DescribedReplica] = []
        self.digest: bytes | None = None
        self.size: int | None = None


def _chunks(found: dict[str, Any], default: int) -> tuple[DescribedChunk, ...]:
    chunks: dict[int, _Gathered] = {}
    for group in _list(found.get("replicas"), "replicas"):
        place = _mapping(group, "a relay's replicas")
        server = checked_file_server(_text(place, "server"))
        for line in _list(place.get("chunks"), "chunks"):
            if not isinstance(line, str):
                raise DecodeError("a chunk must be a text")
            _read_chunk(line, server, chunks)
    if sorted(chunks) != list(range(1, len(chunks) + 1)):
        raise DecodeError("the numbers of the chunks have gaps")
    return tuple(_described(number, chunks[number], default) for number in range(1, len(chunks) + 1))


def _read_chunk(line: str, server: FileServer, chunks: dict[int, _Gathered]) -> None:
    """Read the line of one replica, ``NUMBER:ID:KEY[:DIGEST[:SIZE]]``, and add the replica to ``chunks``."""
    number, *parts = line.split(":")
    if not 2 <= len(parts) <= 4 or not (number.isascii() and number.isdecimal() and len(number) <= 5):
        raise DecodeError("a chunk is not NUMBER:ID:KEY:DIGEST:SIZE")
    if not 1 <= int(number) <= MAX_CHUNKS:
        raise DecodeError(f"a chunk has the number {int(number):,}, and the limit is {MAX_CHUNKS:,} chunks")
    chunk = chunks.setdefault(int(number), _Gathered())
    if len(chunk.replicas) == MAX_REPLICAS:
        raise DecodeError(f"a chunk has more than {MAX_REPLICAS} replicas")
    replica_id = from_base64url(parts[0], "a chunk's id")
    if len(replica_id) > MAX_ID:
        raise DecodeError("a chunk's id is too long")
    try:
        key = Ed25519PrivateKey.from_der(from_base64url(parts[1], "a chunk's key"))
    except KeyFormatError:
        raise DecodeError("a chunk's key is not an Ed25519 key") from None
    chunk.replicas.append(DescribedReplica(server, replica_id, key))
    if len(parts) > 2:
        _same(chunk, _bytes(parts[2], CHUNK_DIGEST_SIZE, "a chunk's digest"), None)
    if len(parts) > 3:
        _same(chunk, None, _chunk_size(parts[3]))


def _same(chunk: _Gathered, digest: bytes | None, size: int | None) -> None:
    if digest is not None:
        if chunk.digest not in (None, digest):
            raise DecodeError("replicas of one chunk have different digests")
        chunk.digest = digest
    if size is not None:
        if chunk.size not in (None, size):
            raise DecodeError("replicas of one chunk have different sizes")
        chunk.size = size


def _described(number: int, chunk: _Gathered, default: int) -> DescribedChunk:
    if chunk.digest is None:
        raise DecodeError(f"chunk {number} has no digest")
    return DescribedChunk(number, chunk.size or default, chunk.digest, tuple(chunk.replicas))


# -- writing ----------------------------------------------------------------------------------------------------------


def format_size(size: int) -> str:
    """Write a size in the largest unit that divides it without a remainder, such as ``4mb``."""
    unit, bytes_of = next(one for one in _UNITS if size % one[1] == 0)
    return f"{size // bytes_of}{unit}"


def write_description(description: FileDescription) -> str:
    """The text of a description, as apps write it: keys in alphabetical order, replicas grouped by relay."""
    default = description.chunks[0].size
    places: dict[str, list[str]] = {}
    for chunk in description.chunks:
        for place, replica in enumerate(chunk.replicas):
            # The recipient must not learn our password for the relay, so the description contains the relay's address
            # without the password (xftp-wire trap 19).
            lines = places.setdefault(format_server(replica.server), [])
            lines.append(_chunk_line(chunk, replica, first=place == 0, default=default))
    text = [
        f"chunkSize: {format_size(default)}",
        f"digest: {to_base64url(description.digest)}",
        f"key: {to_base64url(description.key)}",
        f"nonce: {to_base64url(description.nonce)}",
        f"party: {description.party.value}",
    ]
    if description.redirect is not None:
        text += [
            "redirect:",
            f"  digest: {to_base64url(description.redirect.digest)}",
            f"  size: {description.redirect.size}",
        ]
    text.append("replicas:")
    for server, lines in places.items():
        text += ["- chunks:", *(f"  - {line}" for line in lines), f"  server: {_quoted(server)}"]
    text.append(f"size: {format_size(description.size)}")
    return "\n".join(text) + "\n"


def _chunk_line(chunk: DescribedChunk, replica: DescribedReplica, *, first: bool, default: int) -> str:
    parts = [str(chunk.number), to_base64url(replica.replica_id), to_base64url(replica.key.der)]
    if first:
        parts.append(to_base64url(chunk.digest))
        if chunk.size != default:
            parts.append(format_size(chunk.size))
    return ":".join(parts)


def _quoted(server: str) -> str:
    """A relay's address as YAML: in quotes if the address contains characters with a special meaning in YAML."""
    plain = server.isascii() and not set(server) & set("[]{}#&*!|>'\"%`\\ ")
    return server if plain else "'" + server.replace("'", "''") + "'"
