"""How far a message is to be. Apart from the waiting itself: the help of a command names it, and waits for nothing."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """How far a message is to be before waiting for it ends; in the order of `send --help`."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
