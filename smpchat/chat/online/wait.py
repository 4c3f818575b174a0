"""The statuses of a message for which a command can wait. They have a module of their own, because the help of a
command needs them, but not the modules that do the waiting."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """The status of a message for which a command waits after it has sent the message. The help of the command lists
    these values in this order."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
