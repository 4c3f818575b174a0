"""The content that a relay encrypts for the recipient: messages, quota markers and notifications (smp-wire 5.4 and
5.5)."""

from __future__ import annotations

from smpchat.crypto.box import cb_decrypt, cb_encrypt
from smpchat.encoding.codec import boolean, int64, short_bytes
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record, field

RCV_PADDING = 16106
"""The content of MSG is padded to this many bytes before it is encrypted."""
NTF_PADDING = 128
"""A notification is padded to this many bytes before it is encrypted."""
MAX_FLAGS = 8

_QUOTA = b"QUOTA"


class RcvMessage(Record):
    """A message. ``notification`` and ``body`` come from the sender's SEND; ``timestamp`` is when the relay received
    the message, in POSIX seconds."""

    timestamp: int
    notification: bool
    body: bytes = field(repr=False)


class QuotaMarker(Record):
    """Says that the queue was full when a message arrived at ``timestamp`` (POSIX seconds): the relay refused that
    message and the following ones."""

    timestamp: int


def encode_rcv_message(message: RcvMessage | QuotaMarker) -> bytes:
    """Encode the content of MSG, before it is encrypted."""
    if isinstance(message, QuotaMarker):
        return _QUOTA + b" " + int64.write(message.timestamp)
    return int64.write(message.timestamp) + boolean.write(message.notification) + b" " + message.body


def decode_rcv_message(data: bytes) -> RcvMessage | QuotaMarker:
    """Decode the decrypted content of MSG. Raises `DecodeError`."""
    reader = Reader(data)
    # A message begins with its timestamp in 8 bytes; only a timestamp billions of years ahead would begin with Q. So a
    # message cannot be mistaken for a quota marker.
    if reader.starts_with(_QUOTA + b" "):
        reader.take(len(_QUOTA) + 1)
        marker = QuotaMarker(int64.read(reader))
        reader.finish("quota marker")
        return marker
    timestamp, notification = int64.read(reader), boolean.read(reader)
    for _ in range(MAX_FLAGS):
        if reader.take(1, "message flags") == b" ":
            return RcvMessage(timestamp, notification, reader.rest())
    raise DecodeError("message flags are too long")


def seal_message(dh_secret: bytes, msg_id: bytes, message: RcvMessage | QuotaMarker) -> bytes:
    """Make the encrypted body of MSG, 16,122 bytes. The message's id is the nonce, so the same message always gives the
    same bytes."""
    return cb_encrypt(dh_secret, msg_id, encode_rcv_message(message), RCV_PADDING)


def open_message(dh_secret: bytes, msg_id: bytes, sealed: bytes) -> RcvMessage | QuotaMarker:
    """Decrypt the body of MSG. Raises `CryptoError` or `DecodeError`."""
    if len(msg_id) != 24:
        raise DecodeError("message id of a wrong length")
    return decode_rcv_message(cb_decrypt(dh_secret, msg_id, sealed))


def seal_notification(dh_secret: bytes, nonce: bytes, msg_id: bytes, timestamp: int) -> bytes:
    """Make the encrypted content of NMSG, 144 bytes: a message's id, and when the relay received it, in POSIX
    seconds."""
    return cb_encrypt(dh_secret, nonce, short_bytes.write(msg_id) + int64.write(timestamp), NTF_PADDING)


def open_notification(dh_secret: bytes, nonce: bytes, sealed: bytes) -> tuple[bytes, int]:
    """Decrypt the content of NMSG: the message's id and time; further bytes are ignored. Raises `CryptoError` or
    `DecodeError`."""
    reader = Reader(cb_decrypt(dh_secret, nonce, sealed))
    return short_bytes.read(reader), int64.read(reader)
