"""The steps of a relay's test: against the real relay over memory, and against relays that misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest

from smpchat.client.network import Network
from smpchat.client.probe import PUSH_PATIENCE, Check, Stopwatch, probe
from smpchat.client.routes import Transport
from smpchat.client.trouble import Trouble
from smpchat.crypto.keys import X25519PrivateKey, X25519PublicKey
from smpchat.encoding.record import replace
from smpchat.protocol.address import SMPServer, SMPServerAddress
from smpchat.protocol.commands import (
    Ack,
    BrokerMessage,
    Command,
    Del,
    Err,
    Ids,
    Msg,
    New,
    Ok,
    Pong,
    Send,
    SKey,
    Sok,
    Sub,
)
from smpchat.protocol.errors import ErrorCode
from smpchat.protocol.messages import RcvMessage, seal_message
from smpchat.protocol.version import SMP_CLIENT_VERSIONS, VersionRange
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import BlockConnection, ConnectFailed
from smpchat.transport.memory import memory_pair
from tests.unit.client.support import ScriptedRelay
from tests.unit.relay import support as relay_support
from tests.unit.transport.support import NOW, an_identity

T = TypeVar("T")
ALL_STEPS = ["connect", "hello", "NEW", "SKEY", "SEND", "MSG", "ACK", "DEL"]


class MemoryNetwork(Network):
    """A network whose connections the test makes."""

    def __init__(self, connect: Callable[[], Awaitable[BlockConnection]]) -> None:
        super().__init__(SeededEntropy("network"))
        self._connect = connect

    async def reach(
        self,
        server: SMPServer,
        greet: Callable[[BlockConnection], Awaitable[T]],
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> T:
        result = await greet(await self._connect())
        self._worked[server] = Transport.TLS
        return result


def try_relay(
    *, versions: VersionRange = SMP_CLIENT_VERSIONS, password: str | None = None, wanted: str | None = None
) -> tuple[list[Check], int]:
    """Checks against the real relay, and how many queues it holds afterwards."""

    async def within() -> tuple[list[Check], int]:
        checks: list[Check] = []
        async with relay_support.a_relay(password=wanted) as relay:
            server = SMPServer(("relay.example",), "", relay_support.an_identity().fingerprint)
            passed = await probe(
                SMPServerAddress(server, password),
                checks.append,
                network=MemoryNetwork(relay.connect_blocks),
                entropy=SeededEntropy("probe"),
                timeout=10,
                versions=versions,
                now=lambda: datetime.fromtimestamp(relay_support.NOW, UTC),
            )
            assert passed == checks[-1].ok
            return checks, relay.store.queue_count

    return asyncio.run(within())


@pytest.mark.parametrize("version", [7, 8, 9, 10, 11, 14, 15, 16, 17, 18])
def test_every_step_at_every_version(version: int) -> None:
    checks, left = try_relay(versions=VersionRange(7, version))
    securing = "KEY" if version < 9 else "SKEY"
    assert [check.name for check in checks] == [securing if name == "SKEY" else name for name in ALL_STEPS]
    assert all(check.ok and check.seconds >= 0 for check in checks)
    assert checks[0].detail == "over tls"
    assert checks[1].detail == f"SMP version {version}"
    assert left == 0


def test_the_password_of_the_address_is_used() -> None:
    checks, _ = try_relay(wanted="secret", password="secret")
    assert checks[-1].name == "DEL"


@pytest.mark.parametrize(
    ("password", "words"),
    [
        (None, "the relay needs a password for new queues, or does not allow new queues"),
        ("wrong", "the relay refuses the password in its address, or does not allow new queues"),
    ],
)
def test_a_missing_or_wrong_password_is_told_apart(password: str | None, words: str) -> None:
    checks, _ = try_relay(wanted="secret", password=password)
    assert [(check.name, check.ok) for check in checks] == [("connect", True), ("hello", True), ("NEW", False)]
    assert checks[-1].detail == words


def test_no_common_version_fails_at_the_hello() -> None:
    checks, _ = try_relay(versions=VersionRange(19, 20))
    assert [(check.name, check.ok) for check in checks] == [("connect", True), ("hello", False)]
    assert "must upgrade" in checks[-1].detail


def test_a_relay_that_is_not_reached_fails_at_connecting() -> None:
    async def refused() -> BlockConnection:
        raise ConnectFailed("cannot reach relay relay.example:5223: connection refused")

    checks: list[Check] = []
    server = SMPServerAddress(SMPServer(("relay.example",), "", bytes(32)))
    network = MemoryNetwork(refused)
    assert not asyncio.run(probe(server, checks.append, network=network, entropy=SeededEntropy("probe"), timeout=10))
    assert [replace(check, seconds=0) for check in checks] == [
        Check("connect", False, "cannot reach relay relay.example:5223: connection refused", 0, Trouble.UNREACHABLE)
    ]


# --- relays that misbehave -----------------------------------------------------------------------------------------

Answers = dict[type[Command], BrokerMessage | None]
RELAY_DH = X25519PrivateKey(b"\x05" * 32)
IDS = Ids(b"r" * 24, b"s" * 24, RELAY_DH.public())


class OddRelay:
    """Answers as a relay does, but for ``odd``; None is no answer at all."""

    def __init__(self, odd: Answers, *, pushes: bool = True, loses: bool = False, body: bytes | None = None) -> None:
        self.odd = odd
        self.pushes = pushes
        self.loses = loses
        self.body = body
        self.commands: list[Command] = []
        self._recipient_dh: X25519PublicKey | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def connect(self) -> BlockConnection:
        ours, theirs = memory_pair(leaf=an_identity().certificate)
        self._tasks.append(asyncio.create_task(self._serve(theirs)))
        return ours

    async def _serve(self, connection: BlockConnection) -> None:
        relay = await ScriptedRelay.accept(connection)
        waiting: Msg | None = None
        while True:
            received = await relay.next()
            command = relay.command(received)
            self.commands.append(command)
            usual: BrokerMessage = Ok()
            match command:
                case New():
                    self._recipient_dh = command.rcv_dh_key
                    usual = IDS
                case Send() if not self.loses:
                    waiting = self._message(self.body or command.body)
                case Sub():
                    usual = Sok()
            answer = self.odd.get(type(command), usual)
            if answer is not None:
                await relay.answer(received, answer)
            if waiting is not None and (self.pushes if isinstance(command, Send) else isinstance(command, Sub)):
                await relay.send((b"", IDS.rcv_id, waiting))

    def _message(self, body: bytes) -> Msg:
        assert self._recipient_dh is not None
        msg_id = bytes(24)
        secret = RELAY_DH.exchange(self._recipient_dh)
        return Msg(msg_id, seal_message(secret, msg_id, RcvMessage(0, False, body)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def run_odd(relay: OddRelay) -> list[Check]:
    async def within() -> list[Check]:
        checks: list[Check] = []
        server = SMPServer(("relay.example",), "", an_identity().fingerprint)
        await probe(
            SMPServerAddress(server),
            checks.append,
            network=MemoryNetwork(relay.connect),
            entropy=SeededEntropy("probe"),
            timeout=10,
            now=lambda: NOW,
        )
        await relay.close()
        return checks

    return run_jumping(within)


@pytest.mark.parametrize(
    ("odd", "name", "words"),
    [
        ({New: Ok()}, "NEW", "the relay answered with OK"),
        ({New: None}, "NEW", "did not answer within 10 s"),
        ({SKey: Err(ErrorCode.AUTH)}, "SKEY", "the relay answered AUTH"),
        ({Send: Err(ErrorCode.QUOTA)}, "SEND", "the relay answered QUOTA"),
        ({Ack: Err(ErrorCode.NO_MSG)}, "ACK", "the relay answered NO_MSG"),
        ({Ack: Pong()}, "ACK", "the relay answered with PONG"),
        ({Del: Err(ErrorCode.INTERNAL)}, "DEL", "the relay answered INTERNAL"),
    ],
)
def test_the_step_that_fails_is_the_last_and_says_why(odd: Answers, name: str, words: str) -> None:
    relay = OddRelay(odd)
    checks = run_odd(relay)
    assert [check.name for check in checks] == ALL_STEPS[: ALL_STEPS.index(name) + 1]
    assert [check.ok for check in checks] == [True] * (len(checks) - 1) + [False]
    assert words in checks[-1].detail
    if name != "NEW":
        assert isinstance(relay.commands[-1], Del)  # no queue is left behind


def test_a_message_that_was_not_pushed_is_asked_for() -> None:
    """The reference sometimes stores a message without pushing it (smp-wire 7.3)."""
    relay = OddRelay({}, pushes=False)
    checks = run_odd(relay)
    assert checks[-1].name == "DEL"
    assert checks[5].detail == "the message came back unchanged, after asking for it"
    assert checks[5].seconds >= PUSH_PATIENCE
    assert [type(command) for command in relay.commands] == [New, SKey, Send, Sub, Ack, Del]


def test_a_message_that_never_comes_fails() -> None:
    last = run_odd(OddRelay({Sub: Sok()}, pushes=False, loses=True))[-1]
    assert (last.name, last.ok, last.detail) == ("MSG", False, "the message did not come back")


def test_a_queue_that_vanished_fails() -> None:
    last = run_odd(OddRelay({Sub: Err(ErrorCode.AUTH)}, pushes=False))[-1]
    assert (last.name, last.detail) == ("MSG", "the relay answered AUTH")


def test_a_message_that_was_changed_fails() -> None:
    checks = run_odd(OddRelay({}, body=b"something else"))
    assert (checks[-1].name, checks[-1].detail) == ("MSG", "a different message came back")


def test_a_second_transport_counts_as_connecting() -> None:
    """The first transport opens and says nothing, the second one works."""

    async def check() -> None:
        told: list[Check] = []
        stopwatch = Stopwatch(told.append)
        stopwatch.next("connect")
        for seconds in (1, 5):
            await asyncio.sleep(seconds)
            stopwatch.next("hello")
        await asyncio.sleep(2)
        stopwatch.passed("connect", "over WebSocket")
        stopwatch.passed("hello", "SMP version 19")
        assert [(one.name, one.seconds) for one in told] == [("connect", 6), ("hello", 2)]

    run_jumping(check)
