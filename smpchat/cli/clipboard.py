"""The terminal's clipboard, set by an escape sequence (OSC 52), which works over SSH as well."""

from __future__ import annotations

import base64
import os
import re

from smpchat.cli.environment import Environment

_SCREEN_LIMIT = 200
"""GNU screen gets an escape sequence in parts of at most this many bytes: its buffer for a part is only somewhat
larger."""


def copy(environment: Environment, text: str, what: str) -> None:
    """Put ``text`` on the clipboard, and say so. The terminal does not report whether it has set the clipboard.

    Args:
        what: What the printed sentence calls the text, such as ``command for them``.
    """
    if not environment.redraws:
        environment.notice("Nothing was copied: --copy needs a terminal, and does not work with --plain or --json.")
        return
    print(_sequence(text), end="", flush=True)
    condition = " (in tmux: `set -g set-clipboard on`)" if os.environ.get("TMUX") else ""
    environment.notice(
        f"The {what} was sent to the clipboard. If it is not there, your terminal does not allow it{condition}."
    )


def _sequence(text: str) -> str:
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    if os.environ.get("STY") and not os.environ.get("TMUX"):
        # GNU screen passes the sequence on to the terminal only if it is wrapped in a device control string (DCS). The
        # sequence is sent in parts, because GNU screen silently drops a string that is longer than its buffer.
        return "".join(f"\x1bP{part}\x1b\\" for part in re.findall(f".{{1,{_SCREEN_LIMIT}}}", sequence, re.DOTALL))
    return sequence
