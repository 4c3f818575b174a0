"""Waiting until a message of ours has arrived: what each look finds, and when the next look is due.

It has no clock and no loop of its own. An online process waits in its event loop (`smpchat.chat.online.waiting`), and a
process that hands its messages to it waits without one (`smpchat.chat.online.beside`); both follow these rules.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from smpchat.agent.store.obstacles import Obstacle
from smpchat.chat.online.patience import GRACE, Patience
from smpchat.chat.online.wait import Wait
from smpchat.chat.service.reading import StoredProfile
from smpchat.chat.store.records import MessageStatus
from smpchat.client.trouble import Trouble
from smpchat.encoding.record import Record

_FLUSH = 2.0
_FLUSH_LOOKS = 0.1

T = TypeVar("T")
Looks = Generator[float, float, T]
"""A wait, as a generator. Each step looks, and yields the seconds until the next look, which comes earlier if the store
changes. It is sent the seconds that have passed, and returns what the wait resulted in."""

_ENOUGH = {
    Wait.NONE: frozenset(MessageStatus),
    Wait.SENT: frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED}),
    Wait.DELIVERED: frozenset({MessageStatus.DELIVERED, MessageStatus.FAILED}),
}


class Waited(Record):
    """The result of waiting for a message.

    Attributes:
        status: The last status that was seen.
        enough: The message is as far as asked for, or will not get any further.
        obstacle: Why it was not sent, if that is known.
    """

    status: MessageStatus
    enough: bool
    obstacle: Obstacle | None = None


def settling(
    service: StoredProfile,
    connection_id: int,
    status: Callable[[], MessageStatus],
    wait: Wait,
    patience: Patience,
    *,
    held_is_enough: bool,
) -> Looks[Waited]:
    """Wait until a message or change is as far as ``wait`` says, or has failed.

    Args:
        status: Returns its current status.
        held_is_enough: Also end when nothing more can be done for it now: the handshake or the contact's full queue
            holds it.
    """
    began, waited = service.now(), 0.0
    while True:
        current = status()
        if current in _ENOUGH[wait]:
            yield from flushing(service)
            return Waited(current, enough=True)
        obstacle = service.obstacle(connection_id) if current is MessageStatus.PENDING else None
        # what an earlier process met counts once there was time to try again
        met = obstacle is not None and (obstacle.tried_at >= began or waited >= GRACE)
        full = met and obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
        if current is MessageStatus.PENDING and held_is_enough and (full or service.holds_back(connection_id)):
            break
        if waited >= patience.seconds or (met and not full and not patience.chosen and waited >= GRACE):
            break
        waited += yield patience.next_look(waited)
    yield from flushing(service)
    # Once more: it may have left while the rest did.
    last = status()
    if last is not MessageStatus.PENDING:
        return Waited(last, enough=last in _ENOUGH[wait])
    held = service.holds_back(connection_id)
    full = obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
    if obstacle is None and not held:
        obstacle = Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0)
    return Waited(last, enough=held_is_enough and (full or held), obstacle=obstacle)


def flushing(service: StoredProfile) -> Looks[bool]:
    """Wait until acknowledgements and receipts were sent, but not for long. Returns whether they were.

    What is not sent in time is kept for the next process that is online. It does not wait for relays in trouble, or for
    contacts who do not read.
    """
    left = _FLUSH
    while left > 0 and service.is_sending():
        left -= yield min(left, _FLUSH_LOOKS)
    return not service.is_sending()
