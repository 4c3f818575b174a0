"""Makes KEM key pairs ahead of time, when the process has nothing better to do.

``pqcrypto`` takes 20 to 30 ms for a pair and blocks the interpreter meanwhile. So a thread would not help: the event
loop stands still in any case. What helps is the right moment: usually after a second without commits. If there is no
pair and a joiner will need one for its confirmation, the right moment is while the joiner's first commands are on their
way.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3

from smpchat.agent.errors import StoreError
from smpchat.agent.store import kem_spares, outgoing
from smpchat.agent.store.database import Database
from smpchat.crypto.kem import KEMProvider

log = logging.getLogger("smpchat.agent")

SPARES = 2
"""Key pairs kept ready in the store: one for a handshake, and one for the first answer right after it."""
QUIET = 1.0
"""After this many seconds without a commit, there is time to make key pairs."""
ON_ITS_WAY = 0.001
"""Seconds within which commands given to a session are on their way."""


class SpareKeys:
    """Keeps the store's stock of key pairs. Needs a running loop; without a KEM it does nothing."""

    def __init__(self, database: Database, kem: KEMProvider | None) -> None:
        self._database = database
        self._kem = kem
        self._quiet: asyncio.TimerHandle | None = None
        self._urgent: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        """Something was committed, so begin again to wait for a quiet moment."""
        if self._quiet is not None:
            self._quiet.cancel()
            self._quiet = None
        if self._kem is not None and kem_spares.count(self._database.connection) < SPARES:
            self._quiet = asyncio.get_running_loop().call_later(QUIET, self._make, self._kem)

    def commands_sent(self) -> None:
        """Commands were given to a session. If a joiner needs a key pair, and there is none, make one while these
        commands are on their way."""
        tx = self._database.connection
        if self._kem is not None and self._urgent is None and not kem_spares.count(tx) and outgoing.is_joining(tx):
            self._urgent = asyncio.get_running_loop().call_later(ON_ITS_WAY, self._make, self._kem)

    def cancel(self) -> None:
        """Make no more key pairs."""
        for timer in (self._quiet, self._urgent):
            if timer is not None:
                timer.cancel()

    def _make(self, kem: KEMProvider) -> None:
        """Make one pair. If the pair cannot be stored, this is only logged: the code that needs a pair makes one
        itself."""
        self._urgent = None
        if not kem.available():  # asked only here, because the answer takes 13 ms
            self._kem = None
            return
        pair = kem.generate()
        try:
            with self._database.transaction() as tx:
                kem_spares.add(tx, *pair)
        except (StoreError, sqlite3.Error) as error:
            log.warning("no key pair was made ahead of time: %s", error)
