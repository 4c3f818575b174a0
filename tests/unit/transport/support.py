"""Identities and chains for the transport tests."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509.oid import NameOID

from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.identity import Identity, create_identity

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
Key = ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


@cache
def an_identity(seed: str = "relay") -> Identity:
    """The same identity for the same seed."""
    return create_identity(SeededEntropy(seed), NOW, ["localhost"])


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str,
    issuer: str,
    key: Key,
    issuer_key: Key,
    *extensions: tuple[x509.ExtensionType, bool],
    start: datetime = NOW - timedelta(days=1),
    end: datetime = NOW + timedelta(days=1),
) -> bytes:
    """DER of a certificate made to order."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign(issuer_key, None).public_bytes(serialization.Encoding.DER)


def usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=True,
        key_cert_sign=key_cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
