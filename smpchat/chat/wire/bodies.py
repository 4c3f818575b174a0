"""Bodies of chat messages: JSON envelopes, and the forms that carry them (agent-wire 6.1, 6.5 and 6.6).

A body begins with ``{`` (one JSON message), ``[`` (an array of them), ``X`` (compressed), ``=`` (binary batch) or ``F``
(chunk of a file sent in line). We write the first and the third form, and read all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any

from smpchat.encoding import zstd
from smpchat.encoding.codec import Codec, large_bytes, literal, many, non_empty, pair, short_bytes, tail
from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import to_base64url
from smpchat.protocol.version import VersionRange

# Never 18 or more: apps would count on what relays and channels need (deltas 2
# and 3). Higher ones may be read of peers.
CHAT_VERSIONS = VersionRange(1, 16)
"""From version 8 on, a peer compresses messages and uses a post-quantum ratchet; from 9 on, it sends arrays (agent-wire
6.7)."""
# Who declares it gets a post-quantum ratchet from apps by that alone (agent-wire trap 40).
COMPRESSION_SINCE = 8
MAX_JSON = 15_602
"""Longest JSON of one message, in bytes."""
MAX_COMPRESSED = 13_380
"""Longest compressed message, and longest JSON that stays plain where a longer one is compressed."""
MAX_COMPRESSED_INFO = 10_968
"""Longest compressed connection info, and longest connection info that stays plain where a longer one is compressed."""
MAX_INFO = 10_200
"""Longest connection info that we send, plain or compressed, in bytes. The same envelope contains the reply queue,
whose relay may have many hosts."""
MAX_EXPANDED = zstd.MAX_DECOMPRESSED
"""The size, in bytes, that all compressed parts of one body may have together when they are expanded."""
MAX_MESSAGES = 200
"""Messages of one body that are read. Apps put at most 15,602 bytes of them into one, which are some 160 of the
shortest; but 900 of them fit into 89 compressed bytes."""
MAX_SHARED_ID = 255
"""Longest id of a message that is kept, in characters; ids of apps have 24."""


class Envelope(Record):
    """One JSON message. ``shared_id``: its id between the two clients; ``versions``: what its sender's app speaks."""

    event: str
    params: dict[str, Any] = field(repr=False)
    shared_id: str | None = None
    versions: VersionRange | None = None


class Unreadable(Record):
    """A malformed part of a body; the other parts are read all the same."""

    what: str


class LeftOut(Record):
    """The body has more messages than `MAX_MESSAGES`; the rest is left out."""

    what: str = "more messages than are read"


Part = Envelope | Unreadable | LeftOut


def new_shared_id(random12: bytes) -> str:
    """A message's id between the two chat clients: 12 random bytes."""
    return to_base64url(random12)


def shared_id(value: object) -> str | None:
    """An id from JSON, always in the same spelling; on the wire, padding is optional (agent-wire 6.1). None if it is
    not an id."""
    if not isinstance(value, str) or len(value) > MAX_SHARED_ID or not value.isascii():
        return None
    text = value.rstrip("=")
    return text + "=" * (-len(text) % 4) if text else None


# -- writing ----------------------------------------------------------------------------------------------------------


def encode_envelope(envelope: Envelope) -> bytes:
    """The JSON of one message: keys in the apps' order, those below ``params`` sorted, no blanks."""
    message: dict[str, Any] = {}
    if envelope.versions is not None:
        message["v"] = str(envelope.versions)
    if envelope.shared_id is not None:
        message["msgId"] = envelope.shared_id
    message |= {"event": envelope.event, "params": _sorted(envelope.params)}
    # "replace": half a surrogate pair, should one get here, has no UTF-8.
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def compress_body(data: bytes) -> bytes:
    """``X``: a list of one frame."""
    # A list around the frame, which link data of the same letter do not have (agent-wire 6.6, trap 39).
    return b"X" + _items.write(((_FRAME, zstd.compress(data)),))


def pack_info(data: bytes, limit: int = MAX_INFO, *, compresses: bool = True) -> bytes | None:
    """JSON as connection info, compressed if necessary; None if there is no room for it.

    Every peer that knows post-quantum ratchets reads compressed info, whatever chat version it speaks (agent-wire 6.6).
    """
    if len(data) <= limit:
        return data
    body = compress_body(data) if compresses and len(data) <= MAX_JSON else data
    return body if len(body) <= limit else None


