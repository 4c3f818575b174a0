"""The rules for waiting until a message of ours has arrived: when the wait is over, and when to look at the store.

This module itself never pauses. Two modules use these rules. An online process waits in its event loop
(`smpchat.chat.online.waiting`), and a process that hands its messages to the online process waits without an event loop
(`smpchat.chat.online.beside`).
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
"""A generator that waits for something in the store. Each time it is continued, it reads the store, and yields the
number of seconds after which it must be continued again. The caller continues it earlier if the store changes, and
sends it the number of seconds that have passed since it last read the store. When the wait is over, the generator
returns the result."""

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
        status: Returns the current status of this message (or edit, deletion or reaction).
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
        # A problem that was noted before this wait began counts only after `GRACE`: the relay may be tried again first.
        met = obstacle is not None and (obstacle.tried_at >= began or waited >= GRACE)
        full = met and obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
        if current is MessageStatus.PENDING and held_is_enough and (full or service.holds_back(connection_id)):
            break
        if waited >= patience.seconds or (met and not full and not patience.chosen and waited >= GRACE):
            break
        waited += yield patience.next_look(waited)
    yield from flushing(service)
    # The status is read once more, because the message may have been sent while `flushing` waited.
    last = status()
    if last is not MessageStatus.PENDING:
        return Waited(last, enough=last in _ENOUGH[wait])
    held = service.holds_back(connection_id)
    full = obstacle is not None and obstacle.kind is Trouble.FULL_QUEUE
    if obstacle is None and not held:
        obstacle = Obstacle(Trouble.UNREACHABLE, "the relay has not answered in time", 0)
    return Waited(last, enough=held_is_enough and (full or held), obstacle=obstacle)


def flushing(service: StoredProfile) -> Looks[bool]:
    """Waits until our acknowledgements and receipts were sent, but only for a short time. Returns whether they were.

    What is not sent in time is kept for the next process that is online. If a relay cannot be used, or a contact's
    queue is full, this function does not wait for what must be sent there.
    """
    left = _FLUSH
    while left > 0 and service.is_sending():
        left -= yield min(left, _FLUSH_LOOKS)
    return not service.is_sending()
