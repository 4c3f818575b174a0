"""The relay as a proxy between a client and another relay: PRXY and PFWD (smp-wire 5.6 and 8.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import (
    BrokerMessage,
    Command,
    Err,
    Key,
    LGet,
    Lnk,
    Ok,
    PFwd,
    PKey,
    PRes,
    Prxy,
    Send,
    SKey,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.session import open_signed_key
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.relay.destinations import DestinationRefused, Destinations
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.transport import tls
from smpchat.transport.base import BlockConnection, ConnectFailed
from tests.contract.relay.stage import DH, SOME_KEY, UNKNOWN_ID, Kind, body
from tests.unit.relay.routing import Sender
from tests.unit.relay.support import (
    AUTH,
    HAS_AUTH,
    NO_ENTITY,
    NOW,
    PROHIBITED,
    WRONG_SIGNATURE,
    Peer,
    Relay,
    a_relay,
    an_identity,
    shake_hands,
)

FAR = SMPServer(("far.test",), "", an_identity().fingerprint)
CLIENTS = [Kind(8), Kind(9), Kind(11), Kind(11, with_key=False), Kind(14), Kind(18), Kind(18, with_key=False)]
every_client = pytest.mark.parametrize(
    "kind", CLIENTS, ids=[f"v{kind.version}{'' if kind.with_key else '-no-key'}" for kind in CLIENTS]
)


def proxy_error(*words: str) -> Err:
    return Err(ErrorCode.proxy(*words))


BASIC_AUTH, NO_SESSION = proxy_error("BASIC_AUTH"), proxy_error("NO_SESSION")


class Stage:
    """A near relay that forwards to a far one."""

    def __init__(self, near: Relay, far: Relay, kind: Kind, dialled: list[SMPServer]) -> None:
        self.near = near
        self.far = far
        self.kind = kind
        self.dialled = dialled

    async def peer(self) -> Peer:
        return await self.near.connect(version=self.kind.version, with_key=self.kind.with_key)


def between(
    kind: Kind, check: Callable[[Stage], Awaitable[None]], *, far_versions: VersionRange = SMP_VERSIONS, **options: Any
) -> None:
    async def within() -> None:
        dialled: list[SMPServer] = []

        async def dial(server: SMPServer, destinations: Destinations, timeout: float) -> BlockConnection:  # noqa: ASYNC109
            dialled.append(server)
            match server.hosts:
                case ("far.test",):
                    return await far.connect_blocks()
                case ("private.test",):
                    raise DestinationRefused("private")
            raise ConnectFailed("cannot reach it")

        async with asyncio.timeout(60), a_relay(versions=far_versions) as far, a_relay(dial=dial, **options) as near:
            await check(Stage(near, far, kind, dialled))

    asyncio.run(within())


async def meet(peer: Peer, version: int = 17, server: SMPServer = FAR) -> Sender:
    """PRXY, and what the client then knows of the far relay."""
    pkey = await peer.ask(Prxy(server, None))
    assert isinstance(pkey, PKey), pkey
    assert pkey.chain == an_identity().chain
    key = open_signed_key(pkey.signed_key, an_identity().key.public())
    assert pkey.versions.contains(version)
    return Sender(version, pkey.session_id, key, SeededEntropy(f"through {peer.entropy.random(8).hex()}"))


async def through(
    peer: Peer,
    sender: Sender,
    command: Command | bytes,
    entity_id: bytes = b"",
    key: AuthPrivateKey | None = None,
    *,
    auth: bytes = b"",
) -> BrokerMessage:
    """What the far relay answers, or the near one's error."""
    t = sender.transmission(command, entity_id, key, auth=auth)
    forwarded, secret = sender.seal(t)
    answer = await peer.ask(
        PFwd(forwarded.version, forwarded.key, forwarded.sealed), sender.session_id, corr_id=t.corr_id
    )
    if not isinstance(answer, PRes):
        return answer
    corr, entity, message = sender.open(secret, t.corr_id, answer.body)
    assert (corr, entity) == (t.corr_id, entity_id)
    return message


