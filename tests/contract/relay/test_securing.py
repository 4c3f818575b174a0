"""Securing by the sender, several recipient keys, and queues created secured (smp-wire 8.1; handshake.md 3.6)."""

from __future__ import annotations

import pytest

from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey
from smpchat.protocol.command_codec import encode_command
from smpchat.protocol.commands import Key, New, Ok, RKey, Send, SKey, Sub
from smpchat.protocol.queue_mode import QueueMode
from smpchat.relay.commands import MAX_RECIPIENT_KEYS
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport.base import ConnectionClosed
from tests.contract.relay.stage import DH, OTHER_KEY, SOME_KEY, Kind, Stage, body, every_version, on, with_skey
from tests.unit.relay.support import AUTH, PROHIBITED, SYNTAX, WRONG_SIGNATURE

# --- securing by the sender ------------------------------------------------------------------------------------------


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


# --- our extension ---------------------------------------------------------------------------------------------------


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


# --- several recipients --------------------------------------------------------------------------------------------


@every_version
def test_the_recipient_keys_of_an_address_are_replaced(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        newer = await stage.relay.connect(version=18)
        queue = await newer.create(mode=QueueMode.CONTACT)
        ed448 = Ed448PrivateKey.generate(SeededEntropy("ed448"))

        def keys(*of: AuthPrivateKey) -> RKey:
            return RKey(tuple(key.public() for key in of))

        assert await peer.ask(keys(SOME_KEY), queue.rcv_id, SOME_KEY) == AUTH
        assert await peer.ask(keys(SOME_KEY), queue.snd_id, queue.key) == AUTH
        assert await peer.ask(b"RKEY \x00", queue.rcv_id, queue.key) == SYNTAX
        assert await peer.ask(keys(queue.key, SOME_KEY, ed448), queue.rcv_id, queue.key) == Ok()
        for key in (queue.key, SOME_KEY, ed448):
            assert await peer.ask(Sub(), queue.rcv_id, key) == kind.subscribed
        assert await peer.ask(Sub(), queue.rcv_id, OTHER_KEY) == AUTH
        assert await peer.ask(keys(ed448), queue.rcv_id, SOME_KEY) == Ok()
        for key in (queue.key, SOME_KEY):
            assert await peer.ask(Sub(), queue.rcv_id, key) == AUTH
        assert await peer.ask(keys(*[ed448] * (MAX_RECIPIENT_KEYS + 1)), queue.rcv_id, ed448) == PROHIBITED
        assert await peer.ask(keys(*[ed448] * MAX_RECIPIENT_KEYS), queue.rcv_id, ed448) == Ok()
        assert await peer.ask(Sub(), queue.rcv_id, ed448) == kind.subscribed

    on(kind, check)


@every_version
def test_other_queues_have_one_recipient(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, old, newer = await stage.peer(), await stage.relay.connect(version=6), await stage.relay.connect()
        for queue in (await old.create(), await newer.create(mode=QueueMode.MESSAGING)):
            assert await peer.ask(RKey((SOME_KEY.public(),)), queue.rcv_id, queue.key) == AUTH
            assert await peer.ask(Sub(), queue.rcv_id, queue.key) == kind.subscribed
            assert await peer.ask(Sub(), queue.rcv_id, SOME_KEY) == AUTH

    on(kind, check)
