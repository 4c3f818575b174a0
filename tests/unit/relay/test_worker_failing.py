"""A store that fails under the worker: what was acknowledged stays, and what was not is as if it had never come."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Deld,
    End,
    Err,
    Msg,
    NDel,
    Nid,
    NKey,
    NMsg,
    NSub,
    Ok,
    Prxy,
    Send,
    Sok,
    Sub,
)
from smpchat.protocol.messages import RcvMessage
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.limits import Limits
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES
from tests.unit.relay.serving import (
    BODY,
    INTERNAL,
    NTF_DH,
    NTF_KEY,
    OTHER_KEY,
    FailingStore,
    HeldStore,
    a_relay,
    ended,
    run,
    send,
)
from tests.unit.relay.support import NOW, err


def test_while_the_disk_is_full_senders_are_refused_and_all_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            recipient, sender = await relay.connect(), await relay.connect()
            queue = await recipient.create()
            store.failing = True
            for _ in range(MAX_UNSENT_PUSHES + 1):
                assert await send(sender, queue) == INTERNAL
            assert await recipient.is_quiet()  # nothing was pushed
            assert await sender.is_quiet()
            assert await recipient.ask(Sub(), queue.rcv_id, queue.key) == Sok()
            store.failing = False
            assert await send(sender, queue, b"fits") == Ok()
            message = await recipient.event(queue.rcv_id)
            assert queue.open(message) == RcvMessage(NOW, False, b"fits")
            assert isinstance(message, Msg)
            assert await recipient.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == Ok()

    run(check)
    assert caplog.text.count("the disk is full") == 1  # told once, however long it lasts


def test_who_only_reads_does_not_share_the_failures_of_who_writes() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            peer, sender = await relay.connect(), await relay.connect()
            queue = await peer.create()
            store.failing = True
            assert await send(sender, queue) == INTERNAL
            for _ in range(3):  # both in one go, so that they would be one group
                await sender.send(sender.transmission(Send(False, BODY), queue.snd_id))
                await peer.send(peer.transmission(Sub(), queue.rcv_id, queue.key))
                assert (await peer.receive())[2] == Sok()
                assert (await sender.receive())[2] == INTERNAL

    run(check)


def test_a_message_that_could_not_be_acknowledged_comes_again() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            peer = await relay.connect()
            queue = await peer.create()
            await peer.send(peer.transmission(Send(False, BODY), queue.snd_id))
            message = next(m for _, _, m in [await peer.receive(), await peer.receive()] if isinstance(m, Msg))
            store.failing = True
            assert await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == INTERNAL
            assert await peer.event(queue.rcv_id) == message
            store.failing = False
            assert await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == Ok()
            assert await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == err("NO_MSG")

    run(check)


def test_a_message_under_way_is_not_pushed_again_because_another_was_refused() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            recipient, sender = await relay.connect(), await relay.connect()
            queue = await recipient.create()
            assert await send(sender, queue) == Ok()
            message = await recipient.event(queue.rcv_id)
            assert isinstance(message, Msg)
            store.failing = True
            assert await send(sender, queue) == INTERNAL
            assert await recipient.is_quiet()
            store.failing = False
            assert await recipient.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == Ok()

    run(check)


def test_a_queue_that_could_not_be_created_or_deleted() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            peer, other, sender = [await relay.connect() for _ in range(3)]
            queue = await peer.create()
            store.failing = True
            with pytest.raises(AssertionError, match="INTERNAL"):
                await peer.create()
            assert len(relay.server._service.subscriptions) == 1
            assert await other.ask(Del(), queue.rcv_id, queue.key) == INTERNAL
            assert await ended(other.connection) == 0  # it may have listened itself, and starts afresh
            store.failing = False
            assert await send(sender, queue) == Ok()
            assert isinstance(await peer.event(queue.rcv_id), Msg)  # it still listens
            other = await relay.connect()
            assert await other.ask(Del(), queue.rcv_id, queue.key) == Ok()
            assert await peer.event(queue.rcv_id) == Deld()

    run(check)


def test_notifications_that_could_not_be_taken_out_come_later() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store, limits=Limits(notify_every=10)) as relay:
            recipient, sender, notifier = [await relay.connect() for _ in range(3)]
            queue = await recipient.create()
            nid = await recipient.ask(NKey(NTF_KEY.public(), NTF_DH.public()), queue.rcv_id, queue.key)
            assert isinstance(nid, Nid)
            assert await notifier.ask(NSub(), nid.notifier_id, NTF_KEY) == Sok()
            assert await sender.ask(Send(True, BODY), queue.snd_id) == Ok()
            store.failing = True
            await asyncio.sleep(35)
            assert notifier.connection.waiting == 0  # type: ignore[attr-defined]
            store.failing = False
            await asyncio.sleep(10)
            assert isinstance(await notifier.event(nid.notifier_id), NMsg)
            assert await notifier.is_quiet()

    run(check)


@pytest.mark.parametrize("command", [NDel(), NKey(OTHER_KEY.public(), NTF_DH.public())])
def test_who_listens_to_a_notifier_that_could_not_be_removed_starts_afresh(command: Command) -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            recipient, notifier = await relay.connect(), await relay.connect()
            queue = await recipient.create()
            nid = await recipient.ask(NKey(NTF_KEY.public(), NTF_DH.public()), queue.rcv_id, queue.key)
            assert isinstance(nid, Nid)
            assert await notifier.ask(NSub(), nid.notifier_id, NTF_KEY) == Sok()
            store.failing = True
            assert await recipient.ask(command, queue.rcv_id, queue.key) == INTERNAL
            assert await ended(notifier.connection) == 0
            store.failing = False
            notifier = await relay.connect()
            assert await notifier.ask(NSub(), nid.notifier_id, NTF_KEY) == Sok()

    run(check)


def test_what_needs_no_store_is_answered_in_a_group_that_fails() -> None:
    """PRXY is answered by another part of the relay, later or at once; it must not be answered twice."""

    async def check() -> None:
        store = HeldStore()
        store.let.set()
        async with a_relay(store, committer=ThreadPoolExecutor(1)) as relay:
            peer, sender = await relay.connect(), await relay.connect()
            queue = await peer.create(subscribe=False)
            store.let.clear()
            store.committing.clear()
            await sender.send(sender.transmission(Send(False, BODY), queue.snd_id))
            await asyncio.to_thread(store.committing.wait)
            refused = peer.transmission(Prxy(SMPServer(("localhost",), "1", bytes(32)), b"wrong"))
            await peer.send(refused)
            await sender.send(sender.transmission(Send(False, BODY), queue.snd_id))
            for _ in range(100):
                await asyncio.sleep(0)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(store, "commit", _fail)
                store.let.set()
                assert [(await sender.receive())[2] for _ in range(2)] == [Ok(), INTERNAL]
                corr_id, _, answer = await peer.receive()
                assert corr_id == refused.corr_id
                assert isinstance(answer, Err)
                assert answer != INTERNAL
                assert await peer.is_quiet()

    asyncio.run(check())


def _fail() -> None:
    raise RelayStoreError("full")


def test_a_subscription_taken_over_in_a_group_that_fails_is_told() -> None:
    async def check() -> None:
        store = HeldStore()
        store.let.set()

        async with a_relay(store, committer=ThreadPoolExecutor(1)) as relay:
            first, second, sender = [await relay.connect() for _ in range(3)]
            queue, other = await first.create(), await first.create(subscribe=False)
            store.let.clear()
            store.committing.clear()
            await sender.send(sender.transmission(Send(False, BODY), other.snd_id))
            await asyncio.to_thread(store.committing.wait)
            subscription = second.transmission(Sub(), queue.rcv_id, queue.key)
            await second.send(subscription)
            await sender.send(sender.transmission(Send(False, BODY), other.snd_id))
            for _ in range(100):
                await asyncio.sleep(0)
            with pytest.MonkeyPatch.context() as patch:
                # the group under way has its commit already; the one behind it fails
                patch.setattr(store, "commit", _fail)
                store.let.set()
                assert (await sender.receive())[2] == Ok()
                assert (await sender.receive())[2] == INTERNAL
                assert await second.receive() == (subscription.corr_id, queue.rcv_id, INTERNAL)
                assert await first.event(queue.rcv_id) == End()
            assert await second.ask(Sub(), queue.rcv_id, queue.key) == Sok()

    asyncio.run(check())


def test_a_file_that_may_not_grow_takes_messages_again_when_others_left(tmp_path: Path) -> None:
    """SQLite's own word for a full disk, in the middle of a group."""

    async def check() -> None:
        store = SQLiteStore(tmp_path / "relay.db")
        async with a_relay(store) as relay:
            recipient, sender = await relay.connect(), await relay.connect()
            queue = await recipient.create(subscribe=False)
            store._db.execute("PRAGMA max_page_count = 24")
            body = bytes(16_000)
            accepted = 0
            while await send(sender, queue, accepted.to_bytes(2, "big") + body) == Ok():
                accepted += 1
            assert 0 < accepted < 24
            assert await recipient.ask(Sub(), queue.rcv_id, queue.key) == Sok()
            message: BrokerMessage = await recipient.event(queue.rcv_id)
            for number in range(accepted):
                content = queue.open(message)
                assert isinstance(content, RcvMessage)
                assert content.body == number.to_bytes(2, "big") + body
                assert isinstance(message, Msg)
                message = await recipient.ask(Ack(message.msg_id), queue.rcv_id, queue.key)
            assert message == Ok()
            assert await send(sender, queue, body) == Ok()

    run(check)


def test_a_store_that_cannot_even_roll_back_ends_the_relay() -> None:
    class Broken(FailingStore):
        def rollback(self) -> None:
            raise RelayStoreError("gone")

    async def check() -> None:
        store = Broken()
        async with a_relay(store) as relay:
            peer = await relay.connect()
            queue = await peer.create()
            store.failing = True
            await peer.send(peer.transmission(Send(False, BODY), queue.snd_id))
            with pytest.raises(RelayStoreError, match="gone"):
                await relay.server.wait(asyncio.Event())

    run(check)
