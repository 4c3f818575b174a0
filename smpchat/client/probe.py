"""Tests whether a relay works: sends one message through one queue, and times each step."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from smpchat.client.connect import open_session
from smpchat.client.diagnosis import trouble_of
from smpchat.client.errors import ResponseTimeout, UnexpectedResponse
from smpchat.client.network import Network
from smpchat.client.session import DirectSession
from smpchat.client.trouble import Trouble
from smpchat.crypto.entropy import Entropy
from smpchat.crypto.errors import CryptoError
from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.encoding.reader import DecodeError
from smpchat.encoding.record import Record
from smpchat.protocol.address import SMPServerAddress
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Ids,
    Key,
    Msg,
    New,
    Ok,
    QueueRequest,
    Send,
    SKey,
    Sok,
    Sub,
)
from smpchat.protocol.errors import ErrorCode, ProtocolError, SMPError
from smpchat.protocol.messages import RcvMessage, open_message
from smpchat.protocol.queue_mode import QueueMode
from smpchat.protocol.version import SMP_CLIENT_VERSIONS, SND_AUTH_KEY, VersionRange
from smpchat.transport.base import BlockConnection, TransportError

PUSH_PATIENCE = 3.0
"""If the relay does not push the message within this many seconds, SUB asks for it: the reference relay sometimes
forgets to push (smp-wire 7.3)."""
_BODY_SIZE = 16043  # every message between people is padded to this size, smp-wire 4.6


class Check(Record):
    """The result of one step of a relay test.

    Attributes:
        name: ``connect``, ``hello``, or the name of the command that was sent.
        detail: A text in lower case: what the step found, or what went wrong in it.
        seconds: How long the step took.
        trouble: What is wrong, if ``connect`` or ``hello`` failed; otherwise None.
    """

    name: str
    ok: bool
    detail: str
    seconds: float
    trouble: Trouble | None = None


def _today() -> datetime:
    return datetime.now(UTC)


async def probe(
    address: SMPServerAddress,
    report: Callable[[Check], None],
    *,
    network: Network,
    entropy: Entropy,
    timeout: float,  # noqa: ASYNC109 - for each step
    versions: VersionRange = SMP_CLIENT_VERSIONS,
    now: Callable[[], datetime] = _today,
) -> bool:
    """Test a relay with one queue: connect, hello, NEW, SKEY (KEY below version 9), SEND, MSG, ACK, DEL.

    Args:
        address: The relay's address, with the password for new queues if the relay needs one.
        report: Called after each step. The test stops at the first step that fails. If the test has created its queue
            by then, it still deletes the queue.
        timeout: Seconds to wait for the connection, and for each answer.
        versions: The SMP versions that we offer.
        now: Returns the date and time at which certificates must be valid.
    Returns:
        Whether every step succeeded.
    """
    stopwatch = Stopwatch(report)
    events: asyncio.Queue[tuple[bytes, BrokerMessage]] = asyncio.Queue()

    async def greet(connection: BlockConnection) -> DirectSession:
        stopwatch.next("hello")
        return await open_session(
            connection,
            address.server,
            entropy=entropy,
            on_event=lambda _, entity_id, message: events.put_nowait((entity_id, message)),
            versions=versions,
            response_timeout=timeout,
            now=now,
        )

    stopwatch.next("connect")
    try:
        session = await network.reach(address.server, greet, timeout=timeout)
    except (TransportError, ProtocolError) as error:
        if stopwatch.name == "hello":
            stopwatch.passed("connect", "the relay was reached")
        stopwatch.failed(str(error), trouble_of(error))
        return False
    stopwatch.passed("connect", f"over {network.transport_to(address.server)}")
    stopwatch.passed("hello", f"SMP version {session.version}")
    walk = _Walk(session, events, address.password, entropy, timeout)
    try:
        for name, step in walk.steps():
            stopwatch.next(name)
            stopwatch.passed(name, await step())
    except (TransportError, ProtocolError, CryptoError, DecodeError) as error:
        stopwatch.failed(_explain(stopwatch.name, error, address))
        return False
    finally:
        await walk.tidy()
        await session.close()
    return True


class Stopwatch:
    """Times the steps of a relay test. If several transports are tried, ``connect`` ends and ``hello`` starts when the
    last connection is open."""

    def __init__(self, report: Callable[[Check], None]) -> None:
        self._report = report
        self._clock = asyncio.get_running_loop().time
        self._started: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self.name = self._before = ""

    def next(self, name: str) -> None:
        """Begin a step. If this step is already under way, it begins again, and the time until now counts for the step
        before it."""
        now = self._clock()
        if name != self.name:
            self._before = self.name
        self._ended[self._before] = now
        self._started[name] = now
        self.name = name

    def passed(self, name: str, detail: str) -> None:
        end = self._ended[name] if name != self.name else self._clock()
        self._ended[name] = end
        self._report(Check(name, True, detail, max(0.0, end - self._started[name])))

    def failed(self, detail: str, trouble: Trouble | None = None) -> None:
        self._report(Check(self.name, False, detail, self._clock() - self._started[self.name], trouble))


class _Walk:
    """The queue of a test; this program is both its recipient and its sender."""

    def __init__(
        self,
        session: DirectSession,
        events: asyncio.Queue[tuple[bytes, BrokerMessage]],
        password: str | None,
        entropy: Entropy,
        timeout: float,
    ) -> None:
        self._session = session
        self._events = events
        self._password = password.encode() if password else None
        self._timeout = timeout
        self._recipient_key = Ed25519PrivateKey.generate(entropy)
        self._sender_key = Ed25519PrivateKey.generate(entropy)
        self._dh_key = X25519PrivateKey.generate(entropy)
        self._body = entropy.random(_BODY_SIZE)
        self._queue: Ids | None = None
        self._message: Msg | None = None

    def steps(self) -> list[tuple[str, Callable[[], Awaitable[str]]]]:
        by_sender = self._session.version >= SND_AUTH_KEY
        return [
            ("NEW", self._create),
            ("SKEY", self._secure_as_sender) if by_sender else ("KEY", self._secure_as_recipient),
            ("SEND", self._send),
            ("MSG", self._receive),
            ("ACK", self._acknowledge),
            ("DEL", self._delete),
        ]

    async def tidy(self) -> None:
        """Try to delete the queue if it still exists."""
        if self._queue is not None:
            with contextlib.suppress(TransportError, ProtocolError):
                await self._delete()

    @property
    def _ids(self) -> Ids:
        assert self._queue is not None
        return self._queue

    async def _create(self) -> str:
        queue = QueueRequest(QueueMode.MESSAGING) if self._session.version >= SND_AUTH_KEY else None
        new = New(self._recipient_key.public(), self._dh_key.public(), basic_auth=self._password, queue=queue)
        answer = await self._session.request(new, b"", self._recipient_key)
        if not isinstance(answer, Ids):
            raise _unexpected(answer)
        self._queue = answer
        return "a queue was made"

    async def _secure_as_sender(self) -> str:
        await self._expect_ok(SKey(self._sender_key.public()), self._ids.snd_id, self._sender_key)
        return "the sender secured the queue"

    async def _secure_as_recipient(self) -> str:
        await self._expect_ok(Key(self._sender_key.public()), self._ids.rcv_id, self._recipient_key)
        return "the recipient secured the queue"

    async def _send(self) -> str:
        await self._expect_ok(Send(False, self._body), self._ids.snd_id, self._sender_key)
        return f"a message of {len(self._body)} bytes was accepted"

    async def _receive(self) -> str:
        # If the relay does not push the message, ask for it with SUB, as `smpchat.agent` does. The step fails only if
        # the message does not come after SUB either.
        message = await self._pushed(min(PUSH_PATIENCE, self._timeout))
        pushed = message is not None
        if message is None:
            answer = await self._session.request(Sub(), self._ids.rcv_id, self._recipient_key)
            if not isinstance(answer, Ok | Sok | Msg):
                raise _unexpected(answer)
            message = answer if isinstance(answer, Msg) else await self._pushed(self._timeout)
        if message is None:
            raise ResponseTimeout("the message did not come back")
        self._message = message
        secret = self._dh_key.exchange(self._ids.server_dh_key)
        opened = open_message(secret, message.msg_id, message.body)
        if not isinstance(opened, RcvMessage) or not hmac.compare_digest(opened.body, self._body):
            raise UnexpectedResponse("a different message came back")
        return "the message came back unchanged" + ("" if pushed else ", after asking for it")

    async def _pushed(self, seconds: float) -> Msg | None:
        try:
            async with asyncio.timeout(seconds):
                while True:
                    entity_id, message = await self._events.get()
                    if isinstance(message, Msg) and entity_id == self._ids.rcv_id:
                        return message
        except TimeoutError:
            if (reason := self._session.close_reason) is not None:
                raise reason from None
            return None

    async def _acknowledge(self) -> str:
        assert self._message is not None
        await self._expect_ok(Ack(self._message.msg_id), self._ids.rcv_id, self._recipient_key)
        return "the message was acknowledged"

    async def _delete(self) -> str:
        await self._expect_ok(Del(), self._ids.rcv_id, self._recipient_key)
        self._queue = None
        return "the queue was deleted"

    async def _expect_ok(self, command: Command, entity_id: bytes, key: Ed25519PrivateKey) -> None:
        answer = await self._session.request(command, entity_id, key)
        if not isinstance(answer, Ok):
            raise _unexpected(answer)


def _unexpected(answer: BrokerMessage) -> UnexpectedResponse:
    return UnexpectedResponse(f"the relay answered with {type(answer).__name__.upper()}")


def _explain(step: str, error: Exception, address: SMPServerAddress) -> str:
    if step == "NEW" and isinstance(error, SMPError) and error.code == ErrorCode.AUTH:
        if address.password:
            return "the relay refuses the password in its address, or does not allow new queues"
        return "the relay needs a password for new queues, or does not allow new queues"
    if isinstance(error, CryptoError | DecodeError):
        return f"the message that came back cannot be decrypted: {error}"
    return str(error)
