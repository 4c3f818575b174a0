"""KEM values as the reference's vectors write them, and a provider that gives the recorded ones."""

from __future__ import annotations

from typing import Any

from smpchat.crypto import kem
from smpchat.crypto.kem import KEMCiphertext, KEMPrivateKey, KEMPublicKey, kem_ciphertext, kem_public_key
from smpchat.crypto.ratchet import KEMAnswer, KEMState
from smpchat.encoding.codec import large_bytes, mapped, pair, short_bytes
from smpchat.encoding.reader import Reader
from smpchat.encoding.text import from_base64url
from tests.vectors.check import Mismatch, hexadecimal, same

kem_key_pair = pair(kem_public_key, mapped(large_bytes, KEMPrivateKey, lambda key: key.raw))
"""``kem_keypair_smp``."""


def kem_answer(accepted: dict[str, Any]) -> KEMAnswer:
    """``kemAccepted``: the peer's key, the ciphertext for it, and the secret."""
    return KEMAnswer(
        kem_public_key.decode(hexadecimal(accepted["rcPQRr"])),
        kem_ciphertext.decode(hexadecimal(accepted["rcPQRct"])),
        short_bytes.decode(hexadecimal(accepted["rcPQRss"])),
    )


def private_kem(record: dict[str, Any]) -> KEMState | None:
    """``kem_private_smp``: ``P`` and a key pair, or ``A``, ciphertext, secret and a key pair."""
    wire = record.get("kem_private_smp")
    if wire is None:
        return None
    reader = Reader(hexadecimal(wire))
    kind = reader.take(1, "kind of KEM parameters")
    answer = None
    if kind == b"A":
        peer_key = kem_answer(record["init_params"]["kemAccepted"]).peer_key
        answer = KEMAnswer(peer_key, kem_ciphertext.read(reader), short_bytes.read(reader))
    elif kind != b"P":
        raise Mismatch(f"unknown kind of KEM parameters {kind!r}")
    public, private = kem_key_pair.read(reader)
    reader.finish("KEM parameters")
    return KEMState(public, private, answer)


def kem_state(record: dict[str, Any] | None) -> KEMState | None:
    """``rcKEM`` of a ratchet state: own key pair, and the answer to the peer's key."""
    if record is None:
        return None
    public, private = (from_base64url(part) for part in record["rcPQRs"])
    answer = None
    if record.get("rcKEMs") is not None:
        answered = record["rcKEMs"]
        answer = KEMAnswer(
            KEMPublicKey(from_base64url(answered["rcPQRr"])),
            KEMCiphertext(from_base64url(answered["rcPQRct"])),
            from_base64url(answered["rcPQRss"]),
        )
    return KEMState(KEMPublicKey(public), KEMPrivateKey(private), answer)


class RecordedKEM:
    """Gives the KEM keys and secret that the reference drew; opens ciphertexts for real."""

    def __init__(self, drawn: KEMState | None) -> None:
        self._drawn = drawn

    def available(self) -> bool:
        """It does work."""
        return True

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """The recorded key pair."""
        if self._drawn is None:
            raise Mismatch("the step makes a KEM key pair, the reference did not")
        return self._drawn.public, self._drawn.private

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        """The recorded answer to ``public``."""
        if self._drawn is None or self._drawn.answer is None:
            raise Mismatch("the step answers a KEM key, the reference did not")
        same("KEM key answered", public, self._drawn.answer.peer_key)
        return self._drawn.answer.ciphertext, self._drawn.answer.secret

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """The secret in ``ciphertext``."""
        return kem.decapsulate(private, ciphertext)
