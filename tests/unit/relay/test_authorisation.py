from __future__ import annotations

from typing import get_args

import pytest

from smpchat.crypto.keys import (
    AuthPrivateKey,
    AuthPublicKey,
    Ed448PrivateKey,
    Ed25519PrivateKey,
    X25519PrivateKey,
    X25519PublicKey,
)
from smpchat.protocol import commands
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.transmission import Transmission, authorise, signed_bytes, verify_authorisation
from smpchat.relay import authorisation
from smpchat.relay.authorisation import authorised, refusal
from smpchat.relay.subscriptions import Client
from smpchat.testing.entropy import SeededEntropy

ENTROPY = SeededEntropy("authorisation")
SESSION_KEY = X25519PrivateKey.generate(ENTROPY)
CLIENT = Client(18, b"session", SESSION_KEY)
KEYS: list[AuthPrivateKey] = [
    Ed25519PrivateKey.generate(ENTROPY),
    Ed448PrivateKey.generate(ENTROPY),
    X25519PrivateKey.generate(ENTROPY),
]
OTHERS: list[AuthPrivateKey] = [type(key).generate(ENTROPY) for key in KEYS]
of_every_kind = pytest.mark.parametrize("kind", range(3), ids=["ed25519", "ed448", "x25519"])

KEY = Ed25519PrivateKey(b"\x01" * 32).public()
DH = X25519PrivateKey(b"\x01" * 32).public()
NO_AUTH, HAS_AUTH, NO_ENTITY = ErrorCode.cmd("NO_AUTH"), ErrorCode.cmd("HAS_AUTH"), ErrorCode.cmd("NO_ENTITY")

# What is answered for: nothing, an authorisation only, an entity only, both (smp-wire 4.4).
BOTH_NEEDED = (NO_AUTH, NO_AUTH, NO_AUTH, None)
ENTITY_ONLY = (NO_ENTITY, NO_ENTITY, None, HAS_AUTH)
NOTHING = (None, HAS_AUTH, HAS_AUTH, HAS_AUTH)
SERVICE = (ErrorCode.SERVICE,) * 4
RULES: list[tuple[commands.Command, tuple[ErrorCode | None, ...]]] = [
    (commands.New(KEY, DH), (NO_AUTH, None, NO_AUTH, HAS_AUTH)),
    (commands.Sub(), BOTH_NEEDED),
    (commands.Key(KEY), BOTH_NEEDED),
    (commands.RKey((KEY,)), BOTH_NEEDED),
    (commands.LSet(b"l", b"f", b"u"), BOTH_NEEDED),
    (commands.LDel(), BOTH_NEEDED),
    (commands.NKey(KEY, DH), BOTH_NEEDED),
    (commands.NDel(), BOTH_NEEDED),
    (commands.Get(), BOTH_NEEDED),
    (commands.Ack(b"m"), BOTH_NEEDED),
    (commands.Off(), BOTH_NEEDED),
    (commands.Del(), BOTH_NEEDED),
    (commands.Que(), BOTH_NEEDED),
    (commands.SKey(KEY), BOTH_NEEDED),
    (commands.LKey(KEY), BOTH_NEEDED),
    (commands.NSub(), BOTH_NEEDED),
    (commands.Send(False, b""), (NO_ENTITY, NO_ENTITY, None, None)),
    (commands.LGet(), ENTITY_ONLY),
    (commands.PFwd(17, DH, b""), ENTITY_ONLY),
    (commands.Ping(), NOTHING),
    (commands.Prxy(SMPServer(("h",), "", bytes(32)), None), NOTHING),
    (commands.RFwd(b""), NOTHING),
    (commands.Subs(), SERVICE),
    (commands.NSubs(), SERVICE),
]


def test_the_rules_are_for_all_commands() -> None:
    assert {type(command) for command, _ in RULES} == set(get_args(commands.Command))


@pytest.mark.parametrize(("command", "answers"), RULES, ids=lambda value: type(value).__name__)
def test_which_credentials_a_command_needs(command: commands.Command, answers: tuple[ErrorCode | None, ...]) -> None:
    given = [(b"", b""), (b"a", b""), (b"", b"e"), (b"a", b"e")]
    assert tuple(refusal(command, Transmission(b"c", entity, b"", auth)) for auth, entity in given) == answers
    for (auth, entity), answer in zip(given, answers, strict=True):
        expected = ErrorCode.SERVICE if answer is None else answer
        assert refusal(command, Transmission(b"c", entity, b"", auth, bytes(64))) == expected


def signed(
    key: AuthPrivateKey, *, session: bytes = b"session", corr: bytes = b"c", body: bytes = b"SUB"
) -> Transmission:
    data = signed_bytes(session, corr, b"entity", body)
    return Transmission(b"c", b"entity", b"SUB", authorise(key, data, corr, SESSION_KEY.public()))


def public(*keys: AuthPrivateKey) -> tuple[AuthPublicKey, ...]:
    return tuple(key.public() for key in keys)


@of_every_kind
def test_one_of_the_keys_must_have_made_it(kind: int) -> None:
    key, other = KEYS[kind], OTHERS[kind]
    t = signed(key)
    assert authorised(CLIENT, t, public(key))
    assert authorised(CLIENT, t, public(*OTHERS, *KEYS))
    assert not authorised(CLIENT, t, public(other))
    assert not authorised(CLIENT, t, public(*OTHERS))
    assert not authorised(CLIENT, t, ())
    assert not authorised(CLIENT, Transmission(b"c", b"entity", b"SUB"), public(key))


@of_every_kind
def test_it_is_of_this_session_command_and_correlation_id(kind: int) -> None:
    key = KEYS[kind]
    for wrong in (signed(key, session=b"another"), signed(key, corr=b"d"), signed(key, body=b"DEL")):
        assert not authorised(CLIENT, wrong, public(key))
    moved = Transmission(b"c", b"another", b"SUB", signed(key).auth)
    assert not authorised(CLIENT, moved, public(key))


def test_an_x25519_key_needs_a_session_key_and_a_good_point() -> None:
    t = signed(KEYS[2])
    assert not authorised(Client(6, b"session", None), t, public(KEYS[2]))
    assert not authorised(CLIENT, t, (X25519PublicKey(bytes(32)),))


@of_every_kind
def test_a_refusal_costs_the_same_whatever_is_behind_the_id(kind: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One verification of the authorisation's own kind: no queue, a queue of another kind of key, another key."""
    verified: list[type[object]] = []

    def verify(key: AuthPublicKey, *rest: object) -> None:
        verified.append(type(key))
        original(key, *rest)  # type: ignore[arg-type]

    original = verify_authorisation
    monkeypatch.setattr(authorisation, "verify_authorisation", verify)
    t = signed(KEYS[kind])
    another_kind = KEYS[(kind + 1) % 3]
    for keys in ((), public(another_kind), public(OTHERS[kind])):
        verified.clear()
        assert not authorised(CLIENT, t, keys)
        assert verified == [type(KEYS[kind].public())]
