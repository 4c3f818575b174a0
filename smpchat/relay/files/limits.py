"""The relay's limits for clients that upload and download files."""

from __future__ import annotations

from smpchat.encoding.record import Record


class FileLimits(Record):
    """The limits for files; `smpchat.relay.limits.Limits` has those for messages. A limit marked "(ERR QUOTA)"
    is checked when a command arrives: a command that would exceed the limit gets this error.

    Attributes:
        quota: Maximum number of bytes of all chunks together, including those being received (ERR QUOTA).
        free: Number of bytes that files must leave free on the disk, so that there is room for messages (ERR QUOTA).
        index: Maximum number of bytes that the index, which lists chunks and their recipients, may use (ERR QUOTA).
        keep: Seconds for which a chunk is kept. It is removed at most an hour and a half later.
        keep_empty: Seconds after which a chunk is removed if it was registered, but never uploaded. A chunk
            stays empty if the client did not get the answer to FNEW, and registered another chunk instead. Clients stop
            trying to upload a chunk after a day.
        expire_every: Seconds between two searches for old chunks.
        handshake: Maximum number of seconds for the TLS handshake. The XFTP hellos after it may take as long again.
        idle: A connection is closed after this many seconds without a request.
        stalled: A connection is closed if the client neither sends nor receives anything for this many seconds during a
            request.
        transfer: Maximum number of seconds for uploading or downloading a chunk (xftp-wire 1.2).
        connections: Maximum number of open connections, including those in handshakes; further ones are closed at once.
        connections_per_address: Maximum number of open connections from one address; see `smpchat.relay.gate.Gate`.
        requests: Maximum number of requests of one connection that are handled at the same time; further ones wait.
        new_chunks: Maximum number of chunks that one connection may register in a minute (ERR QUOTA).
        recipients: Maximum number of recipients of a chunk (ERR QUOTA).
        shares: One address may use 1/``shares`` of ``quota`` and of ``index`` (ERR QUOTA). What it has used becomes
            available to it again within ``keep`` seconds. There is no such limit if FNEW needs a password, nor for
            this computer's own addresses (`smpchat.relay.gate.Gate`).
    """

    quota: int = 10 * 1024**3
    free: int = 512 * 1024**2
    index: int = 256 * 1024**2
    keep: int = 48 * 3_600
    keep_empty: int = 24 * 3_600
    expire_every: float = 1_800.0
    handshake: float = 60.0
    idle: float = 900.0
    stalled: float = 120.0
    transfer: float = 300.0
    connections: int = 256
    connections_per_address: int = 64
    requests: int = 2
    new_chunks: int = 3_000
    recipients: int = 16_384
    shares: int = 4
