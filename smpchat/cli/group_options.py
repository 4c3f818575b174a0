"""What `group create` and `group set` say of a group: its name, its texts, and what members may do."""

from __future__ import annotations

from typing import NamedTuple

from smpchat.chat.errors import InputError
from smpchat.cli.streams import argument_text


class Said(NamedTuple):
    """What a command line says of a group; None: nothing."""

    name: str | None
    description: str | None
    welcome: str | None

    def checked(self) -> dict[str, str | None]:
        """The same, as words; raises `CommandFailed` for bytes that are no text."""
        return {key: None if text is None else argument_text(text) for key, text in self._asdict().items()}


def switch(text: str) -> tuple[str, bool]:
    """``reactions=off``. Raises `InputError`."""
    name, _, value = text.partition("=")
    if value.lower() not in ("on", "off"):
        raise InputError(f"{text!r} is not a valid choice here.", "Give on or off, such as `--allow reactions=off`.")
    return name.lower(), value.lower() == "on"
