"""What the relay knows about a chunk and its recipients."""

from __future__ import annotations

from smpchat.crypto.keys import AuthPublicKey
from smpchat.encoding.record import Record

ID_SIZE = 16
"""Size in bytes of the ids of senders and recipients."""


class NewRecipient(Record):
    """Someone who may download a chunk. Each recipient has an id and a key of their own."""

    recipient_id: bytes
    key: AuthPublicKey


class NewChunk(Record):
    """A chunk that will be registered.

    Attributes:
        sender_key: The key that authorises the sender's commands.
        size: One of `smpchat.protocol.xftp.commands.CHUNK_SIZES`.
        digest: SHA-256 of the chunk's bytes.
    """

    sender_id: bytes
    sender_key: AuthPublicKey
    size: int
    digest: bytes
    recipients: tuple[NewRecipient, ...]


class Chunk(Record):
    """A registered chunk.

    Attributes:
        row: The number of the chunk in the index.
        key: The public key of the person whose id was looked up: the sender, or one recipient.
        there: Whether the chunk's bytes have arrived.
    """

    row: int
    sender_id: bytes
    key: AuthPublicKey
    size: int
    digest: bytes
    there: bool
