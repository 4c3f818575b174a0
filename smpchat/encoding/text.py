"""Writes and reads base64url, percent-encoded queries and other forms of text (agent-wire 0.2, 2.1 and 2.5; smp-wire
1.4)."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from urllib.parse import quote, unquote_to_bytes

from smpchat.encoding.reader import DecodeError

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+=*")


def to_base64url(data: bytes, *, padding: bool = True) -> str:
    """Encode ``data`` as base64url. Full links and keys are written with padding (``=``), short links without."""
    text = base64.urlsafe_b64encode(data).decode("ascii")
    return text if padding else text.rstrip("=")


def from_base64url(text: str, what: str = "base64url") -> bytes:
    """The bytes of a base64url text, with or without padding. Raises `DecodeError`."""
    # Python's decoder skips characters that it does not know, so different texts would be read as the same key or link.
    if not _BASE64URL.fullmatch(text):
        raise DecodeError(f"{what} is not base64url")
    body = text.rstrip("=")
    # A text of 1, 5, 9… characters cannot be base64url: its last character alone has 6 bits, less than a byte. Padding
    # is optional, because this function also reads short links, which have no padding (agent-wire 0.2, trap 25).
    if len(body) % 4 == 1:
        raise DecodeError(f"{what} is not base64url")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))


def percent_encode(text: str) -> str:
    """``text`` with every character except ``A-Z a-z 0-9 - _ . ~`` written as upper-case ``%XX``."""
    return quote(text, safe="")


def bracketed(host: str) -> str:
    """A host as it is written before ``:PORT``: an IPv6 address gets brackets, other hosts stay as they are."""
    return f"[{host}]" if ":" in host else host


def write_query(parameters: Iterable[tuple[str, str]]) -> str:
    """Write a query: pairs ``name=value``, joined with ``&``. Each value is percent-encoded once."""
    return "&".join(f"{name}={percent_encode(value)}" for name, value in parameters)


def read_query(text: str) -> dict[str, str]:
    """Read the parameters of a query. If a name is repeated, the first value counts, as in the reference's parser.

    ``&`` and ``;`` separate parameters, ``+`` is a blank, and ``%XX`` is decoded. The caller must ignore parameters
    whose names it does not know.

    Raises:
        DecodeError: A value is not UTF-8 after percent-decoding.
    """
    parameters: dict[str, str] = {}
    # Parse exactly as the reference does (agent-wire 2.5, trap 26). If we parsed differently, the same link could mean
    # one thing to us and another to an app.
    for part in re.split("[&;]", text):
        name, _, value = part.partition("=")
        if name and name not in parameters:
            try:
                parameters[name] = unquote_to_bytes(value.replace("+", " ")).decode("utf-8")
            except UnicodeError:  # the decoded bytes are not UTF-8, or the text contains half of a surrogate pair
                raise DecodeError(f"parameter {name[:20]!r} is not UTF-8") from None
    return parameters


_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


def size_text(size: int) -> str:
    """A number of bytes as text for the user, such as ``117 KiB``. The unit is the smallest one in which the number is
    below 1,024; the largest unit is TiB."""
    if size == 1:
        return "1 byte"
    amount, unit = float(size), 0
    while unit < len(_UNITS) - 1 and round(amount) >= 1024:
        amount, unit = amount / 1024, unit + 1
    digits = 0 if not unit or amount >= 99.95 else 1 if amount >= 9.995 else 2
    number = f"{amount:,.{digits}f}"
    return f"{number.rstrip('0').rstrip('.') if digits else number} {_UNITS[unit]}"
