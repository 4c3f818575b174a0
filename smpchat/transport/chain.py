"""Checks whether a certificate chain belongs to the relay whose fingerprint is in an address (smp-wire 2.3).

Import this module late, just before a certificate chain arrives, because `cryptography.x509` takes 12 ms or more to
import. A client imports this module while it waits for the relay's answer in the TLS handshake
(`smpchat.transport.tls.client_stream`).
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

from smpchat.crypto.foreign import ForeignBytesError, foreign_bytes
from smpchat.transport.base import CertificateNotCurrent, ChainRefused

_KNOWN_EXTENSIONS = (
    x509.BasicConstraints,
    x509.KeyUsage,
    x509.ExtendedKeyUsage,
    x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier,
    x509.SubjectAlternativeName,
)


def verify_chain(chain: Sequence[bytes], key_hash: bytes, now: datetime | None) -> None:
    """Check that the identity certificate, with fingerprint ``key_hash``, issued the first certificate.

    The identity certificate is always the second one of the chain, and the last one is the only trust anchor. Host
    names are not checked.

    Args:
        chain: 2 to 4 certificates as DER, the leaf first.
        key_hash: SHA-256 of the identity certificate's DER, 32 bytes.
        now: The time, with a time zone, at which all certificates must be valid. If None, dates are not checked.
    Raises:
        ChainRefused: A check failed; the text of the error says which check.
    """
    if not 2 <= len(chain) <= 4:
        raise ChainRefused(f"the relay sent {len(chain)} certificates; 2 to 4 are allowed")
    # The identity certificate is always at index 1. If the chain is longer, its last certificate is only the trust
    # anchor (smp-wire 2.3, traps 1 and 2).
    if not hmac.compare_digest(hashlib.sha256(chain[1]).digest(), key_hash):
        raise ChainRefused("this relay is not the one the address names (its fingerprint differs)")
    try:
        with foreign_bytes(ChainRefused, InvalidSignature):
            _check(chain, now)
    except InvalidSignature:
        raise ChainRefused("a certificate of the relay is not signed by the next one") from None
    except ForeignBytesError as error:
        raise ChainRefused(f"a certificate of the relay is damaged, or not issued by the next one: {error}") from error


def _check(chain: Sequence[bytes], now: datetime | None) -> None:
    certificates = [x509.load_der_x509_certificate(der) for der in chain]
    _check_leaf(certificates[0])
    for depth, certificate in enumerate(certificates):
        # The last certificate is the trust anchor: its own signature is not checked.
        issuer = certificates[min(depth + 1, len(certificates) - 1)]
        _check_dates(certificate, now)
        _check_critical(certificate)
        if certificate is not certificates[-1]:
            certificate.verify_directly_issued_by(issuer)
        if 0 < depth < len(certificates) - 1:
            _check_authority(certificate, depth - 1)


def _check_leaf(leaf: x509.Certificate) -> None:
    if leaf.version != x509.Version.v3:
        raise ChainRefused("the relay's certificate is not X.509 version 3")
    # The leaf's key signs the session key in the relay's SMP hello, so the algorithm of the leaf's key must be one that
    # SMP can verify (smp-wire 2.3).
    if not isinstance(leaf.public_key(), ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        raise ChainRefused("the relay's certificate has neither an Ed25519 nor an Ed448 key")
    usage = _key_usage(leaf)
    if usage is not None and not usage.digital_signature:
        raise ChainRefused("the relay's certificate is not for digital signatures")


def _check_dates(certificate: x509.Certificate, now: datetime | None) -> None:
    if now is None:
        return
    moment = now.astimezone(UTC)
    if moment < certificate.not_valid_before_utc:
        raise CertificateNotCurrent("a certificate of the relay is not valid yet")
    if moment > certificate.not_valid_after_utc:
        raise CertificateNotCurrent("a certificate of the relay has expired")


def _check_critical(certificate: x509.Certificate) -> None:
    for extension in certificate.extensions:
        # A certificate must be refused if we do not know one of its critical extensions (RFC 5280, section 4.2).
        if extension.critical and not isinstance(extension.value, _KNOWN_EXTENSIONS):
            raise ChainRefused(f"unknown critical extension {extension.oid.dotted_string} in the relay's certificate")


def _check_authority(certificate: x509.Certificate, below: int) -> None:
    """Check that ``certificate`` may issue certificates; ``below`` is the number of authorities between it and the
    leaf."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise ChainRefused("an intermediate certificate of the relay has no basic constraints") from None
    usage = _key_usage(certificate)
    if not constraints.ca or (usage is not None and not usage.key_cert_sign):
        raise ChainRefused("an intermediate certificate of the relay is not allowed to issue certificates")
    if constraints.path_length is not None and below > constraints.path_length:
        raise ChainRefused("the relay's certificate chain is longer than one of its certificates allows")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None
