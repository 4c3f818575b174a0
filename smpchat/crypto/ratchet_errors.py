"""Errors of a ratchet step. When one of them is raised, nothing has changed: the caller keeps its ratchet.

Errors::

    RatchetError                   base class; a `smpchat.crypto.errors.CryptoError`
    ├── RatchetStateError          the ratchet cannot make this step yet (send before receiving), or at this version
    ├── RatchetHeaderError         no header key fits, or the header is malformed: re-synchronisation is required
    │   └── RatchetFinished        a message of an old chain, whose key is gone: treat it like RatchetEarlier
    ├── RatchetTooManySkipped      too many messages missing before this one: re-synchronisation is required
    ├── RatchetEarlier             an old message whose key is gone: re-synchronisation is allowed
    ├── RatchetBodyError           the header is authentic, the body is not: re-synchronisation is allowed
    ├── RatchetKEMError            the peer accepted a KEM key that we never proposed
    └── RatchetDuplicate           the message just received, once more: ignore it

Source of what each error allows or requires: agent-wire 4.7.
"""

from __future__ import annotations

from smpchat.crypto.errors import CryptoError


class RatchetError(CryptoError):
    """A message could not be encrypted or decrypted; nothing has changed."""


class RatchetStateError(RatchetError):
    """The state of the ratchet does not allow this step: the caller made a mistake, or we do not support the
    version."""


class RatchetHeaderError(RatchetError):
    """The message does not belong to this ratchet, its key was deleted, or its header is malformed. Re-synchronise."""


class RatchetFinished(RatchetHeaderError):
    """A message of an old chain, without a stored key: it was decrypted before, or its key was deleted."""


class RatchetBodyError(RatchetError):
    """The header is authentic, but the body was altered, or encrypted with another key."""


class RatchetKEMError(RatchetError):
    """The peer accepted a KEM key that this ratchet never proposed."""


class RatchetDuplicate(RatchetError):
    """The message that was received last has arrived again. The caller can acknowledge the message and drop it."""


class RatchetEarlier(RatchetError):
    """A message that was sent before the last one received, and for which no key is stored.

    Attributes:
        count: How many messages this one is before the last one received.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} earlier than the last one received, and its key is not kept")


class RatchetTooManySkipped(RatchetError):
    """According to the header, more messages are missing before this one than we allow. Re-synchronise.

    Attributes:
        count: How many messages this one is after the last one received, as its header claims.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} ahead of the last one received; too many to keep keys for")
