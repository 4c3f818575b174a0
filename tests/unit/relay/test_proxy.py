from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from smpchat.crypto.keys import X25519PrivateKey
from smpchat.protocol import commands
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_command, encode_broker
from smpchat.protocol.commands import BrokerMessage, Err, PFwd, PKey, PRes, Prxy, RRes
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.forwarding import ForwardedAnswer, open_at_relay, seal_for_proxy
from smpchat.protocol.session import ServerHandshake, SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS
from smpchat.relay.outgoing import Outgoing
from smpchat.relay.proxy import Proxy, ProxyLimits
from smpchat.relay.subscriptions import Client
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import BlockConnection, ConnectionClosed
from smpchat.transport.memory import MemoryConnection, memory_pair
from tests.unit.relay.support import NOW, an_identity

KEY = X25519PrivateKey(b"\x03" * 32).public()
LIMITS = ProxyLimits(per_client=2, sessions=2, connect=20, answer=15)
NO_SESSION = Err(ErrorCode.proxy("NO_SESSION"))


def failed(*words: str, text: bytes | None = None) -> Err:
    return Err(ErrorCode(("PROXY", "BROKER", *words), text))


class FarRelay:
    """Another relay, whose every answer the test gives. ``requests`` are the transmissions that arrived."""

    def __init__(self, connection: MemoryConnection, entropy: SeededEntropy) -> None:
        self.connection = connection
        self.requests: asyncio.Queue[Transmission] = asyncio.Queue()
        self.session: SMPSession | None = None
        identity = an_identity()
        self._handshake = ServerHandshake(identity.chain, identity.sign, connection.session_id, SMP_VERSIONS, entropy)
        self.task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        try:
            await self.connection.send([self._handshake.hello()])
            self.session = self._handshake.receive_hello(await self.connection.receive())
            while True:
                for data in decode_batch(self.session.open_block(await self.connection.receive())):
                    self.requests.put_nowait(decode_transmission(data, self.session.version, self.session.session_id))
        except ConnectionClosed:
            return

    @property
    def secret(self) -> bytes:
        assert self.session is not None
        assert self.session.own_session_key is not None and self.session.peer_session_key is not None
        return self.session.own_session_key.exchange(self.session.peer_session_key)

    async def say(self, corr_id: bytes, message: BrokerMessage | bytes) -> None:
        assert self.session is not None
        body = message if isinstance(message, bytes) else encode_broker(message, self.session.version)
        data = encode_transmission(Transmission(corr_id, b"", body), self.session.version, self.session.session_id)
        [content] = encode_batches([data], encrypted=False)
        await self.connection.send([self.session.seal_block(content)])

    async def answer(self, t: Transmission, sealed: bytes) -> bytes:
        """Answers a request as it should be; returns what was forwarded in it."""
        command = decode_command(t.body, 18)
        assert isinstance(command, commands.RFwd)
        forwarded = open_at_relay(self.secret, t.corr_id, command.body)
        answer = ForwardedAnswer(forwarded.corr_id, sealed)
        await self.say(t.corr_id, RRes(seal_for_proxy(self.secret, t.corr_id, answer)))
        return forwarded.sealed


class Stage:
    """A proxy with clients that are only names, and far relays by host name."""

    def __init__(self, limits: ProxyLimits) -> None:
        self.entropy = SeededEntropy("proxy")
        self.far: dict[str, list[FarRelay]] = {}
        self.reachable = asyncio.Event()
        self.reachable.set()
        self.answers: asyncio.Queue[Outgoing] = asyncio.Queue()
        self.proxy = Proxy(
            self._dial, entropy=self.entropy, clock=lambda: NOW, respond=self.answers.put_nowait, limits=limits
        )
        self._sessions = 0

    async def _dial(self, server: SMPServer, timeout: float) -> BlockConnection:  # noqa: ASYNC109
        await self.reachable.wait()
        self._sessions += 1
        ours, theirs = memory_pair(self._sessions.to_bytes(32, "big"), leaf=an_identity().certificate)
        self.far.setdefault(server.hosts[0], []).append(FarRelay(theirs, self.entropy))
        return ours

    def ask(self, client: Client, command: Prxy | PFwd, entity: bytes = b"", corr: bytes = b"c") -> ErrorCode | None:
        return self.proxy.request(client, Transmission(corr, entity, b""), command)

    def prxy(self, client: Client, host: str) -> None:
        assert self.ask(client, Prxy(SMPServer((host,), "", an_identity().fingerprint), None)) is None

    async def meet(self, client: Client, host: str = "far.test") -> tuple[bytes, FarRelay]:
        """The session's id, and the relay at its other end."""
        self.prxy(client, host)
        pkey = (await self.answers.get()).message
        assert isinstance(pkey, PKey), pkey
        return pkey.session_id, self.far[host][-1]

    def forward(self, client: Client, session_id: bytes, sealed: bytes = b"sealed") -> None:
        assert self.ask(client, PFwd(17, KEY, sealed), session_id, sealed) is None

    async def close(self) -> None:
        await self.proxy.close()
        for relay in (one for some in self.far.values() for one in some):
            await relay.task


