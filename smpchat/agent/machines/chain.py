"""The hash chain of the messages in one direction of a connection: each message names the hash of the message before
it. The chain is stored with the connection (agent-wire 3.6)."""

from __future__ import annotations

from smpchat.encoding.record import Record

MAX_MESSAGE_ID = 2**62
"""The highest message id that is accepted from a peer. A peer counts its messages with these ids, so no honest peer
reaches this limit. The limit is half of what SQLite can store (up to 2^63 - 1)."""


class Chain(Record):
    """The end of a hash chain: id and hash of the last message; 0 and empty if there was no message yet."""

    last_id: int = 0
    last_hash: bytes = b""

    def confirmed(self, plaintext: bytes) -> Chain:
        """The chain after one side's first message, which is the joiner's confirmation or the initiator's hello. A
        first message has id 1, even if it was made several times."""
        # A peer that had to make its first message twice counts both copies. Its next message then has id 3, and we
        # report a gap before this message, although nothing is missing (agent-wire 3.6).
        return self.ending(1, plaintext)

    def ending(self, message_id: int, plaintext: bytes) -> Chain:
        """The chain whose last message has this id and this plaintext."""
        return Chain(message_id, message_hash(plaintext))


def message_hash(plaintext: bytes) -> bytes:
    """SHA-256 of the complete agent message, without padding or envelope."""
    import hashlib  # loads OpenSSL, which commands that only read the store do not need

    return hashlib.sha256(plaintext).digest()
