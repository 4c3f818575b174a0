"""Waiting while this process or another one is online: look until it is so, time is up or no relay answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.chat.online.presence import FOLLOW_INTERVAL
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.events import StateChanged
from smpchat.chat.store.records import MessageStatus
from smpchat.encoding.record import Record

RELAY_TIMEOUT = 20.0
"""Seconds in which a relay must be reached, unless somebody says otherwise."""
_GRACE = 2.0  # a relay just started refuses connections for a moment
_FLUSH = 2.0
_FIRST_LOOKS = 0.005
"""Seconds between the first looks: most waiting is for one message, which the online process sends at once."""

T = TypeVar("T")


class RelayDown(Exception):
    """No relay was reached in time; the text says why if it is known."""


async def until(service: StoredProfile, look: Callable[[], T | None], seconds: float) -> T | None:
    """What ``look`` finds; None after ``seconds``.

    Raises:
        RelayDown: Some relay refuses connections now, and a moment of patience did not help.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    while (found := look()) is None:
        waited = loop.time() - start
        trouble = trouble_now(service)
        if trouble and waited > min(_GRACE, seconds):
            raise RelayDown(trouble)
        if waited >= seconds:
            return None
        await asyncio.sleep(min(_FIRST_LOOKS + waited / 4, FOLLOW_INTERVAL))
    return found


def trouble_now(service: StoredProfile) -> str | None:
    """A relay that the online process is waiting to try again, and why; old records do not count."""
    now = service.now()
    for trouble in service.troubles().values():
        if trouble.next_try_at is None or trouble.next_try_at > now:
            return trouble.error
    return None


async def flush(service: StoredProfile) -> None:
    """Let acknowledgements and receipts leave; what does not leave in time is kept for whoever is online next."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _FLUSH
    while not service.is_idle() and loop.time() < deadline and not trouble_now(service):  # noqa: ASYNC110
        await asyncio.sleep(FOLLOW_INTERVAL)


# -- until something of ours has arrived ------------------------------------------------------------------------------


class Wait(StrEnum):
    """How far a message is to be before waiting for it ends; in the order of `send --help`."""

    SENT = "sent"
    DELIVERED = "delivered"
    NONE = "none"


_ENOUGH = {
    Wait.NONE: frozenset(MessageStatus),
    Wait.SENT: frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED}),
    Wait.DELIVERED: frozenset({MessageStatus.DELIVERED, MessageStatus.FAILED}),
}


class Waited(Record):
    """What waiting for a message came to.

    Attributes:
        status: The last one seen.
        enough: It is as far as was asked for, or will not get any further.
        trouble: Why no relay was reached; empty if no relay said so, None if it was reached.
    """

    status: MessageStatus
    enough: bool
    trouble: str | None


async def settle(
    service: StoredProfile, status: Callable[[], MessageStatus], wait: Wait, seconds: float, *, held_is_enough: bool
) -> Waited:
    """Wait until a message or change is as far as ``wait`` says, or failed.

    Args:
        status: Where it is now.
        held_is_enough: Also end when nothing more can be done for it now: the handshake or the peer's full queue
            holds it.
    """

    def look() -> MessageStatus | None:
        current = status()
        held = held_is_enough and current is MessageStatus.PENDING and service.is_idle()
        return current if current in _ENOUGH[wait] or held else None

    ended, trouble = None, None
    try:
        ended = await until(service, look, seconds)
    except RelayDown as error:
        trouble = str(error)
    await flush(service)
    last = status()
    if ended is None and trouble is None and last is MessageStatus.PENDING and not service.is_idle():
        trouble = ""
    if last is not MessageStatus.PENDING:
        trouble = None
    return Waited(last, ended is not None or last in _ENOUGH[wait], trouble)


async def until_ready(
    service: StoredProfile, connection_id: int, message_ids: Sequence[int], seconds: float
) -> StateChanged | None:
    """Wait until a joined connection is ready and these texts have left, or it failed; None after ``seconds``.

    Where the handshake holds texts back until the other side has answered, they are not waited for.

    Raises:
        RelayDown: Some relay refuses connections.
    """

    def look() -> StateChanged | None:
        state = service.state(connection_id)
        if state.state in (ConnectionState.FAILED, ConnectionState.DELETED):
            return state
        if state.state not in (ConnectionState.READY, ConnectionState.CONNECTED):
            return None
        if state.holds_texts:
            return state
        messages = map(service.message, message_ids)
        return None if any(m and m.status is MessageStatus.PENDING for m in messages) else state

    return await until(service, look, seconds)
