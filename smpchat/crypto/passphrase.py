"""Encrypts bytes with a passphrase: scrypt derives the key, AES-256-GCM encrypts.

::

    sealed   = header proof checksum ciphertext        ; ciphertext ends with the 16-byte tag
    header   = cost block parallel salt nonce          ; 1 + 1 + 1 + 16 + 12 bytes
    proof    = HMAC-SHA-256(proof key, prefix header)  ; 32 bytes: distinguishes a wrong passphrase from damage
    checksum = first 16 bytes of SHA-256(prefix header proof)

scrypt gives 64 bytes: the encryption key and the proof key. The caller writes ``prefix``, for example a magic number
and a version, before the sealed bytes; AES-GCM authenticates ``prefix`` and the header too. The proof that the
passphrase is right does not make guessing easier: each guess still takes one computation of scrypt.

Source: RFC 7914 (scrypt); the proof and the checksum are modelled on the file format of the ``scrypt`` program.
"""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import VerificationError, WrongPassphrase
from smpchat.encoding.codec import byte, fixed, record
from smpchat.encoding.reader import DecodeError, Reader
from smpchat.encoding.record import Record

_KEY, _PROOF, _CHECKSUM, _SALT, _NONCE = 32, 32, 16, 16, 12
MAX_MEMORY = 1 << 28
"""Maximum memory that decrypting may need, in bytes; `STRONG` needs 2**27."""
MAX_PARALLEL = 4


class Cost(Record):
    """The parameters of scrypt: 2**cost rounds on blocks of 128 * block bytes, ``parallel`` times."""

    cost: int
    block: int
    parallel: int

    @property
    def is_bearable(self) -> bool:
        """Whether we accept these parameters in a file from another person."""
        within = 1 <= self.cost <= 24 and 1 <= self.block <= 32 and 1 <= self.parallel <= MAX_PARALLEL
        return within and 128 * self.block << self.cost <= MAX_MEMORY


STRONG = Cost(cost=17, block=8, parallel=1)
"""OWASP recommends these parameters for scrypt. Deriving a key takes 128 MiB of memory and about half a second."""


class _Header(Record):
    cost: int
    block: int
    parallel: int
    salt: bytes
    nonce: bytes


_header = record(_Header, cost=byte, block=byte, parallel=byte, salt=fixed(_SALT), nonce=fixed(_NONCE))


def seal(passphrase: str, prefix: bytes, plaintext: bytes, entropy: Entropy, cost: Cost = STRONG) -> bytes:
    """Encrypt ``plaintext``. ``prefix`` is authenticated too, but is not part of the result."""
    header = _Header(cost.cost, cost.block, cost.parallel, entropy.random(_SALT), entropy.random(_NONCE))
    front = prefix + _header.encode(header)
    key, proof = _keys(passphrase, header, front)
    checksum = _checksum(front + proof)
    return (front + proof + checksum)[len(prefix) :] + AESGCM(key).encrypt(header.nonce, plaintext, front)


def unseal(passphrase: str, prefix: bytes, sealed: bytes) -> bytes:
    """Decrypt the result of `seal` with the same prefix.

    Raises:
        WrongPassphrase: The bytes were encrypted with another passphrase.
        VerificationError: The bytes are damaged or cut off, or decrypting needs more than `MAX_MEMORY`.
    """
    reader = Reader(sealed)
    try:
        header = _header.read(reader)
        front = prefix + sealed[: reader.offset]
        claimed, checksum = reader.take(_PROOF), reader.take(_CHECKSUM)
    except DecodeError:
        raise VerificationError("the sealed bytes are cut off") from None
    # Check the header before scrypt runs: damage must not look like a wrong passphrase, and a header from another
    # person must not decide how much memory we use.
    if not hmac.compare_digest(checksum, _checksum(front + claimed)):
        raise VerificationError("the header is damaged")
    if not Cost(header.cost, header.block, header.parallel).is_bearable:
        raise VerificationError("the header asks for too much memory")
    key, proof = _keys(passphrase, header, front)
    # Check the passphrase with the proof, not with the tag of AES-GCM: if only the tag were checked, damage would look
    # like a wrong passphrase.
    if not hmac.compare_digest(proof, claimed):
        raise WrongPassphrase("the passphrase is wrong")
    try:
        return AESGCM(key).decrypt(header.nonce, reader.rest(), front)
    except InvalidTag:
        raise VerificationError("the sealed bytes are damaged") from None


def _keys(passphrase: str, header: _Header, front: bytes) -> tuple[bytes, bytes]:
    """The encryption key, and the proof that the passphrase is right."""
    scrypt = Scrypt(salt=header.salt, length=2 * _KEY, n=1 << header.cost, r=header.block, p=header.parallel)
    # Keyboards may type the same letter as different code points, so normalise to NFC (RFC 8265).
    derived = scrypt.derive(unicodedata.normalize("NFC", passphrase).encode())
    return derived[:_KEY], hmac.digest(derived[_KEY:], front, "sha256")


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()[:_CHECKSUM]
