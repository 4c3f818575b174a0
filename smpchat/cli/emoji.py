"""Names of the emoji that SimpleX apps accept as reactions, for keyboards without emoji."""

from __future__ import annotations

from smpchat.chat.wire.message import REACTIONS

_NAMES = (
    ("+1", "thumbsup", "like", "yes"),
    ("-1", "thumbsdown", "dislike", "no"),
    ("smile", "grin", "grinning"),
    ("joy", "laugh", "lol"),
    ("cry", "sad"),
    ("heart", "love"),
    ("rocket",),
    ("check", "white_check_mark", "done"),
)
"""One row of names for each emoji in `REACTIONS`, in the same order."""
BY_NAME = {name: emoji for emoji, names in zip(REACTIONS, _NAMES, strict=True) for name in names}
_VARIANT = "\ufe0f"
"""The character that keyboards add after an emoji that also has a black and white form; apps compare emoji without this
character."""


def emoji_of(word: str) -> str:
    """The emoji that ``+1``, ``:heart:`` or ``👍`` means. Any other word is returned as it is; `WritingProfile.react`
    refuses it."""
    name = word[1:-1] if len(word) > 2 and word.startswith(":") and word.endswith(":") else word
    return BY_NAME.get(name.casefold(), word.removesuffix(_VARIANT))
