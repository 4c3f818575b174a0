"""X3DH: both sides of a connection derive a shared secret from the keys in the link and in the confirmation.

The *initiator* made the link, the *joiner* used it. Source: agent-wire 2.3, 2.6, 4.1 and 4.2.
"""

from __future__ import annotations

from typing import NamedTuple, Self

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import KeyFormatError
from smpchat.crypto.kem import KEMAccepted, KEMParams, KEMProposed, KEMPublicKey, kem_params
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey, key_from_text, key_to_text, x448_key
from smpchat.encoding.codec import Codec, maybe, word16
from smpchat.encoding.reader import DecodeError, EncodeError, Reader
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import from_base64url, read_query, to_base64url

E2E_VERSION_MIN, E2E_VERSION_MAX = 2, 3
E2E_VERSION_KEM = 3
"""From this version on, X3DH parameters and ratchet headers have a field for a KEM (key encapsulation), and lengths in
ratchet messages have 2 bytes."""


class E2EVersions(NamedTuple):
    """The range of end-to-end encryption versions that a link offers; it includes both ends."""

    minimum: int
    maximum: int


E2E_VERSIONS = E2EVersions(E2E_VERSION_MIN, E2E_VERSION_MAX)


class E2EParams(Record):
    """One party's public X3DH keys for one version; a confirmation contains them."""

    version: int
    key1: X448PublicKey
    key2: X448PublicKey
    kem: KEMParams | None = None


class E2EParamsRange(Record):
    """The initiator's public X3DH keys for a range of versions; a link contains them."""

    versions: tuple[int, int]
    key1: X448PublicKey
    key2: X448PublicKey
    kem: KEMParams | None = None


_maybe_kem = maybe(kem_params)


def _write_params(params: E2EParams) -> bytes:
    keys = word16.write(params.version) + x448_key.write(params.key1) + x448_key.write(params.key2)
    if params.version >= E2E_VERSION_KEM:
        return keys + _maybe_kem.write(params.kem)
    if params.kem is not None:
        raise EncodeError(f"e2e version {params.version} has no KEM parameters")
    return keys


def _read_params(reader: Reader) -> E2EParams:
    version = word16.read(reader)
    key1, key2 = x448_key.read(reader), x448_key.read(reader)
    # At version 2, the field for a KEM is missing, not just empty. Parameters for a range of versions always have the
    # field for a KEM (agent-wire 2.6).
    return E2EParams(version, key1, key2, _maybe_kem.read(reader) if version >= E2E_VERSION_KEM else None)


def _write_range(params: E2EParamsRange) -> bytes:
    minimum, maximum = params.versions
    if minimum > maximum:
        raise EncodeError("e2e versions: the minimum is above the maximum")
    versions = word16.write(minimum) + word16.write(maximum)
    return versions + x448_key.write(params.key1) + x448_key.write(params.key2) + _maybe_kem.write(params.kem)


def _read_range(reader: Reader) -> E2EParamsRange:
    offset = reader.offset
    versions = E2EVersions(word16.read(reader), word16.read(reader))
    if versions.minimum > versions.maximum:
        raise DecodeError("e2e versions: the minimum is above the maximum", offset)
    return E2EParamsRange(versions, x448_key.read(reader), x448_key.read(reader), _maybe_kem.read(reader))


e2e_params: Codec[E2EParams] = Codec(_write_params, _read_params)
"""Encodes parameters for a single version. The caller must check that we support the version that was read."""
e2e_params_range: Codec[E2EParamsRange] = Codec(_write_range, _read_range)
"""Encodes parameters for a range of versions. The encoding always has the field for a KEM, which may be empty."""


def e2e_params_to_text(params: E2EParamsRange) -> str:
    """Write ``v=…&x3dh=…`` for the ``e2e`` parameter of a link. The caller must percent-escape this text when writing
    it into the link."""
    minimum, maximum = params.versions
    versions = str(minimum) if minimum == maximum else f"{minimum}-{maximum}"
    text = f"v={versions}&x3dh={key_to_text(params.key1)},{key_to_text(params.key2)}"
    match params.kem:
        case KEMProposed(key) if maximum >= E2E_VERSION_KEM:
            return f"{text}&kem_key={to_base64url(key.raw)}"
        case KEMAccepted():
            raise EncodeError("a link proposes a KEM key; it cannot accept one")
    return text


def e2e_params_from_text(text: str) -> E2EParamsRange:
    """Read the ``e2e`` parameter of a link, after it was unescaped once. Fields with unknown names are ignored.

    Raises:
        DecodeError: A field is missing or malformed, or there is a KEM ciphertext, which only an answer to a link may
            contain.
    """
    # The reference reads a link only up to the first blank (agent-wire 2.5). We must not accept a link that the
    # reference would read differently.
    if " " in text or "\n" in text:
        raise DecodeError("e2e parameters contain a blank")
    parameters = read_query(text)
    for name in ("v", "x3dh"):
        if name not in parameters:
            raise DecodeError(f"e2e parameters lack {name!r}")
    versions = _versions_from_text(parameters["v"])
    keys = parameters["x3dh"].split(",")
    if len(keys) != 2:
        raise DecodeError(f"e2e parameters have {len(keys)} keys; 2 expected")
    key1, key2 = (key_from_text(X448PublicKey, key, "e2e key") for key in keys)
    if "kem_ct" in parameters:
        raise DecodeError("e2e parameters of a link cannot contain a KEM ciphertext")
    kem = None
    if versions.maximum >= E2E_VERSION_KEM and "kem_key" in parameters:
        kem = KEMProposed(_kem_key_from_text(parameters["kem_key"]))
    return E2EParamsRange(versions, key1, key2, kem)


