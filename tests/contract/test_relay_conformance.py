"""What a relay must answer, taken from the reference's own tests (smp-wire 8.1), at several versions.

The client here is blocks and transmissions only, so nothing of ours stands between the test and the relay's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import BLOCK_SIZE, encode_batches, pad_block
from smpchat.protocol.commands import (
    Ack,
    Command,
    Del,
    Deld,
    End,
    Get,
    Ids,
    Key,
    LDel,
    LGet,
    LinkData,
    LKey,
    LSet,
    Msg,
    NDel,
    New,
    NKey,
    NSub,
    NSubs,
    NtfRequest,
    Off,
    Ok,
    PFwd,
    Ping,
    Pong,
    Prxy,
    Que,
    QueueMode,
    QueueRequest,
    RFwd,
    RKey,
    Send,
    SKey,
    Sok,
    Sub,
    Subs,
    encode_command,
)
from smpchat.protocol.messages import QuotaMarker, RcvMessage
from smpchat.protocol.session import ClientHello
from smpchat.protocol.transmission import Transmission, encode_transmission
from smpchat.relay.server import Limits, RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import ConnectionClosed
from tests.unit.relay.support import (
    AUTH,
    BLOCK,
    HAS_AUTH,
    LARGE_MSG,
    NO_AUTH,
    NO_ENTITY,
    NO_MSG,
    NOW,
    PROHIBITED,
    QUOTA,
    SYNTAX,
    UNKNOWN,
    WRONG_SIGNATURE,
    Created,
    Peer,
    Relay,
    a_relay,
    an_identity,
    err,
    shake_hands,
    short,
)

UNKNOWN_ID = b"\x07" * 24
SOME_KEY = Ed25519PrivateKey(b"\x01" * 32)
OTHER_KEY = Ed25519PrivateKey(b"\x02" * 32)
DH = X25519PrivateKey(b"\x03" * 32)


@dataclass(frozen=True, slots=True)
class Kind:
    """A client: its version, and whether its hello has a key."""

    version: int
    with_key: bool = True

    @property
    def subscribed(self) -> object:
        """The answer to SUB."""
        return Sok() if self.version >= 16 else Ok()

    @property
    def largest(self) -> int:
        """Longest body of SEND."""
        return 16048 if self.version >= 11 else 16064 if self.version >= 8 else 16088


KINDS = [
    Kind(6),
    Kind(7),
    Kind(8),
    Kind(9),
    Kind(10),
    Kind(11),
    Kind(11, with_key=False),
    Kind(12),
    Kind(14),
    Kind(15),
    Kind(16),
    Kind(17),
    Kind(18),
    Kind(18, with_key=False),
]
every_version = pytest.mark.parametrize(
    "kind", KINDS, ids=[f"v{kind.version}{'' if kind.with_key else '-no-key'}" for kind in KINDS]
)
with_skey = pytest.mark.parametrize("kind", [k for k in KINDS if k.version >= 9], ids=lambda kind: f"v{kind.version}")


class Stage:
    """A relay, and how to meet it as one kind of client."""

    def __init__(self, relay: Relay, kind: Kind) -> None:
        self.relay = relay
        self.kind = kind

    async def peer(self) -> Peer:
        return await self.relay.connect(version=self.kind.version, with_key=self.kind.with_key)


def on(kind: Kind, check: Callable[[Stage], Awaitable[None]], **options: Any) -> None:
    async def within() -> None:
        async with asyncio.timeout(60), a_relay(**options) as relay:
            await check(Stage(relay, kind))

    asyncio.run(within())


def ack(message: object) -> Ack:
    assert isinstance(message, Msg), message
    return Ack(message.msg_id)


def body(queue: Created, message: Any) -> bytes:
    content = queue.open(message)
    assert isinstance(content, RcvMessage)
    return content.body


# --- commands that are none, credentials that cannot be right ------------------------------------------------------


@every_version
def test_what_is_no_command(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(b"HELLO", corr_id=b"1234") == UNKNOWN
        assert await peer.ask(b"OK", UNKNOWN_ID, auth=WRONG_SIGNATURE) == UNKNOWN
        assert await peer.ask(b"") == UNKNOWN
        assert await peer.ask(b"NEW", auth=WRONG_SIGNATURE) == SYNTAX
        assert await peer.ask(b"NEW hello", auth=WRONG_SIGNATURE) == SYNTAX
        assert await peer.ask(b"SUB=", UNKNOWN_ID, auth=WRONG_SIGNATURE) == UNKNOWN
        assert await peer.ask(b"SUB ", UNKNOWN_ID, auth=WRONG_SIGNATURE) == SYNTAX
        for bare in (b"KEY", b"ACK", b"SEND", b"SKEY", b"LKEY", b"RKEY", b"NKEY"):
            assert await peer.ask(bare, UNKNOWN_ID, auth=WRONG_SIGNATURE) == SYNTAX, bare

    on(kind, check)


@every_version
def test_credentials_that_are_missing_or_too_many(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        new = New(SOME_KEY.public(), DH.public())
        assert await peer.ask(new) == NO_AUTH
        assert await peer.ask(new, UNKNOWN_ID, SOME_KEY) == HAS_AUTH
        assert await peer.ask(new, auth=WRONG_SIGNATURE) == AUTH
        for command in (Sub(), Key(OTHER_KEY.public()), Ack(b""), Off(), Del(), Get(), SKey(OTHER_KEY.public())):
            assert await peer.ask(command, UNKNOWN_ID, auth=WRONG_SIGNATURE) == AUTH, command
            assert await peer.ask(command, UNKNOWN_ID) == NO_AUTH, command
            assert await peer.ask(command, auth=WRONG_SIGNATURE) == NO_AUTH, command
        assert await peer.ask(Send(True, b"hello"), UNKNOWN_ID) == AUTH
        assert await peer.ask(Send(True, b"hello"), UNKNOWN_ID, auth=WRONG_SIGNATURE) == AUTH
        assert await peer.ask(Send(True, b"hello")) == NO_ENTITY
        assert await peer.ask(Send(True, b"hello"), auth=WRONG_SIGNATURE) == NO_ENTITY
        assert await peer.ask(Ping(), UNKNOWN_ID) == HAS_AUTH
        assert await peer.ask(Ping(), auth=WRONG_SIGNATURE) == HAS_AUTH
        assert await peer.ask(Ping(), corr_id=b"p") == Pong()

    on(kind, check)


@every_version
def test_authorisation_of_every_key_kind(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, sender = await stage.peer(), await stage.peer()
        entropy = SeededEntropy("kinds")
        keys: list[AuthPrivateKey] = [Ed25519PrivateKey.generate(entropy), Ed448PrivateKey.generate(entropy)]
        if kind.version >= 7 and kind.with_key:
            keys.append(X25519PrivateKey.generate(entropy))
        for key in keys:
            queue = await peer.create(key)
            assert await peer.ask(Sub(), queue.rcv_id, key) == kind.subscribed
            assert await peer.ask(Key(key.public()), queue.rcv_id, key) == Ok()
            for other in keys:
                expected = Ok() if other is key else AUTH
                assert await sender.ask(Send(False, b"hi"), queue.snd_id, other) == expected
            assert body(queue, await peer.event(queue.rcv_id)) == b"hi"
            for wrong in (64, 80, 114):
                assert await peer.ask(Sub(), queue.rcv_id, auth=bytes(wrong)) == AUTH

    on(kind, check)


@every_version
def test_blocks_that_cannot_be_read_are_answered_and_the_session_goes_on(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        good = encode_transmission(peer.transmission(Ping()), kind.version, peer.session.session_id)
        for content in (
            b"",  # no count
            b"\x00",  # no transmissions
            b"\x01\x00\x05ab",  # cut off
            encode_batches([good])[0] + b"x",  # something follows
            encode_batches([b"\x05hello" + good[1:]])[0],  # an authorisation of no known length
        ):
            await peer.send_content(content)
            assert await peer.receive() == (b"", b"", BLOCK)
        if peer.session.encrypts:
            peer.session.seal_block(b"skipped")  # the relay's chain moves on with a block that does not decrypt
            await peer.connection.send([bytes(BLOCK_SIZE)])
            assert await peer.receive() == (b"", b"", BLOCK)
        assert await peer.is_quiet()
        if kind.version == 6:
            t = peer.transmission(Ping())
            other = encode_transmission(t, 6, bytes(32)[:-1] + b"\x99")
            await peer.send_content(encode_batches([other])[0])
            assert await peer.receive() == (b"", b"", err("SESSION"))
        if kind.version >= 16:
            corr = b"s" * 24
            signed_by_a_service = b"\x40" + bytes(64) + b"1" + short(bytes(64)) + short(corr) + short(UNKNOWN_ID)
            await peer.send_content(encode_batches([signed_by_a_service + b"SUB"])[0])
            assert await peer.receive() == (corr, UNKNOWN_ID, err("SERVICE"))
            await peer.send_content(encode_batches([b"\x40" + bytes(64) + b"2" + short(corr) + b"\x00PING"])[0])
            assert await peer.receive() == (b"", b"", BLOCK)

    on(kind, check)


# --- queues and messages -------------------------------------------------------------------------------------------


@every_version
def test_a_queue_from_creation_to_secured(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert len(queue.rcv_id) == len(queue.snd_id) == 24
        assert await sender.ask(Send(True, b"hello"), queue.snd_id) == Ok()
        first = await recipient.event(queue.rcv_id)
        assert queue.open(first) == RcvMessage(NOW, True, b"hello")
        assert isinstance(first, Msg)
        assert len(first.msg_id) == 24
        assert len(first.body) == 16122
        assert await recipient.ask(ack(first), queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(ack(first), queue.rcv_id, queue.key) == NO_MSG
        assert await recipient.ask(Ack(b"never"), queue.rcv_id, queue.key) == NO_MSG

        assert await sender.ask(Send(False, b"early"), queue.snd_id, SOME_KEY) == AUTH
        secure = Key(SOME_KEY.public())
        assert await recipient.ask(secure, queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH
        assert await recipient.ask(secure, queue.snd_id, queue.key) == AUTH
        assert await recipient.ask(secure, queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(secure, queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(Key(OTHER_KEY.public()), queue.rcv_id, queue.key) == AUTH

        assert await sender.ask(Send(False, b"unsigned"), queue.snd_id) == AUTH
        assert await sender.ask(Send(False, b"wrong"), queue.snd_id, OTHER_KEY) == AUTH
        assert await sender.ask(Send(False, b"to the recipient id"), queue.rcv_id, SOME_KEY) == AUTH
        assert await sender.ask(Send(False, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        second = await recipient.event(queue.rcv_id)
        assert queue.open(second) == RcvMessage(NOW, False, b"signed")
        assert await recipient.ask(ack(second), queue.snd_id, queue.key) == AUTH
        assert await recipient.ask(ack(second), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_the_longest_body(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        longest = bytes(range(251)) * 65
        assert await sender.ask(Send(False, longest[: kind.largest + 1]), queue.snd_id, SOME_KEY) == LARGE_MSG
        assert await sender.ask(Send(False, longest[: kind.largest + 1]), queue.snd_id) == AUTH
        assert await sender.ask(Send(False, longest[: kind.largest]), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == longest[: kind.largest]

    on(kind, check)


@every_version
def test_one_message_under_way_until_acknowledged(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        for number in range(4):
            assert await sender.ask(Send(False, b"%d" % number), queue.snd_id) == Ok()
        message = await recipient.event(queue.rcv_id)
        for number in range(3):
            assert await recipient.is_quiet()
            assert body(queue, message) == b"%d" % number
            message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert body(queue, message) == b"3"
        assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"4"), queue.snd_id) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"4"

    on(kind, check)


@every_version
def test_an_acknowledgement_without_an_id_removes_nothing(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        assert await peer.ask(Ack(b""), queue.rcv_id, queue.key) == NO_MSG
        assert await peer.ask(Send(False, b"stays"), queue.snd_id) == Ok()
        first = await peer.event(queue.rcv_id)
        assert await peer.ask(Ack(b""), queue.rcv_id, queue.key) == first
        assert await peer.ask(ack(first), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_what_was_not_acknowledged_comes_again_the_same(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await sender.ask(Send(False, b"once"), queue.snd_id) == Ok()
        first = await recipient.event(queue.rcv_id)
        for _ in range(2):
            assert await recipient.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
            assert await recipient.event(queue.rcv_id) == first
        await recipient.connection.close()
        again = await stage.peer()
        assert await again.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await again.event(queue.rcv_id) == first
        assert await again.ask(ack(first), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_created_without_subscription(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        assert await peer.ask(Send(False, b"waits"), queue.snd_id) == Ok()
        assert await peer.is_quiet()
        assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert body(queue, await peer.event(queue.rcv_id)) == b"waits"

    on(kind, check)


@every_version
def test_suspended_and_deleted(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        assert await peer.ask(Send(False, b"kept"), queue.snd_id) == Ok()
        first = await peer.event(queue.rcv_id)
        assert await peer.ask(Off(), queue.snd_id, queue.key) == AUTH
        for _ in range(2):
            assert await peer.ask(Off(), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(Send(False, b"late"), queue.snd_id) == AUTH
        assert await peer.ask(Send(False, bytes(16089)), queue.snd_id) == LARGE_MSG
        assert await peer.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(Send(False, b"late"), queue.snd_id, SOME_KEY) == AUTH
        assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await peer.event(queue.rcv_id) == first
        assert await peer.ask(Del(), queue.snd_id, queue.key) == AUTH
        assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()
        for command, entity in (
            (Send(False, b"x"), queue.snd_id),
            (ack(first), queue.rcv_id),
            (Off(), queue.rcv_id),
            (Sub(), queue.rcv_id),
            (Del(), queue.rcv_id),
        ):
            assert await peer.ask(command, entity, queue.key) == AUTH
        assert await peer.is_quiet()

    on(kind, check)


@every_version
def test_the_last_to_subscribe_has_the_queue(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        one, two, sender = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await one.create()
        assert await sender.ask(Send(False, b"first"), queue.snd_id) == Ok()
        first = await one.event(queue.rcv_id)
        assert await two.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
        assert await two.event(queue.rcv_id) == first
        assert await one.event(queue.rcv_id) == End()
        assert await one.ask(ack(first), queue.rcv_id, queue.key) == NO_MSG
        assert await two.ask(ack(first), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"second"), queue.snd_id) == Ok()
        assert body(queue, await two.event(queue.rcv_id)) == b"second"
        assert await one.ask(Del(), queue.rcv_id, queue.key) == Ok()
        assert await two.event(queue.rcv_id) == (Deld() if kind.version >= 10 else End())
        assert await one.is_quiet()

    on(kind, check)


@every_version
def test_get_and_sub_do_not_mix_on_one_connection(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        subscriber, getter, sender = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await subscriber.create()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(False, b"both see it"), queue.snd_id) == Ok()
        assert await sender.ask(Send(False, b"next"), queue.snd_id) == Ok()
        pushed = await subscriber.event(queue.rcv_id)
        assert await getter.is_quiet()
        assert await subscriber.ask(Get(), queue.rcv_id, queue.key) == PROHIBITED
        assert await getter.ask(Sub(), queue.rcv_id, queue.key) == PROHIBITED
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == pushed
        following = await subscriber.ask(ack(pushed), queue.rcv_id, queue.key)
        assert body(queue, following) == b"next"
        assert await getter.ask(ack(pushed), queue.rcv_id, queue.key) == Ok()
        assert await getter.ask(ack(pushed), queue.rcv_id, queue.key) == NO_MSG
        assert await getter.is_quiet()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == following
        assert await getter.ask(ack(following), queue.rcv_id, queue.key) == Ok()
        assert await getter.ask(Get(), queue.rcv_id, queue.key) == Ok()
        assert await subscriber.ask(ack(following), queue.rcv_id, queue.key) == Ok()

    on(kind, check)


@every_version
def test_quota(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        assert await sender.ask(Send(True, b"1"), queue.snd_id) == Ok()
        assert await sender.ask(Send(True, b"2"), queue.snd_id) == Ok()
        for _ in range(2):
            assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        message = await recipient.event(queue.rcv_id)
        assert body(queue, message) == b"1"
        message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert body(queue, message) == b"2"
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert queue.open(message) == QuotaMarker(NOW)
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == QUOTA
        assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await sender.ask(Send(True, b"3"), queue.snd_id) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"3"

    on(kind, check, limits=Limits(quota=2))


def test_the_quota_is_128_messages() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        for _ in range(128):
            assert await peer.ask(Send(False, b"m"), queue.snd_id) == Ok()
        assert await peer.ask(Send(False, b"m"), queue.snd_id) == QUOTA

    on(Kind(18), check)


# --- securing by the sender ----------------------------------------------------------------------------------------


@with_skey
def test_a_messaging_queue_is_secured_by_its_sender(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create(mode=QueueMode.MESSAGING)
        assert queue.ids.queue_mode is QueueMode.MESSAGING
        secure = SKey(SOME_KEY.public())
        assert await sender.ask(secure, queue.snd_id, auth=WRONG_SIGNATURE) == AUTH
        assert await sender.ask(secure, queue.snd_id, OTHER_KEY) == AUTH
        assert await sender.ask(secure, queue.rcv_id, SOME_KEY) == AUTH
        assert await sender.ask(secure, queue.snd_id, SOME_KEY) == Ok()
        assert await sender.ask(SKey(OTHER_KEY.public()), queue.snd_id, OTHER_KEY) == AUTH
        assert await sender.ask(secure, queue.snd_id, SOME_KEY) == Ok()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await recipient.ask(Key(OTHER_KEY.public()), queue.rcv_id, queue.key) == AUTH
        assert await sender.ask(Send(False, b"unsigned"), queue.snd_id) == AUTH
        assert await sender.ask(Send(False, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"signed"

    on(kind, check)


@with_skey
@pytest.mark.parametrize("mode", [QueueMode.CONTACT, None])
def test_other_queues_are_not(kind: Kind, mode: QueueMode | None) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(mode=mode)
        # before short links a queue without sender securing is told as one Boolean
        assert queue.ids.queue_mode is (mode if kind.version >= 15 else QueueMode.CONTACT)
        assert await peer.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == AUTH
        assert await peer.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await peer.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == AUTH

    on(kind, check)


def test_a_session_below_version_9_may_secure_too() -> None:
    async def check(stage: Stage) -> None:
        peer, newer = await stage.peer(), await stage.relay.connect(version=18)
        queue = await newer.create(mode=QueueMode.MESSAGING)
        assert await peer.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == Ok()
        old = await peer.create()
        assert old.ids.queue_mode is None
        assert await newer.ask(SKey(SOME_KEY.public()), old.snd_id, SOME_KEY) == AUTH

    on(Kind(6), check)


# --- our extension -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [9, 11, 14, 15, 18])
def test_keyed_new_makes_a_secured_queue(version: int) -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect(version=version, extension=1)
        sender = await stage.peer()
        queue = await recipient.create(mode=QueueMode.MESSAGING, sender_key=SOME_KEY)
        assert await sender.ask(Send(False, b"unsigned"), queue.snd_id) == AUTH
        assert await sender.ask(SKey(OTHER_KEY.public()), queue.snd_id, OTHER_KEY) == AUTH
        assert await sender.ask(Send(False, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"signed"
        assert await sender.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == Ok()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        plain = await recipient.create()
        assert await sender.ask(Send(False, b"unsigned"), plain.snd_id) == Ok()

    on(Kind(version), check)


def test_keyed_new_needs_the_extension() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        new = New(SOME_KEY.public(), DH.public(), sender_key=OTHER_KEY.public())
        assert await peer.ask(encode_command(new, 18, keyed_new=True), b"", SOME_KEY) == SYNTAX

    on(Kind(18), check)


def test_a_relay_without_extensions_closes_on_a_client_that_assumes_them() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.relay.connect(version=18, extension=1)
        with pytest.raises(ConnectionClosed):
            await peer.is_quiet()

    on(Kind(18), check, extensions=False)


# --- passwords -----------------------------------------------------------------------------------------------------


@every_version
def test_a_password_for_new_queues(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        for wrong in (None, b"", b"secre", b"secrets"):
            assert await peer.ask(New(SOME_KEY.public(), DH.public(), wrong), b"", SOME_KEY) == AUTH
        right = New(SOME_KEY.public(), DH.public(), b"secret")
        assert await peer.ask(right, auth=WRONG_SIGNATURE) == AUTH
        queue = await peer.create(basic_auth=b"secret")
        assert await peer.ask(Send(False, b"no password here"), queue.snd_id) == Ok()

    on(kind, check, password="secret")


# --- what is not offered: authorised first -------------------------------------------------------------------------


@every_version
def test_commands_of_the_recipient_that_are_not_offered(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        commands: list[Command] = [
            RKey((OTHER_KEY.public(),)),
            LSet(UNKNOWN_ID, b"fixed", b"user"),
            LDel(),
            NKey(OTHER_KEY.public(), DH.public()),
            NDel(),
            Que(),
        ]
        for command in commands:
            assert await peer.ask(command, queue.rcv_id) == NO_AUTH, command
            assert await peer.ask(command, b"", queue.key) == NO_AUTH, command
            assert await peer.ask(command, queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH, command
            assert await peer.ask(command, queue.snd_id, queue.key) == AUTH, command
            assert await peer.ask(command, queue.rcv_id, queue.key) == PROHIBITED, command

    on(kind, check)


@every_version
def test_other_commands_that_are_not_offered(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(LKey(SOME_KEY.public()), UNKNOWN_ID) == NO_AUTH
        assert await peer.ask(LKey(SOME_KEY.public()), b"", SOME_KEY) == NO_AUTH
        assert await peer.ask(LKey(SOME_KEY.public()), UNKNOWN_ID, OTHER_KEY) == AUTH
        assert await peer.ask(LKey(SOME_KEY.public()), UNKNOWN_ID, SOME_KEY) == PROHIBITED
        assert await peer.ask(NSub(), UNKNOWN_ID) == NO_AUTH
        assert await peer.ask(NSub(), UNKNOWN_ID, SOME_KEY) == AUTH
        of_services: list[Command] = [Subs(), NSubs()]
        for command in of_services:
            assert await peer.ask(command, UNKNOWN_ID, SOME_KEY) == err("SERVICE")
        with_entity: list[Command] = [LGet(), PFwd(18, DH.public(), b"x")]
        for command in with_entity:
            assert await peer.ask(command) == NO_ENTITY
            assert await peer.ask(command, UNKNOWN_ID, auth=WRONG_SIGNATURE) == HAS_AUTH
            assert await peer.ask(command, UNKNOWN_ID) == PROHIBITED
        bare: list[Command] = [Prxy(SMPServer(("localhost",), "", bytes(32)), None), RFwd(b"x")]
        for command in bare:
            assert await peer.ask(command, UNKNOWN_ID) == HAS_AUTH
            assert await peer.ask(command) == PROHIBITED

    on(kind, check)


@pytest.mark.parametrize("version", [15, 17, 18])
def test_new_with_what_is_not_offered(version: int) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        link = QueueRequest(QueueMode.MESSAGING, LinkData(UNKNOWN_ID, b"fixed", b"user"))
        news = [New(SOME_KEY.public(), DH.public(), queue=link)]
        if version >= 17:
            news.append(New(SOME_KEY.public(), DH.public(), ntf=NtfRequest(OTHER_KEY.public(), DH.public())))
        for new in news:
            assert await peer.ask(new, auth=WRONG_SIGNATURE) == AUTH
            assert await peer.ask(new, b"", SOME_KEY) == PROHIBITED
        assert stage.relay.store.queue_count == 0

    on(Kind(version), check)


def test_new_with_a_key_of_low_order() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        new = New(SOME_KEY.public(), X25519PublicKey(bytes(32)))
        assert await peer.ask(new, b"", SOME_KEY) == err("CRYPTO")
        assert await peer.is_quiet()

    on(Kind(18), check)


# --- order ---------------------------------------------------------------------------------------------------------


def test_a_send_right_behind_new_or_sub_is_pushed() -> None:
    """The reference registers a subscription some time after its answer; here it counts from the answer on."""

    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        for _ in range(50):
            queue = await recipient.create()
            await sender.send(sender.transmission(Send(False, b"hello"), queue.snd_id))
            message = await recipient.event(queue.rcv_id)
            assert (await sender.receive())[2] == Ok()
            assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()

    on(Kind(18), check)


def test_commands_of_one_block_run_in_order_and_are_answered_in_order() -> None:
    async def check(stage: Stage) -> None:
        recipient, sender = await stage.peer(), await stage.peer()
        queue = await recipient.create(mode=QueueMode.MESSAGING)
        wanted: list[Transmission] = [
            sender.transmission(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY),
            *(sender.transmission(Send(False, b"%d" % n), queue.snd_id, SOME_KEY) for n in range(6)),
            sender.transmission(Ping()),
        ]
        await sender.send(*wanted)
        for t in wanted:
            corr, _, message = await sender.receive()
            assert (corr, message) == (t.corr_id, Pong() if t is wanted[-1] else Ok())
        message = await recipient.event(queue.rcv_id)
        for number in range(6):
            assert body(queue, message) == b"%d" % number
            message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
        assert message == Ok()

    on(Kind(18), check)


def test_a_block_of_many_subscriptions() -> None:
    async def check(stage: Stage) -> None:
        peer, second = await stage.peer(), await stage.peer()
        queues = [await peer.create() for _ in range(100)]
        for queue in queues[::10]:
            assert await peer.ask(Send(False, b"waits"), queue.snd_id) == Ok()
            await peer.event(queue.rcv_id)
        await second.send(*(second.transmission(Sub(), q.rcv_id, q.key) for q in queues))
        answers = [await second.receive() for _ in range(110)]
        assert [entity for corr, entity, _ in answers if corr] == [q.rcv_id for q in queues]
        assert {m for corr, _, m in answers if corr} == {Sok()}
        assert [entity for corr, entity, _ in answers if not corr] == [q.rcv_id for q in queues[::10]]
        ended = [await peer.receive() for _ in queues]
        assert ended == [(b"", q.rcv_id, End()) for q in queues]

    on(Kind(18), check)


# --- the hello exchange --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hello",
    [
        ClientHello(18, b"\x01" * 32, None),
        ClientHello(5, an_identity().fingerprint, None),
        ClientHello(19, an_identity().fingerprint, None),
    ],
    ids=["another relay", "version 5", "version 19"],
)
def test_hellos_that_end_the_connection(hello: ClientHello) -> None:
    async def check(stage: Stage) -> None:
        blocks = await stage.relay.connect_blocks()
        await blocks.receive()
        await blocks.send([pad_block(hello.encode())])
        with pytest.raises(ConnectionClosed):
            await blocks.receive()

    on(Kind(18), check)


def test_a_proxys_connection_is_not_encrypted_again() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.relay.connect(version=18, proxy=True)
        assert not peer.session.encrypts
        assert await peer.is_quiet()

    on(Kind(18), check)


@pytest.mark.parametrize("kind", [Kind(7), Kind(11, with_key=False), Kind(14), Kind(18)])
def test_over_tls(kind: Kind) -> None:
    async def within() -> None:
        store = SQLiteStore(":memory:")
        server = RelayServer(store, an_identity(), entropy=SeededEntropy("tls"), clock=lambda: NOW)
        await server.start("127.0.0.1", 0)
        try:
            peers: list[Peer] = []
            for name in ("recipient", "sender"):
                blocks = await tls.connect(["127.0.0.1"], server.port, timeout=10)
                assert blocks.peer_leaf == an_identity().certificate
                peers.append(await shake_hands(blocks, version=kind.version, with_key=kind.with_key, seed=name))
            recipient, sender = peers
            queue = await recipient.create()
            for number in range(20):
                assert await sender.ask(Send(False, bytes(16000) + b"%d" % number), queue.snd_id) == Ok()
            message = await recipient.event(queue.rcv_id)
            for number in range(20):
                assert body(queue, message)[16000:] == b"%d" % number
                message = await recipient.ask(ack(message), queue.rcv_id, queue.key)
            assert message == Ok()
            for peer in peers:
                await peer.connection.close()
        finally:
            await server.close()
            store.close()

    asyncio.run(within())


def test_ids_match_the_version() -> None:
    async def check(stage: Stage) -> None:
        for version in range(6, 19):
            peer = await stage.relay.connect(version=version)
            queue = await peer.create(mode=QueueMode.CONTACT if version >= 9 else None)
            assert isinstance(queue.ids, Ids)
            assert queue.ids.queue_mode is (QueueMode.CONTACT if version >= 9 else None)
            assert (queue.ids.link_id, queue.ids.service_id, queue.ids.ntf) == (None, None, None)

    on(Kind(18), check)
