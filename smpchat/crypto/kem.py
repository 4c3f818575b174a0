"""Key encapsulation (KEM) with sntrup761, from the package ``pqcrypto``, and the KEM's fields on the wire.

``pqcrypto`` is imported at its first use, so that smpchat works without ``pqcrypto`` as long as no KEM is used.
``pqcrypto`` gets its random bytes from the operating system. Source: agent-wire 2.6 and 4.8.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import ClassVar, Protocol

from smpchat.crypto.errors import CryptoError, KeyFormatError
from smpchat.encoding.codec import Codec, large_bytes, mapped, record, tagged
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field

PUBLIC_SIZE, PRIVATE_SIZE, CIPHERTEXT_SIZE, SECRET_SIZE = 1158, 1763, 1039, 32


class KEMUnavailable(CryptoError):
    """The package ``pqcrypto`` is not installed: run ``pip install pqcrypto``, or continue without a KEM."""


class KEMPublicKey(Record):
    """1,158-byte public key. ``repr`` leaves the bytes out because there are so many, not because they are secret."""

    raw: bytes = field(repr=False)
    SIZE: ClassVar[int] = PUBLIC_SIZE

    def __post_init__(self) -> None:
        _sized("KEM public key", self.raw, PUBLIC_SIZE)


class KEMPrivateKey(Record):
    """1,763-byte private key, in the form that the reference and OpenSSH store."""

    raw: bytes = field(repr=False)
    SIZE: ClassVar[int] = PRIVATE_SIZE

    def __post_init__(self) -> None:
        _sized("KEM private key", self.raw, PRIVATE_SIZE)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, KEMPrivateKey):
            return NotImplemented
        from hmac import compare_digest  # imports OpenSSL, which most commands do not need

        return compare_digest(self.raw, other.raw)

    def __hash__(self) -> int:
        return hash(self.raw)


class KEMCiphertext(Record):
    """1,039-byte ciphertext, made for a public key. The owner of the private key gets the shared secret out of it."""

    raw: bytes = field(repr=False)
    SIZE: ClassVar[int] = CIPHERTEXT_SIZE

    def __post_init__(self) -> None:
        _sized("KEM ciphertext", self.raw, CIPHERTEXT_SIZE)


class KEMProposed(Record):
    """A party proposes its public KEM key (``P`` on the wire)."""

    key: KEMPublicKey


class KEMAccepted(Record):
    """A party answers with a ciphertext for the peer's KEM key, and proposes its own next public KEM key (``A`` on the
    wire)."""

    ciphertext: KEMCiphertext
    key: KEMPublicKey


KEMParams = KEMProposed | KEMAccepted


def _sized(what: str, raw: bytes, size: int) -> None:
    if len(raw) != size:
        raise KeyFormatError(f"{what}: {size} bytes expected, got {len(raw)}")


def _public_key(raw: bytes) -> KEMPublicKey:
    try:
        return KEMPublicKey(raw)
    except KeyFormatError as error:
        raise DecodeError(str(error)) from None


def _ciphertext(raw: bytes) -> KEMCiphertext:
    try:
        return KEMCiphertext(raw)
    except KeyFormatError as error:
        raise DecodeError(str(error)) from None


kem_public_key: Codec[KEMPublicKey] = mapped(large_bytes, _public_key, lambda key: key.raw)
kem_ciphertext: Codec[KEMCiphertext] = mapped(large_bytes, _ciphertext, lambda ciphertext: ciphertext.raw)
kem_params: Codec[KEMParams] = tagged(
    "KEM parameters",
    [
        (b"P", KEMProposed, record(KEMProposed, key=kem_public_key)),
        (b"A", KEMAccepted, record(KEMAccepted, ciphertext=kem_ciphertext, key=kem_public_key)),
    ],
)


class KEMProvider(Protocol):
    """Makes KEM keys and secrets. smpchat uses the module `smpchat.crypto.kem` as its KEM provider; tests use a
    provider that replays recorded values."""

    def available(self) -> bool:
        """Whether the provider can make KEM keys and secrets on this computer."""
        ...

    def generate(self) -> tuple[KEMPublicKey, KEMPrivateKey]:
        """A new key pair."""
        ...

    def encapsulate(self, public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
        """A ciphertext for the owner of ``public``, and the 32-byte secret that it carries."""
        ...

    def decapsulate(self, private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
        """The 32-byte secret in ``ciphertext``."""
        ...


def _implementation() -> ModuleType:
    try:
        return importlib.import_module("pqcrypto.kem.sntrup_761")
    except ImportError:
        raise KEMUnavailable("sntrup761 needs the package pqcrypto, which is not installed") from None


def available() -> bool:
    """Whether `generate`, `encapsulate` and `decapsulate` can work on this computer.

    `available` imports the package ``pqcrypto``, which takes 13 ms. So call `available` just before KEM keys are made,
    not when a profile is opened.
    """
    try:
        _implementation()
    except KEMUnavailable:
        return False
    return True


def generate() -> tuple[KEMPublicKey, KEMPrivateKey]:
    """A new key pair. Raises `KEMUnavailable`."""
    # ``pqcrypto`` takes no random bytes from its caller. So tests use a `KEMProvider` with recorded keys.
    public, private = _implementation().keygen()
    return KEMPublicKey(public), KEMPrivateKey(private)


def encapsulate(public: KEMPublicKey) -> tuple[KEMCiphertext, bytes]:
    """A ciphertext for the owner of ``public``, and the 32-byte secret that it carries. Raises `KEMUnavailable`."""
    ciphertext, secret = _implementation().encaps(public.raw)
    return KEMCiphertext(ciphertext), bytes(secret)


def decapsulate(private: KEMPrivateKey, ciphertext: KEMCiphertext) -> bytes:
    """The 32-byte secret in ``ciphertext``. Raises `KEMUnavailable`.

    A ciphertext for another key is not an error: the result is then a secret that nobody else has.
    """
    return bytes(_implementation().decaps(private.raw, ciphertext.raw))