def on(check: Callable[[Stage], Coroutine[Any, Any, None]], limits: ProxyLimits = LIMITS) -> None:
    async def within() -> None:
        stage = Stage(limits)
        await check(stage)
        await stage.close()

    run_jumping(within)


def a_client() -> Client:
    return Client(18, bytes(32), None)


def test_what_is_passed_on_and_back() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        assert far.session is not None and not far.session.encrypts
        stage.forward(client, session_id, b"for the relay")
        request = await far.requests.get()
        assert request.entity_id == request.auth == b""
        assert len(request.corr_id) == 24
        assert await far.answer(request, b"for the client") == b"for the relay"
        answer = await stage.answers.get()
        assert (answer.client, answer.corr_id, answer.entity_id) == (client, b"for the relay", session_id)
        assert answer.message == PRes(b"for the client")

    on(check)


def test_answers_come_in_any_order() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id, b"1")
        stage.forward(client, session_id, b"2")
        first, second = await far.requests.get(), await far.requests.get()
        await far.answer(second, b"second")
        await far.answer(first, b"first")
        assert [(await stage.answers.get()).message for _ in range(2)] == [PRes(b"second"), PRes(b"first")]

    on(check)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Err(ErrorCode.CRYPTO), Err(ErrorCode(("PROXY", "PROTOCOL", "CRYPTO")))),
        (Err(ErrorCode.cmd("SYNTAX")), Err(ErrorCode(("PROXY", "PROTOCOL", "CMD", "SYNTAX")))),
        (Err(ErrorCode(("STORE",), b"full")), Err(ErrorCode(("PROXY", "PROTOCOL", "STORE"), b"full"))),
        (commands.Pong(), failed("UNEXPECTED", text=b"PONG")),
        (RRes(bytes(100)), Err(ErrorCode.CRYPTO)),
        (b"WHAT is this", failed("RESPONSE", text=b"CMD SYNTAX")),
    ],
)
def test_what_the_relay_says_instead(said: BrokerMessage | bytes, told: Err) -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id)
        await far.say((await far.requests.get()).corr_id, said)
        assert (await stage.answers.get()).message == told
        stage.forward(client, session_id)
        await far.answer(await far.requests.get(), b"the session goes on")
        assert (await stage.answers.get()).message == PRes(b"the session goes on")

    on(check)


def test_an_answer_to_something_else() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id)
        request = await far.requests.get()
        wrong = ForwardedAnswer(b"another", b"sealed")
        await far.say(b"nobody asked", commands.Pong())
        await far.say(request.corr_id, RRes(seal_for_proxy(far.secret, request.corr_id, wrong)))
        assert (await stage.answers.get()).message == failed("UNEXPECTED", text=b"RRES")

    on(check)


def test_what_is_too_long_to_pass_on() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, _ = await stage.meet(client)
        command = PFwd(17, KEY, bytes(16379))
        assert stage.ask(client, command, session_id) is None
        assert (await stage.answers.get()).message == failed("TRANSPORT", "LARGE_MSG")

    on(check)


def test_a_silent_relay_is_given_up_and_a_slow_one_is_not() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id, b"slow")
        stage.forward(client, session_id, b"answered")
        slow, answered = await far.requests.get(), await far.requests.get()
        await far.answer(answered, b"alive")
        assert (await stage.answers.get()).message == PRes(b"alive")
        assert (await stage.answers.get()).message == failed("TIMEOUT")
        await far.answer(slow, b"late")  # for nobody
        stage.forward(client, session_id)
        assert (await stage.answers.get()).message == failed("TIMEOUT")
        assert stage.ask(client, PFwd(17, KEY, b""), session_id) == NO_SESSION.error
        again, _ = await stage.meet(client)
        assert again != session_id

    on(check)


def test_a_relay_that_goes_away() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        for name in (b"1", b"2", b"waits for its turn"):
            stage.forward(client, session_id, name)
        await far.requests.get()
        await far.connection.close()
        told = {(one := await stage.answers.get()).corr_id: one.message for _ in range(3)}
        assert told == {b"1": failed("NETWORK"), b"2": failed("NETWORK"), b"waits for its turn": NO_SESSION}
        assert stage.ask(client, PFwd(17, KEY, b""), session_id) == NO_SESSION.error
        await stage.meet(client)
        assert len(stage.far["far.test"]) == 2

    on(check)


