"""X3DH: numbers of agent-wire 4.10, parameter forms of 2.3 and 2.6."""

from __future__ import annotations

import hashlib

import pytest

from smpchat.crypto.agreement import (
    E2E_VERSIONS,
    E2EParams,
    E2EParamsRange,
    X3DHKeys,
    agree_initiator,
    agree_joiner,
    e2e_params,
    e2e_params_from_text,
    e2e_params_range,
    e2e_params_to_text,
    security_code,
)
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext, KEMProposed, KEMPublicKey
from smpchat.crypto.keys import X448PrivateKey, X448PublicKey, x448_key
from smpchat.encoding.reader import DecodeError, EncodeError
from smpchat.encoding.text import to_base64url
from smpchat.testing.entropy import SeededEntropy

JOINER = X3DHKeys(X448PrivateKey(b"\x11" * 56), X448PrivateKey(b"\x22" * 56))
INITIATOR = X3DHKeys(X448PrivateKey(b"\x33" * 56), X448PrivateKey(b"\x44" * 56))
KEM_KEY = KEMPublicKey(b"p" * 1158)
ACCEPTED = KEMAccepted(KEMCiphertext(b"c" * 1039), KEM_KEY)
# The example link of agent-wire 2.4, decoded once.
EXAMPLE_KEY = "MEIwBQYDK2VvAzkAmKuSYeQ_m0SixPDS8Wq8VBaTS1cW-Lp0n0h4Diu-kUpR-qXx4SDJ32YGEFoGFGSbGPry5Ychr6U="
EXAMPLE = f"v=2-3&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}"


def test_numbers_of_the_wire_description() -> None:
    assert JOINER.key1.public().raw[:8].hex() == "b1a0c38170e994f1"
    assert INITIATOR.key1.public().raw[:8].hex() == "cee158ab1851a4ca"
    secret = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public())
    assert hashlib.sha256(secret.associated_data).hexdigest() == (
        "e3e10302f9e70ee88eac150d61851d02cace5f11c563d8ed688636da3d42d41d"
    )
    assert secret.header_key.hex() == "9a1383ea683ca1b5251867df82053c3bb5e68253b18992ef24cb0bd9d35ce9e7"
    assert secret.next_header_key.hex() == "93c89cbfb53cc0c2ec085a4f5811ce8b4aa930ef835bd1d72ffc96a55aafeb1b"
    assert secret.root_key.hex() == "28b6abe456f25b146179bdbbb90f0fcc2f1841d536a618aa6300a0ce1fd90776"


def test_both_sides_derive_the_same() -> None:
    joiner = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public())
    initiator = agree_initiator(INITIATOR, JOINER.key1.public(), JOINER.key2.public())
    assert joiner == initiator
    assert joiner.associated_data == JOINER.key1.public().raw + INITIATOR.key1.public().raw


def test_kem_secret_changes_all_keys_but_not_the_associated_data() -> None:
    plain = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public())
    mixed = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public(), b"k" * 32)
    assert mixed.associated_data == plain.associated_data
    assert mixed.header_key != plain.header_key
    assert mixed.next_header_key != plain.next_header_key
    assert mixed.root_key != plain.root_key
    assert mixed == agree_initiator(INITIATOR, JOINER.key1.public(), JOINER.key2.public(), b"k" * 32)


def test_peer_key_of_low_order_is_refused() -> None:
    with pytest.raises(CryptoError, match="low order"):
        agree_joiner(JOINER, X448PublicKey(bytes(56)), INITIATOR.key2.public())
    with pytest.raises(CryptoError, match="low order"):
        agree_initiator(INITIATOR, JOINER.key1.public(), X448PublicKey(bytes(56)))


def test_secrets_do_not_show_themselves() -> None:
    secret = agree_joiner(JOINER, INITIATOR.key1.public(), INITIATOR.key2.public(), b"kemkemke" * 4)
    shown = repr(secret) + repr(JOINER)
    for hidden in (secret.header_key, secret.next_header_key, secret.root_key, secret.kem_secret, JOINER.key1.raw):
        assert repr(hidden)[2:-1] not in shown
        assert hidden.hex() not in shown


def test_generated_keys_differ() -> None:
    keys = X3DHKeys.generate(SeededEntropy("x3dh"))
    assert keys.key1 != keys.key2
    assert keys == X3DHKeys.generate(SeededEntropy("x3dh"))


def test_security_code_is_decimal_in_groups_of_five() -> None:
    code = security_code(b"abc")
    number = int.from_bytes(hashlib.sha256(b"abc").digest(), "big")
    assert code.replace(" ", "") == str(number)
    assert {len(group) for group in code.split(" ")[:-1]} == {5}
    assert 1 <= len(code.split(" ")[-1]) <= 5


def keys_on_the_wire(keys: X3DHKeys) -> bytes:
    return x448_key.encode(keys.key1.public()) + x448_key.encode(keys.key2.public())


