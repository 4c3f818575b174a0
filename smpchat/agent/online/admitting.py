"""Accepts the contact requests that wait for their turn, as soon as the limits in
`smpchat.agent.transactions.admitting` allow it."""

from __future__ import annotations

import asyncio
import logging

from smpchat.agent.context import Context
from smpchat.agent.errors import AgentError
from smpchat.agent.store.database import Database
from smpchat.agent.transactions import contact_address

log = logging.getLogger("smpchat.agent")

LOOK_AGAIN = 60.0
"""The longest time in seconds between two checks of the store. If someone sets the computer's clock, a request may be
due earlier than expected: the next check notices this."""


class Admitting:
    """Accepts requests to a profile's addresses automatically, each in its turn."""

    def __init__(self, database: Database, context: Context) -> None:
        self._database = database
        self._context = context
        self._changed = asyncio.Event()

    def look(self) -> None:
        """Check the requests again, because something was committed."""
        self._changed.set()

    async def run(self) -> None:
        """Accept requests one after the other, without end."""
        while True:
            self._changed.clear()
            due = contact_address.next_look(self._database.connection, self._context.now())
            left = None if due is None else min(due - self._context.now(), LOOK_AGAIN)
            if left is not None and left <= 0:
                self._accept()
                await asyncio.sleep(0)  # other tasks run between two requests
                continue
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                pass

    def _accept(self) -> None:
        """Give up one accepted contact whose relay was not reached in time; if there is no such contact, accept the
        next request."""
        try:
            with self._database.transaction() as tx:
                if not contact_address.give_up_next(tx, self._context):
                    contact_address.accept_next(tx, self._context)
        except AgentError as error:  # this request cannot be accepted, and the next one must not wait for it
            log.warning("request not accepted: %s", error)
            with self._database.transaction() as tx:
                contact_address.drop_next(tx)
