"""Makes KEM key pairs ahead of time, when the process has nothing better to do.

``pqcrypto`` takes 20 to 30 ms to make a pair, and blocks the whole interpreter meanwhile. So the event loop stands
still even if a pair is made in another thread. Therefore pairs are made at a moment when nothing else is to be done:
usually after a second without commits. When we join a link, we need a pair for the confirmation; if no pair is ready,
one is made while our first commands are on their way to the relay.
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
"""How many key pairs are kept ready in the store: one for a handshake, and one for the first answer right after it."""
QUIET = 1.0
"""After this many seconds without a commit, there is time to make key pairs."""
ON_ITS_WAY = 0.001
"""Seconds after which commands that were given to a session are on their way to the relay."""


class SpareKeys:
    """Makes key pairs until the store has `SPARES` of them, and again after some were used. Needs a running event loop;
    does nothing if there is no KEM."""

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
        """Commands were given to a session. If we are joining a link and no key pair is ready, make one while these
        commands are on their way to the relay."""
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
