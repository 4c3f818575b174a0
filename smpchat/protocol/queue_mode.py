"""The mode of a queue, as used in commands, links and stored data (smp-wire 5.1)."""

from __future__ import annotations

from enum import Enum


class QueueMode(Enum):
    """What a queue is for: messages from one sender, who may secure it; or contact requests from many senders."""

    MESSAGING = b"M"
    CONTACT = b"C"
