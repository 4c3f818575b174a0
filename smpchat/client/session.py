"""One session with one relay: matches answers to commands, passes on events in order, and notices a silent relay.

A command may be posted while others are unanswered. Each command gets a correlation id, and its answer must contain the
same correlation id and entity id (smp-wire 4.3). A message without a correlation id is an event, with one exception: if
a relay cannot read a block, it answers with an ERR that has no correlation id. If only one block is unanswered, its
commands fail with this error. If several blocks are unanswered, the session cannot know which of them the relay meant,
and ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from smpchat.client.clock import Clock, LoopClock, Timer
from smpchat.client.correlation import Correlation, Response, Unanswered, fail, new_response
from smpchat.client.errors import SessionClosed
from smpchat.client.request import Request, encode_requests
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import AuthPrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.protocol.address import SMPServer
from smpchat.protocol.block import decode_batch
from smpchat.protocol.command_codec import decode_broker
from smpchat.protocol.commands import BrokerMessage, Command, Err, Msg, Ping
from smpchat.protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError, SMPError
from smpchat.protocol.session import SMPSession
from smpchat.protocol.transmission import Transmission, decode_transmission
from smpchat.transport.base import BlockConnection, TransportError

_log = logging.getLogger(__name__)
trace = logging.getLogger("smpchat.trace")
"""Logs the name of every command and answer at level DEBUG, never their content: ``> SKEY host`` means that SKEY was
sent, ``< OK host`` that OK was received."""

RESPONSE_TIMEOUT = 15.0
"""Seconds to wait for an answer."""
PING_AFTER = 60.0
"""After this many seconds without a block from the relay, the client sends PING. The reference client waits ten
minutes, but a laptop changes networks more often than that, and its user waits for messages."""
MAX_SILENCES = 3
"""The session ends after this many timeouts in a row, if nothing was received in between. A timeout does not count if
its command was posted before the previous timeout."""
MAX_UNASKED = 1_000
"""Besides messages and answers, a relay may send at most this many events, errors and unexpected answers in
`UNASKED_WITHIN` seconds."""
UNASKED_WITHIN = 60.0
_BLOCKS_PER_WRITE = 16
_WRITES_KEPT = 1024

OnEvent = Callable[["ServerSession", bytes, BrokerMessage], None]
"""Called for each event (MSG, END, DELD and so on) in order of arrival: with the session, the entity id and the event.
If the function raises `RemoteProtocolError`, the session ends, because the relay broke the protocol."""
MayRead = Callable[["ServerSession"], Awaitable[None]]
"""Called before each block is read. Until the function returns, the session reads nothing more from the relay."""


async def at_once(_: ServerSession) -> None:
    """A `MayRead` that never waits."""


class ServerSession(Protocol):
    """A session with one relay: the interface for the layers above.

    Attributes:
        server: The relay, as its address names it.
        on_event: Called for each event; must not block. It can be set to another function at any time.
        may_read: Called before each block is read; see `MayRead`. It can be set to another function at any time.
        closed: Set when the session has ended; `close_reason` then says why.
    """

    server: SMPServer
    on_event: OnEvent
    may_read: MayRead
    closed: asyncio.Event

    @property
    def version(self) -> int:
        """The SMP version that commands are encoded for."""
        ...

    @property
    def keyed_new(self) -> bool:
        """Whether NEW may contain a sender key in this session. This is our extension to SMP: such a queue is secured
        from the start."""
        ...

    @property
    def close_reason(self) -> SessionClosed | None:
        """Why the session ended; None while it is open."""
        ...

    def post(self, requests: Sequence[Request], *, batch: bool = False, timeout: float | None = None) -> list[Response]:
        """Send ``requests`` without waiting for earlier answers; commands for one queue keep their order.

        Args:
            requests: Commands to send. Each gets a block of its own, unless ``batch`` is set.
            batch: Put several requests into one block. Set it only if their order does not matter, as with SUB. Each
                request must then be for a different queue, and none may be SEND.
            timeout: Seconds to wait for each answer, counted from the moment when the connection accepted the command.
                None means the session's default.
        Returns:
            One future for each answer, in the order of ``requests``. A future raises `SMPError` for the relay's ERR,
            and `NoResponse`, a `TransportError`, if there is no usable answer or the session has already ended. Futures
            need not be awaited. Cancelling a future does not stop the command.
        Raises:
            LocalProtocolError: A request is wrong (see `encode_requests`), or its correlation id is already in use.
                Nothing was sent.
            EncodeError: A command does not exist in the session's SMP version, or does not fit into a block. Nothing
                was sent.
        """
        ...

    def end(self, fault: RemoteProtocolError) -> None:
        """End the session because the relay has broken the protocol; `close_reason` has ``fault`` as its cause."""
        ...

    async def close(self) -> None:
        """End the session; unanswered commands fail with `SessionClosed`. May be repeated."""
        ...


class DirectSession:
    """A `ServerSession` with its own connection to the relay; made by `smpchat.client.connect`. Needs a running event
    loop.

    Args:
        connection: The connection; it is closed with the session.
        smp: The result of the SMP handshake.
        server: The relay, as its address names it.
        entropy: For correlation ids.
        on_event: See `ServerSession`.
        clock: By default, the event loop's clock. Tests pass another one.
        response_timeout: Seconds to wait for an answer; each call may set another number.
        ping_after: The session sends PING after this many seconds without a block from the relay.
    """

    def __init__(
        self,
        connection: BlockConnection,
        smp: SMPSession,
        *,
        server: SMPServer,
        entropy: Entropy,
        on_event: OnEvent,
        clock: Clock | None = None,
        response_timeout: float = RESPONSE_TIMEOUT,
        ping_after: float = PING_AFTER,
    ) -> None:
        self.server = server
        self.on_event = on_event
        self.may_read: MayRead = at_once
        self.closed = asyncio.Event()
        self._connection = connection
        self._smp = smp
        self._entropy = entropy
        self._clock: Clock = clock or LoopClock()
        self._response_timeout = response_timeout
        self._ping_after = ping_after
        self._reason: SessionClosed | None = None
        self._correlation = Correlation(self._clock, self._timed_out, self._due)
        self._outgoing: list[bytes] = []  # block contents; encrypted when they are sent, in this order
        self._blocks_posted = 0
        self._blocks_written = 0
        # Each entry is for one write: the number of the first block in it, and the time at which the connection had
        # accepted all blocks of this write.
        self._writes: deque[tuple[int, float]] = deque(maxlen=_WRITES_KEPT)
        self._received_at = self._silence_counted_at = self._clock.now()
        self._silences = 0
        self._unasked = 0
        self._unasked_since = self._received_at
        self._flusher: asyncio.Task[None] | None = None
        self._idle_timer: Timer | None = None
        self._pong: Response | None = None  # future of the answer to the last PING
        self._watch_idleness()
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def version(self) -> int:
        """The agreed SMP version."""
        return self._smp.version

    @property
    def keyed_new(self) -> bool:
        """See `ServerSession.keyed_new`."""
        return self._smp.keyed_new

    @property
    def session_id(self) -> bytes:
        """The TLS session identifier."""
        return self._smp.session_id

    @property
    def close_reason(self) -> SessionClosed | None:
        """See `ServerSession.close_reason`."""
        return self._reason

    def post(self, requests: Sequence[Request], *, batch: bool = False, timeout: float | None = None) -> list[Response]:
        """See `ServerSession.post`. This class keeps the order of all commands, even of those for different queues."""
        # Each command gets its own block, unless the caller says that the order does not matter: the reference executes
        # the commands of one block from the last to the first (smp-wire 7.3, trap 30).
        encoded, contents = encode_requests(requests, self._smp, self._entropy, batch=batch)
        corr_ids = {one.corr_id for one in encoded}
        if len(corr_ids) != len(encoded) or any(corr_id in self._correlation for corr_id in corr_ids):
            raise LocalProtocolError("a correlation id is used twice")
        if self._reason is not None:
            # Return failed futures instead of raising. Then a caller handles `SessionClosed` in one place, whether the
            # session ended before this call or after it.
            return [self._refused(self._reason) for _ in encoded]
        seconds = self._response_timeout if timeout is None else timeout
        text = f"{self._name} did not answer within {seconds:g} s"
        responses = [
            self._correlation.expect(one.corr_id, one.entity_id, self._blocks_posted + one.content, seconds, text)
            for one in encoded
        ]
        for request in requests:
            self._trace(">", type(request.command).__name__)
        self._blocks_posted += len(contents)
        self._outgoing += contents
        if self._flusher is None and contents:
            self._flusher = asyncio.get_running_loop().create_task(self._flush())
        return responses

    async def request(
        self,
        command: Command,
        entity_id: bytes = b"",
        key: AuthPrivateKey | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - the session keeps its own time
    ) -> BrokerMessage:
        """Post one command and wait for its answer. For the arguments and errors, see `Request` and `post`."""
        (response,) = self.post([Request(command, entity_id, key)], timeout=timeout)
        return await response

    def end(self, fault: RemoteProtocolError) -> None:
        """See `ServerSession.end`."""
        self._end(str(fault), fault)

    async def close(self) -> None:
        """See `ServerSession.close`."""
        self._end("this program closed it", None)
        # Not `await self._reader`: this would raise the reader's CancelledError here, as if this caller were cancelled.
        await asyncio.wait([self._reader])
        await self._connection.close()  # if the reader was cancelled before it ran, it did not close the connection

    @property
    def _name(self) -> str:
        return f"relay {self.server.host}"

    def _trace(self, direction: str, name: str) -> None:
        trace.debug("%s %-8s %s", direction, name.upper() if name != "NoneType" else "?", self.server.host)

    @staticmethod
    def _refused(reason: SessionClosed) -> Response:
        response = new_response()
        fail(response, SessionClosed(str(reason)), reason)
        return response

    async def _flush(self) -> None:
        try:
            while self._outgoing and self._reason is None:
                contents = self._outgoing[:_BLOCKS_PER_WRITE]
                del self._outgoing[:_BLOCKS_PER_WRITE]
                # Encrypt blocks only now: each one changes the chain key, so they must be encrypted in the order in
                # which they are sent (smp-wire 3.6).
                await self._connection.send([self._smp.seal_block(content) for content in contents])
                # Time limits of answers start now, not before `send`: on a slow line, sending 16 blocks may take longer
                # than the time limit of one answer.
                self._writes.append((self._blocks_written, self._clock.now()))
                self._blocks_written += len(contents)
        except TransportError as error:
            self._end(str(error), error)
        except Exception as error:
            self._end("sending failed", error)
            raise
        finally:
            self._flusher = None

    async def _read(self) -> None:
        try:
            while self._reason is None:
                await self._wait_for_room()
                self._open(await self._connection.receive())
        except (ProtocolError, DecodeError, CryptoError) as error:
            fault = RemoteProtocolError(f"the relay sent a block that cannot be read: {error}")
            fault.__cause__ = error
            self._end(str(fault), fault)
        except TransportError as error:
            self._end(str(error), error)
        except Exception as error:
            self._end("receiving failed", error)
            raise
        finally:
            await self._connection.close()
            if self._flusher is not None:
                await asyncio.wait([self._flusher])

    async def _wait_for_room(self) -> None:
        before = self._clock.now()
        await self.may_read(self)
        if self._clock.now() > before:  # meanwhile the session read nothing: the relay was not silent
            self._received_at = self._clock.now()

    def _open(self, block: bytes) -> None:
        transmissions = decode_batch(self._smp.open_block(block))
        self._received_at = self._clock.now()
        self._silences = 0
        # Handle transmissions one by one: an answer and a message mean the same in one block as in two (smp-wire trap
        # 39).
        for data in transmissions:
            self._dispatch(decode_transmission(data, self.version, self.session_id))
            if self._reason is not None:
                return

    def _dispatch(self, transmission: Transmission) -> None:
        message: BrokerMessage | None
        try:
            message = decode_broker(transmission.body, self.version)
        except DecodeError as error:
            # The session continues: newer relays send events that we do not know, such as ALLS of SMP 19.
            _log.warning("%s sent a message of unknown form: %s", self._name, error)
            message = None
        self._trace(
            "<", " ".join(("ERR", *message.error.words)) if isinstance(message, Err) else type(message).__name__
        )
        # An event has no correlation id (smp-wire 4.3). A relay either pushes MSG as an event, or sends it as the
        # answer to SUB, GET or ACK (smp-wire 5.2, trap 24).
        pushed = isinstance(message, Msg) and not transmission.corr_id
        if not pushed and transmission.corr_id not in self._correlation and self._is_flood():
            self.end(RemoteProtocolError("it sends too many answers and events that nobody asked for"))
            return
        if transmission.corr_id:
            message = self._correlation.answer(transmission.corr_id, transmission.entity_id, message)
        elif isinstance(message, Err):
            if not self._correlation.refuse_block(message.error):
                self._end(f"the relay could not read a block ({message.error})", SMPError(message.error))
            return
        if message is not None:
            self._emit(transmission.entity_id, message)

    def _is_flood(self) -> bool:
        """Count a transmission that is neither a message nor an answer. Returns whether more than `MAX_UNASKED` of them
        came within `UNASKED_WITHIN` seconds."""
        now = self._clock.now()
        if now - self._unasked_since >= UNASKED_WITHIN:
            self._unasked, self._unasked_since = 0, now
        self._unasked += 1
        return self._unasked > MAX_UNASKED

    def _emit(self, entity_id: bytes, message: BrokerMessage) -> None:
        try:
            self.on_event(self, entity_id, message)
        except RemoteProtocolError as fault:
            self.end(fault)
        except Exception as error:  # a bug in the caller's function must not end the session for other queues
            context = {"message": f"handling {type(message).__name__} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _due(self, command: Unanswered) -> float:
        """The time at which ``command`` times out. Its time limit starts when the connection accepts the command's
        block. While that block waits to be sent, the time limit starts anew each time the connection accepts earlier
        blocks."""
        taken = next((at for first, at in reversed(self._writes) if first <= command.block), 0.0)
        return max(command.posted_at, taken) + command.timeout

    def _timed_out(self, command: Unanswered) -> None:
        """A command timed out: add 1 to the number of silences, unless the relay has sent something since the command
        was posted. If several commands that were posted together time out, add 1 only once."""
        # While the relay sends anything, unanswered commands do not end the session: a relay that still pushes messages
        # is reachable.
        if max(self._received_at, self._silence_counted_at) <= command.posted_at:
            self._silences += 1
            self._silence_counted_at = self._clock.now()
            if self._silences >= MAX_SILENCES:
                self._end(f"{self._name} no longer answers", None)
            elif self._pong is None or self._pong.done():
                # Send PING at once, so that a session that hangs ends after 45 s. Without this PING, it would end only
                # when several later commands had timed out too. If the only later commands were the two repetitions of
                # SUB, 5 s and 30 s later, messages would arrive (in a new session) only after more than 90 s.
                self._ask()

    def _watch_idleness(self, _: object = None) -> None:
        """Send PING if the relay has been silent for ``ping_after`` seconds. If PING gets no answer, send it again."""
        if self._reason is not None or (self._pong is not None and not self._pong.done()):
            return
        due = self._received_at + self._ping_after
        if self._clock.now() < due:
            self._idle_timer = self._clock.call_at(due, self._watch_idleness)
        else:
            self._ask()

    def _ask(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        (self._pong,) = self.post([Request(Ping())])
        self._pong.add_done_callback(self._watch_idleness)

    def _end(self, reason: str, cause: BaseException | None) -> None:
        """Stop sending and receiving, and fail all unanswered commands with ``reason``."""
        if self._reason is not None:
            return
        text = f"the session with {self._name} ended: {reason}"
        self._reason = SessionClosed(text)
        self._reason.__cause__ = cause
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        self._correlation.abandon(text, cause)
        self.closed.set()
        if asyncio.current_task() is not self._reader:
            self._reader.cancel()
