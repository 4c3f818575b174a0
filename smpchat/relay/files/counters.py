"""What a running relay counts about files; `smpchat.relay.counters` has the counters for messages."""

from __future__ import annotations

from collections import Counter

from smpchat.encoding.record import Record


class FileCounts:
    """What the store of files has done since the relay was started.

    Attributes:
        created: Number of chunks that clients registered.
        uploads: Number of chunks received completely.
        downloads: Number of chunks sent completely.
        bytes_in: Number of bytes of the chunks received completely.
        bytes_out: Number of bytes of the chunks sent completely.
        deleted: Number of chunks removed by their senders.
        expired: Number of chunks removed because they were too old.
    """

    __slots__ = ("bytes_in", "bytes_out", "created", "deleted", "downloads", "expired", "uploads")

    def __init__(self) -> None:
        self.created = self.uploads = self.downloads = self.bytes_in = self.bytes_out = 0
        self.deleted = self.expired = 0


class ConnectionCounts:
    """How many connections succeeded and failed, and how many commands were refused.

    Attributes:
        accepted: Number of connections that completed the XFTP hellos, or needed no hellos.
        tls_failed: Number of connections that ended before HTTP/2 began.
        handshakes_failed: Number of connections that ended after HTTP/2 began, but before the XFTP hellos were
            complete.
        refused: Number of ERR answers with each error. The key is the first word of the error.
    """

    __slots__ = ("accepted", "handshakes_failed", "refused", "tls_failed")

    def __init__(self) -> None:
        self.accepted = self.tls_failed = self.handshakes_failed = 0
        self.refused: Counter[str] = Counter()


class FileSize(Record):
    """The number and size of the stored chunks.

    Attributes:
        chunks: Number of chunks whose bytes have arrived.
        stored: Number of bytes of the chunks whose bytes have arrived.
        reserved: Number of bytes reserved for chunks that are being received.
        quota: Maximum number of bytes, for ``stored`` and ``reserved`` together.
    """

    chunks: int
    stored: int
    reserved: int
    quota: int
