"""Formats of ``app-bodies.jsonl``, ``files-real.jsonl`` and ``groups-real.jsonl``: what apps sent, each in a named
situation.

``form``, where it stands, is the first byte; ``raw`` the text, ``b64`` the bytes where these were compressed. A
record without an event is what stands behind a short link, in its own framing (agent-wire 2.9).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

from smpchat.agent.wire.envelope import NumberedMessage, Receipts, a_message, agent_message
from smpchat.chat.wire import message as chat
from smpchat.chat.wire.bodies import CHAT_VERSIONS, Envelope, decode_body, encode_envelope, shared_id
from smpchat.chat.wire.files import DescriptionPart, encode_description_part, encode_file, encode_file_cancel
from smpchat.chat.wire.happenings import FileCancelled
from smpchat.encoding import zstd
from tests.vectors.check import Check, Document, Mismatch, same
from tests.vectors.documents import Bodies
from tests.vectors.formats.group_events import same_group_events


def recognises(document: Document) -> bool:
    """Bodies, told from traces when the file was read."""
    return isinstance(document, Bodies)


def checks(document: Document) -> Iterator[Check]:
    """What is known of every body."""
    for number, record in enumerate(document.records, start=1):
        body = body_of(record)
        name = f"line {number}, {record['case']}: "
        yield Check(f"{name}bytes", partial(_same_bytes, record, body))
        if is_link_data(record):
            yield Check(f"{name}link data", partial(_link_data, record, body))
        elif record.get("event") == "A_RCVD":
            yield Check(f"{name}receipt", partial(_receipt, record, body))
        else:
            yield Check(f"{name}events", partial(_same_events, record, body))
            yield Check(f"{name}written again", partial(_written_again, record, body))
            yield Check(f"{name}files", partial(_files_written_again, body))
            yield Check(f"{name}group", partial(same_group_events, body))


def body_of(record: dict[str, Any]) -> bytes:
    """The bytes that were sent."""
    if "b64" in record:
        return base64.b64decode(record["b64"], validate=True)
    return str(record["raw"]).encode()


def text_of(record: dict[str, Any]) -> str:
    """The JSON of a body; of a compressed one that comes without it, as we expand it."""
    if "raw" in record:
        return str(record["raw"])
    envelopes = [part for part in decode_body(body_of(record)) if isinstance(part, Envelope)]
    return b",".join(map(encode_envelope, envelopes)).decode()


def is_link_data(record: dict[str, Any]) -> bool:
    """Whether this stands behind a short link rather than in a message."""
    value = json.loads(record["raw"]) if "raw" in record else None
    return isinstance(value, dict) and "event" not in value and "profile" in value


def _same_bytes(record: dict[str, Any], body: bytes) -> None:
    same("form", body[:1].decode(), record.get("form", body[:1].decode()))


def _receipt(record: dict[str, Any], body: bytes) -> None:
    """Of a message with a file only: what follows it asks for none. Sent ones come without their header."""
    if record["sent_or_received"] == "received":
        message = agent_message.decode(body, "receipt")
        same("written again", agent_message.encode(message), body)
        inner = message.message if isinstance(message, NumberedMessage) else None
    else:
        inner = a_message.decode(body, "receipt")
        same("written again", a_message.encode(inner), body)
    if not isinstance(inner, Receipts):
        raise Mismatch("this is no receipt")


def _link_data(record: dict[str, Any], body: bytes) -> None:
    content = zstd.decompress(body[1:]) if body[:1] == b"X" else body
    same("text", content.decode(), text_of(record))
    if chat.decode_link_info(body) is None:
        raise Mismatch("nobody's profile")


def _same_events(record: dict[str, Any], body: bytes) -> None:
    value = json.loads(text_of(record))
    values = value if isinstance(value, list) else [value]
    for item, envelope, decoded in zip(values, decode_body(body), chat.decode_messages(body), strict=True):
        if not isinstance(envelope, Envelope):
            raise Mismatch(envelope.what)
        same("event", envelope.event, item["event"])
        same("params", envelope.params, item["params"])
        same("msgId", envelope.shared_id, shared_id(item.get("msgId")))
        content = item["params"].get("content")
        if isinstance(decoded.event, chat.TextMessage | chat.MessageUpdate) and content["type"] in ("text", "link"):
            note = decoded.event.content.note  # of a text with a file
            same("text", decoded.event.text.removeprefix(f"{note} "), content["text"])
        if isinstance(decoded.event, chat.TextMessage):
            same("forward", decoded.event.forwarded, item["params"].get("forward") is True)
            same("live", decoded.event.live, item["params"].get("live") is True)


def _written_again(record: dict[str, Any], body: bytes) -> None:
    """The app's JSON to the byte, as far as it is in JSON's one spelling."""
    text = text_of(record)
    envelopes = [part for part in decode_body(body) if isinstance(part, Envelope)]
    again = ",".join(encode_envelope(envelope).decode() for envelope in envelopes)
    expected = text[1:-1] if text[:1] == "[" else text
    if "\\" not in text:
        same("JSON", again, expected)


def _files_written_again(body: bytes) -> None:
    """Our own form of what belongs to a file: the app's JSON to the byte."""
    for envelope, decoded in zip(decode_body(body), chat.decode_messages(body), strict=True):
        if not isinstance(envelope, Envelope) or envelope.shared_id is None:
            continue
        params = envelope.params
        match decoded.event:
            case chat.TextMessage(file=file) if file is not None and params.keys() <= {"content", "file", "ttl"}:
                ours = encode_file(params["content"], file, envelope.shared_id, decoded.event.ttl)
            case DescriptionPart() as part:
                ours = encode_description_part(part, envelope.shared_id)
            case FileCancelled(original):
                ours = encode_file_cancel(original, envelope.shared_id)
            case _:
                if envelope.event == "x.msg.file.descr":
                    raise Mismatch("a part of a description that is not understood")
                continue
        expected = Envelope(envelope.event, params, envelope.shared_id, CHAT_VERSIONS)
        same("ours", ours, encode_envelope(expected))
