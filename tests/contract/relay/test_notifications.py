"""Notifiers: NKEY, NDEL, NSUB and NMSG (smp-wire 5.5, 7.2 and 8.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from smpchat.crypto.keys import AuthPrivateKey, X25519PrivateKey
from smpchat.protocol.commands import (
    BrokerMessage,
    Del,
    Deld,
    End,
    Ids,
    Msg,
    NDel,
    New,
    Nid,
    NKey,
    NMsg,
    NSub,
    NtfRequest,
    Ok,
    Send,
    Sub,
)
from smpchat.protocol.messages import open_notification
from smpchat.protocol.transmission import Transmission
from smpchat.relay.limits import Limits
from smpchat.relay.notifications import MAX_WAITING
from smpchat.relay.store import SQLiteStore
from tests.contract.relay.stage import DH, KINDS, OTHER_KEY, SOME_KEY, UNKNOWN_ID, Kind, Stage, ack, every_version, on
from tests.unit.relay.support import AUTH, NO_AUTH, NOW, QUOTA, SYNTAX, WRONG_SIGNATURE, Created, Peer, err

AT_ONCE, NEVER = Limits(notify_every=0.0, quota=2), Limits(notify_every=3_600.0)
NTF_DH = X25519PrivateKey(b"\x05" * 32)


def deleted(kind: Kind) -> BrokerMessage:
    return Deld() if kind.version >= 10 else End()


async def give_notifier(peer: Peer, queue: Created, key: AuthPrivateKey = SOME_KEY) -> tuple[bytes, bytes]:
    """The notifier's id and the secret for its messages."""
    nid = await peer.ask(NKey(key.public(), NTF_DH.public()), queue.rcv_id, queue.key)
    assert isinstance(nid, Nid), nid
    assert len(nid.notifier_id) == 24
    return nid.notifier_id, NTF_DH.exchange(nid.server_dh_key)


def opened(secret: bytes, message: BrokerMessage) -> tuple[bytes, int]:
    assert isinstance(message, NMsg), message
    assert len(message.meta) == 144
    return open_notification(secret, message.nonce, message.meta)


