"""Which status of a message a command waits for. This module is separate from the waiting itself, because the help of a
command needs only this."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """Which status of a message ends the wait for it, in the order of `send --help`."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
