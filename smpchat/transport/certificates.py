"""Makes the certificates of a relay's identity, with the same names and extensions as ``smp-server init``."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smpchat.crypto.entropy import Entropy
from smpchat.crypto.keys import Ed25519PrivateKey, SignaturePrivateKey

# The lifetime of the certificates that `smp-server init` makes (smp-wire 2.3). Such certificates expire after the year
# 4000, so their end dates are encoded as GeneralizedTime.
_LIFETIME = timedelta(days=999_999)
_BACKDATED = timedelta(days=1)  # so that a client whose clock is behind accepts a new relay
_CA_NAME = x509.Name(
    [
        x509.NameAttribute(NameOID.COMMON_NAME, "SMP server CA"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SimpleX"),
    ]
)


def ca_certificate(entropy: Entropy, now: datetime, key: SignaturePrivateKey) -> x509.Certificate:
    """A self-signed CA certificate for ``key``, like the one that ``smp-server init`` makes."""
    public = signing_key(key).public_key()
    subject_key = x509.SubjectKeyIdentifier.from_public_key(public)
    return (
        _builder(entropy, now, _CA_NAME, _CA_NAME)
        .public_key(public)
        .add_extension(subject_key, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        # The hash algorithm is None, because EdDSA needs no separate hash function (RFC 8410).
        .sign(signing_key(key), None)
    )


def online_certificate(
    entropy: Entropy,
    now: datetime,
    host_names: Sequence[str],
    key: SignaturePrivateKey,
    ca: x509.Certificate,
    ca_key: SignaturePrivateKey,
) -> x509.Certificate:
    """A certificate for ``key``, signed by ``ca``. Raises ValueError for a host name that does not fit into a
    certificate."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_names[0])])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_agreement=True,
        key_encipherment=False,
        data_encipherment=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        _builder(entropy, now, subject, ca.subject)
        .public_key(signing_key(key).public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=False)
        .add_extension(usage, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    if len(host_names) > 1:
        builder = builder.add_extension(x509.SubjectAlternativeName(map(_general_name, host_names)), critical=False)
    return builder.sign(signing_key(ca_key), None)


def _builder(entropy: Entropy, now: datetime, subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    start = now.astimezone(UTC).replace(microsecond=0) - _BACKDATED
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number((int.from_bytes(entropy.random(20), "big") >> 1) | 1)  # positive, below 2^159
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def signing_key(key: SignaturePrivateKey) -> ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey:
    """``key`` as an object of the library `cryptography`."""
    if isinstance(key, Ed25519PrivateKey):
        return ed25519.Ed25519PrivateKey.from_private_bytes(key.raw)
    return ed448.Ed448PrivateKey.from_private_bytes(key.raw)
