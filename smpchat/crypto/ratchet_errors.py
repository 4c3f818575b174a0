"""Errors of a ratchet step. A step that fails changes nothing: the caller keeps its ratchet.

Errors::

    RatchetError                   base class; a `smpchat.crypto.errors.CryptoError`
    ├── RatchetStateError          the ratchet cannot make this step yet (send before receiving), or at this version
    ├── RatchetHeaderError         no header key fits, or the header is malformed: re-synchronisation is required
    │   └── RatchetFinished        a message of an old chain, and its key is gone: treat it like RatchetEarlier
    ├── RatchetTooManySkipped      before this message, too many are missing: re-synchronisation is required
    ├── RatchetRolledBack          the peer has gone back to an old copy of its ratchet: re-synchronisation is required
    ├── RatchetEarlier             an old message whose key is gone: re-synchronisation is allowed
    ├── RatchetBodyError           the header is authentic, the body is not: re-synchronisation is allowed
    ├── RatchetKEMError            the peer accepted a KEM key that we never proposed
    └── RatchetDuplicate           another message with the number of the last one: re-synchronisation is allowed

Source of what each error allows or requires: agent-wire 4.7. Unlike us, the reference ignores RatchetDuplicate.
"""

from __future__ import annotations

from smpchat.crypto.errors import CryptoError


class RatchetError(CryptoError):
    """A message could not be encrypted or decrypted; the ratchet has not changed."""


class RatchetStateError(RatchetError):
    """The state of the ratchet does not allow this step: the caller made a mistake, or we do not support the
    version."""


class RatchetHeaderError(RatchetError):
    """The message does not belong to this ratchet, or its key was deleted, or its header is malformed.
    Re-synchronisation is required."""


class RatchetFinished(RatchetHeaderError):
    """A message of an old chain, without a stored key: it was decrypted before, or its key was deleted."""


class RatchetBodyError(RatchetError):
    """The header is authentic, but the body was altered, or encrypted with another key."""


class RatchetKEMError(RatchetError):
    """The peer accepted a KEM key that this ratchet never proposed."""


class RatchetDuplicate(RatchetError):
    """The message has the same number, and so the same key, as the last message received.

    The agent drops exact copies before it uses the ratchet, so to the agent this error means another message with the
    same key.
    """


class RatchetEarlier(RatchetError):
    """The message was sent before the last message received, and no key is stored for it.

    Attributes:
        count: How far, in messages, this message is behind the last one received.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} earlier than the last one received, and its key is not kept")


class RatchetRolledBack(RatchetError):
    """A header of the peer's new chain says that the old chain had fewer messages than we received or skipped.

    The peer has gone back to an old copy of its ratchet. No message of the new chain can be decrypted, so
    re-synchronisation is required. (The reference calls this error EARLIER or DUPLICATE.)

    Attributes:
        count: How many messages fewer the old chain had, according to the header.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the peer's last chain had {count} messages fewer than arrived: the peer uses an old copy")


class RatchetTooManySkipped(RatchetError):
    """According to the header, more messages are missing before this message than we allow. Re-synchronisation is
    required.

    Attributes:
        count: One more than the number of messages that are missing before this message, according to its header.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} ahead of the last one received; too many to keep keys for")
