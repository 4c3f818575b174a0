"""Waiting until a message of ours has arrived: what each look finds, and when the next look is due.

This module has no clock and no loop of its own. An online process waits in its event loop
(`smpchat.chat.online.waiting`), and a process that hands its messages to the online process waits without an event loop
(`smpchat.chat.online.beside`). Both follow these rules.
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
changes. The caller sends the number of seconds that have passed since the last look. The generator returns the result
of the wait."""

_ENOUGH = {
    Wait.NONE: frozenset(MessageStatus),
    Wait.SENT: frozenset({MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.FAILED}),
    Wait.DELIVERED: frozenset({MessageStatus.DELIVERED, MessageStatus.FAILED}),
}


class Waited(Record):
    """The result of waiting for a message.

    Attributes:
        status: The last status that was seen.
        enough: The message has reached the status that was asked for, or will not get any further now.
        obstacle: Why the message was not sent, if that is known.
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
    """Waits until a message (or an edit, deletion or reaction) has the status that ``wait`` asks for, or has failed.

    Args:
        status: Returns the current status of what is waited for.
        held_is_enough: Also end the wait if nothing more can be done now, because the message waits for the handshake
            or for room in the contact's full queue.
    """
    began, waited = service.now(), 0.0
    while True:
        current = status()
        if current in _ENOUGH[wait]:
            yield from flushing(service)
            return Waited(current, enough=True)
        obstacle = service.obstacle(connection_id) if current is MessageStatus.PENDING else None
        # a problem that an earlier process noted counts only after there was time to try again
        met = obstacle is not None and (obstacle.tried_at >= began or waited >= GRACE)
        full = met and obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
        if current is MessageStatus.PENDING and held_is_enough and (full or service.holds_back(connection_id)):
            break
        if waited >= patience.seconds or (met and not full and not patience.chosen and waited >= GRACE):
            break
        waited += yield patience.next_look(waited)
    yield from flushing(service)
    # Looked at once more, because the message may have been sent while `flushing` waited.
    last = status()
    if last is not MessageStatus.PENDING:
        return Waited(last, enough=last in _ENOUGH[wait])
    held = service.holds_back(connection_id)
    full = obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
    if obstacle is None and not held:
        obstacle = Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0)
    return Waited(last, enough=held_is_enough and (full or held), obstacle=obstacle)


def flushing(service: StoredProfile) -> Looks[bool]:
    """Waits for a short time until acknowledgements and receipts were sent. Returns whether they were.

    What is not sent in time is kept for the next process that is online. The wait ignores relays in trouble and
    contacts whose queues are full.
    """
    left = _FLUSH
    while left > 0 and service.is_sending():
        left -= yield min(left, _FLUSH_LOOKS)
    return not service.is_sending()
