"""The hello exchange, and the order of answers and pushes (smp-wire 3, 7.3 and 8.1)."""

from __future__ import annotations

import asyncio

import pytest

from smpchat.crypto.keys import X25519PublicKey
from smpchat.protocol.block import pad_block, unpad_block
from smpchat.protocol.commands import End, Ids, Ok, Ping, Pong, Send, SKey, Sok, Sub
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.session import ClientHello
from smpchat.protocol.transmission import Transmission
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import ConnectionClosed
from tests.contract.relay.stage import DH, SOME_KEY, Kind, Stage, ack, body, on
from tests.unit.relay.support import NOW, Peer, an_identity, shake_hands, short

# --- order -----------------------------------------------------------------------------------------------------------


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


# --- the hello exchange ----------------------------------------------------------------------------------------------


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


# --- version 6 by hand -----------------------------------------------------------------------------------------------


def test_version_6_byte_by_byte() -> None:
    """The session id in every transmission, no keys in the hello, and NEW with its password behind an ``A``."""

    async def check(stage: Stage) -> None:
        blocks = await stage.relay.connect_blocks()
        await blocks.receive()
        await blocks.send([pad_block(b"\x00\x06" + short(an_identity().fingerprint))])
        session = short(blocks.session_id)

        arrived: list[bytes] = []

        async def received() -> bytes:
            content = unpad_block(await blocks.receive()) if not arrived else b""
            offset = 1
            while offset < len(content):
                size = int.from_bytes(content[offset : offset + 2], "big")
                arrived.append(content[offset + 2 : offset + 2 + size])
                offset += 2 + size
            return arrived.pop(0)

        async def exchange(auth: bytes, corr: bytes, entity: bytes, command: bytes) -> bytes:
            t = short(auth) + session + short(corr) + short(entity) + command
            await blocks.send([pad_block(b"\x01" + len(t).to_bytes(2, "big") + t)])
            answer = await received()
            assert answer.startswith(b"\x00" + session + short(corr))
            return answer[1 + len(session + short(corr)) :]

        def signed(corr: bytes, entity: bytes, command: bytes) -> bytes:
            return SOME_KEY.sign(session + short(corr) + short(entity) + command)

        new = b"NEW \x2c" + SOME_KEY.public().der + b"\x2c" + DH.public().der
        for wrong in (b"S", b"A\x05wrongS"):
            assert await exchange(signed(b"1", b"", new + wrong), b"1", b"", new + wrong) == b"\x00ERR AUTH"
        new += b"A\x06secretS"
        assert await exchange(signed(b"other", b"", new), b"2", b"", new) == b"\x00ERR AUTH"
        ids = await exchange(signed(b"2", b"", new), b"2", b"", new)
        assert ids.startswith(b"\x00IDS \x18")
        rcv_id, snd_id, key = ids[6:30], ids[31:55], ids[55:]
        assert (len(key), key[:13]) == (45, b"\x2c" + X25519PublicKey.DER_PREFIX)
        assert await exchange(b"", b"3", snd_id, b"SEND F hello") == short(snd_id) + b"OK"
        pushed = await received()
        assert pushed.startswith(b"\x00" + session + b"\x00" + short(rcv_id) + b"MSG \x18")
        assert await exchange(signed(b"4", rcv_id, b"SUB"), b"4", rcv_id, b"SUB") == short(rcv_id) + b"OK"
        assert await received() == pushed
        assert await exchange(b"", b"5", b"", b"PING") == b"\x00PONG"

    on(Kind(6), check, password="secret")
