"""What a relay counts while it runs. What the counts mean to its operator is in `smpchat.relay.statistics`.

Plain classes, not dataclasses: those import 5 ms of code, and every start of the embedded relay would pay.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from smpchat.encoding.record import Record

GROUP_SIZES: Final = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511)
"""For each class of the histogram, how many commands share one commit at most."""


class StoreCounts:
    """What the store has done since it was opened, as far as it was committed.

    Attributes:
        sends: Messages accepted, without quota markers.
        acks: Messages that their recipients acknowledged, so that they were removed.
        expired: Messages removed because they were not fetched.
    """

    __slots__ = ("acks", "expired", "queues_created", "queues_deleted", "sends")

    def __init__(
        self, queues_created: int = 0, queues_deleted: int = 0, sends: int = 0, acks: int = 0, expired: int = 0
    ) -> None:
        self.queues_created = queues_created
        self.queues_deleted = queues_deleted
        self.sends = sends
        self.acks = acks
        self.expired = expired

    def copy(self) -> StoreCounts:
        """A copy of the counts, which does not change with the original."""
        return StoreCounts(self.queues_created, self.queues_deleted, self.sends, self.acks, self.expired)

    def __eq__(self, other: object) -> bool:
        names = StoreCounts.__slots__
        return isinstance(other, StoreCounts) and all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]


class StoreSize(Record):
    """What the store holds on the disk.

    Attributes:
        messages: Messages and quota markers.
        database_bytes: Database and write-ahead log.
        free_bytes: Bytes of these that deleted messages have left for new ones.
    """

    messages: int
    database_bytes: int
    free_bytes: int


class Counters:
    """What the server did since its start.

    Attributes:
        connections: Clients that completed the handshake.
        tls_failed: Connections that ended before the SMP handshake: without TLS, or without WebSocket in it.
        handshakes_failed: Connections that ended during the SMP handshake, after TLS.
        deliveries: Times that MSG was written, repetitions included.
        refused: Answers ERR by the first word of the error.
        commands: Commands of all groups that were committed.
        groups: Commits by `GROUP_SIZES`.
        commits_failed: Groups that could not be stored.
    """

    __slots__ = (
        "commands",
        "commits_failed",
        "connections",
        "deliveries",
        "groups",
        "handshakes_failed",
        "refused",
        "tls_failed",
    )

    def __init__(self) -> None:
        self.connections = 0
        self.tls_failed = 0
        self.handshakes_failed = 0
        self.deliveries = 0
        self.refused: Counter[str] = Counter()
        self.commands = 0
        self.groups = [0] * len(GROUP_SIZES)
        self.commits_failed = 0

    def committed(self, commands: int) -> None:
        """Counts a commit of so many commands."""
        self.commands += commands
        self.groups[min(commands.bit_length(), len(GROUP_SIZES) - 1)] += 1
