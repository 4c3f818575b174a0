"""The mode of a queue: in commands, in links, and in stored data about queues (smp-wire 5.1)."""

from __future__ import annotations

from enum import Enum


class QueueMode(Enum):
    """What a queue is for: one sender who may secure it, or requests from many."""

    MESSAGING = b"M"
    CONTACT = b"C"
