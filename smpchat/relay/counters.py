"""The counters of a running relay. `smpchat.relay.statistics` explains them to the operator.

Plain classes, not dataclasses: importing `dataclasses` would make every start of the embedded relay 5 ms slower.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from smpchat.encoding.record import Record

GROUP_SIZES: Final = (0, 1, 3, 7, 15, 31, 63, 127, 255, 511)
"""`Counters.groups` sorts commits into classes by their number of commands. Each number here is the largest one in
its class."""


class StoreCounts:
    """What the store has done since it was opened.

    Attributes:
        sends: Messages accepted from senders; quota markers are not counted.
        acks: Messages removed because their recipients acknowledged them.
        expired: Messages removed because they were not fetched in time.
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
        """An independent copy of the counts."""
        return StoreCounts(self.queues_created, self.queues_deleted, self.sends, self.acks, self.expired)

    def __eq__(self, other: object) -> bool:
        names = StoreCounts.__slots__
        return isinstance(other, StoreCounts) and all(getattr(self, name) == getattr(other, name) for name in names)

    __hash__ = None  # type: ignore[assignment]


class StoreSize(Record):
    """The size of the store on the disk.

    Attributes:
        messages: Number of messages and quota markers.
        database_bytes: Bytes of the database and its write-ahead log.
        free_bytes: Bytes of the database that are free for new messages.
    """

    messages: int
    database_bytes: int
    free_bytes: int


class Counters:
    """What the server has done since its start.

    Attributes:
        connections: Clients that completed the SMP handshake.
        tls_failed: Connections that ended before the SMP handshake, because TLS or WebSocket failed.
        handshakes_failed: Connections that ended during the SMP handshake, after TLS.
        deliveries: How often MSG was sent, including repetitions.
        refused: The number of ERR answers for each error; the keys are the first words of the errors, such as AUTH.
        commands: Number of commands that were committed. `smpchat.relay.worker` commits commands in groups.
        groups: For each class of `GROUP_SIZES`, the number of commits in this class.
        commits_failed: Number of groups of commands that the worker could not store.
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
        """Counts one commit. ``commands``: how many commands it contains."""
        self.commands += commands
        self.groups[min(commands.bit_length(), len(GROUP_SIZES) - 1)] += 1
