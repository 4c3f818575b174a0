"""Format of ``chat.json``: bodies that an app sent, each alone, with their text or what its agent said of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from smpchat.agent.wire.envelope import (
    ConnInfo,
    ConnInfoReply,
    Hello,
    NumberedMessage,
    QueueAdd,
    QueueContinue,
    QueueKey,
    QueueTest,
    QueueUse,
    RatchetReady,
    Receipts,
    UserMessage,
    agent_message,
)
from smpchat.chat.wire import message as chat
from smpchat.chat.wire.bodies import (
    CHAT_VERSIONS,
    MAX_COMPRESSED,
    Envelope,
    Room,
    decode_body,
    encode_envelope,
    shared_id,
)
from smpchat.encoding import zstd
from tests.vectors.check import Check, Document, Mismatch, hexadecimal, same

MAX_COMPRESSED_INFO = 10_968
"""Longest connection info that apps send to a peer that supports compression, plain or compressed, in bytes."""
_KINDS = {"connInfo", "msg", "linkData", "agentMsg"}
_AGENT_MESSAGES = {
    "AgentConnInfo": ConnInfo,
    "AgentConnInfoReply": ConnInfoReply,
    "HELLO": Hello,
    "A_MSG": UserMessage,
    "A_RCVD": Receipts,
    "A_QCONT": QueueContinue,
    "QADD": QueueAdd,
    "QKEY": QueueKey,
    "QUSE": QueueUse,
    "QTEST": QueueTest,
    "EREADY": RatchetReady,
}


def recognises(document: Document) -> bool:
    """A list of bodies, each with its kind."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(record, dict)
            and isinstance(record.get("body_hex"), str)
            and isinstance(record.get("kind"), str)
            and record["kind"] in _KINDS
            for record in document
        )
    )


def checks(document: Document) -> Iterator[Check]:
    """What is known of every body."""
    for index, record in enumerate(document):
        body = hexadecimal(record["body_hex"])
        name = f"{record.get('name', f'body {index}')}: "
        yield Check(f"{name}bytes", partial(_same_bytes, record, body))
        match record["kind"]:
            case "agentMsg":
                yield Check(f"{name}agent message", partial(_same_agent_message, record, body))
            case "linkData":
                yield Check(f"{name}link data", partial(_link_data, record, body))
            case kind:
                yield Check(f"{name}events", partial(_same_events, record, body))
                yield Check(f"{name}written again", partial(_written_again, record, body, info=kind == "connInfo"))


def _same_bytes(record: dict[str, Any], body: bytes) -> None:
    same("length", len(body), record.get("len", len(body)))
    if record.get("body_text_if_utf8") is not None:
        same("text", body.decode(), record["body_text_if_utf8"])


def _text(record: dict[str, Any], body: bytes) -> str:
    """The JSON of a body, as the file has it."""
    text = record.get("decompressed_text") or record.get("body_text_if_utf8") or body.decode()
    assert isinstance(text, str)
    return text


def _envelopes(body: bytes) -> list[Envelope]:
    """Every message of a body, none of which may be unreadable."""
    envelopes = []
    for part in decode_body(body):
        if not isinstance(part, Envelope):
            raise Mismatch(part.what)
        envelopes.append(part)
    return envelopes


def _same_events(record: dict[str, Any], body: bytes) -> None:
    """The body says what its JSON says, and means something or is one of the events that are ignored."""
    value = json.loads(_text(record, body))
    values = value if isinstance(value, list) else [value]
    for item, envelope, decoded in zip(values, _envelopes(body), chat.decode_messages(body), strict=True):
        same("event", envelope.event, item["event"])
        same("params", envelope.params, item["params"])
        same("msgId", envelope.shared_id, shared_id(item.get("msgId")))
        same("v", str(envelope.versions) if envelope.versions else None, item.get("v"))
        understood = not isinstance(decoded.event, chat.UnsupportedEvent)
        same("understood", understood, item["event"] in _UNDERSTOOD)
        content = item["params"].get("content")
        if isinstance(decoded.event, chat.TextMessage | chat.MessageUpdate) and content["type"] in ("text", "link"):
            same("text", decoded.event.text, content["text"])


