"""Sessions through a proxy that the test plays, with the destination behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from smpchat.client.connect import open_session
from smpchat.client.errors import ResponseTimeout, SessionClosed
from smpchat.client.pool import SessionPool
from smpchat.client.private_routing import PrivateRoutingFailed
from smpchat.client.request import Request
from smpchat.client.routed_session import FORWARD_TIMEOUT, PrivateRouter, RoutedSession, open_routed
from smpchat.client.session import DirectSession, ServerSession
from smpchat.crypto.keys import X25519PrivateKey
from smpchat.encoding.reader import EncodeError
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.block import decode_batch, encode_batches
from smpchat.protocol.command_codec import decode_command, encode_broker
from smpchat.protocol.commands import BrokerMessage, Command, Err, Ok, PFwd, PKey, Pong, PRes, Prxy, Send, Sub
from smpchat.protocol.errors import ErrorCode, IdentityError, SMPError
from smpchat.protocol.forwarding import open_forwarded, seal_answer
from smpchat.protocol.session import encode_signed_key
from smpchat.protocol.transmission import Transmission, decode_transmission, encode_transmission
from smpchat.protocol.version import SMP_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import ConnectFailed
from smpchat.transport.memory import memory_pair
from tests.unit.client.support import ScriptedRelay, settle
from tests.unit.transport.support import NOW, an_identity

MINE = SMPServer(("mine.example",), "", an_identity().fingerprint)
THEIRS = SMPServer(("theirs.example",), "5223", an_identity("theirs").fingerprint)
QUEUE, OTHER = b"q" * 24, b"o" * 24
NO_SESSION = Err(ErrorCode.proxy("NO_SESSION"))


class Proxy:
    """The user's own relay as a proxy, with the stranger's relay behind it.

    Attributes:
        asked: Every PRXY, in order.
        arrived: What reached the stranger's relay: session id, queue and command.
    """

    def __init__(self) -> None:
        self.asked: list[Prxy] = []
        self.arrived: list[tuple[bytes, bytes, Command]] = []
        self.refuse_prxy: Err | None = None
        self.chain_of = "theirs"
        self._changed = asyncio.Event()
        self._held: list[tuple[Transmission, PFwd, Transmission]] = []
        self._key = X25519PrivateKey(b"\x09" * 32)

    async def connect(self, versions: VersionRange = SMP_VERSIONS) -> DirectSession:
        ours, theirs = memory_pair(leaf=an_identity().certificate)
        session, relay = await asyncio.gather(
            open_session(ours, MINE, entropy=SeededEntropy("client"), on_event=lambda *_: None, now=lambda: NOW),
            ScriptedRelay.accept(theirs, versions),
        )
        self.relay = relay
        self._reading = asyncio.create_task(self._read())
        return session

    @property
    def session_id(self) -> bytes:
        """Of the proxy's latest session with the relay."""
        return bytes([len(self.asked)]) * 32

    async def _read(self) -> None:
        while True:
            received = await self.relay.next()
            command = self.relay.command(received)
            match command:
                case Prxy():
                    self.asked.append(command)
                    await self.relay.answer(received, self.refuse_prxy or self._pkey())
                case PFwd():
                    content = open_forwarded(self._key.exchange(command.key), received.corr_id, command.body)
                    [data] = decode_batch(content)
                    inner = decode_transmission(data, command.version, received.entity_id)
                    self._held.append((received, command, inner))
                    self.arrived.append((received.entity_id, inner.entity_id, decode_command(inner.body, 17)))
                case other:
                    await self.relay.answer(received, Pong())
                    assert other is not None
            self._changed.set()

    def _pkey(self) -> PKey:
        identity = an_identity(self.chain_of)
        signed = encode_signed_key(self._key.public(), identity.sign)
        return PKey(self.session_id, VersionRange(8, 17), tuple(identity.chain), signed)

    async def until_held(self, count: int) -> None:
        while len(self._held) < count:
            self._changed.clear()
            await self._changed.wait()

    @property
    def held(self) -> int:
        """Commands without an answer yet."""
        return len(self._held)

    async def answer(self, message: BrokerMessage, index: int = 0) -> None:
        """The relay's answer to a command that it holds."""
        received, command, inner = self._held.pop(index)
        body = encode_broker(message, command.version)
        transmission = Transmission(inner.corr_id, inner.entity_id, body)
        [content] = encode_batches([encode_transmission(transmission, command.version, received.entity_id)])
        secret = self._key.exchange(command.key)
        await self.relay.answer(received, PRes(seal_answer(secret, received.corr_id, content)))

    async def refuse(self, error: BrokerMessage) -> None:
        """The proxy's own answer to a command that it holds."""
        received, _, _ = self._held.pop(0)
        await self.relay.answer(received, error)

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self.relay.connection.close()


