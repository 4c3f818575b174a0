"""Finds the command that an answer belongs to; keeps a future and a time limit for each unanswered command."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from smpchat.client.clock import Clock, Timer
from smpchat.client.errors import NoResponse, ResponseTimeout, SessionClosed, UnexpectedResponse
from smpchat.encoding.record import Record, replace
from smpchat.protocol.commands import BrokerMessage, Err, Msg
from smpchat.protocol.errors import ErrorCode, SMPError

MAX_LATE = 1024
"""Number of timed-out commands whose answers are still recognised; the oldest are forgotten first."""

Response = asyncio.Future[BrokerMessage]


class Unanswered(Record):
    """A command without an answer yet.

    Attributes:
        entity_id: The entity id that the answer must contain, as well as the right correlation id.
        block: Number of the block that contained the command.
        posted_at: When the command was posted, in seconds of the session's clock.
        timeout: Seconds to wait for the answer.
        response: Future of the answer; raises `SMPError` or `NoResponse`.
        timer: Ends the wait for the answer when time is up.
    """

    entity_id: bytes
    block: int
    posted_at: float
    timeout: float
    response: Response
    timer: Timer


class Correlation:
    """The unanswered commands of one session.

    Args:
        clock: For time limits.
        on_timeout: Called with each command that timed out, after its future has failed.
        due: Returns the time at which a command times out. It can become later while the command waits to be sent.
    """

    def __init__(
        self, clock: Clock, on_timeout: Callable[[Unanswered], None], due: Callable[[Unanswered], float]
    ) -> None:
        self._clock = clock
        self._on_timeout = on_timeout
        self._due = due
        self._waiting: dict[bytes, Unanswered] = {}
        self._late: dict[bytes, Unanswered] = {}

    def __contains__(self, corr_id: bytes) -> bool:
        return corr_id in self._waiting or corr_id in self._late

    def expect(self, corr_id: bytes, entity_id: bytes, block: int, timeout: float, timeout_text: str) -> Response:
        """Returns a future of the answer to one command. If no answer comes in time, the future raises
        `ResponseTimeout` with ``timeout_text``."""
        now = self._clock.now()
        timer = self._clock.call_at(now + timeout, lambda: self._expire(corr_id, timeout_text))
        self._waiting[corr_id] = Unanswered(entity_id, block, now, timeout, new_response(), timer)
        return self._waiting[corr_id].response

    def answer(self, corr_id: bytes, entity_id: bytes, message: BrokerMessage | None) -> Msg | None:
        """Settle the future of the command with ``corr_id``; an unknown id is ignored.

        The answer to ACK may contain the queue's next message. This message must not be lost, even if no caller waits
        for the answer any more: the relay sends nothing else from the queue until the next SUB (smp-wire 7.3). So if no
        caller waits, `answer` returns the message, and the session must pass it on as an event.

        Args:
            corr_id: The answer's correlation id; not empty.
            entity_id: The answer's entity id.
            message: The answer; None if its form is unknown.
        """
        entry = self._waiting.pop(corr_id, None)
        if entry is not None:
            entry.timer.cancel()
            if not entry.response.done():
                _settle(entry, entity_id, message)
                return None
        else:
            entry = self._late.pop(corr_id, None)
        return message if entry is not None and isinstance(message, Msg) and entity_id == entry.entity_id else None

    def refuse_block(self, code: ErrorCode) -> bool:
        """If only one block is unanswered, fail its commands with ``code``, the relay's error, and return True. If
        there are several, the error may be about any of them: then do nothing, and return False."""
        entries = [*self._late.values(), *self._waiting.values()]
        if len({entry.block for entry in entries}) > 1:
            return False
        self._clear()
        for entry in entries:
            fail(entry.response, SMPError(code))
        return True

    def abandon(self, reason: str, cause: BaseException | None) -> None:
        """Fail every command with a `SessionClosed` of its own: a shared error's traceback would grow each time it is
        raised."""
        entries = list(self._waiting.values())
        self._clear()
        for entry in entries:
            fail(entry.response, SessionClosed(reason), cause)

    def _clear(self) -> None:
        for entry in self._waiting.values():
            entry.timer.cancel()
        self._waiting.clear()
        self._late.clear()

    def _expire(self, corr_id: bytes, text: str) -> None:
        entry = self._waiting.pop(corr_id)
        due = self._due(entry)
        if due > self._clock.now():
            timer = self._clock.call_at(due, lambda: self._expire(corr_id, text))
            self._waiting[corr_id] = replace(entry, timer=timer)
            return
        self._late[corr_id] = entry
        if len(self._late) > MAX_LATE:
            # Forget the oldest command, which comes first: a dict keeps the order of insertion.
            del self._late[next(iter(self._late))]
        fail(entry.response, ResponseTimeout(text))
        self._on_timeout(entry)


def _settle(entry: Unanswered, entity_id: bytes, message: BrokerMessage | None) -> None:
    if message is None:
        fail(entry.response, UnexpectedResponse("the relay's answer has an unknown form"))
    # An ERR may have an empty entity id: the relay could not read which entity the command was for (smp-wire 4.3).
    elif isinstance(message, Err) and entity_id in (entry.entity_id, b""):
        fail(entry.response, SMPError(message.error))
    elif entity_id != entry.entity_id:
        fail(entry.response, UnexpectedResponse("the relay's answer is for another queue than the command"))
    else:
        entry.response.set_result(message)


def new_response() -> Response:
    """A new future. If it fails and nobody awaits it, asyncio does not report the failure."""
    response: Response = asyncio.get_running_loop().create_future()
    response.add_done_callback(lambda done: done.cancelled() or done.exception())  # so asyncio does not report it
    return response


def fail(response: Response, error: NoResponse | SMPError, cause: BaseException | None = None) -> None:
    """Let ``response`` raise ``error``, unless ``response`` is already settled or was cancelled."""
    error.__cause__ = cause
    if not response.done():
        response.set_exception(error)
