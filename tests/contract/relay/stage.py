"""What the relay's conformance tests share: the kinds of clients, and a relay to meet as one of them.

What a relay must answer is taken from the reference's own tests (smp-wire 8.1), at several versions. The client here is
blocks and transmissions only, so nothing of ours stands between a test and the relay's words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.commands import Ack, Msg, Ok, Sok
from smpchat.protocol.messages import RcvMessage
from tests.unit.relay.support import Created, Peer, Relay, a_relay

UNKNOWN_ID = b"\x07" * 24
SOME_KEY = Ed25519PrivateKey(b"\x01" * 32)
OTHER_KEY = Ed25519PrivateKey(b"\x02" * 32)
DH = X25519PrivateKey(b"\x03" * 32)


@dataclass(frozen=True, slots=True)
class Kind:
    """A client: its version, and whether its hello has a key."""

    version: int
    with_key: bool = True

    @property
    def subscribed(self) -> object:
        """The answer to SUB."""
        return Sok() if self.version >= 16 else Ok()

    @property
    def largest(self) -> int:
        """Longest body of SEND."""
        return 16048 if self.version >= 11 else 16064 if self.version >= 8 else 16088


KINDS = [
    Kind(6),
    Kind(7),
    Kind(8),
    Kind(9),
    Kind(10),
    Kind(11),
    Kind(11, with_key=False),
    Kind(12),
    Kind(14),
    Kind(15),
    Kind(16),
    Kind(17),
    Kind(18),
    Kind(18, with_key=False),
]
every_version = pytest.mark.parametrize(
    "kind", KINDS, ids=[f"v{kind.version}{'' if kind.with_key else '-no-key'}" for kind in KINDS]
)
with_skey = pytest.mark.parametrize("kind", [k for k in KINDS if k.version >= 9], ids=lambda kind: f"v{kind.version}")


class Stage:
    """A relay, and how to meet it as one kind of client."""

    def __init__(self, relay: Relay, kind: Kind) -> None:
        self.relay = relay
        self.kind = kind

    async def peer(self) -> Peer:
        return await self.relay.connect(version=self.kind.version, with_key=self.kind.with_key)


def on(kind: Kind, check: Callable[[Stage], Awaitable[None]], **options: Any) -> None:
    async def within() -> None:
        async with asyncio.timeout(60), a_relay(**options) as relay:
            await check(Stage(relay, kind))

    asyncio.run(within())


def ack(message: object) -> Ack:
    assert isinstance(message, Msg), message
    return Ack(message.msg_id)


def body(queue: Created, message: Any) -> bytes:
    content = queue.open(message)
    assert isinstance(content, RcvMessage)
    return content.body
