"""The user data of a short link: it says who made the link, in the same format as in apps (agent-wire 2.9)."""

from __future__ import annotations

import json
from typing import Any

from smpchat.encoding.json_text import parse_json
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.zstd import compress, decompress

COMPRESS_ABOVE = 10_240
"""JSON longer than this many bytes is compressed (agent-wire 2.9)."""


def write_user_json(value: dict[str, Any]) -> bytes:
    """Writes user data as apps do: as JSON or, if the JSON is longer than 10,240 bytes, as ``X`` and a zstd frame.

    Raises:
        EncodeError: The JSON is longer than peers accept.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return text if len(text) <= COMPRESS_ABOVE else b"X" + compress(text)


def read_user_json(user_data: bytes) -> dict[str, Any] | None:
    """The JSON object in user data. None if the user data contains anything else: the connection is then made without
    user data (agent-wire 2.9)."""
    try:
        # In user data, the X is followed by one zstd frame. In a chat message, the X is followed by a list of items
        # (agent-wire 2.9, trap 39).
        value = parse_json(decompress(user_data[1:]) if user_data.startswith(b"X") else user_data)
    except DecodeError:
        return None
    return value if isinstance(value, dict) else None
