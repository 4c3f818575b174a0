"""Format of ``group-events.jsonl``: messages between members of a group, one a line, alone or in an array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from smpchat.chat.wire.bodies import CHAT_VERSIONS, Envelope, decode_body, encode_envelope
from smpchat.chat.wire.group_encoding import batches, encode_group_event, group_envelope, join_batch
from smpchat.chat.wire.group_events import Forward, Post, Unusable, said
from smpchat.chat.wire.groups import KNOWN_EVENTS, decode_group_messages
from tests.vectors.check import Check, Document, Mismatch, same
from tests.vectors.documents import Events

_OF_CONTACTS = {"content", "msgId", "welcomeMsgId"}
"""What only somebody who wants to be a contact says in ``x.contact``."""
_OF_MEMBERS = {"displayName", "fullName", "shortDescr", "image", "peerType"}
"""What members say in a profile; contacts say more."""


def recognises(document: Document) -> bool:
    """Events, told from bodies when the file was read."""
    return isinstance(document, Events)


def checks(document: Document) -> Iterator[Check]:
    """Every event is understood and written again."""
    for number, value in enumerate(document.lines, start=1):
        body = json.dumps(value).encode()
        yield Check(f"line {number}: understood and written again", partial(same_group_events, body))


def same_group_events(body: bytes) -> None:
    """Each message of a body, if it is one that members of groups send, as values and back to the app's JSON."""
    again = []
    for envelope, decoded in zip(decode_body(body), decode_group_messages(body), strict=True):
        if not isinstance(envelope, Envelope) or envelope.event not in KNOWN_EVENTS:
            continue
        event = decoded.event
        if isinstance(event, Unusable) or (isinstance(event, Forward) and event.event is None):
            raise Mismatch(f"{envelope.event} is not understood: {event}")
        written = group_envelope(event)
        same("event", written.event, envelope.event)
        expected = _for_members(envelope)
        same("JSON", encode_envelope(written), encode_envelope(Envelope(envelope.event, expected)))
        same("own", encode_group_event(event, decoded.shared_id), _own(envelope, expected))
        if isinstance(event, Forward):
            _forwarded(event)
        if isinstance(event, Post) and said(event, decoded.shared_id) is None:
            raise Mismatch("a message without words")
        again.append(encode_group_event(event, decoded.shared_id))
    if len(again) > 1 and body[:1] == b"[":
        same("batch", batches(again, max(len(body), len(join_batch(again)))), [again])


def _own(envelope: Envelope, params: dict[str, Any]) -> bytes:
    return encode_envelope(Envelope(envelope.event, params, envelope.shared_id, CHAT_VERSIONS))


def _forwarded(event: Forward) -> None:
    assert event.event is not None
    if event.moment is None:
        raise Mismatch("not a time")
    inner = encode_envelope(group_envelope(event.event))
    same("inner", inner, encode_envelope(Envelope(event.message.event, event.message.params)))


def _for_members(envelope: Envelope) -> dict[str, Any]:
    left_out = _OF_CONTACTS if envelope.event == "x.contact" else set()
    params = {name: value for name, value in envelope.params.items() if name not in left_out}
    if isinstance(params.get("profile"), dict):
        params["profile"] = {name: value for name, value in params["profile"].items() if name in _OF_MEMBERS}
    return params
