"""Files in chat messages: the invitation in ``x.msg.new``, and the events that describe or withdraw the file.

The message is sent before the upload, so it has only a placeholder (part 0) for the description of the file. The
description itself, which contains the keys, follows in parts 1, 2, 3 …, each in a message of its own (xftp-wire 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smpchat.chat.wire.bodies import CHAT_VERSIONS, Envelope, encode_envelope, shared_id
from smpchat.chat.wire.content import whole
from smpchat.chat.wire.picture import received_uri
from smpchat.encoding.record import Record, field

PART = 14_000
"""Length of one part of a file's description, in characters; apps make parts of the same length (xftp-wire 7.1)."""
MAX_PARTS = 32
"""How many parts of one file's description are kept. A file of 1 GiB in chunks of 4 MiB needs three of them."""
MAX_DESCRIPTION = MAX_PARTS * PART
"""Longest description of a file that is kept, in characters."""
MAX_FILE = 1 << 30
"""Largest file that smpchat sends or receives, in bytes. Apps have the same limit, but accept larger files from users
who have a supporter's badge (xftp-wire 3.1)."""
MAX_STATED_SIZE = 1 << 50
"""Largest size that the invitation to a file may state, in bytes; an invitation with a larger size is ignored."""
_MAX_NAME = 1_000
"""How many characters of a file's name are kept; file systems allow at most 255 bytes."""


class FileDescription(Record):
    """``fileDescr``: one part of a file's description. A description is a text that says where the file is stored and
    how to decrypt it; it contains keys.

    Attributes:
        number: 0 for the placeholder in ``x.msg.new``; 1, 2, 3 … for the parts of the description, each of which is
            sent in a message of its own.
        complete: Whether this is the description's last part.
    """

    text: str = field(repr=False)
    number: int
    complete: bool


class FileInvitation(Record):
    """``file`` of ``x.msg.new``: a file that can be received when its description has arrived.

    Attributes:
        name: The name that the sender gave, which may be a path or anything else; see `smpchat.chat.wire.file_names`.
        size: Size of the file in bytes, according to the sender.
        begun: Part 0: the placeholder that is sent before the description is known. Apps leave the text of this part
            empty.
        preview: The preview of a picture or video, as a data URI.
    """

    name: str = field(repr=False)
    size: int
    begun: FileDescription = FileDescription("", 0, False)
    preview: str | None = field(default=None, repr=False)


class DescriptionPart(Record):
    """``x.msg.file.descr``: one part of a file's description. ``shared_id``: the id of the message with the file."""

    shared_id: str
    description: FileDescription


# -- reading ----------------------------------------------------------------------------------------------------------


def read_invitation(value: object, content: dict[str, Any]) -> FileInvitation | None:
    """The file of a message; None if the message has no file or a malformed one. A file without ``fileDescr``, as old
    apps send it, counts as malformed.

    Args:
        content: The ``content`` of the message.
    """
    if not isinstance(value, dict):
        return None
    name, size, begun = value.get("fileName"), value.get("fileSize"), read_description(value.get("fileDescr"))
    # Not `isinstance`, because in Python True is an int too.
    if not isinstance(name, str) or type(size) is not int or not 0 <= size <= MAX_STATED_SIZE:
        return None
    if begun is None or begun.number != 0:  # apps accept no invitation without part 0 (xftp-wire 7.1)
        return None
    return FileInvitation(whole(name[:_MAX_NAME]), size, begun, received_uri(content.get("image")))


def read_description(value: object) -> FileDescription | None:
    """One part of a file's description; None if the part is malformed."""
    if not isinstance(value, dict):
        return None
    text, number, complete = (value.get(f"fileDescr{name}") for name in ("Text", "PartNo", "Complete"))
    if not isinstance(text, str) or type(number) is not int or not isinstance(complete, bool):
        return None
    if len(text) > MAX_DESCRIPTION or not 0 <= number <= MAX_PARTS:
        return None
    return FileDescription(whole(text), number, complete)


def read_description_part(envelope: Envelope) -> DescriptionPart | None:
    """Reads ``x.msg.file.descr``; None if the event is malformed, or contains part 0."""
    original = shared_id(envelope.params.get("msgId"))
    description = read_description(envelope.params.get("fileDescr"))
    if original is None or description is None or description.number == 0:
        return None
    return DescriptionPart(original, description)


# -- writing ----------------------------------------------------------------------------------------------------------


def invitation_params(invitation: FileInvitation) -> dict[str, Any]:
    """``file`` of ``x.msg.new``."""
    return {
        "fileName": invitation.name,
        "fileSize": invitation.size,
        "fileDescr": description_params(invitation.begun),
    }


def description_params(description: FileDescription) -> dict[str, Any]:
    """``fileDescr``: one part of a file's description as JSON."""
    return {
        "fileDescrText": description.text,
        "fileDescrPartNo": description.number,
        "fileDescrComplete": description.complete,
    }


def parts_of(text: str, size: int = PART) -> Iterator[FileDescription]:
    """The parts in which a description is sent."""
    count = max(1, -(-len(text) // size))
    for number in range(1, count + 1):
        yield FileDescription(text[(number - 1) * size : number * size], number, number == count)


def encode_file(
    content: dict[str, Any],
    invitation: FileInvitation,
    own_id: str,
    ttl: int | None = None,
    *,
    forwarded: bool = False,
) -> bytes:
    """``x.msg.new`` with a file. ``content``: made by `smpchat.chat.wire.media`."""
    params: dict[str, Any] = {"content": content, "file": invitation_params(invitation)}
    if ttl is not None:
        params["ttl"] = ttl
    if forwarded:
        params["forward"] = True
    return _encode("x.msg.new", params, own_id)


def encode_description_part(part: DescriptionPart, own_id: str) -> bytes:
    """``x.msg.file.descr``. ``own_id``: the id of this event, not of the message with the file."""
    params = {"msgId": part.shared_id, "fileDescr": description_params(part.description)}
    return _encode("x.msg.file.descr", params, own_id)


def encode_file_cancel(original: str, own_id: str) -> bytes:
    """``x.file.cancel`` of the file in message ``original``."""
    return _encode("x.file.cancel", {"msgId": original}, own_id)


def encode_caption(content: dict[str, Any], original: str, own_id: str, ttl: int | None = None) -> bytes:
    """``x.msg.update`` for a message with a file: the same content with another text."""
    params: dict[str, Any] = {"msgId": original, "content": content}
    if ttl is not None:
        params["ttl"] = ttl
    return _encode("x.msg.update", params, own_id)


def _encode(event: str, params: dict[str, Any], own_id: str) -> bytes:
    return encode_envelope(Envelope(event, params, own_id, CHAT_VERSIONS))
