"""Bodies of chat messages: JSON envelopes, alone, in arrays, compressed or in batches (agent-wire 6.1, 6.5 and 6.6).

A body begins with ``{`` (one JSON message), ``[`` (an array of them), ``X`` (compressed), ``=`` (binary batch) or ``F``
(chunk of a file that is sent inside messages). We send bodies that begin with ``{`` or ``X``, and to newcomers of a
group also ``[``. We read all these bodies except those that begin with ``F``, which are ignored.
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

# Never declare version 18 or more: apps would then expect support for channels and their relays. Peers may declare
# higher versions.
CHAT_VERSIONS = VersionRange(1, 16)
"""The chat versions that we declare to peers. If the highest is at least 8, an app compresses long messages and uses a
post-quantum ratchet; if it is at least 9, an app may send several messages in one array (agent-wire 6.7)."""
# Declaring version 8 is enough for apps to start a post-quantum ratchet (agent-wire trap 40).
COMPRESSION_SINCE = 8
MAX_JSON = 15_602
"""Longest JSON of one message, in bytes."""
MAX_COMPRESSED = 13_380
"""Longest compressed message, in bytes. If the post-quantum ratchet leaves too little room for the longest JSON, this
is also the longest JSON that is sent uncompressed."""
MAX_INFO = 10_200
"""Longest connection info that we send, plain or compressed, in bytes. The confirmation that contains it also describes
the reply queue, and needs room for the many hosts that the queue's relay may have."""
MAX_EXPANDED = zstd.MAX_DECOMPRESSED
"""How many bytes all compressed parts of one body together can have after expansion."""
MAX_MESSAGES = 200
"""How many chat messages in one body are read. Apps put at most 15,602 bytes into a body, enough for about 160 of the
shortest messages; but an attacker can fit 900 of these into 89 compressed bytes."""
MAX_SHARED_ID = 255
"""Longest message id that is accepted, in characters; the ids that apps make have 24."""


class Envelope(Record):
    """One JSON message. ``shared_id``: the message's id, which both apps know; ``versions``: the chat versions of the
    sender's app."""

    event: str
    params: dict[str, Any] = field(repr=False)
    shared_id: str | None = None
    versions: VersionRange | None = None


class Unreadable(Record):
    """A malformed part of a body. The other parts of the body are read nevertheless."""

    what: str


class LeftOut(Record):
    """Stands for the messages of a body that are not read, because they come after the first `MAX_MESSAGES`."""

    what: str = "more messages than smpchat reads"


Part = Envelope | Unreadable | LeftOut


def new_shared_id(random12: bytes) -> str:
    """A new id for a message, made from random bytes: 12, or 16 for a request to join a group. Both apps know
    the message by this id."""
    return to_base64url(random12)


def shared_id(value: object) -> str | None:
    """An id from JSON, with padding added so that each id has only one spelling; None if the value is not an id. In
    messages, ids may lack their padding (agent-wire 6.1)."""
    if not isinstance(value, str) or len(value) > MAX_SHARED_ID or not value.isascii():
        return None
    text = value.rstrip("=")
    return text + "=" * (-len(text) % 4) if text else None


# -- writing ----------------------------------------------------------------------------------------------------------


def encode_envelope(envelope: Envelope) -> bytes:
    """The JSON of one message, without blanks. The keys of the message are in the same order as in apps; the keys
    inside ``params`` are sorted."""
    message: dict[str, Any] = {}
    if envelope.versions is not None:
        message["v"] = str(envelope.versions)
    if envelope.shared_id is not None:
        message["msgId"] = envelope.shared_id
    message |= {"event": envelope.event, "params": _sorted(envelope.params)}
    # "replace", because half of a surrogate pair cannot be encoded in UTF-8.
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def compress_body(data: bytes) -> bytes:
    """A compressed body: the letter ``X``, then a list that contains one zstd frame."""
    # Link data begins with X too, but has its frame without a list (agent-wire 6.6, trap 39).
    return b"X" + _items.write(((_FRAME, zstd.compress(data)),))


