"""Chat messages on the wire: JSON events inside agent messages (agent-wire 6.1 to 6.6)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from smpchat.chat.errors import TextTooLong
from smpchat.chat.profile import Profile
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.text import to_base64url
from smpchat.protocol.version import VersionRange

CHAT_VERSIONS = VersionRange(1, 7)
"""Up to 7 a peer sends plain JSON, one message at a time (agent-wire 6.7)."""
MAX_JSON = 15_602
"""Longest JSON of one message, in bytes."""


@dataclass(frozen=True, slots=True)
class ProfileInfo:
    """``x.info``: the peer's profile, at the handshake or later."""

    profile: Profile | None


@dataclass(frozen=True, slots=True)
class TextMessage:
    """``x.msg.new``; content of other types is reduced to its text."""

    text: str = field(repr=False)
    shared_id: str | None


@dataclass(frozen=True, slots=True)
class ContactDeleted:
    """``x.direct.del``: the peer deleted us."""


@dataclass(frozen=True, slots=True)
class UnsupportedEvent:
    """Any other event: ignored without harm."""

    name: str


ChatEvent = ProfileInfo | TextMessage | ContactDeleted | UnsupportedEvent


def encode_profile(profile: Profile) -> bytes:
    """``x.info`` as connection info."""
    return _encode("x.info", {"profile": profile.to_wire()})


def encode_text(text: str, shared_id: str) -> bytes:
    """``x.msg.new`` with a text. Raises `TextTooLong`."""
    data = _encode("x.msg.new", {"content": {"type": "text", "text": text}}, shared_id)
    if len(data) > MAX_JSON:
        overhead = len(_encode("x.msg.new", {"content": {"type": "text", "text": ""}}, shared_id))
        raise TextTooLong(len(data) - MAX_JSON, MAX_JSON - overhead)
    return data


def new_shared_id(random12: bytes) -> str:
    """A message's id between the two chat clients: 12 random bytes."""
    return to_base64url(random12)


def _encode(event: str, params: dict[str, Any], shared_id: str | None = None) -> bytes:
    message: dict[str, Any] = {"v": str(CHAT_VERSIONS)}
    if shared_id is not None:
        message["msgId"] = shared_id
    message |= {"event": event, "params": params}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def decode_events(body: bytes) -> list[ChatEvent]:
    """The events in a message body or connection info: one JSON object, or an array of them.

    Raises:
        DecodeError: No JSON, or not of this form.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # the second bounds the nesting
        raise DecodeError("chat message is no JSON") from None
    return [_event(item) for item in (value if isinstance(value, list) else [value])]


def _event(value: object) -> ChatEvent:
    if not isinstance(value, dict) or not isinstance(value.get("event"), str):
        raise DecodeError("chat message without an event")
    name, params = value["event"], value.get("params")
    if not name.startswith("x") or not isinstance(params, dict):
        raise DecodeError("chat message without an event")
    match name:
        case "x.info":
            return ProfileInfo(Profile.from_wire(params.get("profile")))
        case "x.msg.new":
            content, shared_id = params.get("content"), value.get("msgId")
            text = content.get("text") if isinstance(content, dict) else None
            if not isinstance(text, str):
                return UnsupportedEvent(name)
            return TextMessage(text, shared_id if isinstance(shared_id, str) else None)
        case "x.direct.del":
            return ContactDeleted()
    return UnsupportedEvent(name)
