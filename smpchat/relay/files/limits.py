"""The limits of the relay for clients who store and fetch files."""

from __future__ import annotations

from smpchat.encoding.record import Record


class FileLimits(Record):
    """As `smpchat.relay.limits.Limits`, for files.

    Attributes:
        quota: Bytes of all chunks together, those under way included; ERR QUOTA beyond.
        free: Bytes that stay free on the disk, so that messages still find room; ERR QUOTA beyond.
        index: Bytes of the index in use, beyond which no chunk and no recipient is accepted; ERR QUOTA beyond.
        keep: Seconds after which a chunk is removed (xftp-wire 6), and at most an hour more.
        keep_empty: The same for one that was registered and never came. Clients give up after a day; whose answer to
            FNEW was lost registers another one, and nobody knows the first.
        expire_every: Seconds between looking for such chunks.
        handshake: Seconds for TLS, and then as many for the hellos.
        idle: Seconds without a request after which a connection is closed.
        stalled: Seconds in which a client may neither send nor receive anything within a request.
        transfer: Seconds that one chunk may take, in either direction (xftp-wire 1.2).
        connections: Open at a time, handshakes included; more are closed at once.
        connections_per_address: The same for one address, see `smpchat.relay.gate.Gate`.
        requests: Requests of one connection that are worked on at the same time; further ones wait.
        new_chunks: Chunks that one connection registers in a minute; ERR QUOTA beyond.
        recipients: Recipients that one chunk may have; ERR QUOTA beyond.
        shares: If no password is needed, one address may use one part in so many of ``quota`` and ``index`` within
            ``keep``; ERR QUOTA beyond. This computer's own addresses are not counted, as in `Gate`.
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
