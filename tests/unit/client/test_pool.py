from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from smpchat.client.errors import SessionClosed
from smpchat.client.pool import STABLE_AFTER, SessionPool
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer
from smpchat.protocol.errors import BlockError, HandshakeError, IdentityError, ProtocolError
from smpchat.transport.base import ConnectFailed, TransportError
from tests.unit.client.support import FakeClock, settle

ONE = SMPServer(("one.example",), "", bytes(32))
TWO = SMPServer(("two.example",), "5224", bytes(32))
REFUSED = ConnectFailed("cannot reach relay one.example:5223: connection refused")


class FakeSession:
    """As much of a session as a pool touches."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.close_reason: SessionClosed | None = None
        self.on_event: Any = None

    def lose(self) -> None:
        self.close_reason = SessionClosed("the peer closed the connection")
        self.closed.set()

    async def close(self) -> None:
        self.closed.set()


class Middle:
    """Draws that give every delay without jitter."""

    def random(self, size: int) -> bytes:
        return b"\x7f" + b"\xff" * (size - 1)


class World:
    """A pool, the attempts it makes, and what it tells."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.attempts: list[tuple[SMPServer, asyncio.Future[FakeSession]]] = []
        self.told: list[str] = []
        self.sessions: list[Any] = []
        self.retry_in: list[float] = []
        self.faults: list[dict[str, Any]] = []
        self.cleaned = asyncio.Event()  # cleared: a cancelled attempt takes its time, as closing TLS does
        self.cleaned.set()
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(context))
        self.pool = SessionPool(
            self.connect, entropy=Middle(), clock=self.clock, on_event=print, on_up=self.up, on_down=self.down
        )

    async def connect(self, server: SMPServer) -> ServerSession:
        attempt: asyncio.Future[FakeSession] = asyncio.get_running_loop().create_future()
        self.attempts.append((server, attempt))
        try:
            return cast(ServerSession, await attempt)
        except asyncio.CancelledError:
            await self.cleaned.wait()
            raise

    def up(self, server: SMPServer, session: ServerSession) -> None:
        self.told.append(f"up {server.hosts[0][:3]}")
        self.sessions.append(session)

    def down(self, server: SMPServer, error: Exception, next_retry_at: float) -> None:
        self.told.append(f"down {server.hosts[0][:3]}: {error}")
        self.retry_in.append(round(next_retry_at - self.clock.now(), 3))

    async def succeed(self) -> FakeSession:
        session = FakeSession()
        self.attempts[-1][1].set_result(session)
        await settle()
        return session

    async def fail(self, error: Exception = REFUSED) -> None:
        self.attempts[-1][1].set_exception(error)
        await settle()


def run(check: Callable[[World], Awaitable[None]]) -> None:
    async def within() -> None:
        world = World()
        async with asyncio.timeout(20):
            await check(world)
            await world.pool.close()
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == [], "tasks left over"
        assert world.faults == []

    asyncio.run(within())


def start(awaitable: Awaitable[ServerSession]) -> asyncio.Task[ServerSession]:
    async def waiting() -> ServerSession:
        return await awaitable

    return asyncio.create_task(waiting())


def test_callers_at_the_same_time_share_one_attempt_and_later_ones_its_session() -> None:
    async def check(world: World) -> None:
        callers: list[asyncio.Task[Any]] = [start(world.pool.get(ONE, timeout=5)) for _ in range(3)]
        await settle()
        assert [server for server, _ in world.attempts] == [ONE]
        session = await world.succeed()
        assert [await caller for caller in callers] == [session] * 3
        assert await world.pool.get(ONE, timeout=5) is world.pool.live(ONE) is cast(Any, session)
        assert len(world.attempts) == 1
        assert session.on_event is print
        assert world.told == [], "nobody watches"

    run(check)


def test_relays_do_not_wait_for_each_other() -> None:
    async def check(world: World) -> None:
        first = start(world.pool.get(ONE, timeout=5))
        await settle()
        second = start(world.pool.get(TWO, timeout=5))
        await settle()
        session = await world.succeed()
        assert await second is cast(Any, session)
        assert not first.done()
        first.cancel()
        await settle()

    run(check)


def test_a_failure_reaches_every_caller_at_once_and_the_next_call_tries_again() -> None:
    async def check(world: World) -> None:
        callers = [start(world.pool.get(ONE, timeout=5)) for _ in range(2)]
        await settle()
        await world.fail()
        for caller in callers:
            with pytest.raises(ConnectFailed, match="connection refused"):
                await caller
        again = start(world.pool.get(ONE, timeout=5))
        await settle()
        session = await world.succeed()
        assert await again is cast(Any, session)

    run(check)


