"""Collects the progress of file transfers, and commits it a few times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from smpchat.agent.context import Context
from smpchat.agent.online.file_chunks import ChunkKey
from smpchat.agent.online.tasks import Tasks, is_of_store
from smpchat.agent.store import files
from smpchat.agent.store.database import Database
from smpchat.agent.transactions import files as transactions

COMMIT_EVERY = 0.25
"""Seconds between two commits of the progress; other processes see the progress only after a commit."""


class FileProgress:
    """Keeps track of the chunks that workers (see `smpchat.agent.online.file_transfers`) are handling, and of the
    chunks that are done but not committed yet.

    Args:
        fault: Called if the progress of a file cannot be committed; the arguments are the number of the file and the
            error.

    Attributes:
        claimed: The keys of the chunks that are being handled, or are done but not committed. No other worker may begin
            to transfer or register these chunks.
    """

    def __init__(
        self, database: Database, context: Context, tasks: Tasks, fault: Callable[[int, BaseException], None]
    ) -> None:
        self._database = database
        self._context = context
        self._tasks = tasks
        self._fault = fault
        self.claimed: set[ChunkKey] = set()
        self._done: list[ChunkKey] = []
        self._under_way: dict[ChunkKey, int] = {}
        self._shown: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._committed_at = 0.0

    def moving(self, key: ChunkKey, done: int) -> None:
        """Note that ``done`` bytes of a chunk have been transferred so far."""
        self._under_way[key] = done
        self._commit_soon()

    def moved(self, key: ChunkKey, *, last: bool) -> None:
        """A chunk has been transferred. ``last``: there is no other chunk to transfer at the same relay, so the
        progress is committed at once."""
        self._under_way.pop(key, None)
        self._done.append(key)
        if last:
            self.commit()
        else:
            self._commit_soon()

    def stopped(self, key: ChunkKey) -> None:
        """A chunk was not transferred, so a worker may begin with it again."""
        self._under_way.pop(key, None)
        self.claimed.discard(key)

    def cancel(self) -> None:
        """Commit nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _commit_soon(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            due = max(0.0, self._committed_at + COMMIT_EVERY - loop.time())
            self._timer = loop.call_later(due, self._commit_in_turn)

    def _commit_in_turn(self) -> None:
        try:
            self.commit()
        except Exception as error:  # a timer calls this, so nobody would see the error
            self._tasks.fail(error)

    def commit(self) -> None:
        """Store which chunks were transferred, and how much of the chunks that are still being transferred."""
        self.cancel()
        self._committed_at = asyncio.get_running_loop().time()
        done, self._done = self._done, []
        under_way: dict[int, int] = {}
        for (file_id, _), size in self._under_way.items():
            under_way[file_id] = under_way.get(file_id, 0) + size
        changed = {
            number: under_way.get(number, 0)
            for number in under_way.keys() | self._shown.keys()
            if under_way.get(number, 0) != self._shown.get(number, 0)
        }
        self._shown = under_way
        if not done and not changed:
            return
        try:
            with self._database.transaction() as tx:
                transactions.moved(tx, self._context, done)
                files.set_moving(tx, changed)
        except Exception as error:
            if is_of_store(error):
                raise
            self._commit_apart(done)
        finally:
            self.claimed.difference_update(done)

    def _commit_apart(self, done: Sequence[ChunkKey]) -> None:
        """Commit the progress of each file in a transaction of its own. This is needed if one commit for all files has
        failed: in this way, only the file with the error loses its progress."""
        for file_id in dict.fromkeys(number for number, _ in done):
            try:
                with self._database.transaction() as tx:
                    transactions.moved(tx, self._context, [key for key in done if key[0] == file_id])
            except Exception as error:
                if is_of_store(error):
                    raise
                self._fault(file_id, error)
