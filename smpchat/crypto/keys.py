"""The kinds of keys in the protocols: X25519 and X448 for key agreement, Ed25519 and Ed448 for signatures.

A key is an immutable object with the raw bytes; ``repr`` never shows a private key. On the wire, a public key is the
DER of its SubjectPublicKeyInfo, and only the DER prefix tells its kind (smp-wire 1.2).

libsodium and OpenSSL are imported only by the methods that compute with a key. Many records contain keys, and
commands that only read such records would lose 15 ms by importing libsodium and OpenSSL.
"""

from __future__ import annotations

from typing import ClassVar, Self, TypeVar

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError, KeyFormatError, VerificationError
from smpchat.encoding.codec import Codec, mapped, short_bytes
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import from_base64url, to_base64url


class _Key(Record):
    """Raw key bytes of a fixed size, with the DER prefix that names their kind."""

    raw: bytes
    SIZE: ClassVar[int]
    DER_PREFIX: ClassVar[bytes]

    def __post_init__(self) -> None:
        if len(self.raw) != self.SIZE:
            raise KeyFormatError(f"{type(self).__name__}: {self.SIZE} bytes expected, got {len(self.raw)}")

    @property
    def der(self) -> bytes:
        """The key as DER: SubjectPublicKeyInfo for a public key, PKCS#8 for a private key."""
        return self.DER_PREFIX + self.raw

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """Read a key of this class from its DER. Raises `KeyFormatError`."""
        if not der.startswith(cls.DER_PREFIX) or len(der) != len(cls.DER_PREFIX) + cls.SIZE:
            raise KeyFormatError(f"not the DER of {cls.__name__}")
        return cls(der[len(cls.DER_PREFIX) :])


class _PrivateKey(_Key):
    raw: bytes = field(repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _PrivateKey):
            return NotImplemented
        from hmac import compare_digest

        # Compare in constant time: the time must not tell how many bytes of a key are right.
        return type(self) is type(other) and compare_digest(self.raw, other.raw)

    def __hash__(self) -> int:
        return hash((type(self), self.raw))

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """A new key. For each kind of key, any random bytes of the right size can be the private key."""
        return cls(entropy.random(cls.SIZE))


class X25519PublicKey(_Key):
    """32-byte X25519 public key."""

    __slots__ = ()
    SIZE = 32
    # For all four kinds of public keys, the DER is a constant prefix and the raw key, so we need no ASN.1 parser. The
    # algorithm in the DER must have no parameters, not even NULL: the reference refuses parameters (smp-wire 1.2).
    DER_PREFIX = bytes.fromhex("302a300506032b656e032100")


class X448PublicKey(_Key):
    """56-byte X448 public key."""

    __slots__ = ()
    SIZE = 56
    DER_PREFIX = bytes.fromhex("3042300506032b656f033900")


class Ed25519PublicKey(_Key):
    """32-byte Ed25519 public key."""

    __slots__ = ()
    SIZE = 32
    DER_PREFIX = bytes.fromhex("302a300506032b6570032100")

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check the signature (64 bytes) of a message. Raises `VerificationError`."""
        if len(signature) != 64:
            raise VerificationError("the signature has a wrong length")
        import nacl.bindings
        import nacl.exceptions

        try:
            nacl.bindings.crypto_sign_open(signature + message, self.raw)
        except nacl.exceptions.BadSignatureError:
            raise VerificationError("the signature does not verify") from None


class Ed448PublicKey(_Key):
    """57-byte Ed448 public key."""

    __slots__ = ()
    SIZE = 57
    DER_PREFIX = bytes.fromhex("3043300506032b6571033a00")

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check the signature (114 bytes) of a message. Raises `VerificationError`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import ed448

        try:
            ed448.Ed448PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            raise VerificationError("the signature does not verify") from None


class X25519PrivateKey(_PrivateKey):
    """32-byte X25519 private key."""

    __slots__ = ()
    SIZE = 32
    DER_PREFIX = bytes.fromhex("302e020100300506032b656e04220420")

    def public(self) -> X25519PublicKey:
        """The public key that belongs to this private key."""
        import nacl.bindings

        return X25519PublicKey(nacl.bindings.crypto_scalarmult_base(self.raw))

    def exchange(self, peer: X25519PublicKey) -> bytes:
        """The raw 32-byte shared secret. Raises `CryptoError` if the peer's key has low order."""
        import nacl.bindings
        import nacl.exceptions

        try:
            return nacl.bindings.crypto_scalarmult(self.raw, peer.raw)
        # With a key of low order, the secret would be zero for every private key, and so known to everyone. We refuse
        # keys of low order, although the reference does not (smp-wire 4.5): no honest program makes them.
        except nacl.exceptions.RuntimeError:
            raise CryptoError("the peer's X25519 key has low order") from None


