"""The relay as the destination of private routing (smp-wire 5.6). The test is the proxy and the client behind it."""

from __future__ import annotations

import pytest

from smpchat.crypto.box import seal
from smpchat.crypto.keys import AuthPrivateKey, Ed448PrivateKey, Ed25519PrivateKey, X25519PrivateKey, X25519PublicKey
from smpchat.protocol.block import encode_batches
from smpchat.protocol.commands import (
    BrokerMessage,
    Command,
    Err,
    Key,
    LGet,
    LKey,
    Lnk,
    LSet,
    Msg,
    NSub,
    Ok,
    Ping,
    RFwd,
    RRes,
    Send,
    SKey,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.forwarding import Forwarded, open_at_proxy, seal_for_relay
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.transmission import Transmission, encode_transmission
from smpchat.testing.entropy import SeededEntropy
from tests.contract.relay.stage import DH, OTHER_KEY, SOME_KEY, UNKNOWN_ID, Kind, Stage, ack, body, on
from tests.unit.relay.routing import Sender
from tests.unit.relay.support import (
    AUTH,
    BLOCK,
    HAS_AUTH,
    LARGE_MSG,
    NO_AUTH,
    NO_ENTITY,
    PROHIBITED,
    SYNTAX,
    UNKNOWN,
    WRONG_SIGNATURE,
    Peer,
    err,
)

PROXIES = [Kind(8), Kind(10), Kind(11), Kind(14), Kind(18)]
every_proxy = pytest.mark.parametrize("kind", PROXIES, ids=lambda kind: f"v{kind.version}")
every_sender = pytest.mark.parametrize("version", range(8, 18))
NO_SECRET = Err(ErrorCode.proxy("BROKER", "TRANSPORT", "NO_AUTH"))


class Proxy:
    """A proxy's connection, and one client that uses it."""

    def __init__(self, peer: Peer, version: int) -> None:
        self.peer = peer
        key = peer.session.peer_session_key
        own = peer.session.own_session_key
        assert key is not None
        assert own is not None
        self.secret = own.exchange(key)
        self.sender = Sender(version, peer.session.session_id, key, SeededEntropy(f"sender {version}"))

    async def pass_on(self, forwarded: Forwarded) -> BrokerMessage:
        return await self.rfwd(lambda corr: seal_for_relay(self.secret, corr, forwarded))

    async def rfwd(self, make: object) -> BrokerMessage:
        corr_id = self.peer.entropy.random(24)
        answer = await self.peer.ask(RFwd(make(corr_id)), corr_id=corr_id)  # type: ignore[operator]
        if isinstance(answer, RRes):
            self.answer = open_at_proxy(self.secret, corr_id, answer.body)
        return answer

    async def send(self, t: Transmission) -> BrokerMessage:
        """The answer that the client reads."""
        forwarded, secret = self.sender.seal(t)
        answer = await self.pass_on(forwarded)
        assert isinstance(answer, RRes), answer
        assert self.answer.corr_id == t.corr_id
        corr, entity, message = self.sender.open(secret, t.corr_id, self.answer.sealed)
        assert (corr, entity) in ((t.corr_id, t.entity_id), (b"", b""))
        return message

    async def ask(
        self, command: Command | bytes, entity_id: bytes = b"", key: AuthPrivateKey | None = None, *, auth: bytes = b""
    ) -> BrokerMessage:
        return await self.send(self.sender.transmission(command, entity_id, key, auth=auth))


async def a_proxy(stage: Stage, version: int = 17, *, with_key: bool = True, as_proxy: bool = True) -> Proxy:
    kind = stage.kind
    proxy = as_proxy and kind.version >= 14
    return Proxy(await stage.relay.connect(version=kind.version, with_key=with_key, proxy=proxy), version)


@every_proxy
def test_sending_to_a_queue(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect(version=18)
        proxy = await a_proxy(stage)
        queue = await recipient.create(mode=QueueMode.MESSAGING)
        assert await proxy.ask(Send(True, b"unsecured"), queue.snd_id) == Ok()
        message = await recipient.event(queue.rcv_id)
        assert body(queue, message) == b"unsecured"
        assert await recipient.ask(ack(message), queue.rcv_id, queue.key) == Ok()
        assert await proxy.ask(SKey(SOME_KEY.public()), queue.snd_id, auth=WRONG_SIGNATURE) == AUTH
        for _ in range(2):
            assert await proxy.ask(SKey(SOME_KEY.public()), queue.snd_id, SOME_KEY) == Ok()
        assert await proxy.ask(SKey(OTHER_KEY.public()), queue.snd_id, OTHER_KEY) == AUTH
        assert await proxy.ask(Send(True, b"unsigned"), queue.snd_id) == AUTH
        assert await proxy.ask(Send(True, b"signed"), queue.snd_id, SOME_KEY) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == b"signed"
        assert await proxy.peer.is_quiet()

    on(kind, check)


@every_proxy
def test_the_longest_body_with_every_kind_of_key(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect(version=18)
        proxy, entropy = await a_proxy(stage), SeededEntropy("kinds")
        keys: list[AuthPrivateKey] = [Ed25519PrivateKey.generate(entropy), Ed448PrivateKey.generate(entropy)]
        for key in [*keys, X25519PrivateKey.generate(entropy)]:
            queue = await recipient.create()
            assert await recipient.ask(Key(key.public()), queue.rcv_id, queue.key) == Ok()
            longest = bytes(range(236)) * 68
            if key is keys[0]:  # with Ed448 nothing longer fits
                assert await proxy.ask(Send(False, longest + b"x"), queue.snd_id, key) == LARGE_MSG
            assert await proxy.ask(Send(False, longest), queue.snd_id, key) == Ok()
            assert body(queue, await recipient.event(queue.rcv_id)) == longest
            assert await proxy.ask(Send(False, longest), queue.snd_id, auth=bytes(80)) == AUTH

    assert 236 * 68 == 16048
    on(kind, check)


@every_sender
def test_the_version_is_that_of_the_client_behind(version: int) -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect(version=18)
        proxy = await a_proxy(stage, version)
        queue = await recipient.create()
        longest = 16048 if version >= 11 else 16064
        assert await proxy.ask(Send(False, bytes(longest + 1)), queue.snd_id) == LARGE_MSG
        assert await proxy.ask(Send(False, bytes(longest)), queue.snd_id) == Ok()
        assert body(queue, await recipient.event(queue.rcv_id)) == bytes(longest)

    on(Kind(18), check)


@every_proxy
def test_links(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect(version=18)
        proxy, data = await a_proxy(stage), (bytes(2048), bytes(13824))
        invitation = await recipient.create(mode=QueueMode.MESSAGING, link=data)
        address = await recipient.create(mode=QueueMode.CONTACT, link=data, link_id=b"\x0c" * 24)
        link = invitation.ids.link_id
        assert link is not None
        assert await proxy.ask(LKey(SOME_KEY.public()), link, OTHER_KEY) == AUTH
        assert await proxy.ask(LKey(SOME_KEY.public()), link, SOME_KEY) == Lnk(invitation.snd_id, *data)
        assert await proxy.ask(LGet(), link) == AUTH
        assert await proxy.ask(LGet(), b"\x0c" * 24) == Lnk(address.snd_id, *data)
        assert await proxy.ask(LGet(), b"\x0c" * 24, auth=WRONG_SIGNATURE) == HAS_AUTH

    on(kind, check)


def test_what_senders_do_not_need_is_refused_inside() -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect()
        proxy = await a_proxy(stage)
        queue = await recipient.create()
        for command in (Sub(), Key(SOME_KEY.public()), NSub()):
            assert await proxy.ask(command, queue.rcv_id, queue.key) == PROHIBITED, command
            assert await proxy.ask(command, queue.rcv_id) == NO_AUTH, command
        assert await proxy.ask(Ping()) == PROHIBITED
        assert await proxy.ask(RFwd(b"x")) == PROHIBITED
        assert await proxy.ask(Send(False, b"x")) == NO_ENTITY
        assert await proxy.ask(b"HELLO", UNKNOWN_ID) == UNKNOWN
        assert await proxy.ask(b"SEND", UNKNOWN_ID) == SYNTAX
        assert await proxy.ask(Send(False, b"x"), UNKNOWN_ID) == AUTH
        assert await recipient.is_quiet()

    on(Kind(18), check)


def test_an_authorisation_for_another_session_or_by_another_key() -> None:
    async def check(stage: Stage) -> None:
        recipient, direct = await stage.relay.connect(), await stage.peer()
        proxy, other = await a_proxy(stage), await a_proxy(stage)
        queue = await recipient.create()
        assert await recipient.ask(Key(SOME_KEY.public()), queue.rcv_id, queue.key) == Ok()
        assert await proxy.send(other.sender.transmission(Send(False, b"x"), queue.snd_id, SOME_KEY)) == AUTH
        assert await proxy.send(direct.transmission(Send(False, b"x"), queue.snd_id, SOME_KEY)) == AUTH
        assert await proxy.send(proxy.sender.transmission(Send(False, b"x"), queue.snd_id, SOME_KEY)) == Ok()
        assert isinstance(await recipient.event(queue.rcv_id), Msg)

    on(Kind(18), check)


@every_proxy
def test_what_the_proxy_is_told(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        proxy = await a_proxy(stage)
        sender = proxy.sender
        t = sender.transmission(Send(False, b"x"), UNKNOWN_ID)
        forwarded, secret = sender.seal(t)
        corr, version, key, sealed = forwarded.corr_id, forwarded.version, forwarded.key, forwarded.sealed
        crypto = err("CRYPTO")
        assert await proxy.rfwd(lambda _: b"") == crypto
        assert await proxy.rfwd(lambda _: bytes(300)) == crypto
        assert await proxy.rfwd(lambda _: seal_for_relay(proxy.secret, bytes(24), forwarded)) == crypto
        assert await proxy.rfwd(lambda c: seal_for_relay(secret, c, forwarded)) == crypto
        assert await proxy.pass_on(Forwarded(corr, version, key, sealed[:-1])) == crypto
        assert await proxy.pass_on(Forwarded(corr, version, DH.public(), sealed)) == crypto
        assert await proxy.pass_on(Forwarded(corr, version, X25519PublicKey(bytes(32)), sealed)) == crypto
        for cut in (b"", b"\x05abc", corr):
            assert await proxy.rfwd(lambda c, cut=cut: seal(proxy.secret, c, cut)) == SYNTAX
        for unknown in (0, 7, 19, 65535):
            assert await proxy.pass_on(Forwarded(corr, unknown, key, sealed)) == SYNTAX

        data = encode_transmission(t, sender.version, sender.session_id)
        assert await proxy.pass_on(sender.seal_content(encode_batches([data, data])[0], corr)[0]) == BLOCK
        for content in (b"", b"\x00", b"\x01\x00\x05ab", encode_batches([b"\x05hello"])[0]):
            inside, secret = sender.seal_content(content, corr)
            assert isinstance(await proxy.pass_on(inside), RRes)
            assert sender.open(secret, corr, proxy.answer.sealed) == (b"", b"", BLOCK)
        assert await proxy.peer.ask(RFwd(b"x"), UNKNOWN_ID) == HAS_AUTH
        assert await proxy.peer.ask(RFwd(b"x"), auth=WRONG_SIGNATURE) == HAS_AUTH
        assert await proxy.peer.is_quiet()

    on(kind, check)


def test_an_answer_that_does_not_fit() -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect()
        proxy = await a_proxy(stage)
        queue = await recipient.create(mode=QueueMode.CONTACT)
        link = LSet(b"\x0c" * 24, bytes(2048), bytes(14089))
        assert await recipient.ask(link, queue.rcv_id, queue.key) == Ok()
        assert await proxy.ask(LGet(), link.link_id) == Lnk(queue.snd_id, link.fixed, link.user)
        link = LSet(link.link_id, link.fixed, link.user + b"x")
        assert await recipient.ask(link, queue.rcv_id, queue.key) == Ok()
        forwarded, _ = proxy.sender.seal(proxy.sender.transmission(LGet(), link.link_id))
        assert await proxy.pass_on(forwarded) == BLOCK
        assert await recipient.ask(LGet(), link.link_id) == Lnk(queue.snd_id, link.fixed, link.user)

    on(Kind(18), check)


@pytest.mark.parametrize("kind", [Kind(6), Kind(8, with_key=False), Kind(18, with_key=False)])
def test_a_session_without_keys_cannot_forward(kind: Kind) -> None:
    async def check(stage: Stage) -> None:
        peer = await stage.peer()
        assert await peer.ask(RFwd(bytes(100))) == NO_SECRET

    on(kind, check)


def test_any_connection_may_forward() -> None:
    async def check(stage: Stage) -> None:
        recipient = await stage.relay.connect()
        proxy = await a_proxy(stage, as_proxy=False)
        assert proxy.peer.session.encrypts
        queue = await recipient.create()
        assert await proxy.ask(Send(False, bytes(16048)), queue.snd_id) == Ok()

    on(Kind(18), check)
