"""Turns the content of a message into a text (agent-wire 6.2). Content other than text becomes a note in brackets.

For a picture, the user reads for example ``[image photo.jpg, 117 KiB] on the beach``. `Content` says which part of the
text is the note, so that a peer cannot fake a note by typing brackets. A peer's text is kept as it is; code that prints
such a text must escape it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from smpchat.encoding.record import Record, as_dict, field
from smpchat.encoding.text import size_text

DELETABLE = 78 * 3_600
"""How long the author of a message can delete it for others, in seconds after it was sent (agent-wire 6.2). In groups,
moderators can delete messages at any time (group-wire 11, trap 21)."""
MAX_DURATION = 360_000
"""Longest duration of a video or voice message that we state or show, in seconds: 100 hours."""

_NOTES = {
    "image": "image",
    "video": "video",
    "voice": "voice message",
    "file": "file",
    "report": "report",
}
_CARDS = {"contact": "contact link", "invitation": "one-time link", "group": "group link"}
_TYPES = {*_NOTES, "text", "link", "chat"}
CALL, GROUP_INVITATION, GROUP_EVENT, PROFILE_CHANGE = "call", "group-invitation", "group-event", "profile-change"
"""The kinds of lines in a conversation that report an event. What a peer writes never gets one of these kinds."""
UNKNOWN = "unknown"
_MAX_NAME = 100
"""How many characters of a file's name, or of an unknown message type, are shown in a note such as ``[file a.jpg]``."""
_MAX_TYPE = 40
"""How many characters of an unknown message type are kept, as the kind of the message."""
_MAX_LINK = 4_000
"""A card is a contact, invitation or group that a peer shares. Its link is shown if it has at most so many characters;
the link of an invitation with post-quantum keys has about 1,600."""
_NO_BRACKETS = str.maketrans("[]", "()")
_MAX_PREVIEW = 300
"""How many characters of the title, the description and the address in a link's preview are kept."""


class Preview(Record):
    """The preview of a link, made by the sender's app; smpchat never opens links itself."""

    uri: str = field(repr=False)
    title: str = field(repr=False)
    description: str = field(repr=False)

    def to_json(self) -> str:
        """The link preview as JSON, for the database."""
        return json.dumps(as_dict(self))

    @staticmethod
    def from_json(text: str | None) -> Preview | None:
        """The link preview that `to_json` wrote."""
        return Preview(**json.loads(text)) if text else None


class Content(Record):
    """What a message contains besides its text.

    Attributes:
        kind: Usually the content's type in the message's JSON, such as ``text`` or ``image``, even if smpchat does not
            know this type. Lines that report an event have kinds of their own, such as `CALL`.
        note: The note in brackets at the beginning of the message's text, such as ``[image photo.jpg]``; empty if there
            is no note.
        preview: The preview of the message's link; None if the message has no link preview.
    """

    kind: str = "text"
    note: str = field(default="", repr=False)
    preview: Preview | None = None

    @property
    def preview_json(self) -> str | None:
        """The link preview as JSON, for the database; None if the message has no link preview."""
        return None if self.preview is None else self.preview.to_json()


PLAIN = Content()


def text_content(text: str) -> dict[str, Any]:
    """The ``content`` of a message with this text."""
    return {"type": "text", "text": text}


def describe(content: object, file: object = None) -> str | None:
    """``content`` as readable text: first a note about what cannot be shown, if anything, and then the words. None if
    ``content`` is not valid. ``file``: the ``file`` of the same message."""
    read = read_content(content, file)
    return read[0] if read else None


def read_content(content: object, file: object = None) -> tuple[str, Content] | None:
    """The text that `describe` returns, and what else the message contains; None if ``content`` is not valid."""
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        return None
    wire_type, words = content["type"], content.get("text")
    words = whole(words) if isinstance(words, str) else ""
    kind = _kind(wire_type, file)
    note = _note(kind, content, file, words)
    if note is None and not words and kind not in ("text", "link"):
        note = f"[{_short(wire_type)}]"
    preview = _preview(content) if kind == "link" else None
    if not words and preview is not None:
        words = preview.uri
    return joined(note or "", words), Content(kind, note or "", preview)


def joined(note: str, words: str) -> str:
    """The note, a blank and the text; without the blank if the note or the text is empty."""
    return " ".join(part for part in (note, words) if part)


