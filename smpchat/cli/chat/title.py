"""The title of the terminal's window: the number of unread messages, for users who look at another window."""

from __future__ import annotations

import os
from collections.abc import Callable

from smpchat.cli.environment import Environment

_SAVE, _RESTORE = "\x1b[22;2t", "\x1b[23;2t"
"""Escape sequences that save and restore the title in xterm, VTE, kitty and iTerm2; other terminals ignore them."""
_WITHOUT_TITLE = ("linux", "eterm")


class Title:
    """Sets the title of the terminal's window while `chat` runs. The title contains no names, because titles are seen
    on shared screens.

    Args:
        write: Called with each escape sequence for the terminal.
    """

    def __init__(self, environment: Environment, write: Callable[[str], object]) -> None:
        self._write = write
        self._has_one = environment.redraws and not os.environ.get("TERM", "").startswith(_WITHOUT_TITLE)
        self._shown: str | None = None

    def show(self, unread: int) -> None:
        """Show the number of unread messages in the title."""
        title = f"({unread}) smpchat" if unread else "smpchat"
        if not self._has_one or title == self._shown:
            return
        if self._shown is None:
            self._write(_SAVE)
        self._shown = title
        self._write(_set(title))

    def restore(self) -> None:
        """Remove our title, and restore the earlier one if the terminal can do that."""
        if self._shown is not None:
            self._shown = None
            self._write(_set("") + _RESTORE)


def _set(title: str) -> str:
    return f"\x1b]2;{title}\x07"