def test_a_lost_session_is_not_handed_out() -> None:
    async def check(world: World) -> None:
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        (await world.succeed()).lose()
        assert world.pool.live(ONE) is None
        again = start(world.pool.get(ONE, timeout=5))
        await settle()
        session = await world.succeed()
        assert await again is cast(Any, session)
        assert caller.done()

    run(check)


def test_each_caller_has_its_own_timeout_and_the_last_ends_the_attempt() -> None:
    async def check(world: World) -> None:
        short, long = start(world.pool.get(ONE, timeout=5)), start(world.pool.get(ONE, timeout=8))
        await settle()
        await world.clock.advance(5)
        with pytest.raises(ConnectFailed, match=r"^cannot reach relay one.example:5223: no answer within 5 s$"):
            await short
        assert not world.attempts[0][1].cancelled()
        await world.clock.advance(3)
        with pytest.raises(ConnectFailed, match="within 8 s"):
            await long
        assert world.attempts[0][1].cancelled()

    run(check)


def test_who_comes_while_an_attempt_is_being_cancelled_gets_a_new_one() -> None:
    async def check(world: World) -> None:
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        world.cleaned.clear()
        caller.cancel()
        await settle()
        again = start(world.pool.get(ONE, timeout=5))
        await settle()
        session = await world.succeed()
        assert await again is cast(Any, session)
        assert len(world.attempts) == 2
        world.cleaned.set()
        await settle()
        assert await world.pool.get(ONE, timeout=5) is cast(Any, session)

    run(check)


def test_a_watched_relay_comes_back_with_growing_delays() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        world.pool.watch(ONE)
        await settle()
        for expected in (2, 4, 8, 16, 32, 64, 120, 120):
            await world.fail()
            assert world.retry_in[-1] == pytest.approx(expected, rel=1e-3)
            attempts = len(world.attempts)
            await world.clock.advance(expected - 0.5)
            assert len(world.attempts) == attempts, "not before its time"
            await world.clock.advance(1)
            assert len(world.attempts) == attempts + 1
        session = await world.succeed()
        assert world.told == [f"down one: {REFUSED}"] * 8 + ["up one"]
        assert world.sessions == [session]

    run(check)


def test_a_loss_is_told_and_a_lasting_session_makes_the_delay_short_again() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        for _ in range(3):
            await world.fail()
            await world.clock.advance(20)
        session = await world.succeed()
        await world.clock.advance(STABLE_AFTER)
        session.lose()
        await settle()
        assert world.told[-2:] == ["up one", "down one: the peer closed the connection"]
        assert world.retry_in[-1] == pytest.approx(2, rel=1e-3)
        await world.clock.advance(2.1)
        await world.succeed()
        assert world.told[-1] == "up one"

    run(check)


def test_a_relay_that_drops_every_session_at_once_is_not_hammered() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        for expected in (2, 4, 8, 16):
            (await world.succeed()).lose()
            await settle()
            assert world.retry_in[-1] == pytest.approx(expected, rel=1e-3)
            await world.clock.advance(expected * 1.1)

    run(check)


@pytest.mark.parametrize(
    "error", [IdentityError("the fingerprint differs"), ConnectFailed("onion addresses need Tor", temporary=False)]
)
def test_what_does_not_pass_by_itself_is_tried_rarely(error: TransportError | ProtocolError) -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        await world.fail(error)
        assert world.told == [f"down one: {error}"]
        assert world.retry_in == [pytest.approx(120, rel=1e-3)]

    run(check)


@pytest.mark.parametrize("error", [HandshakeError("the hello is malformed"), BlockError("damaged")])
def test_what_may_have_happened_once_is_tried_again_soon(error: Exception) -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        await world.fail(error)
        assert world.retry_in == [pytest.approx(2, rel=1e-3)]

    run(check)


def test_a_session_opened_by_get_is_announced_once_and_ends_the_wait() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        await world.fail()
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        session = await world.succeed()
        assert await caller is cast(Any, session)
        await world.clock.advance(300)
        assert world.told[1:] == ["up one"]
        assert len(world.attempts) == 2
        session.lose()
        await settle()
        assert world.told[2:] == ["down one: the peer closed the connection"]

    run(check)