@pytest.mark.parametrize(
    ("version", "kem", "rest"),
    [
        (2, None, b""),
        (3, None, b"0"),
        (3, KEMProposed(KEM_KEY), b"1P\x04\x86" + KEM_KEY.raw),
        (3, ACCEPTED, b"1A\x04\x0f" + ACCEPTED.ciphertext.raw + b"\x04\x86" + KEM_KEY.raw),
        (4, None, b"0"),
    ],
)
def test_single_version_form(version: int, kem: KEMProposed | KEMAccepted | None, rest: bytes) -> None:
    params = JOINER.params(version, kem)
    wire = e2e_params.encode(params)
    assert wire == version.to_bytes(2, "big") + keys_on_the_wire(JOINER) + rest
    assert e2e_params.decode(wire) == params


@pytest.mark.parametrize("versions", [(2, 2), (2, 3), (3, 3)])
def test_range_form_has_a_field_for_the_kem_at_any_version(versions: tuple[int, int]) -> None:
    params = INITIATOR.params_range(versions)
    wire = e2e_params_range.encode(params)
    assert wire == bytes([0, versions[0], 0, versions[1]]) + keys_on_the_wire(INITIATOR) + b"0"
    assert e2e_params_range.decode(wire) == params


def test_version_2_cannot_carry_a_kem() -> None:
    with pytest.raises(EncodeError, match="version 2"):
        e2e_params.encode(JOINER.params(2, KEMProposed(KEM_KEY)))


def test_reversed_ranges_are_refused() -> None:
    params = E2EParamsRange((3, 2), JOINER.key1.public(), JOINER.key2.public())
    with pytest.raises(EncodeError):
        e2e_params_range.encode(params)
    with pytest.raises(DecodeError):
        e2e_params_range.decode(b"\0\3\0\2" + keys_on_the_wire(JOINER) + b"0")


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"\0\3" + keys_on_the_wire(JOINER),
        b"\0\2" + keys_on_the_wire(JOINER) + b"0",
        b"\0\3" + keys_on_the_wire(JOINER)[:-1],
        b"\0\3" + keys_on_the_wire(JOINER) + b"1X",
    ],
)
def test_malformed_parameters_are_refused(wire: bytes) -> None:
    with pytest.raises(DecodeError):
        e2e_params.decode(wire)


def test_text_form_of_the_example_link() -> None:
    params = e2e_params_from_text(EXAMPLE)
    assert params.versions == E2E_VERSIONS
    assert params.key1 == params.key2
    assert params.kem is None
    assert e2e_params_to_text(params) == EXAMPLE


def test_text_form_of_one_version_and_of_a_kem_key() -> None:
    single = INITIATOR.params_range((2, 2))
    assert e2e_params_to_text(single).startswith("v=2&x3dh=")
    assert e2e_params_from_text(e2e_params_to_text(single)) == single
    proposing = INITIATOR.params_range((2, 3), KEMProposed(KEM_KEY))
    text = e2e_params_to_text(proposing)
    assert text.endswith(f"&kem_key={to_base64url(KEM_KEY.raw)}")
    assert e2e_params_from_text(text) == proposing


def test_kem_key_of_a_link_without_version_3_is_left_out() -> None:
    proposing = INITIATOR.params_range((2, 2), KEMProposed(KEM_KEY))
    assert "kem_key" not in e2e_params_to_text(proposing)
    text = f"v=2&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}&kem_key={to_base64url(KEM_KEY.raw)}"
    assert e2e_params_from_text(text).kem is None


def test_link_cannot_accept_a_kem_key() -> None:
    with pytest.raises(EncodeError):
        e2e_params_to_text(INITIATOR.params_range((2, 3), ACCEPTED))


def test_unknown_parameters_and_order_do_not_matter() -> None:
    assert e2e_params_from_text(f"extra=1&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY};v=2-3&v=9") == e2e_params_from_text(EXAMPLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v=2-3",
        f"x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-3&x3dh={EXAMPLE_KEY}",
        f"v=2-3&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-3&x3dh={EXAMPLE_KEY},AAAA",
        f"v=2-3&x3dh={EXAMPLE_KEY},",
        f"v=3-2&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=-3&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-3-4&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-70000&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=2-999999&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"v=%C2%B2&x3dh={EXAMPLE_KEY},{EXAMPLE_KEY}",
        f"{EXAMPLE} ",
        f"{EXAMPLE}\n",
        f"{EXAMPLE}&kem_key=AAAA",
        f"{EXAMPLE}&kem_key=",
        f"{EXAMPLE}&kem_ct={to_base64url(bytes(1039))}",
    ],
)
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        e2e_params_from_text(text)


def test_parameters_are_values() -> None:
    assert JOINER.params(3) == E2EParams(3, JOINER.key1.public(), JOINER.key2.public())
