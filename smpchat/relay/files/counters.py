"""What the relay counts about files while it runs, as `smpchat.relay.counters` for messages."""

from __future__ import annotations

from collections import Counter

from smpchat.encoding.record import Record


class FileCounts:
    """What was done since the start.

    Attributes:
        created: Chunks registered.
        uploads, downloads: Chunks that were received and sent completely.
        bytes_in, bytes_out: Their bytes.
        deleted: Chunks removed by their senders.
        expired: Chunks removed because their time was over.
    """

    __slots__ = ("bytes_in", "bytes_out", "created", "deleted", "downloads", "expired", "uploads")

    def __init__(self) -> None:
        self.created = self.uploads = self.downloads = self.bytes_in = self.bytes_out = 0
        self.deleted = self.expired = 0


class ConnectionCounts:
    """What became of connections.

    Attributes:
        accepted: Connections that completed the hellos.
        tls_failed: Connections that ended before HTTP/2 began.
        handshakes_failed: Connections that ended after that, without hellos.
        refused: Answers ERR by the first word of the error.
    """

    __slots__ = ("accepted", "handshakes_failed", "refused", "tls_failed")

    def __init__(self) -> None:
        self.accepted = self.tls_failed = self.handshakes_failed = 0
        self.refused: Counter[str] = Counter()


class FileSize(Record):
    """What is held.

    Attributes:
        chunks: Chunks whose bytes have arrived.
        stored: Their bytes.
        reserved: Bytes of chunks that are arriving.
        quota: Bytes that both may have together.
    """

    chunks: int
    stored: int
    reserved: int
    quota: int
