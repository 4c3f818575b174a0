"""The KEM in the ratchet: our proposed KEM key, our answer to the peer's KEM key, and how both change with a new
ratchet key.

A ratchet uses a KEM only if its ``kem_enabled`` is true. Source: agent-wire 4.8.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from smpchat.crypto import kem
from smpchat.crypto.kem import (
    KEMAccepted,
    KEMCiphertext,
    KEMParams,
    KEMPrivateKey,
    KEMProposed,
    KEMProvider,
    KEMPublicKey,
)
from smpchat.crypto.ratchet_errors import RatchetKEMError
from smpchat.encoding.record import Record, field

SNTRUP761: KEMProvider = kem


class KEMAnswer(Record):
    """The answer to a KEM key: a ciphertext for this key, and the secret in the ciphertext.

    Attributes:
        peer_key: The KEM key that the peer proposed last. If the answer is ours, its ciphertext is for this key. If the
            answer is the peer's, its ciphertext is for a KEM key of ours.
        secret: The secret in the ciphertext: one of the inputs from which the ratchet's next chains are derived. It is
            not stored: in a ratchet that was read from the store, ``secret`` is empty.
    """

    peer_key: KEMPublicKey
    ciphertext: KEMCiphertext
    secret: bytes = field(repr=False)


class KEMState(Record):
    """Our current KEM key pair, and our answer to the peer's KEM key if the peer proposed one. After `accepted`,
    ``answer`` is the peer's answer to our KEM key."""

    public: KEMPublicKey
    private: KEMPrivateKey
    answer: KEMAnswer | None = None

    @classmethod
    def propose(cls, provider: KEMProvider = SNTRUP761) -> Self:
        """Make a new KEM key pair to propose. Raises `KEMUnavailable`."""
        return cls(*provider.generate())

    @classmethod
    def accept(cls, peer_key: KEMPublicKey, provider: KEMProvider = SNTRUP761) -> Self:
        """Make an answer to the peer's KEM key, and a new KEM key pair of our own. Raises `KEMUnavailable`."""
        ciphertext, secret = provider.encapsulate(peer_key)
        return cls(*provider.generate(), KEMAnswer(peer_key, ciphertext, secret))

    def accepted(self, params: KEMAccepted, provider: KEMProvider = SNTRUP761) -> Self:
        """Our KEM state after the peer's confirmation has answered the KEM key in our link. Raises `KEMUnavailable`."""
        secret = provider.decapsulate(self.private, params.ciphertext)
        return type(self)(self.public, self.private, KEMAnswer(params.key, params.ciphertext, secret))

    @property
    def params(self) -> KEMParams:
        """The KEM field of our X3DH parameters and headers: our KEM key, and our answer if there is one."""
        if self.answer is None:
            return KEMProposed(self.public)
        return KEMAccepted(self.answer.ciphertext, self.public)


class KEMStep(NamedTuple):
    """The KEM's secrets and state after the peer has sent a new ratchet key. ``b""`` stands for a missing secret."""

    receiving_secret: bytes
    sending_secret: bytes
    state: KEMState | None

    def __repr__(self) -> str:
        return "KEMStep(…)"


def kem_step(state: KEMState | None, header: KEMParams | None, enabled: bool, provider: KEMProvider) -> KEMStep:
    """Make the KEM's part of a Diffie-Hellman step.

    Args:
        state: Our KEM state before the Diffie-Hellman step; None if our headers had no KEM key.
        header: The KEM field of the peer's header.
        enabled: Whether we use the KEM: True if our setting is on and the version in use has a KEM field in headers.
        provider: Makes KEM keys and secrets.
    Raises:
        RatchetKEMError: The peer accepted a KEM key that we never proposed.
        KEMUnavailable: We use the KEM, but no implementation is installed.
    """
    received = b""
    if isinstance(header, KEMAccepted):
        if state is None:
            raise RatchetKEMError("the peer accepted a KEM key, but none was proposed")
        # Get the secret even if we have turned the KEM off: the peer used the secret before it could know that our KEM
        # is off (agent-wire 4.8, last column).
        received = provider.decapsulate(state.private, header.ciphertext)
    if not enabled:
        return KEMStep(received, b"", None)
    if header is None:
        # The peer's header has no KEM key. If our last headers had none either, propose a KEM key now. If our last
        # headers had one, the peer did not accept it, so our next headers have none.
        return KEMStep(received, b"", KEMState.propose(provider) if state is None else None)
    following = KEMState.accept(header.key, provider)
    return KEMStep(received, following.answer.secret if following.answer else b"", following)
