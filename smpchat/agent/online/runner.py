"""Runs the agent in an online process: starts its tasks, and connects them to the store and to each other.

Every change is committed by a transaction before anything is sent or acknowledged because of it. Other processes put
work into the store, and this process does this work as soon as `smpchat.agent.online.changes.ForeignChanges` notices
it. Messages come in through `incoming` and `receiver`, and go out through `lanes` and `sending`; `file_transfers`
handles files in both directions. `relays` and `subscriptions` decide which relays are connected and which queues are
subscribed.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

from smpchat.agent.context import Context
from smpchat.agent.errors import StoreError
from smpchat.agent.online.admitting import Admitting
from smpchat.agent.online.changes import Changes
from smpchat.agent.online.incoming import Incoming
from smpchat.agent.online.lanes import Lanes
from smpchat.agent.online.notices import Notices
from smpchat.agent.online.receiver import Receiver
from smpchat.agent.online.relays import Relays
from smpchat.agent.online.sending import ChooseServers, Sender
from smpchat.agent.online.spares import SpareKeys
from smpchat.agent.online.subscriptions import Subscriptions
from smpchat.agent.online.tasks import Tasks
from smpchat.agent.store import file_traces
from smpchat.agent.store.database import Database
from smpchat.agent.store.outgoing import Lane
from smpchat.client.pool import SessionPool
from smpchat.client.session import ServerSession
from smpchat.protocol.address import SMPServer

if TYPE_CHECKING:
    from smpchat.agent.online.file_bytes import Offload
    from smpchat.agent.online.file_relays import FileNetwork
    from smpchat.agent.online.file_transfers import FileTransfers


class AgentRunner:
    """Does all the work that waits in a profile's store, while `run` runs.

    Args:
        choose_servers: Returns the relays at which a new queue may be made, in the order in which they are tried. The
            function's arguments are the relay of the peer's queue, if there is one, and the addresses of relays in
            trouble, so that the function can prefer other relays. The function may start the embedded relay, and raises
            `TransportError` if there is no relay.
        files: Called once, when the profile has files; returns how file relays are chosen and reached. If ``files`` is
            None, files are not transferred.
        offload: Runs blocking work. If ``offload`` is None, blocking work runs in a thread.
    """

    def __init__(
        self,
        database: Database,
        context: Context,
        make_pool: Callable[..., SessionPool],
        choose_servers: ChooseServers,
        files: Callable[[], FileNetwork] | None = None,
        offload: Offload | None = None,
    ) -> None:
        self._database = database
        self._context = context
        self._file_network, self._offload = files, offload
        self._files: FileTransfers | None = None
        self._tasks = tasks = Tasks()
        incoming = Incoming()
        self._pool = pool = make_pool(
            on_event=incoming.pushed,
            may_read=incoming.room,
            on_up=self._up,
            on_down=self._down,
            on_fault=tasks.fault_of_callback,
        )
        self._spares = SpareKeys(database, context.kem)
        notices = Notices(database, context)
        self._relays = Relays(database, context, pool, tasks)
        self._subscriptions = Subscriptions(database, context, pool, incoming, tasks, self._relays.listening)
        sender = Sender(
            database,
            context,
            pool,
            self._relays,
            self._subscriptions,
            self._spares,
            notices,
            choose_servers,
        )
        self._lanes = Lanes(database, context, pool, tasks, self._relays, notices, self._spares, sender)
        self._admitting = Admitting(database, context)
        self._receiver = Receiver(database, context, incoming, self._subscriptions, notices, resume=self._resume)

    async def run(self) -> None:
        """Work until the caller cancels this call, a task fails with an unexpected exception, or a callback fails with
        an error of the store.

        Raises:
            StoreError: The database cannot be read or written. What was committed is kept, and no message of an
                uncommitted transaction was sent.
        """
        loop = asyncio.get_running_loop()
        failure = self._tasks.start()

        def look_for_work() -> None:
            self._admitting.look()
            if self._files is not None:
                self._files.look()
            # The lanes are started later, not inside the commit, so that the code that commits can continue first.
            loop.call_soon(self._lanes.kick)

        self._database.watch(look_for_work)
        try:
            self._relays.watch_all()
            for work in (self._receiver.run(), self._subscriptions.repeat(), self._admitting.run()):
                self._tasks.spawn(work)
            if self._file_network is not None:
                self._tasks.spawn(self._move_files(self._file_network))
            self._lanes.kick()
            await failure
        except sqlite3.Error as error:
            raise StoreError(f"The profile's database {self._database.path} cannot be read: {error}.") from error
        finally:
            # This must be set first: errors that come only because the run is ending must not count as failures.
            self._tasks.running = False
            self._database.unwatch(look_for_work)
            self._spares.cancel()
            self._lanes.cancel()
            await self._tasks.cancel()
            if self._files is not None:
                await self._files.close()
            await self._pool.close()
            self._relays.leave_all()

    async def _move_files(self, network: Callable[[], FileNetwork]) -> None:
        """Wait for the first file, then handle files. The modules that handle files are imported only then: importing
        them takes 4 ms, and most processes have no files."""
        database = self._database
        with Changes(database) as changes:
            while not (
                file_traces.are_there_any(database.connection) or file_traces.has_ciphertext(database.path.parent)
            ):
                await changes.next()
        from smpchat.agent.online.file_bytes import to_thread
        from smpchat.agent.online.file_transfers import FileTransfers

        self._files = FileTransfers(database, self._context, self._tasks, network(), self._offload or to_thread)
        await self._files.run()

    def _up(self, server: SMPServer, session: ServerSession) -> None:
        self._relays.reached(server)
        self._subscriptions.begin(server, session, self._relays.queues_at(server))
        self._lanes.unblock(server)

    def _down(self, server: SMPServer, error: Exception, next_try_at: float) -> None:
        self._relays.not_reached(server, error, next_try_at)

    def _resume(self, connection_id: int) -> None:
        self._lanes.wake((connection_id, Lane.SEND))