def pack_info(data: bytes, limit: int = MAX_INFO, *, compresses: bool = True) -> bytes | None:
    """JSON as connection info, compressed if necessary; None if it does not fit.

    ``compresses``: whether the peer can read compressed info. Every peer that supports post-quantum ratchets can read
    it, whatever its chat version (agent-wire 6.6).
    """
    if len(data) <= limit:
        return data
    body = compress_body(data) if compresses and len(data) <= MAX_JSON else data
    return body if len(body) <= limit else None


class Room(Record):
    """The room in one message of a connection, in bytes: the longest JSON, and the longest compressed body (0: no
    compression)."""

    plain: int
    compressed: int

    @staticmethod
    def of(max_body: int, peer_version: int) -> Room:
        """The room in one message of a connection. ``max_body``: the longest body that the connection carries, in
        bytes; ``peer_version``: the peer's chat version.

        Apps compress only if the post-quantum ratchet leaves too little room for the longest JSON (agent-wire 6.6).
        """
        if max_body >= MAX_JSON:
            return Room(MAX_JSON, 0)
        if peer_version < COMPRESSION_SINCE:
            return Room(max_body, 0)
        return Room(min(max_body, MAX_COMPRESSED), min(max_body, MAX_COMPRESSED))

    def pack(self, data: bytes) -> bytes | None:
        """JSON as a body, compressed if necessary; None if it does not fit."""
        if len(data) <= self.plain:
            return data
        if not self.compressed or len(data) > MAX_JSON:
            return None
        body = compress_body(data)
        return body if len(body) <= self.compressed else None

    def limit(self, data: bytes) -> int:
        """An estimate of how many bytes ``data`` may have, for the error message if ``data`` is too long.

        It is an estimate, because how much compression saves depends on the text. If the first `MAX_JSON` bytes of
        ``data`` fit when compressed, the limit is `MAX_JSON`; otherwise it is the room for compressed bodies.
        """
        if not self.compressed:
            return self.plain
        return MAX_JSON if self.pack(data[:MAX_JSON]) is not None else self.compressed


# -- reading ----------------------------------------------------------------------------------------------------------


def decode_body(body: bytes) -> list[Part]:
    """The messages in a body, in order; chunks of files, and messages forwarded in a binary batch, are left out.

    If there are more than `MAX_MESSAGES`, a `LeftOut` stands for those that are not read.

    Raises:
        DecodeError: The body has none of the forms in this module's docstring, or is a single malformed message.
    """
    # We read one message more than `MAX_MESSAGES`, to see whether there are too many. The compressed parts of the body
    # that come after this message are not expanded.
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
        # A compressed part inside another is refused: each level would multiply the work that a few bytes cause.
        case b"X" if may_expand:
            yield from _each(_expanded(body), partial(_parts, may_expand=False))
        case _:
            raise DecodeError("chat message of an unknown form")


def _json(text: bytes) -> Any:
    if len(text) > MAX_EXPANDED:
        raise DecodeError(f"chat message of {len(text)} bytes; at most {MAX_EXPANDED} are read")
    return parse_json(text, "chat message")


def read_envelope(value: object) -> Envelope:
    """The envelope in a JSON value that was parsed already. Raises `DecodeError`."""
    if not isinstance(value, dict):
        raise DecodeError("chat message is not a JSON object")
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
    """Yields what ``read`` finds in each part of a body. For a malformed part, yields an `Unreadable`, and goes on."""
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
    tag = reader.take(1, "kind of a part in a compressed message")
    if tag not in _items_by_tag:
        raise DecodeError("a part in a compressed message has an unknown kind", reader.offset - 1)
    return tag, _items_by_tag[tag].read(reader)


_items = non_empty(Codec(_write_item, _read_item))


def _expanded(body: bytes) -> Iterator[bytes]:
    room = MAX_EXPANDED
    for tag, data in _items.decode(body[1:], "compressed message"):
        content = data if tag == _PLAIN else zstd.decompress(data)
        # The limit is for all parts of the message together: 255 parts of the largest size would expand to 16 MiB.
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
        case b"/":  # the signature is not checked: the connection shows who the sender is
            _, (_, text) = _signed.decode(data, "signed message")
            yield read_envelope(_json(text))
        case b">" | b"F":  # forwarded messages must not look like the contact's own
            return
        case _:
            raise DecodeError("an element of a batch has an unknown form")
