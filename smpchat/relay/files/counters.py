"""The counters of a running relay for files; `smpchat.relay.counters` has those for messages."""

from __future__ import annotations

from collections import Counter

from smpchat.encoding.record import Record


class FileCounts:
    """What the store has done since its start.

    Attributes:
        created: Chunks registered.
        uploads, downloads: Chunks received completely, and chunks sent completely.
        bytes_in, bytes_out: The bytes of these chunks.
        deleted: Chunks removed by their senders.
        expired: Chunks removed because they were too old.
    """

    __slots__ = ("bytes_in", "bytes_out", "created", "deleted", "downloads", "expired", "uploads")

    def __init__(self) -> None:
        self.created = self.uploads = self.downloads = self.bytes_in = self.bytes_out = 0
        self.deleted = self.expired = 0


class ConnectionCounts:
    """The results of connections.

    Attributes:
        accepted: Connections that completed the XFTP hellos.
        tls_failed: Connections that ended before HTTP/2 began.
        handshakes_failed: Connections that ended after HTTP/2 began, before the XFTP hellos were complete.
        refused: For each first word of an error: the number of ERR answers with it.
    """

    __slots__ = ("accepted", "handshakes_failed", "refused", "tls_failed")

    def __init__(self) -> None:
        self.accepted = self.tls_failed = self.handshakes_failed = 0
        self.refused: Counter[str] = Counter()


class FileSize(Record):
    """The stored chunks.

    Attributes:
        chunks: Chunks whose bytes have arrived.
        stored: The bytes of these chunks.
        reserved: Bytes reserved for chunks that are being received.
        quota: Limit for ``stored`` and ``reserved`` together, in bytes.
    """

    chunks: int
    stored: int
    reserved: int
    quota: int
