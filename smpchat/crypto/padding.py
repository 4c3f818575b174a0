"""Padding that hides the length of a message: 2 bytes of length, the message, then ``#`` up to a fixed size (agent-wire
0.3)."""

from __future__ import annotations

from smpchat.crypto.errors import PaddingError

_FILLER = b"#"
LENGTH_SIZE = 2
"""Size in bytes of the length field, with which a padded message begins. So ``n`` padded bytes have room for a message
of at most ``n - 2`` bytes."""
MAX_MESSAGE = 65533
"""Length, in bytes, of the longest message that the reference implementation pads."""


def pad(message: bytes, length: int) -> bytes:
    """``message`` padded to ``length`` bytes. Raises `PaddingError` if the message is too long."""
    size = len(message)
    if size > MAX_MESSAGE or size + LENGTH_SIZE > length:
        raise PaddingError(f"a message of {size} bytes does not fit {length} padded bytes")
    return size.to_bytes(LENGTH_SIZE, "big") + message + _FILLER * (length - size - LENGTH_SIZE)


def unpad(padded: bytes) -> bytes:
    """The message in ``padded``; the bytes after the message are not checked. Raises `PaddingError`."""
    if len(padded) < LENGTH_SIZE:
        raise PaddingError("padded message without a length")
    # We check neither the filler nor the padded size: the reference only reads the length, and older peers pad to other
    # sizes (smp-wire 1.3 and 4.6).
    end = LENGTH_SIZE + int.from_bytes(padded[:LENGTH_SIZE], "big")
    if end > len(padded):
        raise PaddingError("padded message is shorter than its length says")
    return padded[LENGTH_SIZE:end]
