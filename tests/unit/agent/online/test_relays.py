"""Sessions with the relays of contacts are bounded: descriptors, which whoever names relays would else use up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

from smpchat.agent.online.admitting import Admitting
from smpchat.agent.online.relays import MAX_IDLE, Relays
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import connections
from smpchat.agent.store.outgoing import Kind, Lane, Priority, enqueue
from smpchat.agent.transactions.admitting import AT_ONCE
from smpchat.client.pool import SessionPool
from smpchat.protocol.address import SMPServer
from tests.unit.agent.agents import Agent, connected
from tests.unit.agent.transactions.test_contact_address import full_link, owner, request_of, requests_of


class Pool:
    def __init__(self) -> None:
        self.unwatched: list[SMPServer] = []

    def unwatch(self, server: SMPServer) -> None:
        self.unwatched.append(server)

    async def release(self, server: SMPServer) -> None:
        pass


class NoTasks:
    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        work.close()


def relay(number: int) -> SMPServer:
    return SMPServer((f"{number}.example.org",), "", bytes(32))


def test_the_relay_used_longest_ago_is_left_unless_something_waits_for_it(tmp_path: Path) -> None:
    alice, _ = connected(tmp_path)
    pool = Pool()
    relays = Relays(alice.database, alice.context, cast(SessionPool, pool), cast(Tasks, NoTasks()))
    queue = connections.send_queue(alice.tx, alice.id)
    assert queue is not None
    send_to = queue.server
    with alice.database.transaction() as tx:
        tx.execute("DELETE FROM receive_queues")  # or it would be kept for what arrives
        enqueue(tx, alice.id, Lane.SEND, Kind.MESSAGE, Priority.MESSAGE)
    relays.used(send_to)
    for number in range(MAX_IDLE + 2):
        relays.used(relay(number))
    assert pool.unwatched == [relay(0), relay(1), relay(2)]
    with alice.database.transaction() as tx:
        tx.execute("DELETE FROM outbox")
    relays.used(relay(100))
    assert pool.unwatched[3:] == [send_to]


def test_a_request_whose_turn_has_not_come_keeps_nobody_busy(tmp_path: Path) -> None:
    alice = owner(tmp_path, auto_accept=True)
    for number in range(AT_ONCE + 1):
        alice.receive(request_of(Agent(f"asker {number}", tmp_path), full_link(alice)))
    assert len(requests_of(alice)) == 1

    async def check() -> None:
        admitting = Admitting(alice.database, alice.context)
        commits = 0

        def look() -> None:
            nonlocal commits
            commits += 1
            admitting.look()

        alice.database.watch(look)
        running = asyncio.ensure_future(admitting.run())
        for _ in range(50):
            await asyncio.sleep(0)
        assert commits == 0, "a commit would be a reason to look again, without end"
        running.cancel()

    asyncio.run(check())
    assert len(requests_of(alice)) == 1
