"""Cleans text that was copied from elsewhere, such as a link in a mail: removes invisible marks, and the quotes,
brackets and full stops around the text."""

from __future__ import annotations

import unicodedata

from smpchat.encoding.patterns import late

_ESCAPE_SEQUENCE = late(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)")
"""Escape sequences of terminals for colours, pasting and links."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Invisible letters and marks that Unicode does not count as format characters."""
_AROUND = "<>()[]{}\"'`*_~|\u201a\u201e\u201c\u201d\u2018\u2019\u2039\u203a\u00ab\u00bb\u300c\u300d"
_AFTER = ".,;:!?\u2026\u3002\uff0c\uff01\uff1f"


def visible(text: str) -> str:
    """``text`` without invisible characters: zero-width, bidi and byte-order marks, soft hyphens, escape sequences.

    Control characters are removed too, except for white space such as line ends.
    """
    if "\x1b" in text:
        text = _ESCAPE_SEQUENCE().sub("", text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(letter for letter in text if not _is_invisible(letter))


def _is_invisible(letter: str) -> bool:
    match unicodedata.category(letter):
        case "Cf":
            return True
        case "Cc":
            return not letter.isspace()
        case "Mn":
            return "\ufe00" <= letter <= "\ufe0f" or letter in _INVISIBLE
    return letter in _INVISIBLE


def unwrapped(text: str) -> str:
    """``text`` without the blanks, quotes, brackets, emphasis marks and final punctuation around it.

    A closing square bracket at the end stays if its opening bracket is inside the text: it may end an IPv6 address.
    """
    text = text.strip().lstrip(_AROUND)
    bare = text.rstrip(_AROUND + _AFTER + " \t\r\n")
    if bare.count("[") > bare.count("]") and text.startswith(f"{bare}]"):
        bare += "]"
    return bare
