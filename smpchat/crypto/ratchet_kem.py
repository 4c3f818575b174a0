"""The KEM half of the ratchet: which key we propose or which answer we gave, and how a new ratchet key changes it.

Off unless asked for. Source: agent-wire 4.8.
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
    """A secret made for a peer's key, with the ciphertext that carries it.

    Attributes:
        secret: Goes into the keys of the ratchet's next chains; empty in a ratchet that was stored since.
    """

    peer_key: KEMPublicKey
    ciphertext: KEMCiphertext
    secret: bytes = field(repr=False)


class KEMState(Record):
    """Our current KEM key pair, and our answer to the peer's key if it sent one."""

    public: KEMPublicKey
    private: KEMPrivateKey
    answer: KEMAnswer | None = None

    @classmethod
    def propose(cls, provider: KEMProvider = SNTRUP761) -> Self:
        """A new key pair to offer. Raises `KEMUnavailable`."""
        return cls(*provider.generate())

    @classmethod
    def accept(cls, peer_key: KEMPublicKey, provider: KEMProvider = SNTRUP761) -> Self:
        """An answer to the peer's key, and a new key pair to go with it. Raises `KEMUnavailable`."""
        ciphertext, secret = provider.encapsulate(peer_key)
        return cls(*provider.generate(), KEMAnswer(peer_key, ciphertext, secret))

    def accepted(self, params: KEMAccepted, provider: KEMProvider = SNTRUP761) -> Self:
        """This state after the peer's confirmation answered the key in our link. Raises `KEMUnavailable`."""
        secret = provider.decapsulate(self.private, params.ciphertext)
        return type(self)(self.public, self.private, KEMAnswer(params.key, params.ciphertext, secret))

    @property
    def params(self) -> KEMParams:
        """The value in parameters and headers: our key, with the answer if there is one."""
        if self.answer is None:
            return KEMProposed(self.public)
        return KEMAccepted(self.answer.ciphertext, self.public)


class KEMStep(NamedTuple):
    """What a new ratchet key of the peer means for the KEM; secrets are empty if there are none."""

    receiving_secret: bytes
    sending_secret: bytes
    state: KEMState | None

    def __repr__(self) -> str:
        return "KEMStep(…)"


def kem_step(state: KEMState | None, header: KEMParams | None, enabled: bool, provider: KEMProvider) -> KEMStep:
    """The KEM's part of a Diffie-Hellman step.

    Args:
        state: Ours before the step.
        header: The KEM field of the peer's header.
        enabled: Whether we use the KEM: our setting is on, and the version in use has the field.
        provider: Makes keys and secrets.
    Raises:
        RatchetKEMError: The peer answers a key that we have not proposed.
        KEMUnavailable: We use the KEM, but no implementation is installed.
    """
    received = b""
    if isinstance(header, KEMAccepted):
        if state is None:
            raise RatchetKEMError("the peer accepted a KEM key, but none was proposed")
        # Even where we take part no more: the peer mixed the secret in before it
        # could know (agent-wire 4.8, last column).
        received = provider.decapsulate(state.private, header.ciphertext)
    if not enabled:
        return KEMStep(received, b"", None)
    if header is None:
        # The peer has no key. If we had nothing either we offer one; if we had, it did not take it up, and we stop.
        return KEMStep(received, b"", KEMState.propose(provider) if state is None else None)
    following = KEMState.accept(header.key, provider)
    return KEMStep(received, following.answer.secret if following.answer else b"", following)