Check = Callable[[Proxy, RoutedSession, DirectSession], Awaitable[None]]


def run(check: Check) -> None:
    async def within() -> None:
        proxy = Proxy()
        own = await proxy.connect()
        session = await open_routed(THEIRS, own, password=None, entropy=SeededEntropy("routed"), now=lambda: NOW)
        await check(proxy, session, own)
        await session.close()
        await own.close()
        await proxy.close()

    run_jumping(within)


def send(text: bytes, queue: bytes = QUEUE) -> Request:
    return Request(Send(True, text), queue)


def test_a_command_is_passed_on_and_its_answer_comes_back() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        assert (session.version, session.keyed_new, session.server) == (17, False, THEIRS)
        assert proxy.asked == [Prxy(THEIRS, None)]
        [answer] = session.post([send(b"hello")])
        await proxy.until_held(1)
        assert proxy.arrived == [(proxy.session_id, QUEUE, Send(True, b"hello"))]
        await proxy.answer(Ok())
        assert await answer == Ok()
        assert session.close_reason is None

    run(check)


def test_the_relays_error_is_an_error_and_the_session_goes_on() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        for code in (ErrorCode.AUTH, ErrorCode.QUOTA):
            [answer] = session.post([send(b"hello")])
            await proxy.until_held(1)
            await proxy.answer(Err(code))
            with pytest.raises(SMPError) as refused:
                await answer
            assert refused.value.code == code
        assert not session.closed.is_set()

    run(check)


def test_commands_of_one_queue_wait_for_each_other_and_those_of_others_do_not() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        answers = session.post([send(b"1"), send(b"2"), send(b"a", OTHER), send(b"3")])
        await proxy.until_held(2)
        await settle()
        assert [command for _, _, command in proxy.arrived] == [Send(True, b"1"), Send(True, b"a")]
        await proxy.answer(Ok(), 1)  # out of order, as proxies do
        assert await answers[2] == Ok()
        for number in (b"2", b"3"):
            await proxy.answer(Ok())
            await proxy.until_held(1)
            assert proxy.arrived[-1] == (proxy.session_id, QUEUE, Send(True, number))
            assert proxy.held == 1
        await proxy.answer(Ok())
        assert await asyncio.gather(*answers) == [Ok()] * 4

    run(check)


def test_a_session_that_the_proxy_forgot_is_made_again_once_and_the_command_repeated() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        answers = session.post([send(b"1"), send(b"a", OTHER), send(b"2")])
        await proxy.until_held(2)
        await proxy.refuse(NO_SESSION)
        await proxy.refuse(NO_SESSION)
        await proxy.until_held(2)
        assert len(proxy.asked) == 2  # the second lane found the new session
        assert {session_id for session_id, _, _ in proxy.arrived[2:]} == {proxy.session_id}
        while not all(answer.done() for answer in answers):
            await proxy.until_held(1)
            await proxy.answer(Ok())
            await settle()
        sent = [command for session_id, _, command in proxy.arrived if session_id == proxy.session_id]
        assert sorted(sent, key=repr) == sorted([Send(True, b"1"), Send(True, b"a"), Send(True, b"2")], key=repr)

    run(check)


def test_a_proxy_that_forgets_at_once_ends_the_session() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        answers = session.post([send(b"1"), send(b"2")])
        for _ in range(2):
            await proxy.until_held(1)
            await proxy.refuse(NO_SESSION)
        for answer in answers:
            with pytest.raises(SessionClosed, match="NO_SESSION") as closed:
                await answer
            assert isinstance(closed.value.__cause__, PrivateRoutingFailed)
        assert session.closed.is_set()
        assert not own.closed.is_set()
        assert len(proxy.asked) == 2

    run(check)


def test_a_proxy_that_cannot_reach_the_relay_ends_the_session_with_its_reason() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        [answer] = session.post([send(b"1")])
        await proxy.until_held(1)
        await proxy.refuse(Err(ErrorCode.proxy("BROKER", "NETWORK")))
        with pytest.raises(SessionClosed, match=r"mine.example cannot reach relay theirs.example \(NETWORK\)"):
            await answer
        assert isinstance(session.close_reason, SessionClosed)
        assert isinstance(session.close_reason.__cause__, PrivateRoutingFailed)
        [late] = session.post([send(b"2")])
        with pytest.raises(SessionClosed):
            await late
        assert len(proxy.arrived) == 1

    run(check)


