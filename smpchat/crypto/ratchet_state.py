"""The state of a double ratchet with header encryption: how it starts on each of the two sides, and its form in our
store.

Names such as DHRs are those of the Double Ratchet specification. Source of the starting states: agent-wire 4.4.
"""

from __future__ import annotations

from typing import Self

from smpchat.crypto.agreement import E2E_VERSION_MAX, E2E_VERSION_MIN, X3DHSecret
from smpchat.crypto.kem import (
    CIPHERTEXT_SIZE,
    PRIVATE_SIZE,
    PUBLIC_SIZE,
    SECRET_SIZE,
    KEMCiphertext,
    KEMPrivateKey,
    KEMPublicKey,
)
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey, x448_key
from smpchat.crypto.ratchet_errors import RatchetStateError
from smpchat.crypto.ratchet_kem import KEMAnswer, KEMState
from smpchat.encoding.codec import Codec, fixed, large_bytes, literal, mapped, maybe, record, uint, word16
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record, field, replace

KEY_SIZE = 32


class SendingChain(Record):
    """Our current sending chain; it lasts until the peer's next ratchet key arrives."""

    peer_key: X448PublicKey  # DHRr; kept, but never used: the next computation needs the peer's next key
    chain_key: bytes = field(repr=False)  # CKs
    header_key: bytes = field(repr=False)  # HKs


class ReceivingChain(Record):
    """The chain with which we receive: the peer's current sending chain."""

    chain_key: bytes = field(repr=False)  # CKr
    header_key: bytes = field(repr=False)  # HKr


class Ratchet(Record):
    """One side of a double ratchet. A `Ratchet` object never changes: each ratchet step returns a new object.

    Attributes:
        version: Version of end-to-end encryption in use; it may rise, but never falls.
        max_version: Highest version of end-to-end encryption that we offer in each header.
        associated_data: Bytes that are authenticated with every message; see `smpchat.crypto.agreement.X3DHSecret`.
        own_key: Our private ratchet key (DHRs).
        own_public: The public key of ``own_key``, stored because deriving it is slow.
        root_key: The root key (RK), 32 bytes.
        sending, receiving: The current chain in each direction; None if this direction has no chain yet.
        sent: Messages sent with the sending chain so far (Ns).
        received: Messages of the receiving chain so far, received or skipped (Nr).
        previous_sent: Messages sent with our previous sending chain (PN).
        next_sending_header_key, next_receiving_header_key: The next header keys (NHKs and NHKr), 32 bytes each.
        large_headers: Whether headers have room for a KEM's keys ("PQ support" in apps); once on, it stays on.
        kem_enabled: Whether we use the KEM. A change takes effect when the peer's next ratchet key arrives.
        kem: Our KEM key, and our answer to the peer's KEM key. Each header contains both.
        kem_sending, kem_receiving: Whether a KEM secret was used to derive the current sending or receiving chain.
    """

    version: int
    max_version: int
    associated_data: bytes
    own_key: X448PrivateKey
    own_public: X448PublicKey
    root_key: bytes = field(repr=False)
    sending: SendingChain | None
    receiving: ReceivingChain | None
    sent: int
    received: int
    previous_sent: int
    next_sending_header_key: bytes = field(repr=False)
    next_receiving_header_key: bytes = field(repr=False)
    large_headers: bool = False
    kem_enabled: bool = False
    kem: KEMState | None = None
    kem_sending: bool = False
    kem_receiving: bool = False

    def __post_init__(self) -> None:
        if not self.large_headers and (self.kem_enabled or self.kem is not None):
            raise RatchetStateError("a KEM needs large headers")
        if not E2E_VERSION_MIN <= self.version <= self.max_version <= E2E_VERSION_MAX:
            raise RatchetStateError(f"e2e version {self.version} is not supported")

    @classmethod
    def joiner(
        cls,
        secret: X3DHSecret,
        peer_key2: X448PublicKey,
        first_key: X448PrivateKey,
        version: int,
        *,
        max_version: int = E2E_VERSION_MAX,
        kem_enabled: bool = False,
        kem: KEMState | None = None,
    ) -> Self:
        """The joiner's first ratchet, which can send at once. The joiner is the side that used the link.

        Args:
            secret: Result of `agree_joiner`.
            peer_key2: The initiator's second X3DH key, which is its first ratchet key.
            first_key: A new private key, our first ratchet key. The peer learns the public key that belongs to it from
                our headers, not from the X3DH parameters.
            version: The version of end-to-end encryption that was agreed for this connection.
            max_version: Highest version of end-to-end encryption to offer in headers.
            kem_enabled: Whether to use a KEM. If we use a KEM, headers are large.
            kem: The KEM key that our confirmation proposed, and our answer to the KEM key in the link if we accepted
                that key. If we accepted the link's KEM key, ``secret`` includes the KEM secret.
        Raises:
            RatchetStateError: We do not support this version of end-to-end encryption.
            CryptoError: The peer's key has low order.
        """
        from smpchat.crypto.kdf import root_step  # imports OpenSSL, which most commands do not need

        # The first ratchet keys are the initiator's second X3DH key, and a new key of the joiner that is not one of its
        # X3DH keys (agent-wire trap 6). The key agreement has already used the KEM's secret; this root step uses it a
        # second time (agent-wire 4.4).
        step = root_step(secret.root_key, first_key.exchange(peer_key2), secret.kem_secret)
        return cls(
            version=version,
            max_version=max_version,
            associated_data=secret.associated_data,
            own_key=first_key,
            own_public=first_key.public(),
            root_key=step.root_key,
            sending=SendingChain(peer_key2, step.chain_key, secret.header_key),
            receiving=None,
            sent=0,
            received=0,
            previous_sent=0,
            next_sending_header_key=step.next_header_key,
            next_receiving_header_key=secret.next_header_key,
            large_headers=kem_enabled,
            kem_enabled=kem_enabled,
            kem=kem,
            kem_sending=bool(secret.kem_secret),
        )

    @classmethod
    def initiator(
        cls,
        secret: X3DHSecret,
        own_key2: X448PrivateKey,
        version: int,
        *,
        max_version: int = E2E_VERSION_MAX,
        kem_enabled: bool = False,
        kem: KEMState | None = None,
    ) -> Self:
        """The initiator's first ratchet, which cannot send before the joiner's first message arrives. The initiator is
        the side that made the link.

        Args:
            secret: Result of `agree_initiator`.
            own_key2: Our second X3DH key, which is our first ratchet key.
            version: The version of end-to-end encryption in the joiner's confirmation.
            max_version: Highest version of end-to-end encryption to offer in headers.
            kem_enabled: Whether to use a KEM. If we use a KEM, headers are large.
            kem: The KEM key pair of our link, with the joiner's answer to our KEM key if the joiner gave one. The
                joiner's first headers repeat the joiner's answer.
        Raises:
            RatchetStateError: We do not support this version of end-to-end encryption.
        """
        return cls(
            version=version,
            max_version=max_version,
            associated_data=secret.associated_data,
            own_key=own_key2,
            own_public=own_key2.public(),
            root_key=secret.root_key,
            sending=None,
            receiving=None,
            sent=0,
            received=0,
            previous_sent=0,
            next_sending_header_key=secret.next_header_key,
            # The joiner already sends with ``secret.header_key``. We have no receiving chain yet, so we store
            # ``secret.header_key`` as our *next* receiving header key (agent-wire 4.4).
            next_receiving_header_key=secret.header_key,
            large_headers=kem_enabled,
            kem_enabled=kem_enabled,
            kem=kem,
        )

    def with_kem(self, enabled: bool) -> Ratchet:
        """Turn our use of the KEM on or off, with effect from the peer's next ratchet key. Returns the changed ratchet.

        If headers are large, they stay large, so that nobody can see when the KEM is turned off.
        """
        return replace(self, kem_enabled=enabled, large_headers=self.large_headers or enabled)

    def to_bytes(self) -> bytes:
        """The ratchet as bytes, as our store keeps it. The KEM's secret is left out: the chains were already derived
        from this secret.

        The bytes contain unencrypted secret keys; the store must protect these bytes.
        """
        return _stored.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Ratchet:
        """Read the result of `to_bytes`. Raises `DecodeError` for any other bytes, including a ratchet in a form that
        only newer versions of smpchat know."""
        return _stored.decode(data, "stored ratchet")


