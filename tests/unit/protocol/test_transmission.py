from __future__ import annotations

import pytest

from smpchat.crypto.errors import VerificationError
from smpchat.crypto.keys import Ed448PrivateKey, X25519PublicKey
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.errors import LocalProtocolError
from smpchat.protocol.transmission import (
    SessionMismatch,
    Transmission,
    authorise,
    decode_transmission,
    encode_transmission,
    signed_bytes,
    verify_authorisation,
)
from tests.unit.protocol.numbers import ENTITY, NONCE, SESSION_ID, SIGNER, A, B

SEND_SIGNED = signed_bytes(SESSION_ID, NONCE, ENTITY, b"SEND T hi")
SEND_AUTHENTICATOR = (
    "6c325b75c924db5eff44a72f1f83e3193fa410c319be583993979f8e6f5867df"
    "4b10aa81c94c2ec26d9aba4439f17790df5763c2610dbf0411e9e08c1a2304b9"
    "1eba3d6df9d2b01fd0b3fbf1f39468cf"
)
SEND_SIGNATURE = (
    "b29468648cf233f6e5bfe90eddcb0ff6d206bc98245f4e29bf24822715deee07"
    "37b806882c71c51c33c2ca7a0662bc832b1266f2e5e6caf39409a38e2129570f"
)
SUB_SIGNATURE = (
    "fde0f3e6d6a8ff73c635b0ed898ee84593aba88470200f76ec5c6825495ab7ec"
    "37635d330dccecc9dc2927f390da0667b6e813cf41dd4dc67b32cf61f87faa03"
)


class TestNumbers:
    """smp-wire 10."""

    def test_what_is_authorised(self) -> None:
        assert SEND_SIGNED == b"\x20" + SESSION_ID + b"\x18" + NONCE + b"\x18" + ENTITY + b"SEND T hi"

    def test_signature(self) -> None:
        auth = authorise(SIGNER, SEND_SIGNED, NONCE, None)
        assert auth.hex() == SEND_SIGNATURE
        verify_authorisation(SIGNER.public(), auth, SEND_SIGNED, NONCE, None)

    def test_authenticator(self) -> None:
        auth = authorise(A, SEND_SIGNED, NONCE, B.public())
        assert auth.hex() == SEND_AUTHENTICATOR
        verify_authorisation(A.public(), auth, SEND_SIGNED, NONCE, B)

    @pytest.mark.parametrize(
        ("version", "after_auth", "size"),
        [(18, "30", 119), (16, "30", 119), (9, "", 118), (7, "", 118), (6, "20" + "11" * 32, 151)],
    )
    def test_whole_transmission(self, version: int, after_auth: str, size: int) -> None:
        auth = authorise(SIGNER, signed_bytes(SESSION_ID, NONCE, ENTITY, b"SUB"), NONCE, None)
        transmission = Transmission(NONCE, ENTITY, b"SUB", auth)
        data = encode_transmission(transmission, version, SESSION_ID)
        assert data.hex() == f"40{SUB_SIGNATURE}{after_auth}18{NONCE.hex()}18{ENTITY.hex()}535542"
        assert len(data) == size
        assert decode_transmission(data, version, SESSION_ID) == transmission


class TestForm:
    def test_no_service_slot_without_authorisation(self) -> None:
        assert encode_transmission(Transmission(b"c", b"", b"PING"), 18, SESSION_ID) == b"\x00\x01c\x00PING"

    def test_service_signature(self) -> None:
        transmission = Transmission(b"c", b"e", b"SUB", bytes(64), b"s" * 64)
        data = encode_transmission(transmission, 16, SESSION_ID)
        assert data == b"\x40" + bytes(64) + b"1\x40" + b"s" * 64 + b"\x01c\x01eSUB"
        assert decode_transmission(data, 16, SESSION_ID) == transmission

    def test_another_session_at_version_6(self) -> None:
        data = encode_transmission(Transmission(b"c", b"e", b"SUB"), 6, SESSION_ID)
        with pytest.raises(SessionMismatch):
            decode_transmission(data, 6, b"\x12" * 32)

    @pytest.mark.parametrize("length", [0, 64, 80, 114])
    def test_lengths_of_authorisation(self, length: int) -> None:
        transmission = Transmission(b"c", b"e", b"SUB", bytes(length))
        assert decode_transmission(encode_transmission(transmission, 18, b""), 18, b"") == transmission

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\x00",
            b"\x00\x01",
            b"\x00\x00",
            b"\x01x\x00\x00",
            b"\x3f" + bytes(63) + b"0\x00\x00",
            b"\x40" + bytes(64),
            b"\x40" + bytes(64) + b"2\x00\x00",
            b"\x40" + bytes(64) + b"1\x3f" + bytes(63) + b"\x00\x00",
        ],
    )
    def test_malformed(self, data: bytes) -> None:
        with pytest.raises(DecodeError):
            decode_transmission(data, 18, SESSION_ID)

    def test_secrets_stay_out_of_repr(self) -> None:
        assert "secret" not in repr(Transmission(b"c", b"e", b"SEND T secret", b"secret auth"))


class TestAuthorisation:
    def test_ed448(self) -> None:
        key = Ed448PrivateKey(bytes(57))
        auth = authorise(key, SEND_SIGNED, NONCE, None)
        assert len(auth) == 114
        verify_authorisation(key.public(), auth, SEND_SIGNED, NONCE, None)

    def test_x25519_needs_the_relays_session_key(self) -> None:
        with pytest.raises(LocalProtocolError):
            authorise(A, SEND_SIGNED, NONCE, None)
        with pytest.raises(VerificationError):
            verify_authorisation(A.public(), bytes(80), SEND_SIGNED, NONCE, None)

    @pytest.mark.parametrize("corr_id", [b"", b"1234", NONCE + b"more"])
    def test_any_length_of_correlation_id_makes_a_nonce(self, corr_id: bytes) -> None:
        auth = authorise(A, SEND_SIGNED, corr_id, B.public())
        verify_authorisation(A.public(), auth, SEND_SIGNED, corr_id, B)

    def test_a_nonce_is_the_first_24_bytes(self) -> None:
        assert authorise(A, SEND_SIGNED, NONCE + b"x", B.public()).hex() == SEND_AUTHENTICATOR

    def test_anything_changed_is_refused(self) -> None:
        signature, authenticator = bytes.fromhex(SEND_SIGNATURE), bytes.fromhex(SEND_AUTHENTICATOR)
        cases = (SIGNER.public(), signature, authenticator, None), (A.public(), authenticator, signature, B)
        for key, auth, of_another_kind, session_key in cases:
            for changed in (auth[:-1] + b"\0", auth[:-1], b"", of_another_kind):
                with pytest.raises(VerificationError):
                    verify_authorisation(key, changed, SEND_SIGNED, NONCE, session_key)
            with pytest.raises(VerificationError):
                verify_authorisation(key, auth, SEND_SIGNED + b"!", NONCE, session_key)
        with pytest.raises(VerificationError):
            verify_authorisation(A.public(), authenticator, SEND_SIGNED, NONCE[::-1], B)
        with pytest.raises(VerificationError):
            verify_authorisation(A.public(), authenticator, SEND_SIGNED, NONCE, A)

    def test_key_of_low_order(self) -> None:
        with pytest.raises(VerificationError, match="bad"):
            verify_authorisation(X25519PublicKey(bytes(32)), bytes(80), SEND_SIGNED, NONCE, B)
