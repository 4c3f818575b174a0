"""A relay's identity: the CA certificate, whose SHA-256 is in every address of the relay, and the *online certificate*,
whose key the relay uses in TLS.

smpchat makes certificates with the same names and extensions as ``smp-server init`` (smp-wire 2.3), and gives their
files the same names. So smpchat's relay can use the certificate files of the reference relay.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import shutil
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509.oid import NameOID

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.foreign import ForeignBytesError, foreign_bytes
from smpchat.crypto.keys import Ed448PrivateKey, Ed25519PrivateKey, SignaturePrivateKey
from smpchat.encoding.record import Record, field
from smpchat.encoding.text import to_base64url
from smpchat.transport.base import ChainRefused, IdentityError, TransportError
from smpchat.transport.certificates import ca_certificate, online_certificate, signing_key
from smpchat.transport.chain import verify_chain

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
CERTIFICATE, KEY = "server.crt", "server.key"
FINGERPRINT = "fingerprint"
NEEDED_FILES = (CA_CERTIFICATE, CERTIFICATE, KEY)
FILES = (*NEEDED_FILES, CA_KEY, FINGERPRINT)

_MAX_FILE = 64 * 1024
_NEW = ".new"
"""The name of a new file ends with this, until the file replaces the old one."""


class IdentityMissing(IdentityError):
    """The folder contains no identity yet: create one."""


class Identity(Record):
    """The certificates and the online key of a relay.

    Attributes:
        ca_certificate: DER of the CA certificate. The SHA-256 of this DER is the relay's fingerprint.
        certificate: DER of the online certificate, signed by the CA.
        key: Private key of the online certificate.
        ca_key: Private key of the CA, needed only to sign another online certificate. None if this key is not
            known: `load_identity` does not read it.
    """

    ca_certificate: bytes
    certificate: bytes
    key: SignaturePrivateKey = field(repr=False)
    ca_key: SignaturePrivateKey | None = field(default=None, repr=False)

    @property
    def chain(self) -> tuple[bytes, ...]:
        """The certificates as DER, in the order in which the relay sends them in TLS and in its hello: the online
        certificate comes first."""
        return (self.certificate, self.ca_certificate)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the CA certificate's DER, 32 bytes. The relay's address contains it as the key hash (smp-wire trap
        1)."""
        return hashlib.sha256(self.ca_certificate).digest()

    @property
    def expires(self) -> datetime:
        """The end of the online certificate's validity, in UTC."""
        return x509.load_der_x509_certificate(self.certificate).not_valid_after_utc

    def sign(self, message: bytes) -> bytes:
        """Sign with the online key; the signature has 64 bytes (Ed25519) or 114 (Ed448)."""
        return self.key.sign(message)

    def chain_pem(self) -> bytes:
        """The chain as PEM, online certificate first."""
        return b"".join(map(_certificate_pem, self.chain))

    def key_pem(self, password: str | None = None) -> bytes:
        """The online key as PKCS#8 PEM, encrypted if a password is given."""
        return _key_pem(self.key, password)


def create_identity(entropy: Entropy, now: datetime, host_names: Sequence[str]) -> Identity:
    """Create a CA and an online certificate, both with Ed25519 keys.

    Args:
        entropy: Random bytes for keys and serial numbers.
        now: The current time, with a time zone. The certificates are valid for 999,999 days, beginning a day before
            ``now``.
        host_names: Names or addresses of the relay. The first name is the online certificate's common name, as in
            ``smp-server init``. If there are two or more names, the certificate lists all of them as alternative
            names. SMP clients do not check these names.
    Raises:
        IdentityError: ``host_names`` is empty, or one of the names does not fit into a certificate.
    """
    if not host_names:
        raise IdentityError("an identity needs a host name or an IP address")
    ca_key, key = Ed25519PrivateKey.generate(entropy), Ed25519PrivateKey.generate(entropy)
    try:
        ca = ca_certificate(entropy, now, ca_key)
        online = online_certificate(entropy, now, host_names, key, ca, ca_key)
    except ValueError as error:
        raise IdentityError(f"no certificate can be made for {host_names[0]!r}: {error}") from error
    return Identity(_der(ca), _der(online), key, ca_key)