def _read_flag(reader: Reader) -> bool:
    offset = reader.offset
    number = reader.take(1, "flag")[0]
    if number > 1:
        raise DecodeError("a flag is neither 0 nor 1", offset)
    return number == 1


# These codecs take exactly the size of a KEM key or ciphertext, so that the classes, which check the size, accept any
# stored bytes.
_kem_public = mapped(fixed(PUBLIC_SIZE, "KEM key"), KEMPublicKey, lambda key: key.raw)
_kem_private = mapped(fixed(PRIVATE_SIZE, "KEM key"), KEMPrivateKey, lambda key: key.raw)
_kem_ciphertext = mapped(fixed(CIPHERTEXT_SIZE, "KEM ciphertext"), KEMCiphertext, lambda ciphertext: ciphertext.raw)
# Earlier versions of smpchat stored the KEM's secret, although it was already used. We ignore a stored secret, and
# write zeros in its place.
_no_secret = mapped(fixed(SECRET_SIZE, "KEM secret"), lambda _: b"", lambda _: bytes(SECRET_SIZE))
_kem_answer = record(KEMAnswer, peer_key=_kem_public, ciphertext=_kem_ciphertext, secret=_no_secret)
_kem_state = record(KEMState, public=_kem_public, private=_kem_private, answer=maybe(_kem_answer))
_key = fixed(KEY_SIZE, "key")
# A counter has 4 bytes in a header, but 8 bytes in the store. The store keeps the number of the next message: after the
# largest number of 4 bytes, the next number does not fit into 4 bytes.
_counter = uint(8)
_flag: Codec[bool] = Codec(lambda value: bytes([value]), _read_flag)

_fields: Codec[Ratchet] = record(
    Ratchet,
    version=word16,
    max_version=word16,
    associated_data=large_bytes,
    own_key=mapped(fixed(X448PrivateKey.SIZE, "ratchet key"), X448PrivateKey, lambda key: key.raw),
    own_public=x448_key,
    root_key=_key,
    sending=maybe(record(SendingChain, peer_key=x448_key, chain_key=_key, header_key=_key)),
    receiving=maybe(record(ReceivingChain, chain_key=_key, header_key=_key)),
    sent=_counter,
    received=_counter,
    previous_sent=_counter,
    next_sending_header_key=_key,
    next_receiving_header_key=_key,
    large_headers=_flag,
    kem_enabled=_flag,
    kem=maybe(_kem_state),
    kem_sending=_flag,
    kem_receiving=_flag,
)
_FORM = literal(b"\x01")


def _read_stored(reader: Reader) -> Ratchet:
    if reader.peek() != 1:
        raise DecodeError("stored ratchet: unknown form; it may come from a newer version of smpchat", reader.offset)
    _FORM.read(reader)
    try:
        return _fields.read(reader)
    except RatchetStateError as error:
        raise DecodeError(f"stored ratchet: {error}") from None


_stored: Codec[Ratchet] = Codec(lambda ratchet: _FORM.write(b"\x01") + _fields.write(ratchet), _read_stored)