@every_client
def test_sending_through_a_proxy(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, peer = await stage.far.connect(), await stage.peer()
        queue = await recipient.create(mode=QueueMode.MESSAGING)
        sender = await meet(peer)
        assert await through(peer, sender, SKey(SOME_KEY.public()), queue.snd_id, auth=WRONG_SIGNATURE) == AUTH
        assert await through(peer, sender, SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == Ok()
        assert await through(peer, sender, Send(True, b"unsigned"), queue.snd_id) == AUTH
        assert await through(peer, sender, Send(True, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"signed"
        assert await through(peer, sender, Sub(), queue.rcv_id, queue.key) == PROHIBITED
        assert await peer.is_quiet()

    between(kind, check)


@every_client
def test_the_longest_body_fits_with_every_kind_of_key(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, peer, entropy = await stage.far.connect(), await stage.peer(), SeededEntropy("kinds")
        sender = await meet(peer)
        keys: list[AuthPrivateKey] = [Ed25519PrivateKey.generate(entropy), Ed448PrivateKey.generate(entropy)]
        for key in [*keys, X25519PrivateKey.generate(entropy)]:
            queue = await recipient.create()
            assert await recipient.ask(Key(key.public()), queue.rcv_id, queue.key) == Ok()
            longest = entropy.random(16048)
            assert await through(peer, sender, Send(False, longest), queue.snd_id, key) == Ok()
            assert body(queue, await recipient.event(queue.rcv_id)) == longest

    between(kind, check)


@pytest.mark.parametrize(
    ("far", "told"),
    [
        (VersionRange(6, 18), VersionRange(8, 17)),
        (VersionRange(6, 13), VersionRange(8, 10)),
        (VersionRange(6, 8), VersionRange(8, 8)),
        (VersionRange(14, 14), VersionRange(14, 14)),
    ],
    ids=str,
)
def test_far_relays_of_all_ages(far: VersionRange, told: VersionRange) -> None:
    async def check(stage: Stage) -> None:
        recipient, peer = await stage.far.connect(version=far.maximum), await stage.peer()
        pkey = await peer.ask(Prxy(FAR, None))
        assert isinstance(pkey, PKey)
        assert pkey.versions == told
        queue = await recipient.create()
        for version in range(told.minimum, told.maximum + 1):
            sender = await meet(peer, version)
            assert await through(peer, sender, Send(False, b"%d" % version), queue.snd_id) == Ok()
        too_new = Sender(told.maximum + 1, sender.session_id, sender.relay_key, sender.entropy)
        wrong_version = proxy_error("BROKER", "TRANSPORT", "VERSION")
        assert await through(peer, too_new, Send(False, b"x"), queue.snd_id) == wrong_version
        assert len(stage.dialled) == 1

    between(Kind(18), check, far_versions=far)


@every_client
def test_links_through_a_proxy(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient, peer = await stage.far.connect(), await stage.peer()
        data = (bytes(2048), bytes(13824))
        queue = await recipient.create(mode=QueueMode.CONTACT, link=data, link_id=b"\x0c" * 24)
        assert await through(peer, await meet(peer), LGet(), b"\x0c" * 24) == Lnk(queue.snd_id, *data)

    between(kind, check)


def test_all_clients_share_one_session() -> None:
    async def check(stage: Stage) -> None:
        one, two = await stage.peer(), await stage.peer()
        first = await meet(one)
        second = await meet(two)
        assert first.session_id == second.session_id
        await one.connection.close()
        assert await through(two, second, Send(False, b"x"), UNKNOWN_ID) == AUTH
        again = await meet(two, server=SMPServer(("far.test",), "5223", FAR.key_hash))
        assert again.session_id == first.session_id
        assert len(stage.dialled) == 1

    between(Kind(18), check)


@every_client
def test_credentials_and_sessions_that_are_wrong(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        request, forward = Prxy(FAR, None), PFwd(17, DH.public(), b"x")
        for prxy in (request, Prxy(FAR, b"any")):
            assert await peer.ask(prxy, UNKNOWN_ID) == HAS_AUTH
            assert await peer.ask(prxy, auth=WRONG_SIGNATURE) == HAS_AUTH
            assert isinstance(await peer.ask(prxy), PKey)
        assert await peer.ask(forward) == NO_ENTITY
        assert await peer.ask(forward, UNKNOWN_ID, auth=WRONG_SIGNATURE) == HAS_AUTH
        assert await peer.ask(forward, UNKNOWN_ID) == NO_SESSION
        assert await peer.is_quiet()

    between(kind, check)


@every_client
def test_a_password(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        for wrong in (None, b"", b"secre", b"secrets"):
            assert await peer.ask(Prxy(FAR, wrong)) == BASIC_AUTH
        assert stage.dialled == []
        assert isinstance(await peer.ask(Prxy(FAR, b"secret")), PKey)

    between(kind, check, password="secret")


@every_client
def test_a_relay_that_does_not_forward(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(Prxy(FAR, None)) == BASIC_AUTH
        assert await peer.ask(PFwd(17, DH.public(), b"x"), UNKNOWN_ID) == NO_SESSION
        assert stage.dialled == []

    between(kind, check, destinations=Destinations.NONE)


def test_relays_that_cannot_be_used() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()

        async def asked(host: str, key_hash: bytes = FAR.key_hash) -> BrokerMessage:
            return await peer.ask(Prxy(SMPServer((host,), "", key_hash), None))

        for _ in range(2):
            assert await asked("private.test") == proxy_error("BROKER", "HOST")
            assert await asked("down.test") == proxy_error("BROKER", "NETWORK")
            assert await asked("far.test", bytes(32)) == proxy_error("BROKER", "TRANSPORT", "HANDSHAKE", "IDENTITY")
        assert len(stage.dialled) == 6
        assert await peer.ask(b"PRXY \x00", corr_id=b"c") == Err(ErrorCode.cmd("SYNTAX"))
        assert isinstance(await asked("far.test"), PKey)

    between(Kind(18), check)


def test_a_certificate_that_is_not_valid_yet() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(Prxy(FAR, None)) == proxy_error("BROKER", "TRANSPORT", "HANDSHAKE", "IDENTITY")

    between(Kind(18), check, now=NOW - 400 * 86_400)


@pytest.mark.parametrize("far", [VersionRange(6, 7), VersionRange(11, 13)], ids=str)
def test_a_relay_of_no_version_that_can_be_proxied(far: VersionRange) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(Prxy(FAR, None)) == proxy_error("BROKER", "TRANSPORT", "VERSION")

    between(Kind(18), check, far_versions=far)


def test_what_the_far_relay_refuses_to_the_proxy() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        sender = await meet(peer)
        for sealed in (b"", bytes(16242)):
            answer = await peer.ask(PFwd(17, DH.public(), sealed), sender.session_id)
            assert answer == proxy_error("PROTOCOL", "CRYPTO")

    between(Kind(18), check)


def test_a_session_that_ended() -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        sender = await meet(peer)
        await stage.far.close()
        while await through(peer, sender, Send(False, b"x"), UNKNOWN_ID) != NO_SESSION:
            pass

    between(Kind(18), check)


def test_many_at_once_and_the_relay_goes_on_meanwhile() -> None:
    async def check(stage: Stage) -> None:
        recipient, peer = await stage.far.connect(), await stage.peer()
        sender = await meet(peer)
        queue = await recipient.create(subscribe=False)
        expected = {}
        for number in range(100):
            t = sender.transmission(Send(False, b"%d" % number), queue.snd_id)
            forwarded, secret = sender.seal(t)
            expected[t.corr_id] = secret
            command = PFwd(forwarded.version, forwarded.key, forwarded.sealed)
            await peer.send(peer.transmission(command, sender.session_id, corr_id=t.corr_id))
        while expected:
            corr, entity, answer = await peer.receive()
            assert entity == sender.session_id
            assert isinstance(answer, PRes)
            assert sender.open(expected.pop(corr), corr, answer.body) == (corr, queue.snd_id, Ok())

    between(Kind(18), check)


@pytest.mark.parametrize("kind", [Kind(8), Kind(14), Kind(18)])
def test_over_tls(kind: Kind) -> None:
    """Both relays are real servers on loopback: their session ids must leave room for the longest body in PFWD."""

    async def within() -> None:
        stores = [SQLiteStore(":memory:"), SQLiteStore(":memory:")]
        near, far = (
            RelayServer(store, an_identity(), entropy=SeededEntropy(f"tls {number}"), clock=lambda: NOW)
            for number, store in enumerate(stores)
        )
        for server in (near, far):
            await server.start("127.0.0.1", 0)
        try:

            async def connect(server: RelayServer, version: int) -> Peer:
                blocks = await tls.connect(["127.0.0.1"], server.port, timeout=10)
                return await shake_hands(blocks, version=version, seed=f"of {server.port}")

            recipient, peer = await connect(far, 18), await connect(near, kind.version)
            sender = await meet(peer, server=SMPServer(("127.0.0.1",), str(far.port), an_identity().fingerprint))
            queue = await recipient.create(mode=QueueMode.MESSAGING)
            key = Ed448PrivateKey.generate(SeededEntropy("key"))
            assert await through(peer, sender, SKey(key.public()), queue.snd_id, key) == Ok()
            assert await through(peer, sender, Send(False, bytes(16048)), queue.snd_id, key) == Ok()
            assert body(queue, await recipient.event(queue.rcv_id)) == bytes(16048)
            for one in (recipient, peer):
                await one.connection.close()
        finally:
            for server in (near, far):
                await server.close()
            for store in stores:
                store.close()

    asyncio.run(within())
