"""Joining connections and commands: groups, order, bounds, and a store that fails.

Connections are in memory and time is fake; commits run at once, but for the tests that hold one up.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import BLOCK_SIZE, pad_block
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Deld,
    End,
    Err,
    Get,
    Msg,
    NDel,
    Nid,
    NKey,
    NMsg,
    NSub,
    Ok,
    Ping,
    Pong,
    Prxy,
    Send,
    Sok,
    Sub,
)
from smpchat.protocol.messages import RcvMessage
from smpchat.relay import worker
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.limits import Limits, descriptors_for
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.relay.subscriptions import MAX_UNSENT_PUSHES
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import BlockConnection, ConnectionClosed
from tests.unit.relay.support import NOW, QUOTA, Created, Peer, Relay, an_identity, err

INTERNAL = err("INTERNAL")
BODY = b"a body"
NTF_KEY, OTHER_KEY, NTF_DH = (
    Ed25519PrivateKey(b"n" * 32),
    Ed25519PrivateKey(b"o" * 32),
    X25519PrivateKey(b"d" * 32),
)


class AtOnce(Executor):
    """Runs a commit where it is asked for, since time that jumps does not wait for threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class FailingStore(SQLiteStore):
    """Cannot commit while ``failing``; counts commits."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        super().__init__(path)
        self.failing = False
        self.commits = 0

    def commit(self) -> None:
        if self.failing and self.changed:
            raise RelayStoreError("The relay's database failed while committing: the disk is full.")
        super().commit()
        self.commits += 1


class HeldStore(SQLiteStore):
    """Commits when it is let."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.let = threading.Event()
        self.committing = threading.Event()
        self.commits = 0

    def commit(self) -> None:
        self.committing.set()
        self.let.wait()
        self.commits += 1
        super().commit()


@asynccontextmanager
async def a_relay(
    store: SQLiteStore | None = None, *, limits: Limits | None = None, committer: Executor | None = None
) -> AsyncIterator[Relay]:
    store = store or SQLiteStore(":memory:")
    server = RelayServer(
        store,
        an_identity(),
        entropy=SeededEntropy("relay"),
        clock=lambda: float(NOW),
        limits=limits,
        committer=committer or AtOnce(),
    )
    await server.start(listen=False)
    relay = Relay(server, store, float(NOW))
    try:
        yield relay
    finally:
        await relay.close()
        store.close()


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await check()

    run_jumping(within)


async def send(peer: Peer, queue: Created, body: bytes = BODY) -> BrokerMessage:
    return await peer.ask(Send(False, body), queue.snd_id)


async def ended(connection: BlockConnection) -> int:
    """Blocks that came before the relay ended the connection."""
    blocks = 0
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.receive()
            blocks += 1
    return blocks


# --- groups ----------------------------------------------------------------------------------------------------------


def test_nothing_is_answered_or_pushed_before_its_commit_and_what_comes_meanwhile_is_one_group() -> None:
    async def check() -> None:
        store = HeldStore()
        store.let.set()
        async with a_relay(store, committer=ThreadPoolExecutor(1)) as relay:
            recipient, sender = await relay.connect(), await relay.connect()
            queues = [await recipient.create() for _ in range(4)]
            store.let.clear()
            store.committing.clear()
            before = store.commits
            first, *others = [sender.transmission(Send(False, BODY), queue.snd_id) for queue in queues]
            await sender.send(first)
            await asyncio.to_thread(store.committing.wait)
            for one in others:
                await sender.send(one)
            await recipient.send(recipient.transmission(Sub(), queues[0].rcv_id, queues[0].key))
            for _ in range(100):
                await asyncio.sleep(0)
            waiting = (sender.connection.waiting, recipient.connection.waiting)  # type: ignore[attr-defined]
            store.let.set()
            answers = [await sender.receive() for _ in queues]
            assert waiting == (0, 0)
            assert [corr_id for corr_id, _, _ in answers] == [t.corr_id for t in (first, *others)]
            assert {message for _, _, message in answers} == {Ok()}
            assert store.commits == before + 2

    asyncio.run(check())


