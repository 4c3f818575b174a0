"""What a command can wait for after it has sent a message. This is a module of its own, because the help of a command
needs only these few values, and can do without the modules that carry out the waiting."""

from __future__ import annotations

from enum import StrEnum


class Wait(StrEnum):
    """The status that a message must reach before the command that sent it ends; `NONE`: the command does not wait. The
    help of the command lists these values in this order."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"
