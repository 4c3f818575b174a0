"""Two ratchets with fixed keys, and messages made by hand, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from smpchat.crypto.aead import aead_encrypt
from smpchat.crypto.agreement import X3DHKeys, agree_initiator, agree_joiner
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.kdf import chain_step
from smpchat.crypto.keys import X448PrivateKey
from smpchat.crypto.padding import pad
from smpchat.crypto.ratchet import Decrypted, Ratchet, SkippedKeys, decrypt, encrypt
from smpchat.crypto.ratchet_wire import Header, encode_envelope, encode_header, header_size, with_length
from smpchat.encoding.record import replace
from smpchat.testing.entropy import SeededEntropy

JOINER = X3DHKeys(X448PrivateKey(b"\x11" * 56), X448PrivateKey(b"\x22" * 56))
INITIATOR = X3DHKeys(X448PrivateKey(b"\x33" * 56), X448PrivateKey(b"\x44" * 56))
FIRST_KEY = X448PrivateKey(b"\x55" * 56)


def two_ratchets(version: int = 3, max_version: int = 3) -> tuple[Ratchet, Ratchet]:
    """The joiner's and the initiator's first ratchets, with the keys of agent-wire 4.10."""
    joiner_secret = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public())
    initiator_secret = agree_initiator(INITIATOR, JOINER.key1.public(), JOINER.key2.public())
    return (
        Ratchet.joiner(joiner_secret, INITIATOR.key2.public(), FIRST_KEY, version, max_version=max_version),
        Ratchet.initiator(initiator_secret, INITIATOR.key2, version, max_version=max_version),
    )


@dataclass
class Party:
    """One side that commits every step."""

    ratchet: Ratchet
    entropy: Entropy
    skipped: SkippedKeys = field(default_factory=SkippedKeys)

    def send(self, plaintext: bytes, padded_length: int = 100) -> bytes:
        """Encrypt and commit."""
        self.ratchet, message = encrypt(self.ratchet, plaintext, padded_length)
        return message

    def receive(self, message: bytes) -> bytes:
        """Decrypt and commit; if it raises, nothing has changed."""
        result = self.open(message)
        self.ratchet, self.skipped = result.ratchet, result.diff.apply(self.skipped)
        return result.plaintext

    def open(self, message: bytes) -> Decrypted:
        """Decrypt without committing."""
        return decrypt(self.ratchet, self.skipped, message, self.entropy)


def two_parties(version: int = 3, max_version: int = 3) -> tuple[Party, Party]:
    """Joiner and initiator."""
    joiner, initiator = two_ratchets(version, max_version)
    return Party(joiner, SeededEntropy("joiner")), Party(initiator, SeededEntropy("initiator"))


def forged(sender: Ratchet, *, header: bytes | None = None, body: bytes | None = None, **changes: object) -> bytes:
    """A message with the sender's true keys but a header or padded body of the test's choice."""
    assert sender.sending is not None
    step = chain_step(sender.sending.chain_key)
    honest = Header(sender.max_version, sender.own_public, sender.previous_sent, sender.sent)
    if header is None:
        header = pad(
            encode_header(replace(honest, **changes), sender.version),  # type: ignore[arg-type]
            header_size(sender.version, large=True) if "kem" in changes else header_size(sender.version, large=False),
        )
    tag, sealed = aead_encrypt(sender.sending.header_key, step.header_iv, sender.associated_data, header)
    envelope = encode_envelope(sender.version, step.header_iv, tag, sealed)
    padded = pad(b"forged", 32) if body is None else body
    body_tag, sealed_body = aead_encrypt(step.message_key, step.body_iv, sender.associated_data + envelope, padded)
    return with_length(envelope, sender.version) + body_tag + sealed_body
