"""The relay's limits for clients that upload and download files."""

from __future__ import annotations

from smpchat.encoding.record import Record


class FileLimits(Record):
    """The limits for files; `smpchat.relay.limits.Limits` are those for messages. "(ERR QUOTA)" marks a limit for
    commands: a command that would exceed it gets this error.

    Attributes:
        quota: Maximum number of bytes of all chunks together, including those being received (ERR QUOTA).
        free: Bytes on the disk that files must not use, so that there is room for messages (ERR QUOTA).
        index: Maximum number of bytes of the index in use, for chunks and recipients (ERR QUOTA).
        keep: Seconds for which a chunk is kept. After this time, it is removed within an hour (xftp-wire 6).
        keep_empty: Seconds after which a chunk is removed if it was registered, but never uploaded. After a day,
            clients no longer try to upload it. And if a client did not get the answer to FNEW, it registers another
            chunk, so the first one stays empty.
        expire_every: Seconds between two searches for old chunks.
        handshake: Seconds for TLS, and the same again for the XFTP hellos.
        idle: A connection is closed after this many seconds without a request.
        stalled: A connection is closed if the client neither sends nor receives anything for this many seconds during a
            request.
        transfer: Maximum number of seconds for uploading or downloading a chunk (xftp-wire 1.2).
        connections: Maximum number of open connections, including those in handshakes; further ones are closed at once.
        connections_per_address: Maximum number of open connections from one address; see `smpchat.relay.gate.Gate`.
        requests: Maximum number of requests of one connection that are handled at the same time; further ones wait.
        new_chunks: Maximum number of chunks that one connection may register in a minute (ERR QUOTA).
        recipients: Maximum number of recipients of a chunk (ERR QUOTA).
        shares: Within ``keep`` seconds, one address may use 1/``shares`` of ``quota`` and of ``index`` (ERR QUOTA).
            This limit applies only if FNEW needs no password. As in `Gate`, this computer's own addresses are not
            counted.
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
