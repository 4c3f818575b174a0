"""Waiting while this process or another one is online: look until the condition holds, or time is up.

A wait looks only at what it needs: the relays of the connection that it waits for. Problems of other contacts' relays,
or of a relay that is only needed for a deletion, never end it.
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
    """What ``look`` finds; None when time is up and nothing is in the way.

    Args:
        connection_id: Whose relays are needed.
        receiving: Something that arrives is waited for, so the relay of our own queue is needed too.
    Raises:
        RelayDown: A problem prevents it. Raised when time is up or, if no time was given, after a short while.
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
    """The result of a wait.

    Args:
        begun: It has already looked (`smpchat.chat.online.beside`), and continues with another look.
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
    """Let acknowledgements and receipts leave; see `flushing`."""
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
    """Wait until a message or change is as far as ``wait`` says, or failed; see `settling`."""
    return await follow(
        service, settling(service, connection_id, status, wait, patience, held_is_enough=held_is_enough)
    )


async def until_ready(
    service: StoredProfile, connection_id: int, message_ids: Sequence[int], patience: Patience
) -> StateChanged | None:
    """Wait until a joined connection is ready and these texts have left, or it failed; None when time is up.

    If the handshake or a full queue holds texts back, it does not wait for them.

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
