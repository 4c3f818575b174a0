"""Makes KEM key pairs ahead of time, when the process has nothing better to do.

``pqcrypto`` takes 20 to 30 ms for a pair and holds the interpreter meanwhile, so a thread would not help: the loop
stands still wherever the call is made. What helps is when: after a second of quiet; or, where a joiner will need a pair
for its confirmation and there is none, while its first commands are on their way and all we could do is wait.
"""

from __future__ import annotations

import asyncio

from smpchat.agent.store import kem_spares, outgoing
from smpchat.agent.store.database import Database
from smpchat.crypto.kem import KEMProvider

SPARES = 2
"""Pairs kept in the store: one for a handshake, and one for the turn of a conversation right after it."""
QUIET = 1.0
"""Seconds without a commit after which there is time."""
ON_ITS_WAY = 0.003
"""Seconds after which the first commands of a handshake have left."""


class SpareKeys:
    """Keeps the store's stock of key pairs. Needs a running loop; without a KEM it does nothing."""

    def __init__(self, database: Database, kem: KEMProvider | None) -> None:
        self._database = database
        self._kem = kem
        self._timer: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """Something was committed: begin to wait for a quiet moment again."""
        self.cancel()
        if self._kem is None:
            return
        tx = self._database.connection
        stock = kem_spares.count(tx)
        if stock >= SPARES:
            return
        awaited = stock == 0 and outgoing.is_joining(tx)
        delay = ON_ITS_WAY if awaited else QUIET
        self._timer = asyncio.get_running_loop().call_later(delay, self._make, self._kem)

    def cancel(self) -> None:
        """Make none."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _make(self, kem: KEMProvider) -> None:
        pair = kem.generate()
        with self._database.transaction() as tx:
            kem_spares.add(tx, *pair)