@every_version
def test_a_notifier_learns_of_messages_and_not_what_they_say(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, sender, notifier = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await recipient.create()
        ntf, secret = await give_notifier(recipient, queue)
        assert await notifier.ask(NSub(), ntf) == NO_AUTH
        assert await notifier.ask(NSub(), b"", SOME_KEY) == NO_AUTH
        for wrong in (64, 80, 114):
            assert await notifier.ask(NSub(), ntf, auth=bytes(wrong)) == AUTH
        assert await notifier.ask(NSub(), ntf, OTHER_KEY) == AUTH
        assert await notifier.ask(NSub(), ntf, queue.key) == AUTH
        for entity in (UNKNOWN_ID, queue.rcv_id, queue.snd_id):
            assert await notifier.ask(NSub(), entity, SOME_KEY) == AUTH
        assert await notifier.ask(Sub(), ntf, queue.key) == AUTH
        for _ in range(2):
            assert await notifier.ask(NSub(), ntf, SOME_KEY) == kind.subscribed

        assert await sender.ask(Send(False, b"quietly"), queue.snd_id) == Ok()
        first = await recipient.event(queue.rcv_id)
        assert await sender.ask(Send(True, b"hello"), queue.snd_id) == Ok()
        second = await recipient.ask(ack(first), queue.rcv_id, queue.key)
        assert isinstance(second, Msg)
        assert opened(secret, await notifier.event(ntf)) == (second.msg_id, NOW)
        assert await recipient.ask(ack(second), queue.rcv_id, queue.key) == Ok()
        assert await notifier.is_quiet()
        assert await recipient.is_quiet()

    on(kind, check, limits=AT_ONCE)


@every_version
def test_a_quota_marker_is_not_told(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, notifier = await stage.peer(), await stage.peer()
        queue = await peer.create(subscribe=False)
        ntf, secret = await give_notifier(peer, queue)
        for expected in (Ok(), Ok(), QUOTA, QUOTA):
            assert await peer.ask(Send(True, b"m"), queue.snd_id) == expected
        assert await notifier.ask(NSub(), ntf, SOME_KEY) == kind.subscribed
        told = {opened(secret, await notifier.event(ntf)) for _ in range(2)}
        assert len(told) == 2
        assert await notifier.is_quiet()

    on(kind, check, limits=AT_ONCE)


@every_version
def test_notifications_wait_for_each_other(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, notifier = await stage.peer(), await stage.peer()
        queue = await peer.create(subscribe=False)
        ntf, _ = await give_notifier(peer, queue)
        assert await notifier.ask(NSub(), ntf, SOME_KEY) == kind.subscribed
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()
        assert await notifier.is_quiet()

    on(kind, check, limits=NEVER)


@every_version
def test_the_last_to_subscribe_has_the_notifier(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, one, two = await stage.peer(), await stage.peer(), await stage.peer()
        queue = await peer.create(subscribe=False)
        ntf, secret = await give_notifier(peer, queue)
        assert await one.ask(NSub(), ntf, SOME_KEY) == kind.subscribed
        assert await two.ask(NSub(), ntf, SOME_KEY) == kind.subscribed
        assert await one.event(ntf) == End()
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()
        assert opened(secret, await two.event(ntf))[1] == NOW
        assert await one.is_quiet()
        await two.connection.close()
        assert await one.ask(NSub(), ntf, SOME_KEY) == kind.subscribed
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()
        assert opened(secret, await one.event(ntf))[1] == NOW

    on(kind, check, limits=AT_ONCE)


@every_version
def test_a_notifier_is_replaced_and_removed(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer, notifier = await stage.peer(), await stage.peer()
        queue = await peer.create(subscribe=False)
        command = NKey(SOME_KEY.public(), DH.public())
        assert await peer.ask(NDel(), queue.rcv_id, queue.key) == Ok()
        for refused in (command, NDel()):
            assert await peer.ask(refused, queue.rcv_id) == NO_AUTH
            assert await peer.ask(refused, b"", queue.key) == NO_AUTH
            assert await peer.ask(refused, queue.rcv_id, auth=WRONG_SIGNATURE) == AUTH
            assert await peer.ask(refused, queue.snd_id, queue.key) == AUTH
        assert await peer.ask(b"NDEL ", queue.rcv_id, queue.key) == SYNTAX

        first, _ = await give_notifier(peer, queue)
        assert await notifier.ask(NSub(), first, SOME_KEY) == kind.subscribed
        second, _ = await give_notifier(peer, queue)
        assert first != second
        assert await notifier.event(first) == deleted(kind)
        assert await notifier.ask(NSub(), first, SOME_KEY) == AUTH
        assert await notifier.ask(NSub(), second, SOME_KEY) == kind.subscribed
        for _ in range(2):
            assert await peer.ask(NDel(), queue.rcv_id, queue.key) == Ok()
        assert await notifier.event(second) == deleted(kind)
        assert await notifier.ask(NSub(), second, SOME_KEY) == AUTH
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()

        third, _ = await give_notifier(peer, queue)
        assert await notifier.ask(NSub(), third, SOME_KEY) == kind.subscribed
        assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()
        assert await notifier.event(third) == deleted(kind)
        assert await notifier.ask(NSub(), third, SOME_KEY) == AUTH
        assert await peer.is_quiet()

    on(kind, check, limits=AT_ONCE)


@pytest.mark.parametrize("kind", [k for k in KINDS if k.version >= 17], ids=lambda kind: f"v{kind.version}")
def test_a_queue_created_with_a_notifier(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        new = New(OTHER_KEY.public(), DH.public(), None, False, None, NtfRequest(SOME_KEY.public(), NTF_DH.public()))
        assert await peer.ask(new, auth=WRONG_SIGNATURE) == AUTH
        ids = await peer.ask(new, b"", OTHER_KEY)
        assert isinstance(ids, Ids)
        assert ids.ntf is not None
        assert await peer.ask(NSub(), ids.ntf.notifier_id, SOME_KEY) == kind.subscribed
        assert await peer.ask(Send(True, b"m"), ids.snd_id) == Ok()
        assert opened(NTF_DH.exchange(ids.ntf.server_dh_key), await peer.event(ids.ntf.notifier_id))[1] == NOW

    on(kind, check, limits=AT_ONCE)


def test_a_service_is_refused() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create()
        ntf, _ = await give_notifier(peer, queue)
        signed = peer.transmission(NSub(), ntf, SOME_KEY)
        await peer.send(Transmission(signed.corr_id, ntf, signed.body, signed.auth, bytes(64)))
        assert await peer.receive() == (signed.corr_id, ntf, err("SERVICE"))

    on(Kind(18), check)


def test_more_than_are_kept_and_more_than_a_connection_takes_at_a_time() -> None:
    async def check(stage: Stage) -> None:
        recipient, notifier = await stage.peer(), await stage.peer()
        queue = await recipient.create()
        ntf, secret = await give_notifier(recipient, queue)
        sent = []
        for _ in range(MAX_WAITING + 10):
            assert await recipient.ask(Send(True, b"m"), queue.snd_id) == Ok()
            message = await recipient.event(queue.rcv_id)
            sent.append(ack(message).msg_id)
            assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await notifier.ask(NSub(), ntf, SOME_KEY) == Kind(18).subscribed
        told = [opened(secret, await notifier.event(ntf))[0] for _ in range(MAX_WAITING)]
        assert told == sent[10:]
        assert await notifier.is_quiet()

    on(Kind(18), check, limits=AT_ONCE)


def test_notifications_outlive_the_relay(tmp_path: Path) -> None:
    async def before(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        found.append(await give_notifier(peer, queue))
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()

    async def after(stage: Stage) -> None:
        peer = await stage.peer()
        [(ntf, secret)] = found
        assert await peer.ask(NSub(), ntf, SOME_KEY) == Kind(18).subscribed
        assert opened(secret, await peer.event(ntf))[1] == NOW
        assert await peer.ask(NSub(), ntf, SOME_KEY) == Kind(18).subscribed
        assert await peer.is_quiet()

    found: list[tuple[bytes, bytes]] = []
    for check in (before, after):
        on(Kind(18), check, store=SQLiteStore(tmp_path / "relay.db"), limits=AT_ONCE)


@pytest.mark.parametrize(("age", "kept"), [(86_400, True), (86_401, False)])
def test_notifications_are_kept_a_day(tmp_path: Path, age: int, kept: bool) -> None:
    async def before(stage: Stage) -> None:
        peer = await stage.peer()
        queue = await peer.create(subscribe=False)
        found.append((await give_notifier(peer, queue))[0])
        assert await peer.ask(Send(True, b"m"), queue.snd_id) == Ok()

    async def after(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(NSub(), found[0], SOME_KEY) == Kind(18).subscribed
        if kept:
            assert isinstance(await peer.event(found[0]), NMsg)
        assert await peer.is_quiet()

    found: list[bytes] = []
    on(Kind(18), before, store=SQLiteStore(tmp_path / "relay.db"), limits=AT_ONCE)
    on(Kind(18), after, store=SQLiteStore(tmp_path / "relay.db"), limits=AT_ONCE, now=NOW + age)
