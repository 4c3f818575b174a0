"""A relay over a store that a test holds up or lets fail; connections are in memory and time is fake."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smpchat.crypto.keys import Ed25519PrivateKey, X25519PrivateKey
from smpchat.protocol.commands import (
    BrokerMessage,
    Send,
)
from smpchat.relay.errors import RelayStoreError
from smpchat.relay.limits import Limits
from smpchat.relay.server import RelayServer
from smpchat.relay.store import SQLiteStore
from smpchat.testing.entropy import SeededEntropy
from smpchat.testing.loop import run_jumping
from smpchat.transport.base import BlockConnection, ConnectionClosed
from tests.unit.relay.support import NOW, Created, Peer, Relay, an_identity, err

INTERNAL = err("INTERNAL")


BODY = b"a body"


NTF_KEY, OTHER_KEY, NTF_DH = (
    Ed25519PrivateKey(b"n" * 32),
    Ed25519PrivateKey(b"o" * 32),
    X25519PrivateKey(b"d" * 32),
)


class AtOnce(Executor):
    """Runs a commit where it is asked for, since time that jumps does not wait for threads."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class FailingStore(SQLiteStore):
    """Cannot commit while ``failing``; counts commits."""

    def __init__(self, path: Path | str = ":memory:") -> None:
        super().__init__(path)
        self.failing = False
        self.commits = 0

    def commit(self) -> None:
        if self.failing and self.changed:
            raise RelayStoreError("The relay's database failed while committing: the disk is full.")
        super().commit()
        self.commits += 1


class HeldStore(SQLiteStore):
    """Commits when it is let."""

    def __init__(self) -> None:
        super().__init__(":memory:")
        self.let = threading.Event()
        self.committing = threading.Event()
        self.commits = 0

    def commit(self) -> None:
        self.committing.set()
        self.let.wait()
        self.commits += 1
        super().commit()


@asynccontextmanager
async def a_relay(
    store: SQLiteStore | None = None, *, limits: Limits | None = None, committer: Executor | None = None
) -> AsyncIterator[Relay]:
    store = store or SQLiteStore(":memory:")
    server = RelayServer(
        store,
        an_identity(),
        entropy=SeededEntropy("relay"),
        clock=lambda: float(NOW),
        limits=limits,
        committer=committer or AtOnce(),
    )
    await server.start(listen=False)
    relay = Relay(server, store, float(NOW))
    try:
        yield relay
    finally:
        await relay.close()
        store.close()


def run(check: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await check()

    run_jumping(within)


async def send(peer: Peer, queue: Created, body: bytes = BODY) -> BrokerMessage:
    return await peer.ask(Send(False, body), queue.snd_id)


async def ended(connection: BlockConnection) -> int:
    """Blocks that came before the relay ended the connection."""
    blocks = 0
    with pytest.raises(ConnectionClosed):
        while True:
            await connection.receive()
            blocks += 1
    return blocks
