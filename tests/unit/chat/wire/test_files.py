"""Files in messages: what is read, what is refused, and descriptions in parts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from smpchat.chat.wire.files import (
    MAX_DESCRIPTION,
    MAX_PARTS,
    PART,
    DescriptionPart,
    FileDescription,
    FileInvitation,
    encode_description_part,
    encode_file,
    parts_of,
)
from smpchat.chat.wire.message import ChatEvent, TextMessage, UnsupportedEvent, decode_messages

ID, OTHER = "b25l", "b3RoZXI="
PLACEHOLDER = {"fileDescrText": "", "fileDescrPartNo": 0, "fileDescrComplete": False}
CONTENT = {"type": "file", "text": ""}


def event(name: str, params: dict[str, Any]) -> ChatEvent:
    [message] = decode_messages(json.dumps({"event": name, "msgId": ID, "params": params}).encode())
    return message.event


def invited(**file: Any) -> FileInvitation | None:
    read = event("x.msg.new", {"content": CONTENT, "file": {"fileName": "a", "fileSize": 1} | file})
    assert isinstance(read, TextMessage)
    return read.file


def test_what_we_write_is_read() -> None:
    invitation = FileInvitation("résumé.pdf", 12, preview="data:image/jpg;base64,AAAA")
    content = {"type": "image", "text": "hi", "image": "data:image/jpg;base64,AAAA"}
    [message] = decode_messages(encode_file(content, invitation, ID, 60))
    assert isinstance(message.event, TextMessage)
    assert (message.event.file, message.event.ttl, message.event.text) == (
        invitation, 60, "[image résumé.pdf, 12 bytes] hi",
    )  # fmt: skip


@pytest.mark.parametrize(
    "file",
    [
        {},  # sent in an old way
        {"fileDescr": {**PLACEHOLDER, "fileDescrPartNo": 1}},
        {"fileDescr": {**PLACEHOLDER, "fileDescrPartNo": False}},
        {"fileDescr": {**PLACEHOLDER, "fileDescrText": 3}},
        {"fileDescr": {**PLACEHOLDER, "fileDescrComplete": "no"}},
        {"fileDescr": PLACEHOLDER, "fileSize": -1},
        {"fileDescr": PLACEHOLDER, "fileSize": 1 << 60},
        {"fileDescr": PLACEHOLDER, "fileSize": True},
        {"fileDescr": PLACEHOLDER, "fileSize": 1.5},
        {"fileDescr": PLACEHOLDER, "fileName": None},
        {"fileDescr": "text"},
    ],
)
def test_what_is_no_file_is_still_a_message(file: dict[str, Any]) -> None:
    assert invited(**file) is None


def test_half_a_surrogate_pair_and_a_long_name_do_no_harm() -> None:
    read = invited(fileDescr=PLACEHOLDER, fileName="\ud800" + "x" * 5_000)
    assert read is not None and len(read.name) == 1_000
    read.name.encode()


@pytest.mark.parametrize("length", [0, 1, PART, PART + 1, 3 * PART])
def test_a_description_is_cut_and_put_together(length: int) -> None:
    text = "é" * length
    parts = list(parts_of(text))
    assert [part.number for part in parts] == list(range(1, max(1, -(-length // PART)) + 1))
    assert [part.complete for part in parts] == [False] * (len(parts) - 1) + [True]
    read = [decode_messages(encode_description_part(DescriptionPart(OTHER, part), ID))[0].event for part in parts]
    assert read == [DescriptionPart(OTHER, part) for part in parts]
    assert "".join(part.text for part in parts) == text


@pytest.mark.parametrize(
    "description",
    [
        PLACEHOLDER,  # that of an invitation
        {**PLACEHOLDER, "fileDescrPartNo": -1},
        {**PLACEHOLDER, "fileDescrPartNo": MAX_PARTS + 1},
        {**PLACEHOLDER, "fileDescrPartNo": 10**30},
        {**PLACEHOLDER, "fileDescrPartNo": 1, "fileDescrComplete": None},
        None,
        [],
    ],
)
def test_a_malformed_part_is_no_event(description: object) -> None:
    read = event("x.msg.file.descr", {"msgId": OTHER, "fileDescr": description})
    assert isinstance(read, UnsupportedEvent)
    assert isinstance(event("x.msg.file.descr", {"fileDescr": {**PLACEHOLDER, "fileDescrPartNo": 1}}), UnsupportedEvent)


def test_keys_are_in_no_repr() -> None:
    part = DescriptionPart(ID, FileDescription("key: secret", 1, True))
    assert "secret" not in repr(part) and MAX_DESCRIPTION >= 3 * PART
