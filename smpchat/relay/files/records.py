"""Chunks of files as the relay keeps them."""

from __future__ import annotations

from smpchat.crypto.keys import AuthPublicKey
from smpchat.encoding.record import Record

ID_SIZE = 16
"""Size in bytes of the ids of senders and recipients."""


class NewRecipient(Record):
    """A recipient, who may fetch a chunk under an id of their own."""

    recipient_id: bytes
    key: AuthPublicKey


class NewChunk(Record):
    """A chunk about to be registered.

    Attributes:
        sender_key: The key that authorises the sender's commands.
        size: One of `smpchat.protocol.xftp.commands.CHUNK_SIZES`.
        digest: SHA-256 of its bytes.
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
        key: The key of the person for whom it was looked up: its sender, or one recipient.
        there: Whether its bytes have arrived.
    """

    row: int
    sender_id: bytes
    key: AuthPublicKey
    size: int
    digest: bytes
    there: bool