class Room(Record):
    """What one message of a connection holds: the longest JSON, and the longest compressed body (0: no compression), in
    bytes."""

    plain: int
    compressed: int

    @staticmethod
    def of(max_body: int, peer_version: int) -> Room:
        """The room of a connection that carries bodies of ``max_body`` bytes to a peer of that chat version.

        Apps compress only where the post-quantum ratchet leaves less room (agent-wire 6.6).
        """
        if max_body >= MAX_JSON:
            return Room(MAX_JSON, 0)
        if peer_version < COMPRESSION_SINCE:
            return Room(max_body, 0)
        return Room(min(max_body, MAX_COMPRESSED), min(max_body, MAX_COMPRESSED))

    def pack(self, data: bytes) -> bytes | None:
        """JSON as a body, compressed if necessary; None if there is no room for it."""
        if len(data) <= self.plain:
            return data
        if not self.compressed or len(data) > MAX_JSON:
            return None
        body = compress_body(data)
        return body if len(body) <= self.compressed else None

    def limit(self, data: bytes) -> int:
        """How long JSON like this may be, in bytes, if it did not fit.

        How much compression saves depends on the text. If its beginning would fit when compressed, the limit is the
        length that the wire allows; otherwise it is the room for compressed bodies.
        """
        if not self.compressed:
            return self.plain
        return MAX_JSON if self.pack(data[:MAX_JSON]) is not None else self.compressed


# -- reading ----------------------------------------------------------------------------------------------------------


def decode_body(body: bytes) -> list[Part]:
    """The messages in a body, in order; parts that this client does not use (chunks, forwarded messages) are left out.

    If there are too many, the last item is `LeftOut`.

    Raises:
        DecodeError: The body has none of these forms, or consists of one malformed message.
    """
    # One more, to tell that there are more. What is behind that is neither expanded nor read.
    parts = list(islice(_parts(body, may_expand=True), MAX_MESSAGES + 1))
    return parts if len(parts) <= MAX_MESSAGES else [*parts[:MAX_MESSAGES], LeftOut()]


def _parts(body: bytes, *, may_expand: bool) -> Iterator[Part]:
    match body[:1]:
        case b"{":
            yield read_envelope(_json(body))
        case b"[":
            yield from _array(_json(body))
        case b"=":
            yield from _each(_elements.decode(body[1:], "batch"), _element)
        case b"F":
            return
        # Not inside another: each level would multiply what a few bytes cost.
        case b"X" if may_expand:
            yield from _each(_expanded(body), partial(_parts, may_expand=False))
        case _:
            raise DecodeError("chat message of an unknown form")


def _json(text: bytes) -> Any:
    if len(text) > MAX_EXPANDED:
        raise DecodeError(f"chat message of {len(text)} bytes; at most {MAX_EXPANDED} are read")
    return parse_json(text, "chat message")


def read_envelope(value: object) -> Envelope:
    """One JSON message that was read already. Raises `DecodeError`."""
    if not isinstance(value, dict):
        raise DecodeError("chat message is not an object")
    event, params = value.get("event"), value.get("params")
    if not isinstance(event, str) or not event.startswith("x") or not isinstance(params, dict):
        raise DecodeError("chat message without an event")
    return Envelope(event, params, shared_id(value.get("msgId")), _versions(value.get("v")))


def _versions(value: object) -> VersionRange | None:
    try:
        return VersionRange.parse(value) if isinstance(value, str) else None
    except DecodeError:
        return None


def _array(items: list[object]) -> Iterator[Part]:
    for item in items:
        try:
            yield read_envelope(item)
        except DecodeError as error:
            yield Unreadable(error.what)


def _each(parts: Iterable[bytes], read: Callable[[bytes], Iterator[Part]]) -> Iterator[Part]:
    """The content of every part; a malformed part does not affect the others."""
    for part in parts:
        try:
            yield from read(part)
        except DecodeError as error:
            yield Unreadable(error.what)


# -- X: compressed ----------------------------------------------------------------------------------------------------

_PLAIN, _FRAME = b"0", b"1"
_items_by_tag = {_PLAIN: short_bytes, _FRAME: large_bytes}


def _write_item(item: tuple[bytes, bytes]) -> bytes:
    tag, data = item
    return tag + _items_by_tag[tag].write(data)


def _read_item(reader: Reader) -> tuple[bytes, bytes]:
    tag = reader.take(1, "kind of a compressed part")
    if tag not in _items_by_tag:
        raise DecodeError("compressed part of an unknown kind", reader.offset - 1)
    return tag, _items_by_tag[tag].read(reader)


_items = non_empty(Codec(_write_item, _read_item))


def _expanded(body: bytes) -> Iterator[bytes]:
    room = MAX_EXPANDED
    for tag, data in _items.decode(body[1:], "compressed message"):
        content = data if tag == _PLAIN else zstd.decompress(data)
        # Counted over all items: 255 frames of the most that one may hold would be 16 MiB of one message.
        room -= len(content)
        if room < 0:
            raise DecodeError(f"compressed message expands to more than {MAX_EXPANDED} bytes")
        yield content


# -- =: binary batch --------------------------------------------------------------------------------------------------

_elements = many(large_bytes)
_signed = pair(literal(b"/G"), pair(many(pair(literal(b"M"), short_bytes)), tail))


def _element(data: bytes) -> Iterator[Part]:
    match data[:1]:
        case b"{":
            yield read_envelope(_json(data))
        case b"/":  # signatures matter in groups; here the connection says who speaks
            _, (_, text) = _signed.decode(data, "signed message")
            yield read_envelope(_json(text))
        case b">" | b"F":  # somebody else's words must not pass for the contact's
            return
        case _:
            raise DecodeError("element of a batch of an unknown form")
