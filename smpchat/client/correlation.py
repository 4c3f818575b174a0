"""Which answer belongs to which command: open correlation ids, with their futures and time limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from smpchat.client.clock import Clock, Timer
from smpchat.client.errors import NoResponse, ResponseTimeout, SessionClosed, UnexpectedResponse
from smpchat.encoding.record import Record, replace
from smpchat.protocol.commands import BrokerMessage, Err, Msg
from smpchat.protocol.errors import ErrorCode, SMPError

MAX_LATE = 1024
"""Commands that timed out and whose answers are still recognised; the oldest ones are forgotten first."""

Response = asyncio.Future[BrokerMessage]


class Unanswered(Record):
    """A command without an answer yet.

    Attributes:
        entity_id: What the answer must name too.
        block: Number of the block that carried the command.
        posted_at: Clock time, seconds.
        timeout: Seconds that the answer may take.
        response: Raises `SMPError` or `NoResponse`.
        timer: Ends the wait.
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
        on_timeout: Called with each command whose time is over, after its future has failed.
        due: When the time of a command will be over, as far as is known now; if this time has passed, the command ends.
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
        """A future of the answer, which fails with `ResponseTimeout` and ``timeout_text`` when it is due."""
        now = self._clock.now()
        timer = self._clock.call_at(now + timeout, lambda: self._expire(corr_id, timeout_text))
        self._waiting[corr_id] = Unanswered(entity_id, block, now, timeout, new_response(), timer)
        return self._waiting[corr_id].response

    def answer(self, corr_id: bytes, entity_id: bytes, message: BrokerMessage | None) -> Msg | None:
        """Settle the command with ``corr_id``; one that is unknown is ignored.

        The next message of a queue comes in the answer to ACK. If no caller waits for it any more, it must not be lost,
        because the relay sends nothing else until the next SUB (smp-wire 7.3). So it is returned, to be passed on.

        Args:
            corr_id: As received, not empty.
            entity_id: As received.
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
        """Fail the commands of the only unanswered block. False, with nothing done, if there are several blocks."""
        entries = [*self._late.values(), *self._waiting.values()]
        if len({entry.block for entry in entries}) > 1:
            return False
        self._clear()
        for entry in entries:
            fail(entry.response, SMPError(code))
        return True

    def abandon(self, reason: str, cause: BaseException | None) -> None:
        """Fail every command with its own `SessionClosed`, so that their tracebacks do not grow."""
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
            # The oldest: a dict is in the order of insertion.
            del self._late[next(iter(self._late))]
        fail(entry.response, ResponseTimeout(text))
        self._on_timeout(entry)


def _settle(entry: Unanswered, entity_id: bytes, message: BrokerMessage | None) -> None:
    if message is None:
        fail(entry.response, UnexpectedResponse("the relay's answer has an unknown form"))
    # An error may name no entity, where the relay could not read which one was meant (smp-wire 4.3).
    elif isinstance(message, Err) and entity_id in (entry.entity_id, b""):
        fail(entry.response, SMPError(message.error))
    elif entity_id != entry.entity_id:
        fail(entry.response, UnexpectedResponse("the relay's answer is for another queue than the command"))
    else:
        entry.response.set_result(message)


def new_response() -> Response:
    """A future that asyncio does not report if it fails and nobody has awaited it."""
    response: Response = asyncio.get_running_loop().create_future()
    response.add_done_callback(lambda done: done.cancelled() or done.exception())  # asking marks it as seen
    return response


def fail(response: Response, error: NoResponse | SMPError, cause: BaseException | None = None) -> None:
    """Let ``response`` raise ``error`` unless it is settled or was cancelled."""
    error.__cause__ = cause
    if not response.done():
        response.set_exception(error)
