"""Values as the reference's vectors write them: key records, ratchet states, skipped keys."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from smpchat.crypto.keys import (
    Ed448PrivateKey,
    Ed448PublicKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    X448PrivateKey,
    X448PublicKey,
    X25519PrivateKey,
    X25519PublicKey,
    key_to_text,
)
from smpchat.crypto.ratchet import (
    Ratchet,
    ReceivingChain,
    SendingChain,
    SkippedId,
    SkippedKey,
    SkippedKeys,
)
from smpchat.encoding.codec import fixed, pair, short_bytes, within
from smpchat.encoding.record import fields
from smpchat.encoding.text import from_base64url
from tests.vectors.check import Check, Mismatch, equals, hexadecimal, same
from tests.vectors.kem_records import kem_state

PrivateKind = type[X25519PrivateKey] | type[X448PrivateKey] | type[Ed25519PrivateKey] | type[Ed448PrivateKey]
PublicKind = type[X25519PublicKey] | type[X448PublicKey] | type[Ed25519PublicKey] | type[Ed448PublicKey]


class RecordedEntropy:
    """Gives the bytes that the reference drew, once; asking for more, or for another size, is a mismatch."""

    def __init__(self, *draws: bytes) -> None:
        self._draws = list(draws)

    def random(self, size: int) -> bytes:
        """The next recorded draw."""
        if not self._draws:
            raise Mismatch("the step draws more randomness than the reference did")
        same("size of a random draw", size, len(self._draws[0]))
        return self._draws.pop(0)


def x448_private(record: dict[str, Any]) -> X448PrivateKey:
    """The private key of a ``{private, public}`` record."""
    return X448PrivateKey(hexadecimal(record["private"]["raw"]))


def key_checks(
    name: str, record: dict[str, Any], private_kind: PrivateKind, public_kind: PublicKind
) -> Iterator[Check]:
    """The forms of one key pair: raw, DER, length byte and DER, base64url."""
    yield from private_key_checks(name, record["private"], private_kind)
    private = private_kind(hexadecimal(record["private"]["raw"]))
    public = public_kind(hexadecimal(record["public"]["raw"]))
    yield equals(f"{name}: public key from private", private.public, public)
    yield from public_key_checks(name, record["public"], public_kind)


def private_key_checks(name: str, record: dict[str, Any], kind: PrivateKind) -> Iterator[Check]:
    """The forms of one private key."""
    private, pkcs8 = kind(hexadecimal(record["raw"])), hexadecimal(record["pkcs8_der"])
    yield equals(f"{name}: private key to PKCS#8", lambda: private.der, pkcs8)
    yield equals(f"{name}: private key from PKCS#8", lambda: kind.from_der(pkcs8), private)


def public_key_checks(name: str, record: dict[str, Any], kind: PublicKind) -> Iterator[Check]:
    """The forms of one public key."""
    public, der = kind(hexadecimal(record["raw"])), hexadecimal(record["der"])
    yield equals(f"{name}: public key to DER", lambda: public.der, der)
    yield equals(f"{name}: public key from DER", lambda: kind.from_der(der), public)
    if "smp" in record:
        yield equals(
            f"{name}: public key on the wire", lambda: short_bytes.encode(public.der), hexadecimal(record["smp"])
        )
    if "str" in record:
        yield equals(f"{name}: public key as text", lambda: key_to_text(public), record["str"])


_STATE_FIELDS = frozenset(
    "rcAD rcDHRs rcEnableKEM rcKEM rcNHKr rcNHKs rcNr rcNs rcPN rcRK rcRcv rcRcvKEM rcSnd rcSndKEM rcSupportKEM"
    " rcVersion".split()
)


def ratchet_key(state: dict[str, Any]) -> X448PrivateKey:
    """rcDHRs: base64url of the base64 text of the PKCS#8 DER."""
    return X448PrivateKey.from_der(base64.urlsafe_b64decode(from_base64url(state["rcDHRs"])))


def ratchet_from_state(state: dict[str, Any]) -> Ratchet:
    """The ratchet that a recorded state describes. Raises `Mismatch` for what we cannot represent."""
    unknown = sorted(set(state) - _STATE_FIELDS)
    if unknown:
        raise Mismatch(f"unknown fields in a ratchet state: {', '.join(unknown)}")
    version, max_version = state["rcVersion"]
    own = ratchet_key(state)
    sending = receiving = None
    if state.get("rcSnd") is not None:
        chain = state["rcSnd"]
        peer_key = X448PublicKey.from_der(from_base64url(chain["rcDHRr"]))
        sending = SendingChain(peer_key, from_base64url(chain["rcCKs"]), from_base64url(chain["rcHKs"]))
    if state.get("rcRcv") is not None:
        chain = state["rcRcv"]
        receiving = ReceivingChain(from_base64url(chain["rcCKr"]), from_base64url(chain["rcHKr"]))
    return Ratchet(
        version=version,
        max_version=max_version,
        associated_data=from_base64url(state["rcAD"]),
        own_key=own,
        own_public=own.public(),
        root_key=from_base64url(state["rcRK"]),
        sending=sending,
        receiving=receiving,
        sent=state["rcNs"],
        received=state["rcNr"],
        previous_sent=state["rcPN"],
        next_sending_header_key=from_base64url(state["rcNHKs"]),
        next_receiving_header_key=from_base64url(state["rcNHKr"]),
        large_headers=state["rcSupportKEM"],
        kem_enabled=state["rcEnableKEM"],
        kem=kem_state(state.get("rcKEM")),
        kem_sending=state["rcSndKEM"],
        kem_receiving=state["rcRcvKEM"],
    )


def same_ratchet(actual: Ratchet, expected: Ratchet) -> None:
    """Raises `Mismatch` naming the first field in which the ratchets differ; its value is secret and not shown."""
    for field in fields(Ratchet):
        if getattr(actual, field) != getattr(expected, field):
            raise Mismatch(f"ratchet state: {field} differs")


message_key_iv = pair(within(short_bytes, fixed(32)), within(short_bytes, fixed(16)))
"""``messageKey_smp`` and ``msg_key_iv_smp``: message key, then IV."""


def skipped_from_list(items: list[dict[str, Any]]) -> SkippedKeys:
    """Skipped keys as a step lists them."""
    return SkippedKeys(
        (
            SkippedId(hexadecimal(item["headerKey"]), item["msgN"]),
            SkippedKey(*message_key_iv.decode(hexadecimal(item["messageKey_smp"]))),
        )
        for item in items
    )
