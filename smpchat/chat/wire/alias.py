"""Aliases: the user's names for contacts. An alias never changes by itself, whatever name the contact sends.

Contacts choose their own names, so a name proves nothing, and never becomes an alias that looks like a reserved word or
like the alias of another contact. Two spellings with the same `fold` are the same alias; two names that share one of
their `looks` look alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

from smpchat.chat.errors import InputError
from smpchat.encoding.patterns import late

MAX_ALIAS = 40
"""Longest alias, in characters."""
_MAX_NAME = 400
"""How many characters of a name are used to make an alias, marks and blanks included."""
_FORBIDDEN_START = "-@/"
_MARK = "[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff]"
_STACKED_MARKS = late(f"(?<={_MARK}{{2}}){_MARK}+")
"""Combining marks after the second one on a letter: they would cover the lines above and below."""
_INVISIBLE = late(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters that are invisible although Unicode calls them printable: fillers, the Braille blank, variation
selectors."""
RESERVED = frozenset(
    "you me myself i we us they them he she him her all any anyone everybody everyone nobody none someone"
    " somebody to from default off on help relay smpchat alias invitation request message notice error unknown"
    " system".split()
)
"""Words that smpchat prints where a name could be, or that a command accepts instead of a name."""


def fold(alias: str) -> str:
    """An alias in the form that is used for comparisons: in small letters, and with accented letters always encoded in
    the same way."""
    # NFD first (Unicode, D145): without it, case folding keeps differently encoded letters with marks apart.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", alias).casefold())


def looks(text: str) -> frozenset[str]:
    """What a name looks like to a person, as two texts. Two names are easily confused if they have one of these texts
    in common.

    Source: UTS #39, section 4. One text is made from the name as it is written, the other from the name in small
    letters. Both texts are needed: a capital I looks like l, but a small i does not.
    """
    seen = _without_invisible(unicodedata.normalize("NFKC", text))
    return frozenset(_prototypes(_prototypes(form).casefold()) for form in (seen, seen.casefold()))


def is_reserved(alias: str) -> bool:
    """Whether a text looks like a reserved word, or like a number: commands accept numbers instead of aliases."""
    shown = looks(alias)
    return unicodedata.normalize("NFKC", alias).isdecimal() or not shown.isdisjoint(_reserved_looks()) or not all(shown)


def check_alias(text: str) -> str:
    """An alias from a text that the user typed, with or without the @ of `chat`; blanks become underscores. Raises
    `InputError`."""
    alias = _without_invisible(unicodedata.normalize("NFC", "_".join(text.removeprefix("@").split())))
    if not alias or not alias.isprintable() or len(alias) > MAX_ALIAS or alias[0] in _FORBIDDEN_START:
        raise InputError(
            f"{text[:MAX_ALIAS]!r} cannot be an alias.",
            f"An alias must have 1 to {MAX_ALIAS} printable characters, and not begin with -, @ or /.",
        )
    if is_reserved(alias):
        raise InputError(
            f"{alias!r} cannot be an alias: smpchat uses that word or number itself.",
            "Choose another alias, for example with one more letter.",
        )
    return alias


def alias_from_name(name: str, taken: Callable[[str], bool] = lambda alias: False) -> str:
    """An alias made from a name that the contact chose: harmless, not a reserved word, and made unique by adding ``_2``
    and so on. ``taken`` says whether an alias is in use."""
    base = base_alias(name)
    alias, number = base, 1
    while is_reserved(alias) or taken(alias):
        number += 1
        suffix = f"_{number}"
        alias = base[: MAX_ALIAS - len(suffix)] + suffix
    return alias


def base_alias(name: str) -> str:
    """A name with harmless characters only, in the form of an alias."""
    # The name is cut before it is normalised: NFC of 16,000 marks on one letter took 0.56 s, in a database transaction.
    visible = "".join(c if c.isprintable() and _without_invisible(c) else " " for c in name[:_MAX_NAME])
    visible = unicodedata.normalize("NFC", visible)
    if not visible.isascii():
        visible = _STACKED_MARKS().sub("", visible)
    # Users type aliases after @ and as arguments, so an alias has no blanks, and does not begin like an option.
    return "_".join(visible.split()).lstrip(_FORBIDDEN_START)[:MAX_ALIAS] or "contact"


def nearest(typed: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Known aliases that the user may have meant by a mistyped one, likeliest first."""
    from difflib import SequenceMatcher

    begun, shown = fold(typed[:MAX_ALIAS]), looks(typed[:MAX_ALIAS])
    found = []
    for alias in known:
        folded = fold(alias)
        likeness = SequenceMatcher(None, begun, folded).ratio()
        if not shown.isdisjoint(looks(alias)):
            likeness = 2.0
        elif len(begun) > 1 and folded.startswith(begun):
            likeness = 1.0
        if likeness >= 0.6:
            found.append((-likeness, folded, alias))
    return [alias for _, _, alias in sorted(found)[:count]]


@cache
def _reserved_looks() -> frozenset[str]:
    return frozenset(look for word in RESERVED for look in looks(word))


def _without_invisible(text: str) -> str:
    return text if text.isascii() else _INVISIBLE().sub("", text)


_ASCII = str.maketrans({"`": "'", '"': "''", "0": "O", "1": "l", "I": "l", "|": "l", "m": "rn", "%": "º/₀"})
"""ASCII characters that look like others, with what replaces them. Most names are ASCII, so the file of `_table` need
not be read for them."""


def _prototypes(text: str) -> str:
    """The text with each letter replaced. All letters that look alike are replaced by the same text."""
    if text.isascii():
        return unicodedata.normalize("NFD", text.translate(_ASCII))
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).translate(_table()))


@cache
def _table() -> dict[int, str]:
    """The table of letters that look alike. The file with the table is read only for names that are not ASCII."""
    table: dict[int, str] = {}
    for line in Path(__file__).with_name("confusables.txt").read_text(encoding="utf-8").splitlines():
        target, found, sources = line.partition("\t")
        if found and not line.startswith("# "):
            table |= dict.fromkeys(map(ord, sources), target)
    return table