def test_the_loss_of_a_session_opened_by_get_is_told_at_once() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        await world.fail()
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        (await world.succeed()).lose()
        await settle()
        assert world.told[1:] == ["up one", "down one: the peer closed the connection"]
        assert caller.done()

    run(check)


def test_watching_again_announces_again_and_counts_delays_from_the_start() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        for _ in range(3):
            await world.fail()
            await world.clock.advance(20)
        session = await world.succeed()
        world.pool.unwatch(ONE)
        world.pool.watch(ONE)
        await settle()
        assert world.told[-2:] == ["up one", "up one"]
        session.lose()
        await settle()
        assert world.retry_in[-1] == pytest.approx(2, rel=1e-3)

    run(check)


def test_a_session_is_announced_before_get_hands_it_out() -> None:
    async def check(world: World) -> None:
        async def use() -> ServerSession:
            session = await world.pool.get(ONE, timeout=5)
            world.told.append("got")
            return session

        world.pool.watch(ONE)
        caller = start(use())
        await settle()
        await world.succeed()
        await caller
        assert world.told == ["up one", "got"]

    run(check)


def test_watching_a_relay_that_has_a_session_announces_it() -> None:
    async def check(world: World) -> None:
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        await world.succeed()
        await caller
        world.pool.watch(ONE)
        await settle()
        assert world.told == ["up one"]
        assert len(world.attempts) == 1

    run(check)


def test_an_unwatched_relay_stays_away() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        world.pool.watch(TWO)
        await settle()
        world.pool.unwatch(TWO)
        await settle()
        assert [attempt.cancelled() for _, attempt in world.attempts] == [False, True]
        world.attempts[0][1].set_result(session := FakeSession())
        await settle()
        world.pool.unwatch(ONE)
        world.pool.unwatch(ONE)
        assert world.pool.live(ONE) is cast(Any, session)
        session.lose()
        await world.clock.advance(300)
        assert len(world.attempts) == 2
        assert world.told == ["up one"]

    run(check)


def test_a_released_session_ends_unless_somebody_needs_it() -> None:
    async def check(world: World) -> None:
        await world.pool.release(ONE)
        caller = start(world.pool.get(ONE, timeout=5))
        await settle()
        await world.pool.release(ONE)
        session = await world.succeed()
        assert await caller is cast(Any, session)
        world.pool.watch(ONE)
        await settle()
        await world.pool.release(ONE)
        assert world.pool.live(ONE) is cast(Any, session)
        world.pool.unwatch(ONE)
        await world.pool.release(ONE)
        assert session.closed.is_set()
        assert world.pool.live(ONE) is None
        assert world.told == ["up one"]
        start(world.pool.get(ONE, timeout=5)).add_done_callback(lambda done: done.exception())
        await settle()
        assert len(world.attempts) == 2, "whoever needs it again gets a new one"

    run(check)


def test_closing_ends_sessions_attempts_and_waits() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        session = await world.succeed()
        caller = start(world.pool.get(TWO, timeout=5))
        await settle()
        await world.pool.close()
        assert session.closed.is_set()
        with pytest.raises(SessionClosed, match="the client is closed"):
            await caller
        with pytest.raises(SessionClosed, match="the client is closed"):
            await world.pool.get(ONE, timeout=5)
        with pytest.raises(SessionClosed):
            world.pool.watch(ONE)
        await world.clock.advance(300)
        assert len(world.attempts) == 2

    run(check)


def test_a_fault_in_connecting_is_reported_and_keeps_the_watch_going() -> None:
    async def check(world: World) -> None:
        world.pool.watch(ONE)
        await settle()
        await world.fail(KeyError("bug"))
        assert [context["message"] for context in world.faults] == ["connecting to a relay failed"]
        world.faults.clear()
        await world.clock.advance(130)
        await world.succeed()
        assert world.told == ["down one: 'bug'", "up one"]

    run(check)


def test_a_fault_in_a_callback_is_reported_and_keeps_the_watch_going() -> None:
    async def check(world: World) -> None:
        def fault(server: SMPServer, session: ServerSession) -> None:
            raise KeyError("bug")

        world.pool._on_up = fault
        world.pool.watch(ONE)
        await settle()
        (await world.succeed()).lose()
        await settle()
        assert world.told == ["down one: the peer closed the connection"]
        assert [context["message"] for context in world.faults] == ["a session pool's function on_up failed"]
        world.faults.clear()

    run(check)
