"""HKDF-SHA512 and the ratchet's derivations."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from smpchat.crypto.kdf import chain_step, hkdf3, hkdf_sha512, root_step


@given(st.binary(max_size=130), st.binary(max_size=200), st.binary(max_size=30), st.integers(1, 300))
def test_agrees_with_another_implementation(salt: bytes, ikm: bytes, info: bytes, length: int) -> None:
    other = HKDF(SHA512(), length, salt, info).derive(ikm)
    assert hkdf_sha512(salt, ikm, info, length) == other


def test_longest_output() -> None:
    output = hkdf_sha512(b"s", b"k", b"i", 16320)
    assert len(output) == 16320
    assert output[:100] == hkdf_sha512(b"s", b"k", b"i", 100)


@pytest.mark.parametrize("length", [0, -1, 16321])
def test_lengths_that_hkdf_cannot_give_are_refused(length: int) -> None:
    with pytest.raises(ValueError, match="16320 bytes"):
        hkdf_sha512(b"", b"k", b"", length)


def test_hkdf3_cuts_96_bytes() -> None:
    assert b"".join(hkdf3(b"s", b"k", b"i")) == hkdf_sha512(b"s", b"k", b"i", 96)
    assert [len(part) for part in hkdf3(b"s", b"k", b"i")] == [32, 32, 32]


def test_links_keys_of_the_wire_description() -> None:
    """agent-wire 2.7."""
    link_key = b"0123456789abcdef" * 2
    contact = hkdf_sha512(b"", link_key, b"SimpleXContactLink", 56)
    assert contact[:24].hex() == "7bb6cac6ddda05661de73a9974926c4d3d30f3dd36e0e365"
    assert contact[24:].hex() == "92f91f61f480698b6edcbc6277359f463f5810065e47253f72657bb8847e0ebe"
    invitation = hkdf_sha512(b"", link_key, b"SimpleXInvLink", 32)
    assert invitation.hex() == "7414e908a26d11b2e23016afa771e45d62bcdd72a14237958069e33f9c2c2319"


def test_kem_secret_follows_the_dh_output() -> None:
    assert root_step(b"r" * 32, b"ab", b"cd") == root_step(b"r" * 32, b"abcd")
    assert root_step(b"r" * 32, b"ab") != root_step(b"r" * 32, b"abcd")


def test_steps_do_not_show_keys() -> None:
    for step in (root_step(b"r" * 32, b"dh"), chain_step(b"c" * 32)):
        assert repr(step) in ("RootStep(…)", "ChainStep(…)")
        assert all(len(part) in (16, 32) for part in step)