def test_after_an_answer_that_does_not_come_nothing_overtakes() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        answers = session.post([send(b"1"), send(b"2")])
        started = asyncio.get_running_loop().time()
        for answer in answers:
            with pytest.raises(ResponseTimeout):
                await answer
        assert asyncio.get_running_loop().time() - started == pytest.approx(FORWARD_TIMEOUT)
        assert [command for _, _, command in proxy.arrived] == [Send(True, b"1")]
        [again] = session.post([send(b"1")])
        await proxy.until_held(2)
        await proxy.answer(Ok(), 1)
        assert await again == Ok()

    run(check)


def test_the_session_ends_with_that_of_the_proxy() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        [answer] = session.post([send(b"1")])
        await proxy.until_held(1)
        await own.close()
        with pytest.raises(SessionClosed, match=r"through mine.example ended"):
            await answer
        assert session.closed.is_set()

    run(check)


def test_closing_leaves_the_proxy_alone() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        [answer] = session.post([send(b"1")])
        await proxy.until_held(1)
        await session.close()
        with pytest.raises(SessionClosed, match="this program closed it"):
            await answer
        assert await own.request(Sub(), QUEUE) == Pong()

    run(check)


def test_what_cannot_be_forwarded_ends_the_session() -> None:
    """Then the relay has become one of the user's own: the pool connects to it, directly this time."""

    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        [first] = session.post([send(b"1")])
        answers = session.post([send(b"2"), Request(Sub(), QUEUE)])
        for answer in (first, *answers):
            with pytest.raises(SessionClosed, match="now connects to this relay directly"):
                await answer
        await settle()
        assert proxy.arrived == []

    run(check)


def test_a_command_that_is_too_long_is_refused_before_anything_is_sent() -> None:
    async def check(proxy: Proxy, session: RoutedSession, own: DirectSession) -> None:
        with pytest.raises(EncodeError, match="too long"):
            session.post([send(b"1"), send(bytes(16_300))])
        await settle()
        assert proxy.arrived == []

    run(check)


# --- opening -------------------------------------------------------------------------------------------------------


def opening_fails(prepare: Callable[[Proxy], None], versions: VersionRange = SMP_VERSIONS) -> Exception:
    async def within() -> Exception:
        proxy = Proxy()
        prepare(proxy)
        own = await proxy.connect(versions)
        with pytest.raises(Exception) as failed:
            await open_routed(THEIRS, own, password=None, entropy=SeededEntropy("routed"), now=lambda: NOW)
        await own.close()
        await proxy.close()
        return failed.value

    return run_jumping(within)


def test_a_proxy_that_refuses_is_told_in_words() -> None:
    def refuse(proxy: Proxy) -> None:
        proxy.refuse_prxy = Err(ErrorCode.proxy("BASIC_AUTH"))

    error = opening_fails(refuse)
    assert isinstance(error, PrivateRoutingFailed)
    assert not error.temporary
    assert "mine.example does not forward for you" in str(error)


def test_a_proxy_that_shows_another_relay_is_found_out() -> None:
    def lie(proxy: Proxy) -> None:
        proxy.chain_of = "impostor"

    assert isinstance(opening_fails(lie), IdentityError)


def test_a_proxy_too_old_is_not_asked() -> None:
    error = opening_fails(lambda _: None, VersionRange(6, 7))
    assert isinstance(error, PrivateRoutingFailed)
    assert "speaks SMP version 7" in str(error)


# --- the choice of a proxy -----------------------------------------------------------------------------------------


def test_the_router_asks_an_own_relay_with_its_password() -> None:
    async def within() -> None:
        proxy = Proxy()
        opened: list[SMPServer] = []

        async def connect(server: SMPServer) -> ServerSession:
            opened.append(server)
            return await proxy.connect()

        router = PrivateRouter(connect, entropy=SeededEntropy("router"), now=lambda: NOW)
        own = [SMPServerAddress(MINE, "secret")]
        pool = SessionPool(lambda server: router.open(server, own, timeout=10), entropy=SeededEntropy("pool"))
        other = replace(THEIRS, hosts=("theirs.example", "x.onion"))
        for server in (THEIRS, other):
            session = await pool.get(server, timeout=10)
            [answer] = session.post([send(b"hello")])
            await proxy.until_held(1)
            await proxy.answer(Ok())
            assert await answer == Ok()
        assert opened == [MINE]  # one session with the proxy serves both
        assert proxy.asked == [Prxy(THEIRS, b"secret"), Prxy(other, b"secret")]
        await pool.close()
        await router.close()
        await proxy.close()

    run_jumping(within)


