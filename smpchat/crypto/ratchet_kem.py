"""The KEM in the ratchet: our proposed key, our answer to the peer's key, and how both change with a new ratchet key.

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
    """The answer to a KEM key: the peer's latest key, a ciphertext, and the secret in the ciphertext.

    Attributes:
        secret: Used to derive the ratchet's next chains. The store does not keep it: after a ratchet was read from the
            store, the secret is empty.
    """

    peer_key: KEMPublicKey
    ciphertext: KEMCiphertext
    secret: bytes = field(repr=False)


class KEMState(Record):
    """Our current KEM key pair, and our answer to the peer's key, if the peer sent one."""

    public: KEMPublicKey
    private: KEMPrivateKey
    answer: KEMAnswer | None = None

    @classmethod
    def propose(cls, provider: KEMProvider = SNTRUP761) -> Self:
        """Make a new key pair to propose. Raises `KEMUnavailable`."""
        return cls(*provider.generate())

    @classmethod
    def accept(cls, peer_key: KEMPublicKey, provider: KEMProvider = SNTRUP761) -> Self:
        """Make an answer to the peer's key, and a new key pair to propose with it. Raises `KEMUnavailable`."""
        ciphertext, secret = provider.encapsulate(peer_key)
        return cls(*provider.generate(), KEMAnswer(peer_key, ciphertext, secret))

    def accepted(self, params: KEMAccepted, provider: KEMProvider = SNTRUP761) -> Self:
        """The state after the peer's confirmation answered the key in our link. Raises `KEMUnavailable`."""
        secret = provider.decapsulate(self.private, params.ciphertext)
        return type(self)(self.public, self.private, KEMAnswer(params.key, params.ciphertext, secret))

    @property
    def params(self) -> KEMParams:
        """What parameters and headers contain: our key, and our answer if there is one."""
        if self.answer is None:
            return KEMProposed(self.public)
        return KEMAccepted(self.answer.ciphertext, self.public)


class KEMStep(NamedTuple):
    """The KEM's secrets and state after the peer has sent a new ratchet key. A secret that does not exist is
    ``b""``."""

    receiving_secret: bytes
    sending_secret: bytes
    state: KEMState | None

    def __repr__(self) -> str:
        return "KEMStep(…)"


def kem_step(state: KEMState | None, header: KEMParams | None, enabled: bool, provider: KEMProvider) -> KEMStep:
    """Make the KEM's part of a Diffie-Hellman step.

    Args:
        state: Our state before the step.
        header: The KEM field of the peer's header.
        enabled: Whether we use the KEM: our setting is on, and the version in use has a field for it.
        provider: Makes keys and secrets.
    Raises:
        RatchetKEMError: The peer accepted a key that we never proposed.
        KEMUnavailable: We use the KEM, but no implementation is installed.
    """
    received = b""
    if isinstance(header, KEMAccepted):
        if state is None:
            raise RatchetKEMError("the peer accepted a KEM key, but none was proposed")
        # Get the secret even if we have turned the KEM off: the peer used the secret before it could know that
        # (agent-wire 4.8, last column).
        received = provider.decapsulate(state.private, header.ciphertext)
    if not enabled:
        return KEMStep(received, b"", None)
    if header is None:
        # The peer sent no key. If we have not proposed one yet, we do so now. If we have proposed one, the peer did not
        # accept it, so this time we send no key.
        return KEMStep(received, b"", KEMState.propose(provider) if state is None else None)
    following = KEMState.accept(header.key, provider)
    return KEMStep(received, following.answer.secret if following.answer else b"", following)
