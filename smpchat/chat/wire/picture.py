"""Pictures in profiles: data URIs with a JPEG or PNG inside. Only the first bytes of a picture are checked."""

from __future__ import annotations

import base64
import binascii

from smpchat.chat.errors import InputError
from smpchat.encoding.patterns import late
from smpchat.encoding.record import Record, field

MAX_PICTURE = 12_500
"""Longest data URI of our own picture, in characters. Apps shrink a picture until its data URI has at most this length,
so that a profile fits into one message."""
MAX_FILE = (MAX_PICTURE - len("data:image/jpg;base64,")) // 4 * 3
"""Largest picture of our own, in bytes."""
MAX_RECEIVED = 65_536
"""Longest data URI of a peer's picture that is kept, in characters. No message is longer than this, even after it is
decompressed."""

_MAGIC = {"jpg": b"\xff\xd8\xff", "png": b"\x89PNG\r\n\x1a\n"}
_DATA_URI = late(r"data:image/(jpg|jpeg|png);base64,([A-Za-z0-9+/]+={0,2})")


class Picture(Record):
    """The content of a picture file. ``kind``: ``jpg`` or ``png``, as the first bytes of ``data`` show."""

    kind: str
    data: bytes = field(repr=False)


def picture_uri(data: bytes) -> str:
    """Turns the content of a picture file into a profile's picture. Raises `InputError` if the file is not a JPEG or
    PNG, or is too large."""
    kind = _kind(data)
    if kind is None:
        raise InputError("This is not a JPEG or PNG picture.", "Give a picture file, for example me.jpg.")
    if len(data) > MAX_FILE:
        raise too_large(len(data))
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def too_large(size: int) -> InputError:
    """The error for a picture of this size in bytes, which does not fit into a profile."""
    return InputError(
        f"The picture has {size:,} bytes; at most {MAX_FILE:,} fit in a profile.",
        "Make it smaller, for example a JPEG of 192 by 192 pixels.",
    )


def received_uri(value: object) -> str | None:
    """A picture from a peer, as a data URI; None if ``value`` is not the data URI of a JPEG or PNG, or is too long."""
    fits = isinstance(value, str) and len(value) <= MAX_RECEIVED and _DATA_URI().fullmatch(value) is not None
    return value if isinstance(value, str) and fits else None


def picture_of(uri: str) -> Picture:
    """The picture in a peer's data URI. Raises `InputError` if the data is not a JPEG or PNG, because opening other
    data from a peer is dangerous."""
    match = _DATA_URI().fullmatch(uri)
    try:
        data = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        data = b""
    kind = _kind(data)
    if kind is None:
        raise InputError("This contact's picture is not a JPEG or PNG.", "It was not saved.")
    return Picture(kind, data)


def _kind(data: bytes) -> str | None:
    return next((kind for kind, magic in _MAGIC.items() if data.startswith(magic)), None)
