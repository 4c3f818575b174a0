"""Bodies of chat messages: any bytes are read or refused with the one documented error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smpchat.chat.wire.bodies import MAX_EXPANDED, Room, compress_body, decode_body, shared_id
from smpchat.chat.wire.message import (
    REACTIONS,
    MessageDeletion,
    MessageUpdate,
    Quote,
    ReactionChange,
    TextMessage,
    decode_messages,
    encode_deletion,
    encode_reaction,
    encode_text,
    encode_update,
    quotation,
)
from smpchat.chat.wire.preferences import Allow, Feature
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.zstd import compress, decompress

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()))
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
_EVENTS = ["x.info", "x.contact", "x.msg.new", "x.msg.update", "x.msg.del", "x.msg.react", "x.direct.del", "x.ok"]
_KEYS = ["profile", "displayName", "fullName", "content", "type", "text", "file", "fileName", "fileSize", "quote"]
_KEYS += [
    "msgRef",
    "msgId",
    "sent",
    "sentAt",
    "reaction",
    "emoji",
    "add",
    "live",
    "duration",
    "preview",
    "uri",
    "reason",
    "ttl",
    "preferences",
    "allow",
    "image",
    "shortDescr",
    *Feature,
]
objects = st.recursive(
    scalars | st.sampled_from(["text", "image", "voice", "report", "link", *REACTIONS, *Allow]),
    lambda inner: st.dictionaries(st.sampled_from(_KEYS), inner, max_size=6),
    max_leaves=12,
)
envelopes = st.fixed_dictionaries(
    {"event": st.sampled_from(_EVENTS) | st.text(), "params": objects | values},
    optional={"v": values, "msgId": scalars},
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
ids = st.binary(min_size=1, max_size=30).map(lambda data: shared_id(data.hex())).filter(bool)


def check(body: bytes) -> None:
    """Reading ends with events that can be stored, or with the documented error."""
    try:
        messages = decode_messages(body)
    except DecodeError:
        return
    for message in messages:
        said = [getattr(message.event, name) for name in ("text", "shared_id", "name") if hasattr(message.event, name)]
        assert sum(len(text.encode()) for text in said if text is not None) <= 3 * MAX_EXPANDED  # raises for surrogates


@given(st.sampled_from([b"", b"X", b"X\x01", b"=", b"=\x01", b"F"]), st.binary(max_size=200))
def test_any_bytes(beginning: bytes, rest: bytes) -> None:
    check(beginning + rest)


@given(envelopes)
def test_any_json(envelope: dict[str, Any]) -> None:
    check(json.dumps(envelope).encode())


@given(st.lists(envelopes | values, max_size=4))
def test_any_array_holds_one_message_for_each_element(items: list[Any]) -> None:
    body = json.dumps(items, allow_nan=True).encode()
    check(body)
    if b"NaN" not in body and b"Infinity" not in body:
        assert len(decode_body(body)) == len(items)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=100)), min_size=1, max_size=4))
def test_any_compressed_parts(items: list[tuple[bool, bytes]]) -> None:
    parts = [
        b"1" + len(frame).to_bytes(2, "big") + frame if packed else b"0" + bytes([len(data)]) + data
        for packed, data in items
        for frame in [compress(data)]
    ]
    check(b"X" + bytes([len(parts)]) + b"".join(parts))


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_batch(elements: list[bytes]) -> None:
    check(b"=" + bytes([len(elements)]) + b"".join(len(e).to_bytes(2, "big") + e for e in elements))


@given(st.binary(max_size=2000))
def test_frames_round_trip(data: bytes) -> None:
    assert decompress(compress(data)) == data


@given(st.binary(max_size=300))
def test_any_frame_is_opened_or_refused(data: bytes) -> None:
    try:
        assert len(decompress(b"\x28\xb5\x2f\xfd" + data)) <= MAX_EXPANDED
    except DecodeError:
        pass


@given(texts, ids, st.none() | st.tuples(ids, st.booleans(), texts.filter(lambda t: len(t) <= 500)))
def test_texts_round_trip_plain_and_compressed(text: str, own: str, quoted: tuple[str, bool, str] | None) -> None:
    quote = Quote(*quoted) if quoted else None
    body = encode_text(text, own, quotation(quote, 0) if quote else None)
    [plain], [packed] = decode_messages(body), decode_messages(compress_body(body))
    assert plain == packed
    assert plain.event == TextMessage(text, own, quote)


@given(texts, ids, ids, st.sampled_from(REACTIONS), st.booleans())
def test_changes_round_trip(text: str, own: str, original: str, emoji: str, flag: bool) -> None:
    update, reaction = MessageUpdate(original, text, flag), ReactionChange(original, emoji, flag)
    bodies = [
        encode_update(update, own),
        encode_reaction(reaction, own),
        encode_deletion(MessageDeletion(original), own),
    ]
    assert [decode_messages(body)[0].event for body in bodies] == [update, reaction, MessageDeletion(original)]


@given(st.binary(max_size=20_000), st.integers(0, 16_000), st.integers(0, 20))
def test_a_packed_body_fits_its_connection(data: bytes, max_body: int, version: int) -> None:
    packed = Room.of(max_body, version).pack(data)
    assert packed is None or len(packed) <= max_body
