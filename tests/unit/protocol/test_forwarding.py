from __future__ import annotations

import pytest

from smpchat.crypto.box import seal
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.crypto.padding import pad
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.forwarding import (
    Forwarded,
    ForwardedAnswer,
    open_answer,
    open_at_proxy,
    open_at_relay,
    open_forwarded,
    seal_answer,
    seal_for_proxy,
    seal_for_relay,
    seal_forwarded,
)

SECRET, OTHER = b"\x07" * 32, b"\x08" * 32
N, R = bytes(range(24)), bytes(range(100, 124))
KEY = X25519PrivateKey(b"\x09" * 32).public()


def test_the_layers_are_what_the_specification_says() -> None:
    assert seal_forwarded(SECRET, N, b"content") == seal(SECRET, N, pad(b"content", 16226))
    assert seal_answer(SECRET, N, b"content") == seal(SECRET, N[::-1], pad(b"content", 16226))
    inner = b"\x18" + N + b"\x00\x11" + b"\x2c" + KEY.der + b"sealed"
    assert seal_for_relay(SECRET, R, Forwarded(N, 17, KEY, b"sealed")) == seal(SECRET, R, inner)
    assert seal_for_proxy(SECRET, R, ForwardedAnswer(N, b"sealed")) == seal(SECRET, R[::-1], b"\x18" + N + b"sealed")


def test_sizes() -> None:
    assert len(seal_forwarded(SECRET, N, b"")) == len(seal_answer(SECRET, N, bytes(16224))) == 16242
    with pytest.raises(CryptoError):
        seal_forwarded(SECRET, N, bytes(16225))


@pytest.mark.parametrize("corr_id", [b"", b"1234", N, N + b"more"])
def test_round_trips_and_nobody_elses(corr_id: bytes) -> None:
    forwarded, answer = Forwarded(corr_id, 17, KEY, b"sealed"), ForwardedAnswer(corr_id, b"sealed")
    assert open_forwarded(SECRET, corr_id, seal_forwarded(SECRET, corr_id, b"content")) == b"content"
    assert open_answer(SECRET, corr_id, seal_answer(SECRET, corr_id, b"content")) == b"content"
    assert open_at_relay(SECRET, corr_id, seal_for_relay(SECRET, corr_id, forwarded)) == forwarded
    assert open_at_proxy(SECRET, corr_id, seal_for_proxy(SECRET, corr_id, answer)) == answer
    for opening, sealed in (
        (open_forwarded, seal_forwarded(SECRET, corr_id, b"content")),
        (open_answer, seal_answer(SECRET, corr_id, b"content")),
        (open_at_relay, seal_for_relay(SECRET, corr_id, forwarded)),
        (open_at_proxy, seal_for_proxy(SECRET, corr_id, answer)),
    ):
        with pytest.raises(CryptoError):
            opening(OTHER, corr_id, sealed)
        with pytest.raises(CryptoError):
            opening(SECRET, b"other", sealed)
        with pytest.raises(CryptoError):
            opening(SECRET, corr_id, sealed[:-1])


def test_an_answer_does_not_open_as_a_request() -> None:
    with pytest.raises(CryptoError):
        open_forwarded(SECRET, N, seal_answer(SECRET, N, b"content"))


def test_malformed_insides() -> None:
    with pytest.raises(DecodeError):
        open_at_relay(SECRET, R, seal(SECRET, R, b"\x18" + N))
    with pytest.raises(DecodeError):
        open_at_proxy(SECRET, R, seal(SECRET, R[::-1], b"\x18"))