def test_nonsense_ends_the_session() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id)
        await far.requests.get()
        await far.connection.send([bytes(16384)])
        assert (await stage.answers.get()).message == failed("NETWORK")
        assert stage.ask(client, PFwd(17, KEY, b""), session_id) == NO_SESSION.error

    on(check)


def test_one_client_has_so_many_under_way_and_others_go_on() -> None:
    async def check(stage: Stage) -> None:
        greedy, modest = a_client(), a_client()
        session_id, far = await stage.meet(greedy)
        for number in range(5):
            stage.forward(greedy, session_id, b"%d" % number)
        first, second = await far.requests.get(), await far.requests.get()
        stage.forward(modest, session_id, b"modest")
        assert await far.answer(await far.requests.get(), b"m") == b"modest"
        assert (await stage.answers.get()).client is modest
        assert far.requests.empty()
        await far.answer(second, b"2")
        await far.answer(first, b"1")
        for _ in range(3):
            await far.answer(await far.requests.get(), b"then")
        assert {(await stage.answers.get()).client for _ in range(5)} == {greedy}

    on(check)


def test_a_client_that_ended_is_forgotten() -> None:
    async def check(stage: Stage) -> None:
        gone, other = a_client(), a_client()
        session_id, far = await stage.meet(gone)
        for number in range(4):
            stage.forward(gone, session_id, b"%d" % number)
        sent = [await far.requests.get() for _ in range(2)]
        stage.proxy.drop(gone)
        stage.proxy.drop(gone)
        for request in sent:
            await far.answer(request, b"for nobody")
        stage.forward(other, session_id, b"other")
        assert await far.answer(await far.requests.get(), b"o") == b"other"
        assert (await stage.answers.get()).client is other
        assert stage.answers.empty()

    on(check)


def test_who_stops_waiting_does_not_end_the_attempt() -> None:
    async def check(stage: Stage) -> None:
        stage.reachable.clear()
        gone, stays = a_client(), a_client()
        stage.prxy(gone, "far.test")
        stage.prxy(stays, "far.test")
        await asyncio.sleep(1)
        stage.proxy.drop(gone)
        stage.reachable.set()
        answer = await stage.answers.get()
        assert answer.client is stays
        assert isinstance(answer.message, PKey)
        assert len(stage.far["far.test"]) == 1

    on(check)


def test_a_relay_that_never_says_hello() -> None:
    async def check(stage: Stage) -> None:
        ends: list[MemoryConnection] = []

        async def dial(_: SMPServer, __: float) -> BlockConnection:
            ours, theirs = memory_pair()
            ends.append(theirs)
            return ours

        proxy = Proxy(dial, entropy=stage.entropy, clock=lambda: NOW, respond=stage.answers.put_nowait, limits=LIMITS)
        request = Prxy(SMPServer(("mute.test",), "", an_identity().fingerprint), None)
        for _ in range(2):
            assert proxy.request(a_client(), Transmission(b"c", b"", b""), request) is None
            assert (await stage.answers.get()).message == failed("TIMEOUT")
        assert len(ends) == 2
        for end in ends:
            with pytest.raises(ConnectionClosed):
                await end.receive()
        await proxy.close()

    on(check)


def test_the_session_longest_unused_gives_way() -> None:
    async def check(stage: Stage) -> None:
        client = a_client()
        one, far_one = await stage.meet(client, "one.test")
        two, _ = await stage.meet(client, "two.test")
        stage.forward(client, one)
        await far_one.answer(await far_one.requests.get(), b"used")
        assert (await stage.answers.get()).message == PRes(b"used")
        await stage.meet(client, "three.test")
        assert stage.ask(client, PFwd(17, KEY, b""), two) == NO_SESSION.error
        stage.forward(client, one)
        await far_one.answer(await far_one.requests.get(), b"still there")
        assert (await stage.answers.get()).message == PRes(b"still there")

    on(check)


def test_sessions_in_use_do_not_give_way() -> None:
    async def check(stage: Stage) -> None:
        client, other = a_client(), a_client()
        for host in ("one.test", "two.test"):
            session_id, far = await stage.meet(client, host)
            stage.forward(client, session_id)
            await far.requests.get()
        stage.prxy(other, "three.test")
        assert (await stage.answers.get()).message == failed("NETWORK")
        assert "three.test" not in stage.far

    on(check)


def test_closing_with_everything_under_way() -> None:
    async def check(stage: Stage) -> None:
        client, other = a_client(), a_client()
        session_id, far = await stage.meet(client)
        stage.forward(client, session_id)
        await far.requests.get()
        stage.reachable.clear()
        stage.prxy(other, "unreached.test")
        await asyncio.sleep(1)
        await stage.proxy.close()
        await far.task
        assert stage.answers.empty()

    on(check)
