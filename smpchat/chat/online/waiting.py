"""Waiting while this process or another one is online: looks at the store again and again, until the awaited change has
happened, or time is up.

A wait belongs to one connection. Only problems with the relays of this connection can end the wait early. Problems with
other contacts' relays, or with a relay that is only needed for a deletion, never end it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.agent.online.changes import PAUSE, Changes
from smpchat.chat.online.patience import FIRST_LOOKS, GRACE, Patience, RelayDown
from smpchat.chat.online.settling import Looks, Waited, flushing, settling
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.events import StateChanged
from smpchat.chat.store.records import MessageStatus

T = TypeVar("T")


async def until(
    service: StoredProfile,
    look: Callable[[], T | None],
    patience: Patience,
    connection_id: int,
    *,
    receiving: bool = False,
) -> T | None:
    """Waits until ``look`` finds something, and returns it; None if time is up and no problem is known.

    Args:
        connection_id: The connection whose relays are needed.
        receiving: The wait is for something that arrives, so the relay of our own queue is needed too.
    Raises:
        RelayDown: A relay that the connection needs cannot be used. This is raised when time is up; if the user gave no
            time, it is raised after `GRACE` seconds already.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    with Changes(service.database, FIRST_LOOKS) as changes:
        while (found := look()) is None:
            waited = loop.time() - start
            over = waited >= patience.seconds
            if over or (not patience.chosen and waited >= min(GRACE, patience.seconds)):
                obstacle = service.obstacle(connection_id, receiving=receiving)
                if obstacle is not None:
                    contact = service.contact_of(connection_id)
                    raise RelayDown(obstacle, contact.alias if contact is not None else None)
            if over:
                return None
            await changes.next(patience.next_look(waited))
    return found


async def follow(service: StoredProfile, looks: Looks[T], *, begun: bool = False, pause: float = FIRST_LOOKS) -> T:
    """Runs a wait to its end, and returns its result.

    Args:
        begun: The wait was started in `smpchat.chat.online.beside`, and is continued here.
        pause: See `Changes`.
    """
    loop = asyncio.get_running_loop()
    with Changes(service.database, pause) as changes:
        looked_at = loop.time()
        try:
            seconds = looks.send(0.0) if begun else next(looks)
            while True:
                await changes.next(seconds)
                before, looked_at = looked_at, loop.time()
                seconds = looks.send(looked_at - before)
        except StopIteration as ended:
            found: T = ended.value
            return found


async def flush(service: StoredProfile) -> None:
    """Waits until our acknowledgements and receipts were sent, but only for a short time; see `flushing`."""
    await follow(service, flushing(service), pause=PAUSE)


async def settle(
    service: StoredProfile,
    connection_id: int,
    status: Callable[[], MessageStatus],
    wait: Wait,
    patience: Patience,
    *,
    held_is_enough: bool,
) -> Waited:
    """Waits until a message (or an edit, deletion or reaction) has the status that ``wait`` asks for, or has failed;
    see `settling`."""
    return await follow(
        service, settling(service, connection_id, status, wait, patience, held_is_enough=held_is_enough)
    )


async def until_ready(
    service: StoredProfile, connection_id: int, message_ids: Sequence[int], patience: Patience
) -> StateChanged | None:
    """Waits until a connection that we joined is ready, and the messages ``message_ids`` were sent. Also ends if the
    connection has failed. Returns the connection's state; None when time is up.

    Does not wait for messages that the handshake or a full queue holds back.

    Raises:
        RelayDown: As for `until`.
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

    return await until(service, look, patience, connection_id)