def save_identity(identity: Identity, folder: Path) -> None:
    """Write ``identity`` as a new folder, readable by its owner only.

    All files appear at once or not at all: they are written into a temporary folder beside ``folder``, which is then
    renamed.

    Raises:
        IdentityError: The folder exists and is not empty, or cannot be written. Nothing has changed.
    """
    folder = folder.absolute()
    files = {
        CA_CERTIFICATE: _certificate_pem(identity.ca_certificate),
        CERTIFICATE: _certificate_pem(identity.certificate),
        KEY: _key_pem(identity.key, None),
        FINGERPRINT: (to_base64url(identity.fingerprint) + "\n").encode(),
    }
    if identity.ca_key is not None:
        files[CA_KEY] = _key_pem(identity.ca_key, None)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700)
        for name, content in files.items():
            _write(temporary / name, content)
        if sys.platform == "win32" and folder.is_dir():  # on Windows, a rename cannot replace even an empty folder
            folder.rmdir()
        temporary.rename(folder)
        _sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if folder.is_dir() and any(folder.iterdir()):
            raise IdentityError(f"{folder} is not empty: an identity is never overwritten") from error
        raise IdentityError(f"cannot write the identity to {folder}: {error.strerror}") from error


def load_identity(folder: Path, *, now: datetime | None = None) -> Identity:
    """Read the identity in ``folder``, without the CA's key.

    Args:
        folder: Must contain ``ca.crt``, ``server.crt`` and ``server.key``. The file ``fingerprint`` is optional.
        now: The time, with a time zone, at which the certificates must be valid. If None, dates are not checked.
    Raises:
        IdentityMissing: The folder does not exist, or contains none of the three files.
        IdentityError: A file is missing, malformed or readable by others, or the files do not belong together.
    """
    present = [name for name in NEEDED_FILES if (folder / name).exists()]
    if not present:
        raise IdentityMissing(f"there is no relay identity in {folder}")
    for name in (KEY, CA_KEY):
        _check_private(folder / name)
    ca = _load_certificate(folder / CA_CERTIFICATE)
    certificate, key = _load_certificate(folder / CERTIFICATE), _load_key(folder / KEY)
    if not _belong_together(certificate, key):
        # Another process is replacing the key and the certificate just now, or was interrupted when it had replaced
        # only the key.
        _finish_rotation(folder)
        certificate, key = _load_certificate(folder / CERTIFICATE), _load_key(folder / KEY)
    identity = Identity(ca, certificate, key)
    _check_fingerprint(folder, identity.fingerprint)
    if not _belong_together(certificate, key):
        raise IdentityError(f"{folder / KEY} is not the key of {CERTIFICATE}")
    try:
        verify_chain(identity.chain, identity.fingerprint, now)
    except ChainRefused as error:
        raise IdentityError(f"the certificates in {folder} cannot be used: {error}") from error
    return identity


def load_or_create_identity(
    folder: Path, entropy: Entropy, now: datetime, host_names: Sequence[str]
) -> tuple[Identity, bool]:
    """Returns the identity in ``folder``, and whether this call has created it. Raises `IdentityError`."""
    try:
        return load_identity(folder, now=now), False
    except IdentityMissing:
        identity = create_identity(entropy, now, host_names)
        save_identity(identity, folder)
        return identity, True


def rotate_certificate(folder: Path, entropy: Entropy, now: datetime) -> Identity:
    """Replace the online certificate in ``folder`` with a new one, with a new key and the same host names.

    The CA and the fingerprint stay the same. Even if this function fails, the folder contains a certificate with its
    key: either the old pair or the new one.

    Args:
        now: The current time, with a time zone. The new certificate is valid for 999,999 days, beginning a day before
            ``now``.
    Raises:
        IdentityMissing: The folder contains no identity.
        IdentityError: The CA's key is missing or belongs to another CA, the CA has expired, or nothing can be written.
    """
    if not (folder / CA_CERTIFICATE).exists():
        raise IdentityMissing(f"there is no relay identity in {folder}")
    if not (folder / CA_KEY).exists():
        raise IdentityError(f"{folder / CA_KEY} is needed to sign the certificate: put it back for now")
    _check_private(folder / CA_KEY)
    ca, ca_key = x509.load_der_x509_certificate(_load_certificate(folder / CA_CERTIFICATE)), _load_key(folder / CA_KEY)
    if ca.public_key() != signing_key(ca_key).public_key():
        raise IdentityError(f"{folder / CA_KEY} is not the key of {CA_CERTIFICATE}")
    names = _host_names(x509.load_der_x509_certificate(_load_certificate(folder / CERTIFICATE)))
    key = type(ca_key).generate(entropy)
    try:
        online = online_certificate(entropy, now, names, key, ca, ca_key)
    except ValueError as error:
        raise IdentityError(f"no certificate can be made for {names[0]!r}: {error}") from error
    identity = Identity(_der(ca), _der(online), key)
    _check_fingerprint(folder, identity.fingerprint)
    try:
        verify_chain(identity.chain, identity.fingerprint, now)
    except ChainRefused as error:
        raise IdentityError(f"the new certificate could not be used: {error}") from error
    files = {CERTIFICATE: _certificate_pem(identity.certificate), KEY: _key_pem(key, None)}
    try:
        for name, content in files.items():
            (folder / (name + _NEW)).unlink(missing_ok=True)
            _write(folder / (name + _NEW), content)
        _sync_folder(folder)
        (folder / (KEY + _NEW)).replace(folder / KEY)  # from here on, `load_identity` uses the new certificate
        (folder / (CERTIFICATE + _NEW)).replace(folder / CERTIFICATE)
        _sync_folder(folder)
    except OSError as error:
        raise IdentityError(f"cannot write the certificate to {folder}: {error.strerror}") from error
    return identity


