"""Messages that wait to be processed: one of each queue, so many of each session, and no more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from smpchat.agent.online.incoming import MAX_STRAY, MAX_WAITING, Incoming
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer
from smpchat.protocol.commands import End, Msg, Ok
from smpchat.protocol.errors import RemoteProtocolError

SERVER = SMPServer(("relay.test",), "", bytes(32))


class Session:
    def __init__(self) -> None:
        self.server = SERVER
        self.faults: list[RemoteProtocolError] = []

    def end(self, fault: RemoteProtocolError) -> None:
        self.faults.append(fault)


def message(number: int) -> Msg:
    return Msg(number.to_bytes(24, "big"), b"sealed")


def run(check: Callable[[Incoming, Any], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await check(Incoming(), cast("ServerSession", Session()))

    asyncio.run(within())


def test_a_second_message_before_the_first_is_acknowledged_is_a_fault() -> None:
    async def check(incoming: Incoming, session: Any) -> None:
        incoming.pushed(session, b"a", message(1))
        incoming.pushed(session, b"b", message(1))  # another queue
        with pytest.raises(RemoteProtocolError, match="before we acknowledged the last one"):
            incoming.pushed(session, b"a", message(2))
        first = await incoming.next()
        with pytest.raises(RemoteProtocolError):  # processed, and kept at the relay for now
            incoming.pushed(session, b"a", message(2))
        incoming.acknowledged(first)
        incoming.pushed(session, b"a", message(2))
        assert [(await incoming.next()).message for _ in range(2)] == [message(1), message(2)]

    run(check)


def test_another_session_begins_anew() -> None:
    async def check(incoming: Incoming, session: Any) -> None:
        incoming.pushed(session, b"a", message(1))
        incoming.pushed(cast("ServerSession", Session()), b"a", message(2))
        assert [(await incoming.next()).message for _ in range(2)] == [message(1), message(2)]

    run(check)


def test_an_answer_may_bring_any_message() -> None:
    """A relay drops what is old: the answer to a repeated SUB is the next message then."""

    async def check(incoming: Incoming, session: Any) -> None:
        incoming.pushed(session, b"a", message(1))
        incoming.answered(session, b"a", message(1))  # waits already
        incoming.answered(session, b"a", message(2))
        incoming.pushed(session, b"a", message(2))
        assert [(await incoming.next()).message for _ in range(2)] == [message(1), message(2)]
        incoming.answered(session, b"a", message(2))  # one that was not acknowledged comes again
        assert (await incoming.next()).message == message(2)
        assert incoming.counts[SERVER, b"a"] == 5
        incoming.answered(session, b"a", Ok())
        incoming.pushed(session, b"a", End())

    run(check)


def test_a_session_that_has_brought_so_many_is_not_read() -> None:
    async def check(incoming: Incoming, session: Any) -> None:
        for number in range(MAX_WAITING - 1):
            incoming.pushed(session, number.to_bytes(2, "big"), message(number))
        await incoming.room(session)
        incoming.pushed(session, b"one more", message(1))
        waiting = asyncio.create_task(incoming.room(session))
        await asyncio.sleep(0)
        assert not waiting.done()
        await incoming.room(cast("ServerSession", Session()))  # others go on
        await incoming.next()
        await waiting

    run(check)


def test_messages_of_queues_that_are_not_ours_are_forgotten_and_end_the_session() -> None:
    async def check(incoming: Incoming, session: Any) -> None:
        for number in range(MAX_STRAY + 1):
            assert session.faults == []
            incoming.pushed(session, number.to_bytes(2, "big"), message(number))
            incoming.stray(await incoming.next())
        assert len(session.faults) == 1
        assert not incoming.counts
        incoming.pushed(session, bytes(2), message(MAX_STRAY + 1))  # nothing of it is remembered

    run(check)
