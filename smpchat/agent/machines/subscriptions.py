"""Plans when to subscribe queues again. Otherwise, a queue would stay stuck after its relay has failed to push a
message, or to execute SUB or ACK.

Source: smp-wire 7.3. Nothing here reads a clock: the time is an argument.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from smpchat.agent.machines.retry import AFTER_SUBSCRIBING, FIRST_MESSAGE
from smpchat.encoding.record import Record


class _Due(Record):
    at: float
    repeats: int


Queue = TypeVar("Queue", bound=Hashable)
"""The type of the values with which the caller identifies queues."""


class SubscriptionPlan(Generic[Queue]):
    """When to subscribe each queue again, in seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._due: dict[Queue, _Due] = {}
        self._failures: dict[Queue, int] = {}

    def subscribed(self, queue: Queue, now: float) -> None:
        """A queue was created, or was subscribed in a new session: repeat SUB once, soon."""
        self._due[queue] = _Due(now + AFTER_SUBSCRIBING, 0)

    def forget(self, queue: Queue) -> None:
        """The queue needs no more attention: it no longer exists, or there is no session with its relay."""
        self._due.pop(queue, None)
        self._failures.pop(queue, None)

    def failed(self, queue: Queue, now: float) -> None:
        """The relay did not execute SUB or ACK, so it sends nothing more from the queue. After each failure, the pause
        before the next SUB is longer."""
        failures = self._failures[queue] = self._failures.get(queue, 0) + 1
        delay = FIRST_MESSAGE[min(failures, len(FIRST_MESSAGE)) - 1]
        self._due[queue] = _Due(now + delay, failures)

    def succeeded(self, queue: Queue) -> None:
        """The relay executed SUB or ACK."""
        self._failures.pop(queue, None)

    def take_due(self, now: float) -> list[Queue]:
        """Returns the queues that must be subscribed again now. For each of them, the caller then calls `repeated` or
        `forget`; until then, the queue is returned every time."""
        return [queue for queue, due in self._due.items() if due.at <= now]

    def repeated(self, queue: Queue, now: float, *, awaits_first_message: bool) -> None:
        """A repeated SUB was sent. If no message has come through the queue since it was created, plan another SUB;
        else plan none."""
        due = self._due.get(queue)
        if due is None:
            return
        if not awaits_first_message:
            del self._due[queue]
            return
        delay = FIRST_MESSAGE[min(due.repeats, len(FIRST_MESSAGE) - 1)]
        self._due[queue] = _Due(now + delay, due.repeats + 1)

    def next_deadline(self) -> float | None:
        """When the next SUB is due; None if none is planned."""
        return min((due.at for due in self._due.values()), default=None)
