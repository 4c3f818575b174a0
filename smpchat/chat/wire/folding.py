"""Folds texts: brings them into a form in which a search ignores capitals, accents and variant forms of letters.

The search words and the searched texts are folded in the same way, so a folded word need not be a real word. But two
words that a reader would call different must stay different when they are folded.
"""

from __future__ import annotations

import unicodedata

from smpchat.encoding.patterns import late

_DROPPED = late(
    "[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670"
    "\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u00ad\u200b-\u200f\u2060\ufe00-\ufe0f\ufeff]"
)
"""Characters that are left out of a folded text: accents of Latin, Greek and Cyrillic letters, vowel points of Hebrew
and Arabic, and invisible characters. Marks of other scripts are kept: in the scripts of India, Thailand and Japan, they
make a different word."""
_UNDIVIDED = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ħ": "h", "\u0131": "i", "æ": "ae", "œ": "oe", "\0": " "})
"""Letters that Unicode does not decompose, with what replaces them. NUL becomes a blank, because for SQLite's tokenizer
it would end the text."""


def folded(text: str) -> str:
    """A text in the form in which searches compare it: without capitals, accents and invisible characters."""
    if text.isascii():  # most texts are, and this is ten times quicker
        return text.lower().replace("\0", " ")
    bare = _DROPPED().sub("", unicodedata.normalize("NFKD", text).casefold())
    return bare.translate(_UNDIVIDED)


def words_of(query: str) -> tuple[str, ...]:
    """The words of a search query, folded as in `folded`; a repeated word is listed only once."""
    return tuple(dict.fromkeys(folded(query).split()))


def contains(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text contains all ``words``, each as a whole word or inside a longer word. ``words`` must be folded."""
    if not words:
        return True
    plain = folded(text)
    return all(word in plain for word in words)
