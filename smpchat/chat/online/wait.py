"""Which status of a message a command waits for. This module is separate from the waiting itself, because the help of a
command needs only this."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """The status for which a command waits after it has sent a message, in the order in which helps list them."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
