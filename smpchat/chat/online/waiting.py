"""Waiting while this process or another one is online: look until it is so, or time is up.

A wait looks only at what it needs: the relays of the connection that it waits for. Whatever is wrong with those of
other contacts, or with one that only a deletion waits for, never ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from smpchat.agent.machines.handshake_states import ConnectionState
from smpchat.agent.online.changes import Changes
from smpchat.agent.store.obstacles import Obstacle
from smpchat.chat import troubles
from smpchat.chat.errors import RelayUnavailable
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.events import StateChanged
from smpchat.chat.store.records import MessageStatus
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record

RELAY_TIMEOUT = 20.0
"""Seconds in which a relay must be reached, unless somebody says otherwise."""
_GRACE = 2.0
"""Seconds before an obstacle ends a wait whose length nobody chose: a relay just started refuses for a moment."""
_FLUSH = 2.0
_FLUSH_LOOKS = 0.1
_FIRST_LOOKS = 0.005
"""Seconds between the first looks: most waiting is for one message, which the online process sends at once."""
_LAST_LOOKS = 1.0
"""Seconds between looks after a while, if nothing changes: obstacles come and go with time, too."""

T = TypeVar("T")


class RelayDown(Exception):
    """A relay that is needed was of no use in time. The message is one sentence, ``hint`` says what to do."""

    def __init__(self, obstacle: Obstacle, alias: str | None = None) -> None:
        super().__init__(troubles.sentence(obstacle, alias))
        self.kind = obstacle.kind
        self.hint = troubles.hint(obstacle)

    def for_program(self) -> RelayUnavailable:
        """The same, as `smpchat.Client` says it."""
        return RelayUnavailable(str(self), self.hint, self.kind)


class Patience(Record):
    """How long to wait, in seconds. ``chosen``: somebody said so, and no obstacle ends the wait before."""

    seconds: float = RELAY_TIMEOUT
    chosen: bool = False

    @staticmethod
    def of(seconds: float | None, usual: float = RELAY_TIMEOUT) -> Patience:
        """What an option says; None if it was not given."""
        return Patience(usual) if seconds is None else Patience(seconds, chosen=True)


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
        receiving: What arrives is waited for, so the relay of our own queue is needed too.
    Raises:
        RelayDown: Something is in the way: when time is up, or, if nobody chose the time, after a moment of patience.
    """
    loop = asyncio.get_running_loop()
    start = loop.time()
    with Changes(service.database, _FIRST_LOOKS) as changes:
        while (found := look()) is None:
            waited = loop.time() - start
            over = waited >= patience.seconds
            if over or (not patience.chosen and waited >= min(_GRACE, patience.seconds)):
                obstacle = service.obstacle(connection_id, receiving=receiving)
                if obstacle is not None:
                    contact = service.contact_of(connection_id)
                    raise RelayDown(obstacle, contact.alias if contact is not None else None)
            if over:
                return None
            await changes.next(_until_next_look(waited, patience))
    return found


def _until_next_look(waited: float, patience: Patience) -> float:
    """Seconds, if nothing changes before: often at first, and at the moments at which a wait may end."""
    ends = [moment - waited for moment in (_GRACE, patience.seconds) if moment > waited]
    return min(_FIRST_LOOKS + waited / 4, _LAST_LOOKS, *ends)


def not_in_time() -> RelayDown:
    """The time is up, and nothing says why: the relay has not answered."""
    return RelayDown(Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0))


async def flush(service: StoredProfile) -> None:
    """Let acknowledgements and receipts leave; what does not leave in time is kept for whoever is online next.

    What waits for a relay in trouble, or for a contact who does not read, is not waited for.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _FLUSH
    with Changes(service.database) as changes:
        while service.is_sending() and (left := deadline - loop.time()) > 0:
            await changes.next(min(left, _FLUSH_LOOKS))


# -- until something of ours has arrived ------------------------------------------------------------------------------


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
        obstacle: What kept it from leaving, if that is known.
    """

    status: MessageStatus
    enough: bool
    obstacle: Obstacle | None = None


async def settle(
    service: StoredProfile,
    connection_id: int,
    status: Callable[[], MessageStatus],
    wait: Wait,
    patience: Patience,
    *,
    held_is_enough: bool,
) -> Waited:
    """Wait until a message or change is as far as ``wait`` says, or failed.

    Args:
        status: Where it is now.
        held_is_enough: Also end when nothing more can be done for it now: the handshake or the contact's full queue
            holds it.
    """
    loop = asyncio.get_running_loop()
    start, began = loop.time(), service.now()
    with Changes(service.database, _FIRST_LOOKS) as changes:
        while True:
            current, waited = status(), loop.time() - start
            if current in _ENOUGH[wait]:
                await flush(service)
                return Waited(current, enough=True)
            obstacle = service.obstacle(connection_id) if current is MessageStatus.PENDING else None
            # what an earlier process met counts once there was time to try again
            met = obstacle is not None and (obstacle.tried_at >= began or waited >= _GRACE)
            full = met and obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
            if current is MessageStatus.PENDING and held_is_enough and (full or service.holds_back(connection_id)):
                break
            if waited >= patience.seconds or (met and not full and not patience.chosen and waited >= _GRACE):
                break
            await changes.next(_until_next_look(waited, patience))
    await flush(service)
    # Once more: it may have left while the rest did.
    last = status()
    if last is not MessageStatus.PENDING:
        return Waited(last, enough=last in _ENOUGH[wait])
    held = service.holds_back(connection_id)
    full = obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
    if obstacle is None and not held:
        obstacle = Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0)
    return Waited(last, enough=held_is_enough and (full or held), obstacle=obstacle)


async def until_ready(
    service: StoredProfile, connection_id: int, message_ids: Sequence[int], patience: Patience
) -> StateChanged | None:
    """Wait until a joined connection is ready and these texts have left, or it failed; None when time is up.

    Where the handshake or a full queue holds texts back, they are not waited for.

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
