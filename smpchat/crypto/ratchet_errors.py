"""Why a ratchet step failed. Nothing has changed when any of these is raised: the caller keeps the ratchet it had.

Errors::

    RatchetError                   root; also `smpchat.crypto.errors.CryptoError`
    ├── RatchetStateError          this ratchet cannot do that (send before anything arrived, unknown version)
    ├── RatchetHeaderError         no header key fits, or the header is malformed: re-synchronisation is required
    │   └── RatchetFinished        a message of a finished chain, whose key is gone: like RatchetEarlier
    ├── RatchetTooManySkipped      too many messages missing before this one: re-synchronisation is required
    ├── RatchetEarlier             an old message whose key is gone: re-synchronisation is allowed
    ├── RatchetBodyError           the header was good, the body is not: re-synchronisation is allowed
    ├── RatchetKEMError            the peer accepted a KEM key that we never proposed
    └── RatchetDuplicate           the message just received, once more: ignore it

Source for what follows from each: agent-wire 4.7.
"""

from __future__ import annotations

from smpchat.crypto.errors import CryptoError


class RatchetError(CryptoError):
    """A message could not be encrypted or decrypted; nothing has changed."""


class RatchetStateError(RatchetError):
    """The state of the ratchet does not allow this: it is a fault of the caller, or a version that we do not
    support."""


class RatchetHeaderError(RatchetError):
    """The message does not belong to this ratchet, its key was deleted, or its header is malformed. Re-synchronise."""


class RatchetFinished(RatchetHeaderError):
    """A message of a finished chain: it was opened before, or its key was deleted."""


class RatchetBodyError(RatchetError):
    """The header is the peer's, but the body was altered or made with another key."""


class RatchetKEMError(RatchetError):
    """The peer's header answers a KEM key that this ratchet has not proposed."""


class RatchetDuplicate(RatchetError):
    """The last message of the chain, again. It is safe to acknowledge and forget it."""


class RatchetEarlier(RatchetError):
    """A message from before the last one, whose key was deleted.

    Attributes:
        count: By how many messages it is earlier than the last one received.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} earlier than the last one received, and its key is not kept")


class RatchetTooManySkipped(RatchetError):
    """The message claims that more messages are missing before it than we keep keys for. Re-synchronise.

    Attributes:
        count: How far ahead of the last message received it claims to be.
    """

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(f"the message is {count} ahead of the last one received; too many to set keys aside")
