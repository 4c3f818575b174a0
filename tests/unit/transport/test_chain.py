from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from hypothesis import given
from hypothesis import strategies as st

from smpchat.transport.base import ChainRefused
from smpchat.transport.chain import verify_chain
from tests.unit.transport.support import NOW, an_identity, certificate, sha256, usage

ROOT, MIDDLE, LOWER, LEAF = (ed25519.Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(4))
CA = (x509.BasicConstraints(ca=True, path_length=None), True)
root = certificate("root", "root", ROOT, ROOT, CA)
middle = certificate("middle", "root", MIDDLE, ROOT, CA, (usage(key_cert_sign=True), True))
lower = certificate("lower", "middle", LOWER, MIDDLE, CA)
leaf_of_root = certificate("leaf", "root", LEAF, ROOT)
leaf_of_middle = certificate("leaf", "middle", LEAF, MIDDLE, (usage(digital_signature=True), False))
leaf_of_lower = certificate("leaf", "lower", LEAF, LOWER)


@pytest.mark.parametrize(
    "chain", [[leaf_of_root, root], [leaf_of_middle, middle, root], [leaf_of_lower, lower, middle, root]]
)
def test_two_to_four_certificates_with_the_identity_second(chain: list[bytes]) -> None:
    verify_chain(chain, sha256(chain[1]), NOW)
    for index, der in enumerate(chain):
        if index != 1:
            with pytest.raises(ChainRefused, match="fingerprint"):
                verify_chain(chain, sha256(der), NOW)


def test_an_ed448_leaf_is_accepted() -> None:
    key = ed448.Ed448PrivateKey.from_private_bytes(bytes(57))
    leaf = certificate("leaf", "root", key, ROOT)
    verify_chain([leaf, root], sha256(root), NOW)


def test_dates_beyond_the_year_4000_are_understood() -> None:
    identity = an_identity()
    verify_chain(identity.chain, identity.fingerprint, NOW + timedelta(days=900_000))


@pytest.mark.parametrize("count", [0, 1, 5])
def test_other_lengths_are_refused(count: int) -> None:
    with pytest.raises(ChainRefused, match=f"{count} certificates"):
        verify_chain([root] * count, sha256(root), NOW)


def test_a_leaf_that_the_identity_did_not_sign_is_refused() -> None:
    forged = certificate("leaf", "root", LEAF, MIDDLE)
    with pytest.raises(ChainRefused, match="not signed by the next one"):
        verify_chain([forged, root], sha256(root), NOW)


def test_a_leaf_that_names_another_issuer_is_refused() -> None:
    misnamed = certificate("leaf", "other", LEAF, ROOT)
    with pytest.raises(ChainRefused, match="not issued by the next one"):
        verify_chain([misnamed, root], sha256(root), NOW)


@pytest.mark.parametrize(("days", "words"), [(-2, "not valid yet"), (2, "has expired")])
def test_certificates_out_of_their_time_are_refused(days: int, words: str) -> None:
    with pytest.raises(ChainRefused, match=words):
        verify_chain([leaf_of_root, root], sha256(root), NOW + timedelta(days=days))
    verify_chain([leaf_of_root, root], sha256(root), None)


def test_an_expired_identity_is_refused_though_the_leaf_is_valid() -> None:
    old = certificate("root", "root", ROOT, ROOT, CA, start=NOW - timedelta(days=9), end=NOW - timedelta(days=8))
    with pytest.raises(ChainRefused, match="expired"):
        verify_chain([leaf_of_root, old], sha256(old), NOW)


def test_a_leaf_key_that_cannot_sign_session_keys_is_refused() -> None:
    builder = x509.load_der_x509_certificate(leaf_of_root)
    leaf = (
        x509.CertificateBuilder()
        .subject_name(builder.subject)
        .issuer_name(builder.issuer)
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(ROOT, None)
    )
    from cryptography.hazmat.primitives.serialization import Encoding

    with pytest.raises(ChainRefused, match="neither an Ed25519 nor an Ed448 key"):
        verify_chain([leaf.public_bytes(Encoding.DER), root], sha256(root), NOW)


def test_a_leaf_not_for_signatures_is_refused() -> None:
    leaf = certificate("leaf", "root", LEAF, ROOT, (usage(), False))
    with pytest.raises(ChainRefused, match="not for digital signatures"):
        verify_chain([leaf, root], sha256(root), NOW)


@pytest.mark.parametrize(
    ("extensions", "words"),
    [
        ((), "no basic constraints"),
        (((x509.BasicConstraints(ca=False, path_length=None), True),), "is not allowed to issue"),
        ((CA, (usage(digital_signature=True), True)), "is not allowed to issue"),
    ],
)
def test_an_intermediate_that_must_not_issue_is_refused(
    extensions: tuple[tuple[x509.ExtensionType, bool], ...], words: str
) -> None:
    impostor = certificate("middle", "root", MIDDLE, ROOT, *extensions)
    with pytest.raises(ChainRefused, match=words):
        verify_chain([leaf_of_middle, impostor, root], sha256(impostor), NOW)


def test_a_path_longer_than_allowed_is_refused() -> None:
    short = certificate("middle", "root", MIDDLE, ROOT, (x509.BasicConstraints(ca=True, path_length=0), True))
    verify_chain([leaf_of_middle, short, root], sha256(short), NOW)
    with pytest.raises(ChainRefused, match="longer"):
        verify_chain([leaf_of_lower, lower, short, root], sha256(lower), NOW)


def test_an_unknown_critical_extension_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4.5"), b"\x05\x00")
    verify_chain([certificate("leaf", "root", LEAF, ROOT, (unknown, False)), root], sha256(root), NOW)
    with pytest.raises(ChainRefused, match=r"1\.2\.3\.4\.5"):
        verify_chain([certificate("leaf", "root", LEAF, ROOT, (unknown, True)), root], sha256(root), NOW)


@given(st.data())
def test_any_bytes_as_a_leaf_are_refused_with_our_error(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(leaf_of_root) - 1))
    damaged = bytearray(leaf_of_root)
    damaged[position] ^= data.draw(st.integers(1, 255))
    leaf = data.draw(st.sampled_from([bytes(damaged), leaf_of_root[:position], data.draw(st.binary(max_size=64))]))
    with pytest.raises(ChainRefused):
        verify_chain([leaf, root], sha256(root), NOW)