def test_a_single_command_does_not_wait_for_the_many_of_another_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The groups of this test are of one command, so that each is a commit, and the commits tell whose turn it was."""
    monkeypatch.setattr(worker, "GROUP_COMMANDS", 1)

    async def check() -> None:
        store = HeldStore()
        store.let.set()
        async with a_relay(store, committer=ThreadPoolExecutor(1)) as relay:
            busy, other = await relay.connect(), await relay.connect()
            queue, elsewhere = await busy.create(subscribe=False), await other.create(subscribe=False)
            store.let.clear()
            store.committing.clear()
            many = [busy.transmission(Send(False, BODY), queue.snd_id) for _ in range(10)]
            await busy.send(many[0])
            await asyncio.to_thread(store.committing.wait)
            for one in many[1:]:
                await busy.send(one)
            single = other.transmission(Send(False, BODY), elsewhere.snd_id)
            await other.send(single)
            for _ in range(100):
                await asyncio.sleep(0)
            commits: list[str] = []

            async def answers(who: str, peer: Peer, count: int) -> None:
                for _ in range(count):
                    await peer.receive()
                    commits.append(who)

            store.let.set()
            await asyncio.gather(answers("busy", busy, len(many)), answers("other", other, 1))
            assert commits.index("other") <= 2

    asyncio.run(check())


def test_the_upkeep_of_the_relay_costs_no_client_an_answer() -> None:
    async def check() -> None:
        store = HeldStore()
        async with a_relay(store, committer=ThreadPoolExecutor(1)) as relay:
            store.let.set()
            peer = await relay.connect()
            queue = await peer.create(subscribe=False)
            store.let.clear()
            store.committing.clear()
            await peer.send(peer.transmission(Send(False, BODY), queue.snd_id))
            await asyncio.to_thread(store.committing.wait)
            store.expire = _fails  # type: ignore[method-assign]
            relay.server._worker.expire()
            await peer.send(peer.transmission(Ping()))
            for _ in range(100):
                await asyncio.sleep(0)
            store.let.set()
            assert [(await peer.receive())[2] for _ in range(2)] == [Ok(), Pong()]

    asyncio.run(check())


def _fails(before: int, *, after: int = 0, limit: int = 0) -> tuple[int, int | None]:
    raise RelayStoreError("the disk is full")


def test_commands_of_one_connection_run_and_are_answered_in_order() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            peer = await relay.connect()
            queue = await peer.create(subscribe=False)
            bodies = [bytes([number]) for number in range(20)]
            sent = [peer.transmission(Send(False, body), queue.snd_id) for body in bodies]
            for one in sent:
                await peer.send(one)
            assert [(await peer.receive())[0] for _ in sent] == [one.corr_id for one in sent]
            assert await peer.ask(Sub(), queue.rcv_id, queue.key) == Sok()
            message = await peer.event(queue.rcv_id)
            for body in bodies:
                assert queue.open(message) == RcvMessage(NOW, False, body)
                assert isinstance(message, Msg)
                message = await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key)
            assert message == Ok()

    run(check)


def test_a_fault_of_ours_is_answered_and_harms_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with a_relay() as relay:
            peer, other = await relay.connect(), await relay.connect()
            queue = await peer.create()
            monkeypatch.setattr(relay.store, "by_sender", lambda snd_id: 1 / 0)
            assert await send(other, queue) == INTERNAL
            assert await other.is_quiet()
            assert await peer.is_quiet()

    run(check)
    assert "a command failed" in caplog.text


def test_closing_answers_what_has_arrived() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            peer = await relay.connect()
            queue = await peer.create()
            await peer.send(peer.transmission(Send(False, BODY), queue.snd_id))
            for _ in range(3):
                await asyncio.sleep(0)
            await relay.server.close()
            assert {type((await peer.receive())[2]) for _ in range(2)} == {Ok, Msg}
            assert await ended(peer.connection) == 0

    run(check)


# --- clients that misbehave ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hello",
    [b"", b"garbage", b"\x00\x12" + b"\xff" * 40, bytes(100)],
    ids=["empty", "garbage", "too long", "zeros"],
)
def test_a_hello_that_is_none_ends_the_connection(hello: bytes) -> None:
    async def check() -> None:
        async with a_relay() as relay:
            connection = await relay.connect_blocks()
            await connection.receive()
            await connection.send([pad_block(hello)])
            assert await ended(connection) == 0
            assert await (await relay.connect()).is_quiet()

    run(check)


def test_a_client_that_sends_no_hello_is_closed() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(handshake=5)) as relay:
            connection = await relay.connect_blocks()
            assert await ended(connection) == 1
            assert 5 <= asyncio.get_running_loop().time() < 10

    run(check)


def test_blocks_of_noise_are_answered_and_others_are_served() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            noisy, peer = await relay.connect(), await relay.connect()
            for number in range(40):
                noisy.session.seal_block(b"")
                await noisy.connection.send([bytes([number]) * BLOCK_SIZE])
                assert (await noisy.receive())[2] == err("BLOCK")
            assert await peer.is_quiet()
            assert await noisy.is_quiet()

    run(check)


def test_who_reads_nothing_is_closed_at_last_and_delays_nobody() -> None:
    async def check() -> None:
        limits = Limits(write=100, unsent_bytes=64 * 1024)
        async with a_relay(limits=limits) as relay:
            deaf, peer, sender = await relay.connect(), await relay.connect(), await relay.connect()
            queues = [await deaf.create() for _ in range(2 * MAX_UNSENT_PUSHES)]
            for queue in queues:
                assert await send(sender, queue) == Ok()
            asking = asyncio.create_task(_ask_for_ever(deaf))
            queue = await peer.create()
            for _ in range(50):
                assert await send(sender, queue) == Ok()
                message = await peer.event(queue.rcv_id)
                assert isinstance(message, Msg)
                assert await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key) == Ok()
            [held] = [one for one in relay.server._connections if len(one.client.subscribed) > 1]
            assert held.client.unsent <= MAX_UNSENT_PUSHES
            assert held._outgoing_bytes <= MAX_UNSENT_PUSHES * BLOCK_SIZE + 2 * limits.unsent_bytes
            assert asyncio.get_running_loop().time() < 100
            with pytest.raises(ConnectionClosed):
                await asking
            assert await peer.is_quiet()
            assert held not in relay.server._connections
            again = await relay.connect()
            for queue in queues:  # what was not delivered is still there
                message = await again.ask(Get(), queue.rcv_id, queue.key)
                assert queue.open(message) == RcvMessage(NOW, False, BODY)

    run(check)


async def _ask_for_ever(peer: Peer) -> None:
    while True:
        await peer.send(peer.transmission(b"PING"))


def test_a_flood_of_new_queues_is_refused_to_the_connection_that_sends_it() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(new_queues=30)) as relay:
            peer, other = await relay.connect(), await relay.connect()
            key = Ed25519PrivateKey(bytes(32))
            created = [await peer.create(key) for _ in range(30)]
            command = peer.transmission(b"NEW " + bytes(100), key=key)
            await peer.send(command)
            assert await peer.receive() == (command.corr_id, b"", QUOTA)
            assert await send(peer, created[0]) == Ok()
            assert isinstance(await peer.event(created[0].rcv_id), Msg)
            await other.create()
            await asyncio.sleep(60)
            for _ in range(30):
                await peer.create(key)

    run(check)


def test_who_listens_to_nothing_and_is_silent_is_closed() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(idle=1000)) as relay:
            idle, subscriber, active = [await relay.connect() for _ in range(3)]
            await idle.create(subscribe=False)
            queue = await subscriber.create()
            for _ in range(6):
                await asyncio.sleep(400)
                assert await active.is_quiet()
            assert await ended(idle.connection) == 0
            assert await send(active, queue) == Ok()
            assert isinstance(await subscriber.event(queue.rcv_id), Msg)

    run(check)


# --- a store that fails ----------------------------------------------------------------------------------------------


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


# --- the operating system --------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_the_limit_of_open_files_bounds_the_connections() -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 400), hard))
        assert descriptors_for(200) == 200
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(soft, 400)
        assert descriptors_for(500) == min(500, hard - 64)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == min(564, hard)
        assert descriptors_for(10**9) <= hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
