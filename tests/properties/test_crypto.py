"""Properties of the crypto layer: what was sealed opens, and any bytes give a value or the documented error."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smpchat.crypto.aead import aead_decrypt, aead_encrypt
from smpchat.crypto.agreement import (
    E2EParams,
    E2EParamsRange,
    X3DHKeys,
    agree_initiator,
    agree_joiner,
    e2e_params,
    e2e_params_from_text,
    e2e_params_range,
    e2e_params_to_text,
)
from smpchat.crypto.box import authenticate, cb_decrypt, cb_encrypt, open_box, seal, verify_authenticator
from smpchat.crypto.errors import PaddingError, VerificationError
from smpchat.crypto.kem import KEMAccepted, KEMCiphertext, KEMProposed, KEMPublicKey, kem_params
from smpchat.crypto.keys import X448PublicKey, auth_key, x448_key, x25519_key
from smpchat.crypto.padding import pad, unpad
from smpchat.crypto.ratchet import Ratchet
from smpchat.crypto.ratchet_wire import Header, decode_header, encode_header, parse_message
from smpchat.encoding.reader import DecodeError
from smpchat.testing.entropy import SeededEntropy

keys32 = st.binary(min_size=32, max_size=32)
nonces = st.binary(min_size=24, max_size=24)
ivs = st.binary(min_size=16, max_size=16)
x448_keys = st.binary(min_size=56, max_size=56).map(X448PublicKey)
# One repeated byte is as good as random ones here, and shrinks.
kem_keys = st.integers(0, 255).map(lambda b: KEMPublicKey(bytes([b]) * 1158))
kem_fields = st.none() | kem_keys.map(KEMProposed) | kem_keys.map(lambda k: KEMAccepted(KEMCiphertext(bytes(1039)), k))
versions = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: (min(pair), max(pair)))


@given(st.binary(max_size=300), st.integers(0, 400))
def test_padding_round_trip_or_refusal(message: bytes, length: int) -> None:
    try:
        padded = pad(message, length)
    except PaddingError:
        assert len(message) + 2 > length
        return
    assert len(padded) == length
    assert unpad(padded) == message


@given(st.binary(max_size=100))
def test_any_bytes_unpad_or_raise_the_documented_error(data: bytes) -> None:
    try:
        message = unpad(data)
    except PaddingError:
        return
    assert data[2:].startswith(message)


@given(keys32, nonces, st.binary(max_size=200))
def test_boxes_open(key: bytes, nonce: bytes, message: bytes) -> None:
    sealed = seal(key, nonce, message)
    assert len(sealed) == len(message) + 16
    assert open_box(key, nonce, sealed) == message
    assert cb_decrypt(key, nonce, cb_encrypt(key, nonce, message, 202)) == message
    verify_authenticator(key, nonce, message, authenticate(key, nonce, message))


@given(keys32, nonces, st.binary(max_size=120))
def test_any_bytes_are_no_box_and_no_authenticator(key: bytes, nonce: bytes, noise: bytes) -> None:
    with pytest.raises(VerificationError):
        open_box(key, nonce, noise)
    with pytest.raises(VerificationError):
        cb_decrypt(key, nonce, noise)
    with pytest.raises(VerificationError):
        verify_authenticator(key, nonce, b"message", noise)


@given(keys32, ivs, st.binary(max_size=50), st.binary(max_size=200), st.binary(min_size=1, max_size=8))
def test_aead_round_trip_and_binding(key: bytes, iv: bytes, associated: bytes, text: bytes, more: bytes) -> None:
    tag, ciphertext = aead_encrypt(key, iv, associated, text)
    assert aead_decrypt(key, iv, associated, tag, ciphertext) == text
    with pytest.raises(VerificationError):
        aead_decrypt(key, iv, associated + more, tag, ciphertext)


@settings(max_examples=15)
@given(st.binary(max_size=8), st.binary(max_size=8), st.just(b"") | keys32)
def test_both_sides_agree(joiner_seed: bytes, initiator_seed: bytes, kem_secret: bytes) -> None:
    joiner = X3DHKeys.generate(SeededEntropy(b"j" + joiner_seed))
    initiator = X3DHKeys.generate(SeededEntropy(b"i" + initiator_seed))
    assert agree_joiner(joiner, initiator.key1.public(), initiator.key2.public(), kem_secret) == agree_initiator(
        initiator, joiner.key1.public(), joiner.key2.public(), kem_secret
    )


@given(st.integers(0, 65535), x448_keys, x448_keys, kem_fields)
def test_parameters_round_trip(
    version: int, key1: X448PublicKey, key2: X448PublicKey, kem: KEMProposed | KEMAccepted | None
) -> None:
    params = E2EParams(version, key1, key2, kem if version >= 3 else None)
    assert e2e_params.decode(e2e_params.encode(params)) == params


@given(versions, x448_keys, x448_keys, kem_fields)
def test_link_parameters_round_trip(
    offered: tuple[int, int], key1: X448PublicKey, key2: X448PublicKey, kem: KEMProposed | KEMAccepted | None
) -> None:
    params = E2EParamsRange(offered, key1, key2, kem)
    assert e2e_params_range.decode(e2e_params_range.encode(params)) == params
    if isinstance(kem, KEMAccepted):
        return
    text = e2e_params_to_text(params)
    expected = params if offered[1] >= 3 else E2EParamsRange(offered, key1, key2)
    assert e2e_params_from_text(text) == expected


@given(
    st.sampled_from([2, 3]),
    st.integers(0, 65535),
    x448_keys,
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 32) - 1),
    kem_fields,
    st.binary(max_size=9),
)
def test_headers_round_trip(
    version: int,
    maximum: int,
    key: X448PublicKey,
    previous: int,
    index: int,
    kem: KEMProposed | KEMAccepted | None,
    after: bytes,
) -> None:
    header = Header(maximum, key, previous, index, kem if version >= 3 else None)
    assert decode_header(encode_header(header, version) + after, version) == header


DECODERS: list[Callable[[bytes], object]] = [
    x448_key.decode,
    x25519_key.decode,
    auth_key.decode,
    kem_params.decode,
    e2e_params.decode,
    e2e_params_range.decode,
    Ratchet.from_bytes,
    parse_message,
    lambda data: decode_header(data, 2),
    lambda data: decode_header(data, 3),
    lambda data: e2e_params_from_text(data.decode("latin-1")),
]
STARTS = [
    b"",
    b"\x44" + X448PublicKey(bytes(56)).der,
    b"\0\3",
    b"\1\0\3\0\3\0\x70",
    b"P\x04\x86",
    b"A\x04\x0f",
    b"v=2-3&x3dh=",
]


@given(st.sampled_from(DECODERS), st.sampled_from(STARTS), st.binary(max_size=150))
def test_any_bytes_decode_or_raise_the_documented_error(
    decoder: Callable[[bytes], object], start: bytes, noise: bytes
) -> None:
    try:
        value = decoder(start + noise)
    except DecodeError as error:
        assert str(error)
        return
    assert value is not None