def _versions_from_text(text: str) -> E2EVersions:
    low, dash, high = text.partition("-")
    numbers = (low, high) if dash else (low, low)
    # Check `isascii` too: `isdecimal` and `int` also accept the digits of other scripts, which no app writes.
    if not all(number.isascii() and number.isdecimal() and len(number) <= 5 for number in numbers):
        raise DecodeError("e2e versions are not a number or a range of numbers")
    versions = E2EVersions(*map(int, numbers))
    if not versions.minimum <= versions.maximum <= 0xFFFF:
        raise DecodeError("e2e versions are not a range")
    return versions


def _kem_key_from_text(text: str) -> KEMPublicKey:
    try:
        return KEMPublicKey(from_base64url(text, "KEM key"))
    except KeyFormatError as error:
        raise DecodeError(str(error)) from None


class X3DHKeys(Record):
    """One party's two private keys for one agreement."""

    key1: X448PrivateKey
    key2: X448PrivateKey

    @classmethod
    def generate(cls, entropy: Entropy) -> Self:
        """New keys."""
        return cls(X448PrivateKey.generate(entropy), X448PrivateKey.generate(entropy))

    def params(self, version: int, kem: KEMParams | None = None) -> E2EParams:
        """The public keys for one version, to be sent in a confirmation."""
        return E2EParams(version, self.key1.public(), self.key2.public(), kem)

    def params_range(self, versions: tuple[int, int] = E2E_VERSIONS, kem: KEMParams | None = None) -> E2EParamsRange:
        """The public keys for a range of versions, to be put into a link."""
        return E2EParamsRange(versions, self.key1.public(), self.key2.public(), kem)


class X3DHSecret(Record):
    """The shared secrets after the agreement.

    Attributes:
        associated_data: The joiner's first public key, then the initiator's, both raw: 112 bytes. Not secret.
        header_key: The header key of the joiner's first sending chain; 32 bytes.
        next_header_key: The header key of the initiator's first sending chain; 32 bytes.
        root_key: The first root key; 32 bytes.
        kem_secret: The KEM's secret, 32 bytes, if a KEM key was accepted; otherwise empty. The joiner uses this secret
            again when it makes its first new root key.
    """

    associated_data: bytes
    header_key: bytes = field(repr=False)
    next_header_key: bytes = field(repr=False)
    root_key: bytes = field(repr=False)
    kem_secret: bytes = field(default=b"", repr=False)


def agree_joiner(own: X3DHKeys, peer1: X448PublicKey, peer2: X448PublicKey, kem_secret: bytes = b"") -> X3DHSecret:
    """Derive the secret on the joiner's side. Raises `CryptoError` if a key of the peer has low order."""
    # agent-wire 4.2 says which keys form a pair, and the order of the three pairs. `agree_initiator` combines the same
    # pairs in the same order, so both sides get the same three secrets.
    secrets = own.key2.exchange(peer1), own.key1.exchange(peer2), own.key2.exchange(peer2)
    return _derive(own.key1.public(), peer1, secrets, kem_secret)


def agree_initiator(own: X3DHKeys, peer1: X448PublicKey, peer2: X448PublicKey, kem_secret: bytes = b"") -> X3DHSecret:
    """Derive the secret on the initiator's side. Raises `CryptoError` if a key of the peer has low order."""
    secrets = own.key1.exchange(peer2), own.key2.exchange(peer1), own.key2.exchange(peer2)
    return _derive(peer1, own.key1.public(), secrets, kem_secret)


def _derive(
    joiner1: X448PublicKey, initiator1: X448PublicKey, secrets: tuple[bytes, bytes, bytes], kem_secret: bytes
) -> X3DHSecret:
    from smpchat.crypto.kdf import hkdf3  # imports OpenSSL, which most commands do not need

    # The protocol defines the order of HKDF's three outputs: header key, next header key, root key (agent-wire trap 1).
    # A KEM's secret is appended to HKDF's input as it is; unlike in some other protocols, it is not hashed first
    # (agent-wire trap 32).
    header_key, next_header_key, root_key = hkdf3(bytes(64), b"".join(secrets) + kem_secret, b"SimpleXX3DH")
    # On both sides, the associated data contains the raw keys, the joiner's before the initiator's (agent-wire trap 5).
    # Links and messages contain these keys encoded as DER.
    return X3DHSecret(joiner1.raw + initiator1.raw, header_key, next_header_key, root_key, kem_secret)


def security_code(associated_data: bytes) -> str:
    """The security code that two people compare, to be sure that nobody intercepts their connection: digits in groups
    of five.

    The code is the SHA-256 hash of the associated data, as one big-endian number. Source: agent-wire 4.10.
    """
    import hashlib

    # If an app groups the digits differently, this does not matter: people compare only the digits (agent-wire 4.10).
    return grouped_digits(int.from_bytes(hashlib.sha256(associated_data).digest(), "big"))


def grouped_digits(number: int) -> str:
    """Decimal digits in groups of five from the left, so that people can read them to each other."""
    digits = str(number)
    return " ".join(digits[i : i + 5] for i in range(0, len(digits), 5))