def _finish_rotation(folder: Path) -> None:
    """Finish a replacement by `rotate_certificate` that was interrupted: if the key file is already the new one,
    replace the certificate file too."""
    new = folder / (CERTIFICATE + _NEW)
    try:
        if _belong_together(_load_certificate(new), _load_key(folder / KEY)):
            new.replace(folder / CERTIFICATE)
            _sync_folder(folder)
    except (IdentityError, OSError) as error:
        if new.exists():  # otherwise, another process has just finished the replacement
            raise IdentityError(f"the new certificate in {folder} cannot replace the old one: {error}") from error


def _host_names(certificate: x509.Certificate) -> list[str]:
    """The relay's host names that an online certificate contains."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return [str(name.value) for name in names]
    except x509.ExtensionNotFound:
        return [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def identity_files(folder: Path) -> dict[str, bytes]:
    """The contents of all files of the identity in ``folder``, for making a copy. Raises `IdentityError`."""
    identity = load_identity(folder)
    files = {name: _read(folder / name) for name in FILES if (folder / name).exists()}
    files[CERTIFICATE], files[KEY] = _certificate_pem(identity.certificate), identity.key_pem()
    return files


def _belong_together(certificate: bytes, key: SignaturePrivateKey) -> bool:
    return x509.load_der_x509_certificate(certificate).public_key() == signing_key(key).public_key()


def _check_fingerprint(folder: Path, fingerprint: bytes) -> None:
    stored = _read(folder / FINGERPRINT).strip() if (folder / FINGERPRINT).exists() else None
    if stored is not None and not hmac.compare_digest(stored, to_base64url(fingerprint).encode()):
        raise IdentityError(f"{folder / FINGERPRINT} does not match {CA_CERTIFICATE}: restore the files from a backup")


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.DER)


def _certificate_pem(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)


def _key_pem(key: SignaturePrivateKey, password: str | None) -> bytes:
    encryption: serialization.KeySerializationEncryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password.encode())
    )
    return signing_key(key).private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def _load_certificate(path: Path) -> bytes:
    try:
        content = _read(path)
        with foreign_bytes():
            certificate = x509.load_pem_x509_certificate(content)
            _ = certificate.public_key(), list(certificate.extensions), certificate.not_valid_after_utc
            return _der(certificate)
    except ForeignBytesError as error:
        raise IdentityError(f"{path} is not a certificate") from error


def _load_key(path: Path) -> SignaturePrivateKey:
    try:
        content = _read(path)
        with foreign_bytes():
            key = serialization.load_pem_private_key(content, None)
    except ForeignBytesError:
        raise IdentityError(f"{path} is not an unencrypted private key") from None
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return Ed25519PrivateKey(key.private_bytes_raw())
    if isinstance(key, ed448.Ed448PrivateKey):
        return Ed448PrivateKey(key.private_bytes_raw())
    raise IdentityError(f"{path} is neither an Ed25519 nor an Ed448 key")


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE + 1)
    except OSError as error:
        raise IdentityError(f"cannot read {path}: {error.strerror}") from error
    if len(content) > _MAX_FILE:
        raise IdentityError(f"{path} is too large for a certificate or a key")
    return content


def _check_private(path: Path) -> None:
    """Raise `IdentityError` if other users can read the key file ``path``. Windows has no mode bits for this, so
    nothing is checked there."""
    if sys.platform == "win32" or not path.exists():
        return
    if path.stat().st_mode & 0o077:
        raise IdentityError(f"other users can read {path}: run chmod 600 on it")


def _write(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read, and wait until it is on the disk."""
    # O_EXCL: do not follow a link that another user placed there, nor write into an existing file, which others might
    # be able to read.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


__all__ = [
    "ChainRefused",
    "Identity",
    "IdentityError",
    "IdentityMissing",
    "TransportError",
    "create_identity",
    "identity_files",
    "load_identity",
    "load_or_create_identity",
    "rotate_certificate",
    "save_identity",
    "verify_chain",
]