_UNDERSTOOD = {
    *("x.info", "x.contact", "x.msg.new", "x.msg.update", "x.msg.del", "x.msg.react", "x.direct.del"),
    *("x.call.inv", "x.file", "x.file.cancel", "x.msg.file.descr", "x.grp.inv", "x.grp.link.inv", "x.grp.link.reject"),
    *("x.grp.link.acpt", "x.grp.mem.new", "x.grp.mem.intro", "x.grp.mem.role", "x.grp.mem.del", "x.grp.leave"),
    *("x.grp.del", "x.grp.info", "x.grp.direct.inv", "x.grp.msg.forward"),
}


def _written_again(record: dict[str, Any], body: bytes, *, info: bool) -> None:
    """Our own form of the message: the app's JSON to the byte, compressed where and as far as the app does it."""
    text = _text(record, body).encode()
    envelopes = _envelopes(body)
    again = b",".join(map(encode_envelope, envelopes))
    if b"\\u" not in text:  # JSON has two spellings of some control characters
        same("JSON", again if text[:1] == b"{" else b"[" + again + b"]", text)
    for envelope, decoded in zip(envelopes, chat.decode_messages(body), strict=True):
        encode = _OWN.get(type(decoded.event))
        if encode is not None and envelope.shared_id is not None and _is_plain(envelope):
            ours = Envelope(envelope.event, envelope.params, envelope.shared_id, CHAT_VERSIONS)
            same("ours", encode(decoded.event, envelope.shared_id), encode_envelope(ours))
    limit = MAX_COMPRESSED_INFO if info else MAX_COMPRESSED
    packed = Room(limit, limit).pack(text)
    if packed is None:
        raise Mismatch(f"no room for {len(text)} bytes")
    same("compressed", packed[:1] == b"X", body[:1] == b"X")
    same("opened again", _envelopes(packed), envelopes)


def _is_plain(envelope: Envelope) -> bool:
    """Whether the message has nothing that we reduce to a note when it is read."""
    content = envelope.params.get("content", {"type": "text", "text": ""})
    known = {"content", "msgId", "reaction", "add", "live"}
    return content.keys() == {"type", "text"} and content["type"] == "text" and envelope.params.keys() <= known


_OWN: dict[type[Any], Callable[[Any, str], bytes]] = {
    chat.TextMessage: lambda event, shared_id: chat.encode_text(event.text, shared_id),
    chat.MessageUpdate: chat.encode_update,
    chat.MessageDeletion: chat.encode_deletion,
    chat.ReactionChange: chat.encode_reaction,
}


def _link_data(record: dict[str, Any], body: bytes) -> None:
    """Link data is JSON, or one bare frame of it behind ``X``: not the framing of messages (agent-wire 2.9)."""
    content = zstd.decompress(body[1:]) if body[:1] == b"X" else body
    same("text", content.decode(), _text(record, body))
    same("profile", isinstance(json.loads(content)["profile"], dict), True)


def _same_agent_message(record: dict[str, Any], body: bytes) -> None:
    message = agent_message.decode(body, "agent message")
    same("written again", agent_message.encode(message), body)
    known = record.get("agent", {})
    inner = message
    if isinstance(message, NumberedMessage):
        inner = message.message  # type: ignore[assignment]
        same("sndMsgId", message.message_id, known.get("sndMsgId", message.message_id))
        same("prevMsgHash", message.previous_hash, hexadecimal(known.get("prevMsgHash", message.previous_hash.hex())))
    if "type" in known:
        same("type", type(inner).__name__, _AGENT_MESSAGES[known["type"]].__name__)
    if isinstance(inner, ConnInfo | ConnInfoReply):
        _envelopes(inner.conn_info)
    if isinstance(inner, Receipts) and "receipts" in known:
        found = [(r.message_id, r.message_hash.hex(), r.info.hex()) for r in inner.receipts]
        same("receipts", found, [(r["agentMsgId"], r["msgHash"], r["rcptInfo"]) for r in known["receipts"]])
