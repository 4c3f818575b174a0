"""What a message says, as text: content of every type is reduced to its text and a note (agent-wire 6.2).

``[image photo.jpg, 117 KiB] on the beach`` is what a person reads of a picture. Peer text is kept as it is; whoever
prints it escapes it.
"""

from __future__ import annotations

from typing import Any

_NOTES = {
    "image": "image",
    "video": "video",
    "voice": "voice message",
    "file": "file",
    "report": "report",
    "chat": "contact link",
}
_MAX_NAME = 100
"""Characters of a file's name, or of an unknown type, that a note shows."""


def text_content(text: str) -> dict[str, Any]:
    """A text as the wire's ``content``."""
    return {"type": "text", "text": text}


def describe(content: object, file: object = None) -> str | None:
    """The text of ``content``, behind a note of what is not shown; None if it is no content."""
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        return None
    kind, text = content["type"], content.get("text")
    text = whole(text) if isinstance(text, str) else ""
    note = _note(kind, content, file)
    if note is None and not text and kind != "text":
        note = _link(content) if kind == "link" else f"[{_short(kind)}]"
    return " ".join(part for part in (note, text) if part)


def _note(kind: str, content: dict[str, Any], file: object) -> str | None:
    name = _NOTES.get(kind, "file" if isinstance(file, dict) else None)
    if name is None:
        return None
    details = [*_file(file), *_duration(content.get("duration"))]
    if kind == "report" and isinstance(content.get("reason"), str):
        details.append(_short(content["reason"]))
    return f"[{' '.join([name, ', '.join(details)]).rstrip()}]"


def _file(file: object) -> list[str]:
    if not isinstance(file, dict):
        return []
    name, size = file.get("fileName"), file.get("fileSize")
    return [
        *([_short(name)] if isinstance(name, str) and name else []),
        *([_size(size)] if isinstance(size, int) and size >= 0 else []),
    ]


def _size(size: int) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size} {unit}"
        size //= 1024
    return f"{size:,} GiB"


def _duration(seconds: object) -> list[str]:
    if not isinstance(seconds, int) or not 0 <= seconds < 360_000:
        return []
    return [f"{seconds // 60}:{seconds % 60:02}"]


def _link(content: dict[str, Any]) -> str | None:
    preview = content.get("preview")
    uri = preview.get("uri") if isinstance(preview, dict) else None
    return whole(uri) if isinstance(uri, str) else None


def _short(text: str) -> str:
    """A name on one line, cut where it gets long."""
    line = "".join(c if c.isprintable() else " " for c in whole(text[: _MAX_NAME + 1]))
    return line if len(line) <= _MAX_NAME else line[: _MAX_NAME - 1] + "…"


def in_a_sentence(name: str) -> str:
    """A peer's word in quotes, on one line and cut where it gets long, for a sentence of ours."""
    return f"'{_short(name)}'"


def whole(text: str) -> str:
    """The text with every half of a surrogate pair, which JSON can write but nothing can store, replaced."""
    # JSON may write half of a surrogate pair. Python reads it, and SQLite, the terminal and UTF-8 all refuse it later.
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