class X448PrivateKey(_PrivateKey):
    """56-byte X448 private key."""

    __slots__ = ()
    SIZE = 56
    DER_PREFIX = bytes.fromhex("3046020100300506032b656f043a0438")

    def public(self) -> X448PublicKey:
        """The public key that belongs to this private key."""
        from cryptography.hazmat.primitives.asymmetric import x448

        return X448PublicKey(x448.X448PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw())

    def exchange(self, peer: X448PublicKey) -> bytes:
        """The raw 56-byte shared secret. Raises `CryptoError` if the peer's key has low order."""
        from cryptography.hazmat.primitives.asymmetric import x448

        own = x448.X448PrivateKey.from_private_bytes(self.raw)
        try:
            return own.exchange(x448.X448PublicKey.from_public_bytes(peer.raw))
        except ValueError:
            raise CryptoError("the peer's X448 key has low order") from None


class Ed25519PrivateKey(_PrivateKey):
    """Ed25519 private key: the 32-byte seed."""

    __slots__ = ()
    SIZE = 32
    DER_PREFIX = bytes.fromhex("302e020100300506032b657004220420")

    def public(self) -> Ed25519PublicKey:
        """The public key that belongs to this private key."""
        import nacl.bindings

        return Ed25519PublicKey(nacl.bindings.crypto_sign_seed_keypair(self.raw)[0])

    def sign(self, message: bytes) -> bytes:
        """64-byte signature of ``message``."""
        import nacl.bindings

        _, secret = nacl.bindings.crypto_sign_seed_keypair(self.raw)
        return nacl.bindings.crypto_sign(message, secret)[:64]


class Ed448PrivateKey(_PrivateKey):
    """57-byte Ed448 private key."""

    __slots__ = ()
    SIZE = 57
    DER_PREFIX = bytes.fromhex("3047020100300506032b6571043b0439")

    def public(self) -> Ed448PublicKey:
        """The public key that belongs to this private key."""
        from cryptography.hazmat.primitives.asymmetric import ed448

        return Ed448PublicKey(ed448.Ed448PrivateKey.from_private_bytes(self.raw).public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """114-byte signature of ``message``."""
        from cryptography.hazmat.primitives.asymmetric import ed448

        return ed448.Ed448PrivateKey.from_private_bytes(self.raw).sign(message)


SignaturePublicKey = Ed25519PublicKey | Ed448PublicKey
SignaturePrivateKey = Ed25519PrivateKey | Ed448PrivateKey
AuthPublicKey = Ed25519PublicKey | Ed448PublicKey | X25519PublicKey
"""Keys that can authorise commands on a queue."""
AuthPrivateKey = Ed25519PrivateKey | Ed448PrivateKey | X25519PrivateKey
PublicKey = X25519PublicKey | X448PublicKey | Ed25519PublicKey | Ed448PublicKey

_K = TypeVar("_K", X25519PublicKey, X448PublicKey, Ed25519PublicKey, Ed448PublicKey)
# Queue keys may be of kind Ed448, although no app makes Ed448 keys: the reference accepts them, and its tests use them
# (smp-wire trap 40).
_AUTH_KINDS: tuple[type[Ed25519PublicKey] | type[Ed448PublicKey] | type[X25519PublicKey], ...] = (
    Ed25519PublicKey,
    X25519PublicKey,
    Ed448PublicKey,
)


def auth_public_key(der: bytes) -> AuthPublicKey:
    """The key in ``der``, of any kind that can authorise commands on a queue. Raises `KeyFormatError`."""
    for kind in _AUTH_KINDS:
        if der.startswith(kind.DER_PREFIX):
            return kind.from_der(der)
    raise KeyFormatError("not the DER of a key that can authorise commands")


def _decoding(kind: type[_K]) -> Codec[_K]:
    def to(der: bytes) -> _K:
        try:
            return kind.from_der(der)
        except KeyFormatError as error:
            raise DecodeError(str(error)) from None

    return mapped(short_bytes, to, lambda key: key.der)


def _auth_key(der: bytes) -> AuthPublicKey:
    try:
        return auth_public_key(der)
    except KeyFormatError as error:
        raise DecodeError(str(error)) from None


x25519_key = _decoding(X25519PublicKey)
x448_key = _decoding(X448PublicKey)
ed25519_key = _decoding(Ed25519PublicKey)
auth_key: Codec[AuthPublicKey] = mapped(short_bytes, _auth_key, lambda key: key.der)


def key_to_text(key: _Key) -> str:
    """The text of a key in links: its DER in base64url with padding."""
    return to_base64url(key.der)


def key_from_text(kind: type[_K], text: str, what: str) -> _K:
    """Read a key of ``kind`` from a link. Raises `DecodeError`; ``what`` is what the error's text calls the key."""
    try:
        return kind.from_der(from_base64url(text, what))
    except KeyFormatError:
        raise DecodeError(f"{what} is not a key of the expected kind") from None
