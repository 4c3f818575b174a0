"""The commands of clients to file relays, and the relays' answers (xftp-wire 2.2)."""

from __future__ import annotations

from smpchat.crypto.keys import AuthPublicKey, X25519PublicKey
from smpchat.encoding.record import Record, field
from smpchat.protocol.errors import ErrorCode

CHUNK_SIZES = (64 * 1024, 256 * 1024, 1024 * 1024, 4 * 1024 * 1024)
"""Sizes in bytes that a chunk may have; any other size is answered with ERR SIZE."""
MAX_KEYS = 255
"""Maximum number of recipients in one command. The command contains their number as one byte."""


class FNew(Record):
    """Register a chunk of ``size`` bytes with the SHA-256 ``digest``, for its sender and its recipients."""

    sender_key: AuthPublicKey
    size: int
    digest: bytes
    recipient_keys: tuple[AuthPublicKey, ...]
    password: bytes | None = field(default=None, repr=False)


class FAdd(Record):
    """Add recipients to a chunk."""

    recipient_keys: tuple[AuthPublicKey, ...]


class FPut(Record):
    """Upload a chunk; its bytes follow the block."""


class FDel(Record):
    """Delete a chunk for all recipients."""


class FGet(Record):
    """Download a chunk, which the relay encrypts for ``key``."""

    key: X25519PublicKey


class FAck(Record):
    """Acknowledge a download: this recipient cannot download the chunk again."""


class Ping(Record):
    """Check that the relay still answers."""


FileCommand = FNew | FAdd | FPut | FDel | FGet | FAck | Ping


class SIds(Record):
    """A chunk was registered: the sender's id, and the recipients' ids in the order of the recipient keys in FNEW."""

    sender_id: bytes
    recipient_ids: tuple[bytes, ...]


class RIds(Record):
    """Recipients were added: their ids, in the order of the recipient keys in FADD."""

    recipient_ids: tuple[bytes, ...]


class File(Record):
    """Answer to FGET. The encrypted chunk follows the block, and the chunk's authentication tag follows the chunk. The
    secret for decrypting the chunk comes from an X25519 exchange between ``key``, which is the relay's, and the
    client's key in FGET."""

    key: X25519PublicKey
    nonce: bytes


class Ok(Record):
    """The command succeeded."""


class Pong(Record):
    """Answer to PING."""


class Err(Record):
    """The command failed."""

    error: ErrorCode


FileAnswer = SIds | RIds | File | Ok | Pong | Err
