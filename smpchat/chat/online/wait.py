"""How far a message must be. It is separate from the waiting itself, because the help of a command needs only this."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """How far a message must be before waiting for it ends, in the order of `send --help`."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
