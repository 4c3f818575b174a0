"""Makes the file names that peers send harmless: never a path or a device, always a name that every system accepts.

The name that a peer gives a file must not decide where the file is saved (xftp-wire 6). These all become plain names:
``..\\..\\x``, ``CON.txt``, a name of 300 bytes, and a name with a bidi mark, which reverses the letters on the screen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from smpchat.encoding.characters import BLANK_LETTERS, composed

MAX_BYTES = 255
"""Longest name of a file on most systems, in bytes."""
MAX_TRIES = 10_000
"""How many names are tried before smpchat gives up, up to ``name_9999.ext``."""
NAMELESS = "file"
_ROOM = len("_9999")
_MAX_EXTENSION = 32
"""Longest extension, in bytes, that is kept when a name is shortened."""
_REFUSED = re.compile(r'[<>:"|?*]')
"""Characters that Windows does not allow in names. For example, ``a:b`` would be a hidden stream of the file ``a``."""
_DEVICES = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A safe name for our file. It is made from the last part of ``name``, the name or path that a peer sent."""
    last = re.split(r"[/\\]", composed(name[:1_000]))[-1]
    # Removes invisible characters: control, format, bidi, private and unassigned ones.
    seen = "".join(c for c in last if c == " " or (c.isprintable() and c not in BLANK_LETTERS))
    seen = " ".join(_REFUSED.sub("_", unicodedata.normalize("NFC", seen)).split(" "))
    # The name must not be that of a hidden file, look like an option, or end with characters that Windows drops.
    kept = seen.strip(" .").lstrip("-~ .") or NAMELESS
    if _DEVICES.fullmatch(kept.split(".", 1)[0].rstrip(" ")):
        kept = f"_{kept}"
    return _cut(kept)


def candidates(name: str) -> Iterator[str]:
    """Possible names for a new file: ``name.ext``, ``name_1.ext``, ``name_2.ext`` and so on. The caller tries them in
    this order until a name is free."""
    yield name
    stem, extension = _parted(name)
    for number in range(1, MAX_TRIES):
        yield f"{stem}_{number}{extension}"


def _cut(name: str) -> str:
    room = MAX_BYTES - _ROOM
    if len(name.encode()) <= room:
        return name
    stem, extension = _parted(name)
    shorter = stem.encode()[: room - len(extension.encode())].decode("utf-8", "ignore")
    return f"{shorter.rstrip(' .')}{extension}"


def _parted(name: str) -> tuple[str, str]:
    """The stem and the extension of a name, such as ``("archive", ".tar.gz")``."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension.encode()) > _MAX_EXTENSION:
        return name, ""
    if stem.endswith(".tar"):
        stem, extension = stem.removesuffix(".tar"), f"tar.{extension}"
    return (stem, dot + extension) if stem else (name, "")