def test_every_own_relay_is_chosen_sometimes() -> None:
    async def within() -> None:
        asked: set[SMPServer] = set()

        async def connect(server: SMPServer) -> ServerSession:
            asked.add(server)
            raise PrivateRoutingFailed("not today")

        router = PrivateRouter(connect, entropy=SeededEntropy("router"), now=lambda: NOW)
        own = [SMPServerAddress(replace(MINE, hosts=(name,))) for name in ("a", "b", "c")]
        for _ in range(60):
            with pytest.raises(PrivateRoutingFailed, match="not today"):
                await router.open(THEIRS, own, timeout=10)
        assert asked == {address.server for address in own}
        await router.close()

    run_jumping(within)


def test_without_an_own_relay_nothing_is_sent_directly() -> None:
    async def within() -> None:
        async def connect(server: SMPServer) -> ServerSession:
            raise AssertionError("no relay may be connected to")

        router = PrivateRouter(connect, entropy=SeededEntropy("router"), now=lambda: NOW)
        with pytest.raises(PrivateRoutingFailed, match="no relay to go through") as failed:
            await router.open(THEIRS, [], timeout=10)
        assert not failed.value.temporary

    run_jumping(within)


def opened_by_way_of(outcomes: dict[str, Exception | None]) -> tuple[list[str], list[object]]:
    """Which own relays were asked, and what each of 20 tries came to."""

    async def within() -> tuple[list[str], list[object]]:
        proxy = Proxy()
        asked: list[str] = []
        results: list[object] = []

        async def connect(server: SMPServer) -> ServerSession:
            asked.append(server.host)
            if (failure := outcomes[server.host]) is not None:
                raise failure
            return await proxy.connect()

        own = [SMPServerAddress(replace(MINE, hosts=(name,))) for name in outcomes]
        for number in range(20):
            router = PrivateRouter(connect, entropy=SeededEntropy(f"router {number}"), now=lambda: NOW)
            try:
                results.append(type(await router.open(THEIRS, own, timeout=10)))
            except Exception as error:
                results.append(error)
            await router.close()
        if None in outcomes.values():  # somebody reached it
            await proxy.close()
        return asked, results

    return run_jumping(within)


def test_the_next_own_relay_is_asked_where_one_is_away() -> None:
    asked, results = opened_by_way_of({"a": ConnectFailed("cannot reach relay a: refused"), "b": None})
    assert results == [RoutedSession] * 20
    assert asked.count("b") == 20 and 0 < asked.count("a") < 20, "either may be the first"


def test_what_failed_a_moment_ago_is_not_tried_first_again() -> None:
    async def within() -> None:
        asked: list[str] = []

        async def connect(server: SMPServer) -> ServerSession:
            asked.append(server.host)
            if server.host == "a":
                raise ConnectFailed("cannot reach relay a")
            return await proxy.connect()

        proxy = Proxy()
        router = PrivateRouter(connect, entropy=SeededEntropy("router"), now=lambda: NOW)
        [a, b] = [SMPServerAddress(replace(MINE, hosts=(name,))) for name in ("a", "b")]
        with pytest.raises(PrivateRoutingFailed, match=r"^private routing: cannot reach relay a$"):
            await router.open(THEIRS, [a], timeout=10)
        for _ in range(10):
            await router.open(THEIRS, [a, b], timeout=10)
        assert asked == ["a", "b"], "one session with the proxy serves all"
        await router.close()
        await proxy.close()

    run_jumping(within)


def test_one_that_swallows_everything_leaves_time_for_the_others() -> None:
    async def within() -> list[float]:
        proxy = Proxy()
        took = []

        async def connect(server: SMPServer) -> ServerSession:
            if server.host == "black.hole":
                await asyncio.Event().wait()
            return await proxy.connect()

        own = [SMPServerAddress(replace(MINE, hosts=(name,))) for name in ("black.hole", "b")]
        for number in range(8):
            router = PrivateRouter(connect, entropy=SeededEntropy(f"router {number}"), now=lambda: NOW)
            begin = asyncio.get_running_loop().time()
            await router.open(THEIRS, own, timeout=10)
            took.append(asyncio.get_running_loop().time() - begin)
            await router.close()
        await proxy.close()
        return took

    took = run_jumping(within)
    assert 5 <= max(took) < 6 and min(took) < 1


def test_that_an_own_relay_is_another_one_is_said_before_anything_else() -> None:
    impostor = IdentityError("not the relay of this address")
    _, results = opened_by_way_of({"a": ConnectFailed("cannot reach relay a"), "b": impostor})
    assert all(error is impostor for error in results)
