"""Groups of commands: nothing is answered before its commit, and who waits has a turn.

Connections are in memory and time is fake; commits run at once, but for the tests that hold one up.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from smpchat.protocol.commands import (
    Ack,
    Msg,
    Ok,
    Ping,
    Pong,
    Send,
    Sok,
    Sub,
)
from smpchat.protocol.messages import RcvMessage
from smpchat.relay import worker
from smpchat.relay.errors import RelayStoreError
from tests.unit.relay.serving import BODY, INTERNAL, HeldStore, a_relay, ended, run, send
from tests.unit.relay.support import NOW, Peer


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


def _fails(before: int, *, now: int | None = None, after: int = 0, limit: int = 0) -> tuple[int, int | None]:
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