def _kind(wire_type: str, file: object) -> str:
    if wire_type in _TYPES:
        return "file" if wire_type in ("text", "link") and isinstance(file, dict) else wire_type
    if wire_type in (CALL, GROUP_INVITATION, GROUP_EVENT, PROFILE_CHANGE):
        return UNKNOWN  # these kinds are only for events
    return _short(wire_type, _MAX_TYPE) or UNKNOWN


def _note(kind: str, content: dict[str, Any], file: object, words: str) -> str | None:
    if kind == "chat":
        return _card(content.get("chatLink"), words)
    name = _NOTES.get(kind, "file" if isinstance(file, dict) else None)
    if name is None:
        return None
    details = [*_file(file), *_duration(content.get("duration"))]
    if kind == "report" and isinstance(content.get("reason"), str):
        details.append(_short(content["reason"]))
    return f"[{' '.join([name, ', '.join(details)]).rstrip()}]"


def file_note(file: object) -> str:
    """The note of a file: its name and size, as far as they are known."""
    return f"[{' '.join(['file', ', '.join(_file(file))]).rstrip()}]"


def _file(file: object) -> list[str]:
    if not isinstance(file, dict):
        return []
    name, size = file.get("fileName"), file.get("fileSize")
    return [
        *([_short(name)] if isinstance(name, str) and name else []),
        # Not `isinstance`, because in Python True is an int too.
        *([size_text(size)] if type(size) is int and size >= 0 else []),
    ]


def _duration(seconds: object) -> list[str]:
    if type(seconds) is not int or not 0 <= seconds <= MAX_DURATION:
        return []
    return [f"{seconds // 60}:{seconds % 60:02}"]


# -- shared links and previews ----------------------------------------------------------------------------------------


def _card(card: object, words: str) -> str:
    """A note such as ``[contact link ann: https://…]``; the link is left out if the message's text contains it too."""
    if not isinstance(card, dict):
        return "[contact link]"
    kind = card.get("type")
    word = _CARDS.get(kind, "link") if isinstance(kind, str) else "contact link"
    if card.get("business") is True:
        word = "business link"
    name = next(_names(card), "")
    link = next(_links(card), "")
    named = f"{word} {name}".rstrip()
    return f"[{named}: {link}]" if link and link not in words else f"[{named}]"


def _names(card: dict[str, Any]) -> Iterator[str]:
    for field_name in ("profile", "groupProfile"):
        profile = card.get(field_name)
        name = profile.get("displayName") if isinstance(profile, dict) else None
        if isinstance(name, str) and name:
            yield _short(name)


def _links(card: dict[str, Any]) -> Iterator[str]:
    """The usable links in a card (a contact, invitation or group that a peer shares). A link's short form comes
    first."""
    for field_name in ("connLink", "invLink"):
        value = card.get(field_name)
        forms = [value.get("connShortLink"), value.get("connFullLink")] if isinstance(value, dict) else [value]
        for form in forms:
            if isinstance(form, str) and 0 < len(form) <= _MAX_LINK and form.isprintable() and " " not in form:
                yield form


def _preview(content: dict[str, Any]) -> Preview | None:
    preview = content.get("preview")
    if not isinstance(preview, dict):
        return None
    uri, title, description = (_line(preview.get(name)) for name in ("uri", "title", "description"))
    return Preview(uri, title, description) if uri or title or description else None


def _line(value: object) -> str:
    return _cut(value, _MAX_PREVIEW) if isinstance(value, str) else ""


# -- texts from peers --------------------------------------------------------------------------------------------------


def short_name(value: object) -> str:
    """A name from a peer, on one line; empty if ``value`` is not a string."""
    return _short(value) if isinstance(value, str) else ""


def _short(text: str, limit: int = _MAX_NAME) -> str:
    """A name on one line, cut if it is long. Square brackets become round ones, so that a name inside a note cannot end
    the note."""
    return _cut(text, limit).translate(_NO_BRACKETS)


def _cut(text: str, limit: int) -> str:
    # The text may be as long as a message, so it is cut before its characters are replaced. One character more than
    # ``limit`` is kept: if it is there, the text was longer.
    line = "".join(c if c.isprintable() else " " for c in whole(text[: limit + 1]))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def in_a_sentence(name: str) -> str:
    """A peer's text as smpchat quotes it in a sentence: between quotation marks, on one line, and cut if it is long."""
    return f"'{_cut(name, _MAX_NAME)}'"


def whole(text: str) -> str:
    """The text, with a replacement character for each lone half of a surrogate pair."""
    # JSON can contain a lone half of a surrogate pair. Python's JSON parser accepts such a half, but SQLite, the
    # terminal and UTF-8 refuse it.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
