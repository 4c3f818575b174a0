"""Aliases: how a contact is addressed. An alias never changes by itself, whatever name the peer sends (cli.md)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from smpchat.chat.errors import InputError

MAX_ALIAS = 40
"""Longest alias, in characters."""
_FORBIDDEN_START = "-@/"
_MARK = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_STACKED_MARKS = re.compile(f"(?<={_MARK}{{2}}){_MARK}+")
"""Combining marks after the second on one letter: they would draw over the lines around."""


def check_alias(text: str) -> str:
    """An alias as given by the user, blanks replaced. Raises `InputError`."""
    alias = "_".join(text.split())
    if not alias or not alias.isprintable() or len(alias) > MAX_ALIAS or alias[0] in _FORBIDDEN_START:
        raise InputError(
            f"{text[:MAX_ALIAS]!r} cannot be an alias.",
            f"An alias has 1 to {MAX_ALIAS} printable characters and does not begin with -, @ or /.",
        )
    return alias


def alias_from_name(name: str, taken: Callable[[str], bool]) -> str:
    """An alias made from a name that the peer chose: harmless characters only, unique with ``_2`` and so on."""
    visible = "".join(c if c.isprintable() and not _invisible(c) else " " for c in name)
    visible = _STACKED_MARKS.sub("", unicodedata.normalize("NFC", visible))
    # An alias is typed, after @ and as an argument: it must not begin like an option, and holds no blank.
    base = "_".join(visible.split()).lstrip(_FORBIDDEN_START)[:MAX_ALIAS] or "contact"
    alias, number = base, 1
    while taken(alias):
        number += 1
        suffix = f"_{number}"
        alias = base[: MAX_ALIAS - len(suffix)] + suffix
    return alias


def _invisible(character: str) -> bool:
    """Letters that print as nothing although Unicode calls them printable (fillers, Braille blank)."""
    return character in "\u115f\u1160\u2800\u3164\uffa0\u034f"
