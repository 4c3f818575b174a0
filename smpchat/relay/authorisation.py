"""Checks the credentials of a transmission: whether they are of the right kind, and, in constant time, whether they
are valid.

Source: smp-wire 4.4 (table) and 7.6. The kind of the credentials is checked before any queue is looked up.
"""

from __future__ import annotations

import hashlib

from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import (
    AuthPublicKey,
    Ed448PrivateKey,
    Ed448PublicKey,
    Ed25519PrivateKey,
    Ed25519PublicKey,
    X25519PrivateKey,
    X25519PublicKey,
)
from smpchat.protocol import commands
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission, signed_bytes, verify_authorisation
from smpchat.relay.subscriptions import Client

_NO_AUTH, _HAS_AUTH, _NO_ENTITY = ErrorCode.cmd("NO_AUTH"), ErrorCode.cmd("HAS_AUTH"), ErrorCode.cmd("NO_ENTITY")
_ENTITY_ONLY = (commands.LGet, commands.PFwd)
_NOTHING = (commands.Ping, commands.Prxy, commands.RFwd)
_SERVICE = (commands.Subs, commands.NSubs)


def refusal(command: commands.Command, transmission: Transmission) -> ErrorCode | None:
    """The error for a command that lacks credentials, or that has credentials which it must not have. None if the
    command has the right kind of credentials."""
    auth, entity = bool(transmission.auth), bool(transmission.entity_id)
    match command:
        case commands.Send():
            error = None if entity else _NO_ENTITY
        case commands.New():
            # In this order: NEW with an entity id and without a signature gets NO_AUTH (smp-wire 4.4 and 8.1).
            error = _NO_AUTH if not auth else _HAS_AUTH if entity else None
        case _ if isinstance(command, _NOTHING):
            error = _HAS_AUTH if auth or entity else None
        case _ if isinstance(command, _ENTITY_ONLY):
            error = _NO_ENTITY if not entity else _HAS_AUTH if auth else None
        # The reference answers PROHIBITED to SUBS from a service, but this relay has no service sessions (smp-wire trap
        # 44).
        case _ if isinstance(command, _SERVICE):
            error = ErrorCode.SERVICE
        case _:
            error = None if auth and entity else _NO_AUTH
    if error is None and transmission.service_auth is not None:
        return ErrorCode.SERVICE  # this relay has no service sessions
    return error


def _stand_ins() -> dict[int, AuthPublicKey]:
    # These are dummy keys. If a queue has no key of the right kind, a dummy key is tried, so that a refusal takes the
    # same time as with a real key. Dummy keys need not be secret, because a command that is signed with one is refused
    # too.
    seed = hashlib.shake_256(b"smpchat relay: key of no queue").digest
    return {
        64: Ed25519PrivateKey(seed(32)).public(),
        114: Ed448PrivateKey(seed(57)).public(),
        80: X25519PrivateKey(seed(32)).public(),
    }


_STAND_INS = _stand_ins()
_KINDS: dict[int, type[AuthPublicKey]] = {64: Ed25519PublicKey, 114: Ed448PublicKey, 80: X25519PublicKey}


def authorised(client: Client, transmission: Transmission, keys: tuple[AuthPublicKey, ...]) -> bool:
    """Whether one of ``keys`` authorised the transmission; see `signed_by_one`."""
    signed = signed_bytes(client.session_id, transmission.corr_id, transmission.entity_id, transmission.body)
    return signed_by_one(keys, transmission, signed, client.session_key)


def signed_by_one(
    keys: tuple[AuthPublicKey, ...], transmission: Transmission, signed: bytes, session_key: X25519PrivateKey | None
) -> bool:
    """Whether the transmission's authorisation covers the bytes ``signed``, and was made with one of ``keys``.
    ``session_key`` is the relay's own key for this session.

    The length of an authorisation shows with which kind of key it was made. If ``keys`` contains no key of that kind, a
    dummy key is tried. So the time until a refusal does not tell whether the queue exists (smp-wire 7.6).
    """
    length = len(transmission.auth)
    if length not in _KINDS:
        return False  # empty: refused at once, in the same time for all queues
    real = tuple(key for key in keys if isinstance(key, _KINDS[length]))
    verified = False
    # Try all keys, even after one has matched, so that the time does not tell which key matched.
    for key in real or (_STAND_INS[length],):
        try:
            verify_authorisation(key, transmission.auth, signed, transmission.corr_id, session_key)
        except CryptoError:  # raised for a stored X25519 key of low order, too
            continue
        verified = True
    return verified and bool(real)
