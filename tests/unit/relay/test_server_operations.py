"""What the server counts, when it warns, and that it gives room back while it serves."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smpchat.protocol.commands import Ack, Del, Msg, Ok, Ping, Pong, Send
from smpchat.relay.limits import CERTIFICATE_WARNING, QUOTA, Limits
from smpchat.relay.server import RelayServer
from smpchat.relay.statistics import Statistics
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from tests.unit.relay.serving import BODY, FailingStore, a_relay, send
from tests.unit.relay.support import AUTH, NOW, WRONG_SIGNATURE, Peer, an_identity, err

NOTHING = Statistics(
    uptime_seconds=0,
    connections=0,
    subscriptions=0,
    queues=0,
    messages=0,
    database_bytes=0,
    database_free_bytes=0,
    database_limit_bytes=10 * 1024**3,
    full=0,
    certificate_seconds=int((an_identity().expires - datetime.fromtimestamp(NOW, UTC)).total_seconds()),
    accepted=0,
    turned_away=0,
    tls_failed=0,
    handshakes_failed=0,
    queues_created=0,
    queues_deleted=0,
    sends=0,
    deliveries=0,
    acks=0,
    expired=0,
    refused={},
    commits_failed=0,
    commands=0,
    group_sizes=dict.fromkeys((0, 1, 3, 7, 15, 31, 63, 127, 255, 511), 0),
)


def test_every_event_is_counted_once() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            assert await relay.server.statistics() == NOTHING
            peer, other = await relay.connect(), await relay.connect()
            queue, gone = await peer.create(), await peer.create()
            assert await send(other, queue) == Ok()
            message = await peer.event(queue.rcv_id)
            assert isinstance(message, Msg)
            assert await send(other, queue) == Ok()
            assert isinstance(await peer.ask(Ack(message.msg_id), queue.rcv_id, queue.key), Msg)
            assert await peer.ask(Del(), gone.rcv_id, gone.key) == Ok()
            assert await other.ask(Send(False, BODY), queue.snd_id, auth=WRONG_SIGNATURE) == AUTH
            assert await other.ask(b"WHAT") == err("CMD", "UNKNOWN")
            assert await peer.ask(Ping()) == Pong()
            assert await relay.server.statistics() == replace(
                NOTHING,
                connections=2,
                subscriptions=1,
                queues=1,
                messages=1,
                accepted=2,
                queues_created=2,
                queues_deleted=1,
                sends=2,
                deliveries=2,
                acks=1,
                refused={"AUTH": 1, "CMD": 1},
                commands=6,
                group_sizes={**NOTHING.group_sizes, 1: 6},
            )

    asyncio.run(check())


def test_what_could_not_be_stored_is_not_counted_as_done() -> None:
    async def check() -> None:
        store = FailingStore()
        async with a_relay(store) as relay:
            peer = await relay.connect()
            queue = await peer.create(subscribe=False)
            store.failing = True
            assert await send(peer, queue) == err("INTERNAL")
            statistics = await relay.server.statistics()
            assert (statistics.sends, statistics.messages, statistics.commits_failed) == (0, 0, 1)
            assert statistics.refused == {"INTERNAL": 1}

    asyncio.run(check())


def test_a_quota_marker_is_no_message_sent() -> None:
    async def check() -> None:
        async with a_relay(limits=Limits(quota=1)) as relay:
            peer = await relay.connect()
            queue = await peer.create(subscribe=False)
            assert [await send(peer, queue) for _ in range(3)] == [Ok(), err("QUOTA"), err("QUOTA")]
            statistics = await relay.server.statistics()
            assert (statistics.sends, statistics.messages, statistics.refused) == (1, 2, {"QUOTA": 2})

    asyncio.run(check())


def test_a_hello_that_fails_is_counted() -> None:
    async def check() -> None:
        async with a_relay() as relay:
            blocks = await relay.connect_blocks()
            await blocks.receive()
            await blocks.close()
            peer = await relay.connect()
            await peer.create(subscribe=False)  # once it is answered, the relay has counted the hello before it
            statistics = await relay.server.statistics()
            assert (statistics.accepted, statistics.handshakes_failed) == (1, 1)

    asyncio.run(check())


# --- the certificate -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("days_left", "warned"), [(29, True), (31, False)])
def test_a_certificate_that_runs_out_is_told(days_left: int, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    assert CERTIFICATE_WARNING.days == 30
    now = an_identity().expires.timestamp() - days_left * 86_400

    async def check() -> None:
        store = SQLiteStore(":memory:")
        server = RelayServer(store, an_identity(), entropy=SeededEntropy("relay"), clock=lambda: now)
        await server.start(listen=False)
        await server.close()
        store.close()

    asyncio.run(check())
    assert (f"expires in {days_left} days" in caplog.text) is warned


# --- room ------------------------------------------------------------------------------------------------------------


def test_room_is_given_back_while_clients_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpchat.relay.worker.KEPT_PAGES", 8)
    monkeypatch.setattr("smpchat.relay.worker.GIVE_BACK_PAGES", 4)
    monkeypatch.setattr("smpchat.relay.worker._GIVE_BACK_PAUSE", 0.001)
    path = tmp_path / "relay.db"

    async def fill_and_empty(peer: Peer) -> None:
        queue = await peer.create(subscribe=False)
        for _ in range(QUOTA):
            assert await peer.ask(Send(False, b"\x01" * 16_000), queue.snd_id) == Ok()
        assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()

    async def check() -> None:
        async with a_relay(SQLiteStore(path), limits=Limits(expire_every=0.01)) as relay:
            peer = await relay.connect()
            await fill_and_empty(peer)
            async with asyncio.timeout(60):
                while (await relay.server.statistics()).database_free_bytes > 8 * 16_384:
                    assert await peer.ask(Ping()) == Pong()
        assert path.stat().st_size < 30 * 16_384

    asyncio.run(check())


def test_a_full_disk_does_not_make_it_try_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smpchat.relay.worker.KEPT_PAGES", 0)
    monkeypatch.setattr("smpchat.relay.worker.GIVE_BACK_PAGES", 1)
    monkeypatch.setattr("smpchat.relay.worker._GIVE_BACK_PAUSE", 0.0)
    store = FailingStore(tmp_path / "relay.db")

    async def check() -> None:
        async with a_relay(store) as relay:
            peer = await relay.connect()
            queue = await peer.create(subscribe=False)
            for _ in range(20):
                assert await peer.ask(Send(False, b"\x01" * 16_000), queue.snd_id) == Ok()
            assert await peer.ask(Del(), queue.rcv_id, queue.key) == Ok()
            store.failing = True
            relay.server._worker.expire()
            for _ in range(50):
                assert await peer.ask(Ping()) == Pong()
            assert (await relay.server.statistics()).commits_failed == 1

    asyncio.run(check())
